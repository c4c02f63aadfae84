"""Causes of a diagnosis: each is told from what looks like it, and by whose fault it is."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="no remedy follows from a warning",
        red_at="89277510ff",
        edits=(
            Edit(
                file="decisions/remedies.py",
                old="    cause = next((each for each in diagnosis.causes if not each.is_warning), None)\n",
                new="    cause = next(iter(diagnosis.causes), None)\n",
            ),
        ),
        tests="unit/diagnosis/test_warnings.py",
        red=("test_objects_that_contradict_each_other_are_a_warning",),
    ),
    Sabotage(
        takes_out="a NetworkPolicy that lets a connection through is enough, whatever others deny",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/network_policies.py",
                old="        if about and not any(",
                new="        if about and not all(",
            ),
        ),
        tests="unit/diagnosis/test_network_policies.py",
        red=("test_a_policy_that_lets_through_is_enough_and_a_policy_about_other_pods_says_nothing",),
    ),
    Sabotage(
        takes_out="a node that does not report is a cause only of pods that are not ready",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/nodes.py",
                old='or condition.status == "True" or not affected:',
                new='or condition.status == "True" or not pods:',
            ),
        ),
        tests="unit/diagnosis/test_nodes_and_volumes.py",
        red=("test_a_node_that_does_not_report_is_no_cause_for_pods_that_are_ready",),
    ),
    Sabotage(
        takes_out="a mount that failed before a pod began is over",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/storage.py",
                old="        if pod.has_begun:\n",
                new="        if pod.has_begun and not pod.spec.volumes:\n",
            ),
        ),
        tests="unit/diagnosis/test_nodes_and_volumes.py",
        red=("test_a_mount_that_failed_before_the_pod_began_is_over",),
    ),
    Sabotage(
        takes_out="a finalizer is blamed only once the grace is over",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/finalizers.py",
                old="    if deleted is None or facts.now - deleted < SLACK:\n",
                new="    if deleted is None:\n",
            ),
        ),
        tests="unit/diagnosis/test_nodes_and_volumes.py",
        red=("test_a_pod_that_takes_its_time_to_end_is_held_by_no_finalizer",),
    ),
    Sabotage(
        takes_out="configuration is stale only for containers that are older",
        red_at="5b6aafbc40",
        edits=(
            Edit(
                file="decisions/diagnosis/check_causes.py",
                old="configuration.changed is None or configuration.changed <= began:",
                new="configuration.changed is None:",
            ),
        ),
        tests="unit/diagnosis/test_checks_and_names.py",
        red=(
            "test_a_pod_that_a_rollout_is_about_to_replace_is_not_stale_while_all_is_answered",
            "test_pods_that_are_newer_than_the_secret_do_not_answer_for_what_it_holds",
            "test_configuration_that_the_pods_know_of_is_not_stale",
        ),
    ),
    Sabotage(
        takes_out="a check that is not met is blamed only on what changed right before",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/check_causes.py",
                old="    return at is not None and at <= until and until - at <= RIGHT_BEFORE\n",
                new="    return at is not None\n",
            ),
        ),
        tests="unit/diagnosis/test_checks_and_names.py",
        red=(
            "test_a_check_that_failed_before_a_rollout_is_not_of_it",
            "test_a_configmap_that_changed_at_another_time_is_not_the_cause",
        ),
    ),
    Sabotage(
        takes_out="a name that a template has long had is the Service's that went",
        red_at="3d2dd2203f",
        edits=(
            Edit(
                file="decisions/diagnosis/name_resolution.py",
                old="        if not is_new:\n            yield",
                new="        if not is_new and not name:\n            yield",
            ),
        ),
        tests="unit/diagnosis/test_checks_and_names.py",
        red=("test_a_name_that_the_template_has_long_had_is_the_service_s_that_went",),
    ),
    Sabotage(
        takes_out="no check counts while our own name server is in doubt",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/answering.py",
                old="    if facts.declared.observer.doubt or facts.declared.observer.stale:\n",
                new="    if facts.declared.observer.stale:\n",
            ),
        ),
        tests="unit/diagnosis/test_checks_and_names.py",
        red=("test_our_own_name_server_in_doubt_is_the_observer_s_and_no_check_counts",),
    ),
    Sabotage(
        takes_out="an upstream that serves is nobody else's cause",
        red_at="5b6aafbc40",
        edits=(
            Edit(
                file="decisions/diagnosis/chains.py",
                old="        if first is not None and _is_down(each, first):\n",
                new="        if first is not None and (_is_down(each, first) or each.pods):\n",
            ),
        ),
        tests="unit/diagnosis/test_upstreams_and_standing_causes.py",
        red=(
            "test_an_upstream_to_whose_ready_pods_its_service_does_not_lead_is_a_cause",
            "test_an_upstream_that_serves_is_no_cause_whatever_else_is_wrong_with_it",
        ),
    ),
    Sabotage(
        takes_out="what a pod shows for want of an upstream comes after that upstream",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/ranking.py",
                old="    return not last_change.covering(last_change.suspected(facts), cause.field)\n",
                new="    return last_change.covering(last_change.suspected(facts), cause.field)\n",
            ),
        ),
        tests="unit/diagnosis/test_upstreams_and_standing_causes.py",
        red=(
            "test_pods_that_are_unready_for_want_of_an_upstream_are_so_for_it",
            "test_an_init_container_that_waits_for_an_upstream_waits_for_that",
            "test_a_workload_that_broke_by_its_own_change_is_its_own_cause_beside_an_upstream_that_is_away",
        ),
    ),
    Sabotage(
        takes_out="a Service's number is not suspected while every check is met",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/services.py",
                old="    if not numbers or not _serves(facts) or not answering.has_problem(facts):\n",
                new="    if not numbers or not _serves(facts):\n",
            ),
        ),
        tests="unit/diagnosis/test_upstreams_and_standing_causes.py",
        red=("test_a_number_that_no_container_listens_on_is_likely_wrong_unless_all_is_known_to_be_well",),
    ),
    Sabotage(
        takes_out="an autoscaler that has just begun is given time",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/autoscalers.py",
                old="            if at is not None and facts.now - at >= LASTING:\n",
                new="            if at is not None:\n",
            ),
        ),
        tests="unit/diagnosis/test_upstreams_and_standing_causes.py",
        red=("test_an_autoscaler_that_acts_or_has_just_begun_is_no_cause",),
    ),
    Sabotage(
        takes_out="a budget that waits for a pod which is ill is not the cause",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/diagnosis/budgets.py",
                old="min(status.desired_healthy, status.current_healthy)",
                new="status.desired_healthy",
            ),
        ),
        tests="unit/diagnosis/test_upstreams_and_standing_causes.py",
        red=("test_a_budget_that_lets_pods_go_or_waits_for_one_that_is_ill_is_no_cause",),
    ),
)
