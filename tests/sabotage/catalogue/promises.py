"""The promises P1 to P10 of docs/reliability.md."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a webhook is answered only after its alerts are committed",
        red_at="c04aa7b9a7",
        shows=(
            "P1",
            "A5",
            "D1",
        ),
        edits=(
            Edit(
                file="server/webhook.py",
                old="            await self._commit_queue.commit(delivery.signals, self._clock())\n",
                new="            asyncio.get_running_loop().create_task(self._commit_queue.commit(delivery.signals, self._clock()))\n",
            ),
        ),
        tests="integration/test_intake_when_the_ledger_is_away.py",
        red=(
            "test_a_ledger_that_is_away_is_answered_503_and_nothing_is_lost",
            "test_all_webhooks_that_wait_for_a_hanging_ledger_are_answered_503_with_the_first",
            "test_above_the_mark_the_rest_is_answered_503_and_never_429",
            "test_while_no_connection_is_free_the_sender_is_told_to_come_again",
        ),
    ),
    Sabotage(
        takes_out="a service that has a run starts no second one: the guard",
        red_at="c04aa7b9a7",
        shows=(
            "P2",
            "E20",
        ),
        edits=(
            Edit(
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
            ),
        ),
        tests="unit/guards/test_each_guard_says_why_and_until_when.py",
        red=(
            "test_a_guard_says_why_and_until_when",
            "test_a_signal_that_a_run_causes_is_attached_to_it",
        ),
    ),
    Sabotage(
        takes_out="a run holds the locks of its service in the ledger",
        red_at="c04aa7b9a7",
        shows=(
            "P2",
            "P7",
        ),
        edits=(
            Edit(
                file="ledger/run_requests.py",
                old=("        if held:\n            await self._connection.execute(insert(locks), held)\n"),
                new=("        if len(held) > 1000:\n            await self._connection.execute(insert(locks), held)\n"),
            ),
        ),
        tests="contract/ledger/test_claiming_services.py",
        red=(
            "test_a_lock_held_by_another_run_keeps_a_run_from_starting",
            "test_the_history_tells_what_the_guards_count",
        ),
    ),
    Sabotage(
        takes_out="a run has one task however often it is begun",
        red_at="c04aa7b9a7",
        shows=("P2",),
        edits=(
            Edit(
                file="pipeline/run_supervisor.py",
                old="        if run.id not in self._tasks:\n",
                new="        if run.finished is None:\n",
            ),
        ),
        tests="unit/pipeline/test_runs_under_way.py",
        red=("test_a_run_is_begun_only_once",),
    ),
    Sabotage(
        takes_out="a change that an earlier life has begun is looked up before it is tried again",
        red_at="c04aa7b9a7",
        shows=(
            "P3",
            "C2",
        ),
        edits=(
            Edit(
                file="executor.py",
                old=(
                    "            await self._save(execution, StepState.UNKNOWN)\n        if execution.record.state is"
                ),
                new=(
                    "            await self._save(execution, StepState.PLANNED)\n        if execution.record.state is"
                ),
            ),
        ),
        tests="unit/executor/test_the_gate_before_every_attempt.py",
        red=("test_an_intent_of_an_earlier_life_passes_the_gate_after_its_probe",),
    ),
    Sabotage(
        takes_out="a person is asked when nothing can tell whether a change has happened",
        red_at="c04aa7b9a7",
        shows=("P3",),
        edits=(
            Edit(
                file="executor.py",
                old='                await self._escalate(execution, "it is unknown whether the change was applied")',
                new="                await self._save(execution, StepState.PLANNED)",
            ),
        ),
        tests="unit/executor/test_an_answer_that_was_lost.py",
        red=("test_an_effect_whose_outcome_is_unknown_goes_to_a_person",),
    ),
    Sabotage(
        takes_out="the ledger refuses what is written under an older epoch",
        red_at="c04aa7b9a7",
        shows=(
            "P4",
            "C4",
            "C5",
        ),
        against=(Weakness.TWO_DAEMONS,),
        edits=(
            Edit(
                file="ledger/store.py",
                old=("        if epoch != self.epoch:\n            raise StaleEpoch"),
                new=("        if epoch is None:\n            raise StaleEpoch"),
            ),
        ),
        tests="contract/ledger/test_leading.py",
        red=(
            "test_a_stale_leader_writes_nothing",
            "test_a_second_leader_shuts_the_first_one_out",
            "test_a_ledger_that_went_back_is_not_led",
        ),
    ),
    Sabotage(
        takes_out="a delete names the uid of the object that was judged",
        red_at="c04aa7b9a7",
        shows=(
            "P4",
            "B13",
        ),
        edits=(
            Edit(
                file="kube/client.py",
                old='        preconditions = _present({"uid": uid, "resourceVersion":',
                new='        preconditions = _present({"resourceVersion":',
            ),
        ),
        tests="integration/test_kube_client.py",
        red=("test_a_delete_carries_the_uid_that_was_judged",),
    ),
    Sabotage(
        takes_out="what still fails at the deadline is rolled back",
        red_at="c04aa7b9a7",
        shows=("P5",),
        edits=(
            Edit(
                file="decisions/watchdog.py",
                old='            decision=WatchdogDecision.ROLL_BACK, reason=f"{view.name} is still failing at the deadline"',
                new='            decision=WatchdogDecision.WAIT, reason=f"{view.name} is still failing at the deadline"',
            ),
        ),
        tests="unit/watchdog/test_at_the_deadline_it_looks_before_it_leaps.py",
        red=(
            "test_a_run_whose_service_still_fails_is_rolled_back_where_nothing_speaks_against",
            "test_the_failure_must_have_lasted",
        ),
    ),
    Sabotage(
        takes_out="how a workload was found is noted once the watch has caught up with it",
        red_at="8c596c3831",
        shows=("P5",),
        edits=(Edit(file="runner/seen_workload.py", old="if shows(view, live):", new="if live or not live:"),),
        tests="unit/runner/test_the_deadline.py",
        red=(
            "test_an_alert_that_is_here_sooner_than_the_watch_makes_nobodys_change",
            "test_a_watch_that_does_not_catch_up_holds_no_run_and_nothing_is_taken_back_on_its_word",
        ),
    ),
    Sabotage(
        takes_out="a watchdog that is overdue has the time to look again before it acts",
        red_at="c04aa7b9a7",
        shows=(
            "P5",
            "E16",
        ),
        edits=(
            Edit(
                file="decisions/watchdog.py",
                old=(
                    "    if progress.taken_up is None:\n"
                    "        return latest\n"
                    "    return max(latest, progress.taken_up + timings.verify + timings.failing_for)\n"
                ),
                new="    return latest\n",
            ),
        ),
        tests="unit/watchdog/test_it_ends_whatever_flaps.py",
        red=("test_a_run_is_over_after_its_deadline_the_lag_and_a_verification",),
    ),
    Sabotage(
        takes_out="nothing is started on what may be old news",
        red_at="c04aa7b9a7",
        shows=(
            "P6",
            "B15",
            "C11",
        ),
        edits=(
            Edit(
                file="decisions/guards.py",
                old=(
                    "    if inputs.context.observer.stale_reason:\n"
                    "        return inputs.refuse(Reason.STALE, inputs.context.observer.stale_reason, inputs.again)\n"
                    "    return None\n"
                ),
                new="    return None\n",
            ),
        ),
        tests="unit/guards/test_each_guard_says_why_and_until_when.py",
        red=(
            "test_a_guard_says_why_and_until_when",
            "test_a_provisional_refusal_is_judged_again_in_the_future",
        ),
    ),
    Sabotage(
        takes_out="a rule whose condition has no answer does not hold",
        red_at="c04aa7b9a7",
        shows=("P6",),
        edits=(
            Edit(
                file="decisions/matcher.py",
                old=("    except EvaluationError:\n        return None\n"),
                new=("    except EvaluationError:\n        return True\n"),
            ),
        ),
        tests="unit/matcher/test_a_condition_without_an_answer_is_no_reason_to_act.py",
        red=("test_a_condition_is_yes_no_or_unanswered",),
    ),
    Sabotage(
        takes_out="nothing is rolled back on what cannot be seen",
        red_at="c04aa7b9a7",
        shows=(
            "P6",
            "P5",
        ),
        edits=(
            Edit(
                file="decisions/watchdog.py",
                old=(
                    "    if not view.is_current or view.healthy is None:\n"
                    "        return WatchdogResult(\n"
                    "            decision=WatchdogDecision.WAIT,\n"
                    '            reason=f"the deadline was reached, but {view.name} cannot be observed reliably",\n'
                    "        )\n"
                ),
                new="",
            ),
        ),
        tests="unit/watchdog/test_at_the_deadline_it_looks_before_it_leaps.py",
        red=("test_a_blind_watchdog_waits_even_when_it_is_overdue",),
    ),
    Sabotage(
        takes_out="a rule rests after a run, longer after each that did not help",
        red_at="c04aa7b9a7",
        shows=("P7",),
        edits=(
            Edit(
                file="decisions/guards.py",
                old=(
                    "    if inputs.now >= until:\n"
                    "        return None\n"
                    "    return inputs.refuse(\n"
                    "        Reason.COOLDOWN"
                ),
                new=(
                    "    if inputs.now >= until or streak:\n"
                    "        return None\n"
                    "    return inputs.refuse(\n"
                    "        Reason.COOLDOWN"
                ),
            ),
        ),
        tests="unit/guards/test_cooldowns_and_failures.py",
        red=(
            "test_the_cooldown_doubles_and_is_capped",
            "test_a_rule_that_asks_for_more_than_the_cap_has_it",
            "test_a_useless_end_doubles_the_cooldown_and_counts_as_a_failure",
            "test_the_cooldown_is_never_below_the_rules_nor_above_the_cap",
            "test_another_useless_run_never_shortens_the_cooldown",
            "test_a_run_that_changed_nothing_neither_lengthens_a_streak_nor_ends_it",
            "test_a_run_that_changed_nothing_rests_as_long_as_the_rule_says_and_no_longer",
        ),
    ),
    Sabotage(
        takes_out="a claim beyond the budget of its namespace is refused",
        red_at="c04aa7b9a7",
        shows=("P7",),
        edits=(
            Edit(
                file="decisions/guards.py",
                old="    if len(spent) >= limits.budget:\n",
                new="    if len(spent) > limits.budget * 2:\n",
            ),
        ),
        tests="unit/guards/test_the_budget.py",
        red=(
            "test_a_spent_budget_says_when_there_is_room_again",
            "test_the_budget_is_never_exceeded_whenever_it_is_asked",
            "test_when_the_named_moment_comes_there_is_room",
        ),
    ),
    Sabotage(
        takes_out="no effect is made before its intent is committed",
        red_at="c04aa7b9a7",
        shows=("P8",),
        edits=(
            Edit(
                file="executor.py",
                old="            await self._save(execution, StepState.INTENT, budget=execution.effect.admission.budget(self._clock()))\n",
                new="            execution.effect.admission.budget(self._clock())\n",
            ),
        ),
        tests="unit/executor/test_how_an_effect_ends.py",
        red=(
            "test_an_effect_is_done_between_its_two_commits",
            "test_the_intent_says_what_on_what_until_when_and_how_to_take_it_back",
            "test_evidence_is_kept_before_the_intent",
            "test_a_write_that_the_server_refuses_is_not_tried_again",
            "test_a_patch_whose_object_has_changed_meanwhile_is_judged_anew",
            "test_an_effect_that_surely_changed_nothing_is_tried_again_later",
            "test_when_its_time_is_over_nothing_more_is_tried",
            "test_an_effect_that_another_daemon_has_begun_is_not_begun_again",
        ),
    ),
    Sabotage(
        takes_out="an intent says how its change is undone",
        red_at="c04aa7b9a7",
        shows=("P8",),
        edits=(
            Edit(
                file="effect.py",
                old="        undo=execution.effect.undo or plan.undo,\n",
                new="        undo=execution.effect.undo,\n",
            ),
        ),
        tests="unit/executor/test_how_an_effect_ends.py",
        red=(
            "test_the_intent_says_what_on_what_until_when_and_how_to_take_it_back",
            "test_an_object_that_somebody_else_has_deleted_is_overtaken_but_in_an_undo_it_is_as_it_should_be",
            "test_a_patch_whose_object_has_changed_meanwhile_is_judged_anew",
            "test_a_patch_whose_object_changes_again_and_again_is_given_up",
        ),
    ),
    Sabotage(
        takes_out="a signal that cannot be judged now is judged again",
        red_at="c04aa7b9a7",
        shows=("P9",),
        edits=(
            Edit(
                file="pipeline/signal_evaluator.py",
                old=(
                    "        until = self._observed.clock() + self._observed.limits.recheck_after\n"
                    "        return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, until=until, rule=rule)"
                ),
                new="        return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, rule=rule)",
            ),
        ),
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=(
            "test_an_object_that_cannot_be_looked_up_is_asked_for_again_later",
            "test_a_signal_that_the_ledger_refuses_takes_no_other_with_it",
            "test_a_look_up_that_is_not_answered_in_time_is_judged_again_and_holds_up_no_other",
        ),
    ),
    Sabotage(
        takes_out="what no rule is about has a verdict too",
        red_at="c04aa7b9a7",
        shows=("P9",),
        edits=(
            Edit(
                file="pipeline/pipeline.py",
                old="            if not disposition.kept:\n",
                new="            if not disposition.kept and disposition.verdict.kind is not VerdictKind.NO_RULE:\n",
            ),
        ),
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=(
            "test_a_signal_that_no_rule_is_about_is_said_to_be_so",
            "test_a_batch_is_settled_at_once_and_every_verdict_is_told",
        ),
    ),
    Sabotage(
        takes_out="a value in a command is one argument and never syntax",
        red_at="c04aa7b9a7",
        shows=(
            "P10",
            "E5",
        ),
        edits=(
            Edit(
                file="commands/arg_types.py",
                old=(
                    "        if not text or not pattern.fullmatch(text):\n"
                    '            raise ValueError(f"{text!r} is not {hint}")\n'
                    "        return text\n"
                    "\n"
                    "    return put"
                ),
                new=("        return text\n\n    return put"),
            ),
        ),
        tests="unit/commands/test_values_are_single_arguments.py",
        red=(
            "test_a_value_that_does_not_fit_its_place_is_refused",
            "test_a_value_alone_is_an_object_and_never_a_whole_type",
        ),
    ),
    Sabotage(
        takes_out="what only a shell could do is refused",
        red_at="c04aa7b9a7",
        shows=("P10",),
        edits=(
            Edit(file="commands/tokens.py", old=("    _refuse_shell(text, placeholders)\n    try:"), new="    try:"),
        ),
        tests="unit/commands/test_what_is_refused.py",
        red=(
            "test_a_line_that_needs_a_shell_is_refused",
            "test_the_offset_points_at_the_mistake",
        ),
    ),
)
