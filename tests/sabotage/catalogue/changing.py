"""What is asked before a change, and how it is made, recorded and taken back."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Sabotage

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a command whose exit status is missing has not succeeded",
        shows=("P3", "E3"),
        file="kube/execution.py",
        old='    raise unanswered(request, f"no exit code: {why}")\n',
        new="    return 0\n",
        tests="integration/test_kube_exec.py",
        red=("test_a_command_whose_end_was_not_seen_is_unknown",),
    ),
    Sabotage(
        takes_out="a change that an earlier life has begun is looked up before it is tried again",
        shows=("P3", "C2"),
        file="executor.py",
        old=("            await self._save(execution, StepState.UNKNOWN)\n        if execution.record.state is"),
        new=("            await self._save(execution, StepState.PLANNED)\n        if execution.record.state is"),
        tests="unit/executor/test_gate.py",
        red=("test_an_intent_of_an_earlier_life_passes_the_gate_after_its_probe",),
    ),
    Sabotage(
        takes_out="a person is asked when nothing can tell whether a change has happened",
        shows=("P3",),
        file="executor.py",
        old='                await self._escalate(execution, "it is unknown whether the change was applied")',
        new="                await self._save(execution, StepState.PLANNED)",
        tests="unit/executor/test_an_answer_that_was_lost.py",
        red=("test_a_change_whose_answer_is_lost_and_that_is_not_found_ends_with_the_reason",),
    ),
    Sabotage(
        takes_out="the ledger refuses what is written under an older epoch",
        shows=("P4", "C4", "C5"),
        file="ledger/store/transactions.py",
        old=("        if epoch != self.epoch:\n            return StaleEpoch"),
        new=("        if epoch is None:\n            return StaleEpoch"),
        tests="contract/ledger/test_leadership.py",
        red=(
            "test_a_stale_leader_writes_nothing",
            "test_a_second_leader_shuts_the_first_one_out",
            "test_a_ledger_that_went_back_is_not_led",
        ),
    ),
    Sabotage(
        takes_out="a delete names the uid of the object that was judged",
        shows=("P4", "B13"),
        file="kube/client.py",
        old='        preconditions = _present({"uid": uid, "resourceVersion":',
        new='        preconditions = _present({"resourceVersion":',
        tests="integration/test_kube_client.py",
        red=("test_a_delete_carries_the_uid_that_was_judged",),
    ),
    Sabotage(
        takes_out="the gate is asked once more between intent and effect",
        shows=("P4", "C4"),
        file="executor.py",
        old="        objection = await execution.effect.admission.objection()\n",
        new='        objection = ""\n',
        tests="unit/executor/test_gate.py",
        red=(
            "test_an_effect_that_the_gate_objects_to_after_the_intent_is_not_made_and_is_judged_anew",
            "test_a_refused_attempt_says_in_the_ledger_that_it_was_not_made_and_why",
            "test_every_retry_passes_the_gate_and_is_judged_on_the_live_object",
            "test_an_intent_of_an_earlier_life_passes_the_gate_after_its_probe",
            "test_a_daemon_that_has_lost_the_lead_makes_nothing",
            "test_a_budget_that_is_spent_in_the_intent_s_own_transaction_holds_the_effect",
            "test_cancelled_at_the_gate_an_effect_ends_at_once_and_under_way_it_ends_first",
            "test_a_change_that_is_refused_at_its_intent_again_and_again_is_planned_less_and_less_often",
        ),
    ),
    Sabotage(
        takes_out="a daemon that has lost the session of its lock stops",
        shows=("P4",),
        file="ledger/store/process_lock.py",
        old="            mine = self._birth != birth and await connection.scalar(self._lock)\n",
        new="            mine = await connection.scalar(self._lock)\n",
        tests="contract/ledger/test_leadership.py",
        red=("test_a_daemon_that_has_lost_the_session_of_its_lock_learns_of_it",),
    ),
    Sabotage(
        takes_out="a rollback compares the live workload with the one at its decision before its first write",
        shows=("P4", "E17"),
        file="runner/gate.py",
        old="        if decision is None or run.service not in views:\n",
        new="        if decision is None or run.service in views:\n",
        tests="unit/runner/test_seen_workload.py",
        red=(
            "test_no_changing_verb_writes_over_a_repair",
            "test_a_repair_while_the_process_is_away_stays",
            "test_a_fix_that_is_rolled_out_between_two_steps_of_a_rollback_stays",
            "test_a_person_gets_the_rollback_of_the_workload_that_they_were_shown",
        ),
    ),
    Sabotage(
        takes_out="nothing is changed while the observer is blind",
        shows=("P6",),
        file="decisions/admission.py",
        old="    return wait(inputs.observer.stale_reason) if inputs.observer.stale_reason else None\n",
        new="    return None\n",
        tests="unit/admission/test_admission.py",
        red=(
            "test_each_hindrance_holds_what_it_should_and_says_why",
            "test_a_section_under_way_is_held_by_people_and_by_blindness_only",
            "test_a_persons_no_and_blindness_admit_no_change_whatever_else_is_so",
        ),
    ),
    Sabotage(
        takes_out="no more pods of a service are deleted at a time than its share",
        shows=("P7",),
        file="model/change_limits.py",
        old="        if self.allowed(disrupted - {pod}) > 0:\n",
        new="        if self.allowed(disrupted - {pod}) >= 0:\n",
        tests="unit/runner/test_disruptions.py",
        red=(
            "test_no_more_than_the_share_of_the_pods_is_down_at_once_and_the_rest_go_when_the_first_are_back",
            "test_the_other_pods_stay_and_the_deadline_ends_the_run_where_the_first_do_not_come_back",
            "test_pods_that_do_not_serve_go_first_so_that_none_waits_for_one_that_is_deleted_after_it",
        ),
    ),
    Sabotage(
        takes_out="no effect is made before its intent is committed",
        shows=("P8",),
        file="executor.py",
        old="            await self._save(execution, StepState.INTENT, budget=execution.effect.admission.budget(self._clock()))\n",
        new="            execution.effect.admission.budget(self._clock())\n",
        tests="unit/executor/test_how_an_effect_ends.py",
        red=(
            "test_an_effect_is_done_between_its_two_commits",
            "test_the_intent_says_what_on_what_until_when_and_how_to_take_it_back",
            "test_evidence_is_kept_before_the_intent",
            "test_a_change_that_is_refused_is_not_tried_again",
            "test_a_patch_whose_object_has_changed_meanwhile_is_judged_anew",
            "test_an_effect_that_surely_changed_nothing_is_tried_again_later",
            "test_when_its_time_is_over_nothing_more_is_tried",
            "test_an_effect_that_another_daemon_has_begun_is_not_begun_again",
        ),
    ),
    Sabotage(
        takes_out="an intent says how its change is undone",
        shows=("P8",),
        file="executor.py",
        old="        undo=execution.effect.undo or plan.undo,\n",
        new="        undo=execution.effect.undo,\n",
        tests="unit/executor/test_how_an_effect_ends.py",
        red=(
            "test_the_intent_says_what_on_what_until_when_and_how_to_take_it_back",
            "test_an_object_that_somebody_else_has_deleted_is_overtaken_but_in_an_undo_it_is_as_it_should_be",
            "test_a_patch_whose_object_has_changed_meanwhile_is_judged_anew",
            "test_a_patch_whose_object_changes_again_and_again_is_given_up",
        ),
    ),
    Sabotage(
        takes_out="under a freeze nothing more is written",
        shows=("E29",),
        file="decisions/admission.py",
        old=("    observing,\n    frozen,\n"),
        new="    observing,\n",
        tests="unit/admission/test_admission.py",
        red=(
            "test_each_hindrance_holds_what_it_should_and_says_why",
            "test_a_section_under_way_is_held_by_people_and_by_blindness_only",
            "test_a_persons_no_and_blindness_admit_no_change_whatever_else_is_so",
        ),
    ),
    Sabotage(
        takes_out="a pause counts where the object is that is changed",
        shows=("P7",),
        file="decisions/admission.py",
        old=("            for namespace in attempt.namespaces\n            for service in attempt.services\n"),
        new=(
            "            for namespace in sorted(attempt.namespaces)[:1]\n"
            "            for service in sorted(attempt.services)[:1]\n"
        ),
        tests="unit/admission/test_admission.py",
        red=("test_a_pause_counts_where_the_run_is_and_where_the_object_is",),
    ),
    Sabotage(
        takes_out="a restore that a person has aborted makes no further change",
        file="runner/gate.py",
        old='        return self.gate.abort_reason if self.phase is Phase.FORWARD else ""\n',
        new='        return self.gate.abort_reason if self.phase is not Phase.FORWARD else ""\n',
        tests="unit/runner/test_aborts.py",
        red=("test_a_restore_that_is_aborted_is_left_as_it_is",),
    ),
    Sabotage(
        takes_out="a run that has asked, and got a no, is not rolled back at its deadline",
        file="runner/driver.py",
        old=('        if self.journal.changed:\n            return ""\n        asked'),
        new=('        if not self.journal.changed:\n            return ""\n        asked'),
        tests="unit/runner/test_holds.py",
        red=("test_a_run_that_asked_and_got_a_no_rolls_nothing_back_at_its_deadline",),
    ),
    Sabotage(
        takes_out="a value in a command is one argument and never syntax",
        shows=("P10", "E5"),
        file="commands/arg_types.py",
        old=(
            "        if not text or not pattern.fullmatch(text):\n"
            '            raise ValueError(f"{text!r} is not {hint}")\n'
            "        return text\n"
            "\n"
            "    return put"
        ),
        new=("        return text\n\n    return put"),
        tests="unit/commands/test_values_are_single_arguments.py",
        red=(
            "test_a_value_that_does_not_fit_its_place_is_refused",
            "test_a_value_alone_is_an_object_and_never_a_whole_type",
        ),
    ),
    Sabotage(
        takes_out="what only a shell could do is refused",
        shows=("P10",),
        file="commands/tokens.py",
        old=("    _refuse_shell(text, placeholders)\n    try:"),
        new="    try:",
        tests="unit/commands/test_what_is_refused.py",
        red=("test_a_line_that_needs_a_shell_is_refused", "test_the_offset_points_at_the_mistake"),
    ),
)
