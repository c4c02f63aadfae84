"""What is accepted, decided, judged and told."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Sabotage

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a webhook is answered only after its alerts are committed",
        shows=("P1", "A5", "D1"),
        file="server/webhook.py",
        old="            await self._commit_queue.commit(delivery.signals, self._clock())\n",
        new="            asyncio.get_running_loop().create_task(self._commit_queue.commit(delivery.signals, self._clock()))\n",
        tests="integration/test_intake_when_the_ledger_is_away.py",
        red=(
            "test_a_ledger_that_is_away_is_answered_503_and_nothing_is_lost",
            "test_all_webhooks_that_wait_for_a_hanging_ledger_are_answered_503_with_the_first",
            "test_above_the_mark_the_rest_is_answered_503_and_never_429",
            "test_while_no_connection_is_free_the_sender_is_told_to_come_again",
        ),
    ),
    Sabotage(
        takes_out="an alert that fires again with its old beginning is opened ten minutes later",
        shows=("P1", "A22"),
        file="ledger/signals/episodes.py",
        old="    due = [episode for episode in episodes if episode.refired is not None and episode.refired <= before]\n",
        new="    due = [episode for episode in episodes if episode.refired is not None and episode.ended is None]\n",
        tests="unit/ledger/test_episodes.py",
        red=(
            "test_an_alert_that_is_told_to_fire_last_is_open_in_the_end",
            "test_a_firing_delivery_after_the_end_opens_it_again_ten_minutes_later",
            "test_an_alert_that_fires_again_is_an_episode_of_its_own_that_names_the_one_before",
            "test_with_a_clock_that_is_behind_it_is_opened_again_where_the_last_end_is",
        ),
    ),
    Sabotage(
        takes_out="alerts that were left out and that nobody can ask for are told",
        shows=("P1", "A7"),
        file="server/webhook.py",
        old="        if not polled and delivery.left_out is not None:\n",
        new="        if polled and delivery.left_out is not None:\n",
        tests="integration/test_intake_of_webhooks.py",
        red=(
            "test_a_truncated_delivery_makes_us_poll_for_the_rest",
            "test_alerts_that_nobody_can_ask_for_are_counted_and_told",
        ),
    ),
    Sabotage(
        takes_out="a service that has a run starts no second one: the guard",
        shows=("P2", "E20"),
        file="decisions/guards.py",
        old=(
            "    if any(run.service == inputs.context.service.name for run in inputs.history.active):\n"
            '        text = f"{inputs.context.service.name} is already being recovered"\n'
            "        return inputs.answer(VerdictKind.ATTACHED, Reason.ACTIVE_RUN, text)\n"
            "    return None\n"
            "\n"
            "\n"
            "def observing"
        ),
        new=("    return None\n\n\ndef observing"),
        tests="unit/guards/test_guards.py",
        red=("test_a_guard_says_why_and_until_when", "test_a_signal_that_a_run_causes_is_attached_to_it"),
    ),
    Sabotage(
        takes_out="a run holds the locks of its service in the ledger",
        shows=("P2", "P7"),
        file="ledger/incidents/run_requests.py",
        old=("        if held:\n            self._connection.execute(_PUT_LOCK, held)\n"),
        new=("        if len(held) > 1000:\n            self._connection.execute(_PUT_LOCK, held)\n"),
        tests="contract/ledger/test_run_requests.py",
        red=(
            "test_a_lock_held_by_another_run_keeps_a_run_from_starting",
            "test_the_history_tells_what_the_guards_count",
        ),
    ),
    Sabotage(
        takes_out="a run has one task however often it is begun",
        shows=("P2",),
        file="pipeline/run_supervisor.py",
        old="        if run.id not in self._tasks:\n",
        new="        if run.finished is None:\n",
        tests="unit/pipeline/test_runs_under_way.py",
        red=("test_a_run_is_begun_only_once",),
    ),
    Sabotage(
        takes_out="a run that dies again and again is handed over",
        shows=("P5",),
        file="decisions/reconciliation.py",
        old="    return ReconcileAction.HAND_OVER if liveness.failures > MOST_TASK_FAILURES else ReconcileAction.TAKE_UP\n",
        new="    return ReconcileAction.TAKE_UP\n",
        tests="unit/reconciliation/test_reconciliation.py",
        red=("test_a_run_that_dies_again_and_again_is_handed_over",),
    ),
    Sabotage(
        takes_out="an open run without a task is taken up by the tick",
        shows=("P5",),
        file="decisions/reconciliation.py",
        old="    return ReconcileAction.HAND_OVER if liveness.failures > MOST_TASK_FAILURES else ReconcileAction.TAKE_UP\n",
        new="    return ReconcileAction.HAND_OVER if liveness.failures > MOST_TASK_FAILURES else ReconcileAction.LEAVE\n",
        tests="unit/pipeline/test_runs_under_way.py",
        red=(
            "test_an_open_run_without_a_task_is_taken_up_by_the_tick",
            "test_a_run_whose_task_dies_is_counted_and_taken_up_again",
            "test_a_run_whose_task_dies_again_and_again_is_handed_over",
            "test_a_run_past_its_deadline_that_looks_at_nothing_is_seen_and_gets_a_new_task",
        ),
    ),
    Sabotage(
        takes_out="what still fails at the deadline is rolled back",
        shows=("P5",),
        file="decisions/watchdog.py",
        old='        return WatchdogDecision.ROLL_BACK.because(f"{view.name} is still failing at the deadline")',
        new='        return WatchdogDecision.WAIT.because(f"{view.name} is still failing at the deadline")',
        tests="unit/watchdog/test_watchdog.py",
        red=(
            "test_a_run_whose_service_still_fails_is_rolled_back_unless_something_speaks_against_that",
            "test_the_failure_must_have_lasted",
            "test_a_rollout_that_gets_on_is_waited_for_at_the_deadline_unless_something_speaks_against_its_rollback",
        ),
    ),
    Sabotage(
        takes_out="nothing is started on what may be old news",
        shows=("P6", "B15", "C11"),
        file="decisions/guards.py",
        old=(
            "    if inputs.context.observer.stale_reason:\n"
            "        return inputs.refuse(Reason.STALE, inputs.context.observer.stale_reason, inputs.again)\n"
            "    return None\n"
        ),
        new="    return None\n",
        tests="unit/guards/test_guards.py",
        red=("test_a_guard_says_why_and_until_when",),
    ),
    Sabotage(
        takes_out="a rule whose condition has no answer does not hold",
        shows=("P6",),
        file="decisions/matcher.py",
        old="        return ConditionResult(holds=None, problem=str(error))\n",
        new="        return ConditionResult(holds=True, problem=str(error))\n",
        tests="unit/matcher/test_matcher.py",
        red=("test_a_condition_is_yes_no_or_unanswered",),
    ),
    Sabotage(
        takes_out="nothing is rolled back on what cannot be seen",
        shows=("P5", "P6"),
        file="decisions/watchdog.py",
        old=(
            "    if not view.is_current or view.healthy is None:\n"
            '        return WatchdogDecision.WAIT.because(f"the deadline was reached, but {view.name} cannot be observed reliably")\n'
        ),
        new="",
        tests="unit/watchdog/test_watchdog.py",
        red=("test_an_overdue_watchdog_looks_again_and_takes_nothing_back_while_it_sees_no_failure",),
    ),
    Sabotage(
        takes_out="a claim beyond the budget of its namespace is refused",
        shows=("P7",),
        file="decisions/guards.py",
        old="    if len(spent) >= limits.budget:\n",
        new="    if len(spent) > limits.budget * 2:\n",
        tests="unit/guards/test_the_budget.py",
        red=("test_a_spent_budget_says_when_there_is_room_again",),
    ),
    Sabotage(
        takes_out="the budget is counted in the intent's own transaction",
        shows=("P7",),
        file="ledger/incidents/runs.py",
        old=("    if budget is not None:\n        _spend(connection, step, budget)\n"),
        new="",
        tests="contract/ledger/test_admissions.py",
        red=(
            "test_runs_that_delete_pods_of_one_service_take_no_more_than_may_be_down",
            "test_the_last_change_of_a_budget_is_made_by_one_of_many_runs",
        ),
    ),
    Sabotage(
        takes_out="a signal that cannot be judged now is judged again",
        shows=("P9",),
        file="pipeline/signal_evaluator.py",
        old=(
            "        until = self.observed.clock() + self.observed.limits.recheck_after\n"
            "        return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, until=until, rule=rule)"
        ),
        new="        return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, rule=rule)",
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=(
            "test_a_refusal_by_what_is_not_seen_for_certain_is_provisional",
            "test_a_signal_that_the_ledger_refuses_takes_no_other_with_it",
            "test_a_look_up_that_is_not_answered_in_time_is_judged_again_and_holds_up_no_other",
            "test_a_pod_that_no_cache_has_is_judged_as_the_api_has_it",
        ),
    ),
    Sabotage(
        takes_out="what no rule is about has a verdict too",
        shows=("P9",),
        file="pipeline/pipeline.py",
        old="            if not disposition.kept:\n",
        new="            if not disposition.kept and disposition.verdict.kind is not VerdictKind.NO_RULE:\n",
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=(
            "test_a_signal_that_no_rule_is_about_is_said_to_be_so",
            "test_a_batch_is_settled_at_once_and_every_verdict_is_told",
        ),
    ),
    Sabotage(
        takes_out="a signal that cannot be read is put aside and keeps no other from being judged",
        shows=("P9",),
        file="ledger/signals/signals.py",
        old="        due = [row for row in rows if unreadable(Signal, row) is None]\n",
        new="        due = list(rows)\n",
        tests="contract/ledger/test_unreadable_rows.py",
        red=(
            "test_a_signal_that_cannot_be_read_becomes_a_dead_letter_and_the_others_are_judged",
            "test_an_incident_that_waits_for_what_cannot_be_read_is_handed_over",
        ),
    ),
    Sabotage(
        takes_out="a person is notified of an outage that nothing repairs",
        shows=("P11",),
        file="decisions/outage_notices.py",
        old="    return now >= due\n",
        new="    return now < due < now\n",
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
            "test_a_question_is_a_notice_of_the_fault_where_it_has_its_cause",
        ),
    ),
    Sabotage(
        takes_out="another problem ends the verification of a run",
        shows=("P11", "E36"),
        file="runner/driver.py",
        old="        if outage is None:\n            return None\n",
        new="        return None\n",
        tests="unit/runner/test_driver.py",
        red=(
            "test_a_service_that_breaks_again_ends_the_verification_with_what_the_run_had_reached",
            "test_another_template_under_a_service_that_was_not_well_yet_ends_the_run_too",
        ),
    ),
    Sabotage(
        takes_out="a person is notified when a run makes its first change",
        shows=("P11",),
        file="ledger/outbox.py",
        old="        _put(connection, run.incident, IncidentState.RUNNING, text, now)\n",
        new="",
        tests="contract/ledger/test_runs.py",
        red=("test_the_first_change_of_a_workload_or_its_pods_leaves_one_notice_of_the_run",),
    ),
    Sabotage(
        takes_out="a notice that did not arrive is sent again",
        shows=("P11", "E24"),
        file="notices/notifier.py",
        old="        await self._outbox.notice_postponed(notice.id, min(waits), [*notice.reached, *reached])\n",
        new="        await self._outbox.notice_sent(notice.id)\n",
        tests="integration/test_notifier.py",
        red=(
            "test_a_notice_that_is_not_taken_is_tried_again_later",
            "test_a_receiver_that_hangs_holds_no_notice_for_long",
            "test_a_token_file_that_holds_no_token_keeps_a_notice_waiting_and_ends_nothing",
        ),
    ),
    Sabotage(
        takes_out="a pager is called only if a person is needed",
        shows=("P11",),
        file="decisions/notice_routes.py",
        old="    severity = severity_of(notice.kind)\n    return severity is Severity.CRITICAL or (severity is Severity.WARNING and notice.incident is not None)\n",
        new="    return True\n",
        tests="unit/notices/test_notifier.py",
        red=("test_a_pager_is_called_only_when_a_person_is_needed",),
    ),
    Sabotage(
        takes_out="beyond its limit a route gets a summary",
        shows=("P11",),
        file="decisions/notice_routes.py",
        old="    return Sending.SUMMARY\n",
        new="    return Sending.EACH\n",
        tests="unit/notices/test_notifier.py",
        red=("test_beyond_its_limit_a_route_gets_one_summary_at_once_and_the_next_a_minute_later",),
    ),
    Sabotage(
        takes_out="a page stays open while its service is not well",
        shows=("P11",),
        file="notices/apprise.py",
        old="            if page.state in ENDED_WELL or self._is_well(page.service):\n",
        new="            if True:\n",
        tests="integration/test_apprise.py",
        red=("test_a_page_has_the_incident_as_its_key_and_is_closed_when_its_service_is_well",),
    ),
    Sabotage(
        takes_out="a doubt in what is seen that lasts is told by an incident of its own",
        shows=("P11", "E31"),
        file="pipeline/observer_incident.py",
        old="            await self._open(problem)\n",
        new="            pass\n",
        tests="unit/pipeline/test_the_observed_state.py",
        red=(
            "test_a_doubt_that_lasts_is_one_incident_which_ends_with_it",
            "test_an_observer_that_comes_and_goes_is_one_incident",
        ),
    ),
)
