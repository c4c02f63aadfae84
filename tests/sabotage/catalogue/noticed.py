"""What counts as well, whose trouble is whose, and who hears of it."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

GOOD = "decisions/revision_checks.py"

CAUSES = "decisions/priorities.py"

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a derived check counts only once it was met",
        red_at="3d2dd2203f",
        edits=(
            Edit(
                file="sources/checks.py",
                old="        return check is not None and check.url in self._services.counts.of(view.name)\n",
                new="        return check is not None\n",
            ),
        ),
        tests="unit/sources/test_derived_checks.py",
        red=(
            "test_an_address_that_was_never_met_does_not_count_and_is_logged_once",
            "test_a_check_that_was_met_counts_also_after_a_restart",
            "test_an_answer_of_another_address_says_nothing_of_a_new_one",
        ),
    ),
    Sabotage(
        takes_out="a service whose Kubernetes Service is gone does not serve",
        red_at="89277510ff",
        edits=(
            Edit(
                file="views/view_builder.py",
                old="        return 0 if objects.lost_service else None\n",
                new="        return None\n",
            ),
        ),
        tests="unit/views/test_the_view_of_a_service.py",
        red=("test_a_service_whose_kubernetes_service_is_gone_does_not_serve_until_another_one_leads_to_its_pods",),
    ),
    Sabotage(
        takes_out="endpoints without a port serve nobody",
        red_at="89277510ff",
        edits=(Edit(file="views/view_builder.py", old="        if found.ports or not has_ports\n", new=""),),
        tests="unit/views/test_the_view_of_a_service.py",
        red=("test_endpoints_without_a_port_serve_nobody",),
    ),
    Sabotage(
        takes_out="a revision is good only while each check of its service is met",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file=GOOD,
                old="    if unmet := next((check for check in revision.checks if not check.met), None):\n",
                new="    if unmet := next((check for check in revision.checks if check.met is None), None):\n",
            ),
        ),
        tests="unit/app/test_remembering_good_revisions.py",
        red=("test_a_revision_is_not_good_while_a_check_of_its_service_is_not_met",),
    ),
    Sabotage(
        takes_out="a revision is good only once each check was asked since it is well",
        red_at="c04aa7b9a7",
        edits=(
            Edit(file=GOOD, old="    if revision.unasked:\n", new="    if revision.unasked and revision.signals:\n"),
        ),
        tests="unit/app/test_remembering_good_revisions.py",
        red=("test_a_revision_is_not_good_before_each_check_was_asked_since_it_is_well",),
    ),
    Sabotage(
        takes_out="a revision is good only while no signal about its service holds",
        red_at="c04aa7b9a7",
        edits=(
            Edit(file=GOOD, old="    if revision.signals:\n", new="    if revision.signals and revision.unasked:\n"),
        ),
        tests="unit/app/test_remembering_good_revisions.py",
        red=("test_a_revision_is_not_good_while_a_signal_about_its_service_holds",),
    ),
    Sabotage(
        takes_out="a revision is good only after a time in which its service served and met its checks without a break",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="views/template_health.py",
                old="        is_well = view.healthy and view.serving and not view.unmet\n",
                new="        is_well = view.healthy\n",
            ),
        ),
        tests="unit/views/test_which_revisions_are_good.py",
        red=(
            "test_a_check_that_was_not_met_starts_the_time_anew_whatever_its_author_calls_healthy",
            "test_a_template_whose_pods_no_endpoint_leads_to_is_not_good",
        ),
    ),
    Sabotage(
        takes_out="a revision that fails by itself soon after it was good is good no more",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file=GOOD,
                old='if all(ends) else ""\n',
                new='if all(ends) and now < since else ""\n',
            ),
        ),
        tests="unit/app/test_forgetting_good_revisions.py",
        red=(
            "test_a_revision_whose_pods_all_crash_again_and_again_soon_after_it_was_good_is_good_no_more",
            "test_a_revision_whose_pods_were_all_ended_for_want_of_memory_since_it_was_good_is_good_no_more",
            "test_a_revision_stays_on_trial_across_a_restart_of_the_daemon",
            "test_a_revision_that_is_well_again_without_a_break_is_good_again",
        ),
    ),
    Sabotage(
        takes_out="the times of a service end where its objects have changed in a gap of the watch",
        red_at="7102f23",
        shows=("P6",),
        edits=(
            Edit(
                file="views/service_views.py",
                old="            before = after_gap(view, before)\n",
                new="            before = after_gap(before, before)\n",
            ),
        ),
        tests="unit/views/test_the_view_of_a_service.py",
        red=("test_a_service_whose_objects_have_changed_in_a_gap_starts_its_times_anew",),
    ),
    Sabotage(
        takes_out="a kind by which health is not judged takes no time of health",
        red_at="7102f23",
        shows=("P6",),
        edits=(
            Edit(
                file="views/caches.py",
                old="        kinds = _OF_WORKLOAD.get(workload, _OF_HEALTH)\n",
                new="        kinds = frozenset(name for name, _ in self)\n",
            ),
        ),
        tests="unit/views/test_the_view_of_a_service.py",
        red=("test_a_kind_by_which_its_health_is_not_judged_takes_nothing_from_a_service",),
    ),
    Sabotage(
        takes_out="a watch that has nothing to say is no problem",
        red_at="7102f23",
        shows=("B3",),
        edits=(
            Edit(
                file="kube/reflector.py",
                old="            self._was_silent = True\n",
                new='            self.problem = "nothing came"\n',
            ),
        ),
        tests="unit/kube/test_a_quiet_watch.py",
        red=(
            "test_a_watch_without_a_word_is_opened_anew_and_is_no_problem",
            "test_changes_at_once_after_a_silence_show_that_the_watch_before_was_dead",
        ),
    ),
    Sabotage(
        takes_out="a revision is good only where one check of its service was answered",
        red_at="7102f23",
        edits=(
            Edit(
                file=GOOD,
                old="    if revision.unanswered and not revision.checks:\n",
                new="    if revision.unanswered and revision.signals:\n",
            ),
        ),
        tests="unit/app/test_remembering_good_revisions.py",
        red=("test_a_revision_of_a_service_that_has_answered_none_of_its_checks_is_not_good",),
    ),
    Sabotage(
        takes_out="a revision is adopted only at the first sight of its service",
        red_at="7102f23",
        edits=(
            Edit(
                file="views/template_health.py",
                old="            ready = ready_since(view) if is_first else None\n",
                new="            ready = ready_since(view)\n",
            ),
        ),
        tests="unit/app/test_remembering_good_revisions.py",
        red=("test_a_revision_that_has_broken_since_it_was_seen_first_is_not_adopted",),
    ),
    Sabotage(
        takes_out="one pod that fails says nothing against its revision",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file=GOOD,
                old='if all(ends) else ""\n',
                new='if any(ends) else ""\n',
            ),
        ),
        tests="unit/app/test_forgetting_good_revisions.py",
        red=("test_a_revision_stays_good_while_one_of_its_pods_does_not_fail",),
    ),
    Sabotage(
        takes_out="a notice does not recommend what was refused because it would not help",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/rollback_evidence.py",
                old="    if evidence.known_good or evidence.managers:\n",
                new="    if evidence.managers:\n",
            ),
        ),
        tests="unit/runner/test_the_undo_of_our_own_restart.py",
        red=("test_a_good_revision_that_was_restarted_and_fails_is_not_to_blame",),
    ),
    Sabotage(
        takes_out="a notice never recommends an undo behind the back of Helm",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="decisions/rollback_evidence.py",
                old='    if evidence.release:\n        return f"helm',
                new='    if evidence.release and not last_good:\n        return f"helm',
            ),
        ),
        tests="unit/runner/test_the_undo_of_our_own_restart.py",
        red=("test_a_step_that_calls_a_person_for_a_release_of_helm_names_the_command_of_helm",),
    ),
    Sabotage(
        takes_out="an upstream that was scaled to none is waited for",
        red_at="c04aa7b9a7",
        edits=(Edit(file=CAUSES, old="    elif _is_away(view):\n", new="    elif _is_away(view) and view.serving:\n"),),
        tests="unit/priorities/test_cause_comes_first.py",
        red=(
            "test_an_upstream_that_was_scaled_to_none_is_named_and_waited_for_until_it_has_replicas_again",
            "test_a_trouble_that_an_upstream_at_zero_does_not_explain_is_judged_by_itself_at_the_limit",
        ),
    ),
    Sabotage(
        takes_out="a dependent is not run just after a person was called for its upstream",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file=CAUSES,
                old="    until = last.finished + timings.limit\n",
                new="    until = last.finished\n",
            ),
        ),
        tests="unit/priorities/test_cause_comes_first.py",
        red=(
            "test_a_dependent_waits_for_an_upstream_that_serves_badly_just_after_a_person_was_called_for_it",
            "test_an_upstream_whose_check_is_not_met_counts_as_one_that_serves_badly",
        ),
    ),
    Sabotage(
        takes_out="a run that has changed nothing ends while an upstream is down that explains what started it",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="drivers/driver.py",
                old="        if upstream and trigger.firing:\n",
                new="        if upstream and not trigger.firing:\n",
            ),
        ),
        tests="unit/runner/test_a_run_whose_upstream_went_down.py",
        red=("test_a_run_that_has_changed_nothing_is_cancelled_while_its_upstream_is_down",),
    ),
    Sabotage(
        takes_out="a notice names the services that suffer from the same cause",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="app/notice_headlines.py",
                old="        names = await self.affected(notice.incident)\n",
                new="        names: Sequence[str] = ()\n",
            ),
        ),
        tests="unit/app/test_headlines_of_notices.py",
        red=("test_a_notice_names_the_services_that_suffer_too_unless_it_is_over",),
    ),
    Sabotage(
        takes_out="what is only observed is told",
        red_at="1adfc2cd5c",
        edits=(
            Edit(
                file="pipeline/verdict_diagnoses.py",
                old="        if self._on_notice is not None and asked.verdict.kind is VerdictKind.OBSERVED:\n",
                new="        if self._on_notice is not None and asked.verdict.kind is VerdictKind.STARTED:\n",
            ),
        ),
        tests="unit/pipeline/test_diagnoses_of_verdicts.py",
        red=("test_a_verdict_of_mode_observe_says_what_is_wrong_and_is_told_once_an_episode",),
    ),
    Sabotage(
        takes_out="a hold is not told by itself where a person hears of its upstream",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="pipeline/affected_services.py",
                old="        return any(each.closed is None or each.state in UNRESOLVED_OUTCOMES for",
                new="        return any(each.closed is not None and each.state not in UNRESOLVED_OUTCOMES for",
            ),
        ),
        tests="unit/pipeline/test_services_that_suffer_too.py",
        red=("test_a_hold_is_told_by_itself_only_where_nobody_is_told_of_its_upstream",),
    ),
    Sabotage(
        takes_out="a person is notified of an outage that nothing repairs",
        red_at="1adfc2cd5c",
        shows=("P11",),
        against=(Weakness.SILENT_OUTAGE,),
        edits=(
            Edit(
                file="decisions/outage_notices.py",
                old="    return now >= due\n",
                new="    return now < due < now\n",
            ),
        ),
        tests="unit/pipeline/test_no_outage_is_silent.py",
        red=(
            "test_an_outage_that_nothing_repairs_is_told_with_its_cause_and_the_next_command",
            "test_each_fault_of_an_outage_is_told_once",
            "test_another_template_is_another_fault_of_the_same_cause",
            "test_the_next_outage_is_told_anew",
            "test_a_cause_that_is_found_late_is_told_although_the_outage_was",
            "test_an_outage_goes_on_over_a_restart_and_is_told_in_time",
            "test_without_a_way_of_notice_the_outage_is_told_once_to_listeners",
            "test_a_notice_that_is_not_delivered_is_no_notice_for_the_metric",
            "test_a_run_counts_as_a_repair_while_it_waits_for_its_own_change",
            "test_a_run_that_has_changed_nothing_is_no_repair",
            "test_the_notice_about_an_upstream_tells_of_its_dependents",
        ),
    ),
    Sabotage(
        takes_out="a template that a run has set by another command than a rollout is its own",
        red_at="2b40b7e823",
        shows=("P11",),
        against=(Weakness.REPAIR_UNDONE,),
        edits=(
            Edit(
                file="commands/verb_definition.py",
                old="return self.rolls_out or self.writes_template",
                new="return self.rolls_out",
            ),
        ),
        tests="unit/runner/test_another_problem_while_a_run_verifies.py",
        red=("test_the_template_that_the_run_has_set_itself_is_no_other_problem_and_is_rolled_back",),
    ),
    Sabotage(
        takes_out="a person is notified when a run makes its first change",
        red_at="ea6a715e4c",
        against=(Weakness.SILENT_OUTAGE,),
        edits=(
            Edit(
                file="ledger/outbox.py",
                old="        await _put(connection, run.incident, IncidentState.RUNNING, text, now)\n",
                new="",
            ),
        ),
        tests="contract/ledger/test_moving_runs.py",
        red=("test_the_first_change_of_a_workload_or_its_pods_leaves_one_notice_of_the_run",),
    ),
    Sabotage(
        takes_out="a service that is paused is shown as paused",
        red_at="33e33dbdd0",
        against=(Weakness.SILENT_OUTAGE,),
        edits=(
            Edit(
                file="decisions/activity.py",
                old="    if not covering:\n        text =",
                new="    if not covering or now:\n        text =",
            ),
        ),
        tests="unit/pipeline/test_current_activity.py",
        red=(
            "test_the_first_answer_that_is_true_counts",
            "test_a_pause_names_its_author_and_its_end_and_no_time_at_which_a_rule_acts",
            "test_a_pause_of_something_else_leaves_a_service_as_it_is",
        ),
    ),
)
