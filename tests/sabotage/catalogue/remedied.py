"""What is taken back at once, and what is not."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage

REMEDIES = "decisions/remedies.py"
PODS = "decisions/pod_remedies.py"
OF_PODS = "unit/remedies/test_pods_as_they_are.py"

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="of pods of a good template that fail a probe, one is recreated first",
        red_at="a0cfa6a2f3",
        edits=(
            Edit(
                file=PODS,
                old="    if not facts.known_good or not state.failing:\n",
                new="    if not state.failing or facts.known_good:\n",
            ),
        ),
        tests=OF_PODS,
        red=(
            "test_pods_of_a_good_template_that_fail_a_probe_are_recreated_one_of_them_first",
            "test_a_person_is_told_where_a_pod_that_was_recreated_failed_its_probe_as_well",
            "test_no_pod_that_fails_a_probe_is_recreated_while_an_upstream_is_not_healthy",
        ),
    ),
    Sabotage(
        takes_out="no change ends a pod whose claim is being deleted",
        red_at="8b02a54693",
        edits=(
            Edit(
                file="actions/pvcs.py",
                old="            if since and not predicates.finished(pod):\n",
                new="            if since and predicates.finished(pod):\n",
            ),
        ),
        tests="unit/actions/test_claims_that_are_being_deleted.py",
        red=("test_a_change_that_ends_a_pod_is_refused_while_a_claim_of_the_pod_is_being_deleted",),
    ),
    Sabotage(
        takes_out="no other rule tries a change that was refused for good",
        red_at="8b02a54693",
        edits=(
            Edit(
                file="model/history.py",
                old="HANDED_OVER_OUTCOMES = frozenset({IncidentState.NEEDS_OPERATOR, IncidentState.FAILED})\n",
                new="HANDED_OVER_OUTCOMES = frozenset({IncidentState.NEEDS_OPERATOR})\n",
            ),
        ),
        tests="unit/guards/test_cooldowns_and_failures.py",
        red=("test_a_service_that_was_handed_over_is_left_to_the_person_whatever_the_rule",),
    ),
    Sabotage(
        takes_out="an image is taken back at once only where the registry refuses it for good",
        red_at="5b6aafbc40",
        edits=(
            Edit(
                file=REMEDIES,
                old="    if cause.registry is not None and cause.registry not in REFUSING:\n",
                new="    if cause.registry is RegistryAnswer.OTHER:\n",
            ),
        ),
        tests="unit/remedies/test_which_remedy_fits.py",
        red=(
            "test_a_template_that_only_the_ledger_has_is_not_gone_back_to_for_what_may_pass",
            "test_an_image_is_taken_back_at_once_only_where_the_registry_refuses_it_for_good",
        ),
    ),
    Sabotage(
        takes_out="a template that was seen good is not taken back at once",
        red_at="c04aa7b9a7",
        edits=(
            Edit(file=REMEDIES, old="    if facts.known_good:\n", new="    if facts.known_good and not facts.good:\n"),
        ),
        tests="unit/remedies/test_which_remedy_fits.py",
        red=("test_a_template_that_was_good_before_is_not_taken_back",),
    ),
    Sabotage(
        takes_out="a template is taken back at once only for what a pod of it has shown",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file=REMEDIES,
                old="    return not pods or not pods.isdisjoint(facts.pods)\n",
                new="    return True\n",
            ),
        ),
        tests="unit/remedies/test_which_remedy_fits.py",
        red=("test_a_pod_of_an_earlier_template_says_nothing_of_the_one_in_force",),
    ),
    Sabotage(
        takes_out="a Helm release is taken back only once a person agrees",
        red_at="c04aa7b9a7",
        edits=(Edit(file=REMEDIES, old="    if facts.release:\n", new="    if facts.release and not facts.good:\n"),),
        tests="unit/remedies/test_which_remedy_fits.py",
        red=("test_a_helm_release_is_taken_back_by_approval_with_helm_s_own_command_beside_it",),
    ),
    Sabotage(
        takes_out="a kept template of which values are missing is not gone back to",
        red_at="c04aa7b9a7",
        edits=(Edit(file=REMEDIES, old="    if kept.missing:\n", new="    if kept.missing and facts.good:\n"),),
        tests="unit/remedies/test_which_remedy_fits.py",
        red=("test_a_template_of_which_values_are_not_kept_is_a_person_s_and_they_are_named",),
    ),
    Sabotage(
        takes_out="the values of a kept template are known to be those of the good one",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="actions/good_templates.py",
                old="missing=() if is_same else withheld(document))",
                new="missing=())",
            ),
        ),
        tests="unit/actions/test_good_templates.py",
        red=(
            "test_a_template_names_what_is_not_kept_where_it_is_another_by_now",
            "test_a_template_is_found_whole_with_its_key_whatever_stands_there_by_now",
            "test_no_way_back_to_a_kept_template_is_refused",
        ),
    ),
    Sabotage(
        takes_out="literal values of variables are withheld from a kept template",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="actions/withheld_values.py",
                old=' or (of_variable and key == "value") or ',
                new=" or ",
            ),
        ),
        tests="unit/actions/test_good_templates.py",
        red=(
            "test_no_secret_of_a_template_is_written_down",
            "test_values_that_may_be_secrets_are_withheld_by_their_field_and_put_in_again",
            "test_containers_of_one_name_each_keep_their_own_values",
        ),
    ),
    Sabotage(
        takes_out="an undo is refused where another revision is in force than the one that was diagnosed",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="verbs/rollout_undo.py",
                old="    preconditions.check(_overtaken(command, revisions))\n",
                new="",
            ),
        ),
        tests="unit/actions/test_rollout.py",
        red=("test_an_undo_that_expects_another_revision_in_force_is_refused",),
    ),
    Sabotage(
        takes_out="a StatefulSet's pod of an earlier template may be deleted although its own template helps nothing",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="verbs/delete.py",
                old="    may_go = to_go or (owning is not None and is_superseded(pod, owning))\n",
                new="    may_go = to_go\n",
            ),
        ),
        tests="unit/actions/test_delete_pod.py",
        red=("test_a_pod_of_an_earlier_template_goes_that_its_stateful_set_waits_for",),
    ),
    Sabotage(
        takes_out="of pods that are ready and do not answer one is restarted first, and not the only one",
        red_at="c04aa7b9a7",
        edits=(Edit(file=PODS, old="ENOUGH_FOR_A_CANARY = 2\n", new="ENOUGH_FOR_A_CANARY = 1\n"),),
        tests=OF_PODS,
        red=(
            "test_the_only_pod_that_is_ready_is_not_ended_before_its_successor_is",
            "test_the_template_of_somebody_else_s_workload_is_not_stamped_for_a_restart",
        ),
    ),
    Sabotage(
        takes_out="a restart that did not help is not tried twice",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file=PODS,
                old="    if tried := state.tried & {RemedyKind.RESTART_CANARY, RemedyKind.ROLLOUT_RESTART}:\n",
                new="    if tried := state.tried & {RemedyKind.RESTART}:\n",
            ),
        ),
        tests=OF_PODS,
        red=("test_a_restart_that_did_not_help_is_not_tried_twice",),
    ),
    Sabotage(
        takes_out="what an autoscaler may let rest at none is not scaled back",
        red_at="c04aa7b9a7",
        edits=(Edit(file=PODS, old="    if state.rests:\n", new="    if state.rests and not facts.revision:\n"),),
        tests=OF_PODS,
        red=("test_a_workload_that_another_keeps_at_none_or_whose_number_is_unknown_is_not_scaled_back",),
    ),
    Sabotage(
        takes_out="a pod of a StatefulSet is not moved from a node that nobody hears of",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file=PODS,
                old="        diagnosis.object.startswith(_STATEFUL_SET) and cause.field != _READY\n",
                new="        diagnosis.object.startswith(_STATEFUL_SET) and bool(facts.revision)\n",
            ),
        ),
        tests=OF_PODS,
        red=("test_a_statefulset_s_pod_is_not_moved_from_a_node_that_nobody_hears_of",),
    ),
    Sabotage(
        takes_out="a pod that is asked by itself is asked at its own address",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="sources/checks.py",
                old="            command, context.reached_pod = directed, True\n",
                new="            context.reached_pod = True\n",
            ),
        ),
        tests="unit/sources/test_checks_on_an_interval.py",
        red=("test_a_single_pod_is_asked_what_the_check_asks_its_service_and_nothing_is_told_of_that",),
    ),
    Sabotage(
        takes_out="what was tried before a run that helped is forgotten",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/recurrence.py",
                old="    streak = takewhile(lambda run: run.state in UNHELPFUL_OUTCOMES, conclusive)\n",
                new="    streak = list(conclusive)\n",
            ),
        ),
        tests="unit/guards/test_a_trouble_that_returns.py",
        red=("test_remedies_count_back_to_the_first_run_that_helped",),
    ),
)
