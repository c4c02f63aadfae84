"""What is asked before every attempt of a change: a person's no, approvals, locks, budgets, and how old the judging is."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a pause of a service holds changes of its pods, claims and Services too",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="runner/impact.py",
                old="        names.update(name for name, view in views.items() if _has(view, asked, namespace))\n",
                new="        names.update(n for n, view in views.items() if str(view.service.workload) == str(asked))\n",
            ),
        ),
        tests="unit/runner/test_the_gate_before_every_change.py",
        red=("test_a_pause_of_a_service_holds_changes_of_each_of_its_objects",),
    ),
    Sabotage(
        takes_out="in mode observe nothing more is written, whatever was begun before",
        red_at="c04aa7b9a7",
        against=(Weakness.CHANGES_AFTER_A_NO,),
        edits=(Edit(file="decisions/admission.py", old=("    observing,\n    frozen,\n"), new="    frozen,\n"),),
        tests="unit/admission/test_what_is_asked_before_every_attempt.py",
        red=(
            "test_each_hindrance_holds_what_it_should_and_says_why",
            "test_a_restore_under_way_is_held_by_people_and_by_blindness_only",
            "test_a_persons_no_and_blindness_admit_no_change_whatever_else_is_so",
        ),
    ),
    Sabotage(
        takes_out="under a freeze nothing more is written",
        red_at="c04aa7b9a7",
        shows=("E29",),
        against=(Weakness.CHANGES_AFTER_A_NO,),
        edits=(Edit(file="decisions/admission.py", old=("    observing,\n    frozen,\n"), new="    observing,\n"),),
        tests="unit/admission/test_what_is_asked_before_every_attempt.py",
        red=(
            "test_each_hindrance_holds_what_it_should_and_says_why",
            "test_a_restore_under_way_is_held_by_people_and_by_blindness_only",
            "test_a_persons_no_and_blindness_admit_no_change_whatever_else_is_so",
        ),
    ),
    Sabotage(
        takes_out="what an earlier life has begun passes the gate before it is tried again",
        red_at="c04aa7b9a7",
        shows=("C3",),
        against=(Weakness.CHANGES_AFTER_A_NO,),
        edits=(
            Edit(
                file="executor.py",
                old="        admitted = effect.record.state is StepState.PLANNED\n",
                new="        admitted = True\n",
            ),
        ),
        tests="unit/executor/test_the_gate_before_every_attempt.py",
        red=("test_an_intent_of_an_earlier_life_passes_the_gate_after_its_probe",),
    ),
    Sabotage(
        takes_out="every retry passes the gate",
        red_at="0cac7737b6",
        shows=("P4",),
        against=(Weakness.NOTHING_ASKED_AGAIN,),
        edits=(
            Edit(
                file="executor.py",
                old="            admitted, execution.retry_delay = False, timedelta(0)\n",
                new="            execution.retry_delay = timedelta(0)\n",
            ),
        ),
        tests="unit/executor/test_the_gate_before_every_attempt.py",
        red=(
            "test_an_effect_that_the_gate_objects_to_after_the_intent_is_not_made_and_is_judged_anew",
            "test_a_refused_attempt_says_in_the_ledger_that_it_was_not_made_and_why",
            "test_every_retry_passes_the_gate_and_is_judged_on_the_live_object",
            "test_an_effect_that_is_not_needed_any_more_is_skipped_at_its_retry",
            "test_a_budget_that_is_spent_in_the_intent_s_own_transaction_holds_the_effect",
            "test_cancelled_at_the_gate_an_effect_ends_at_once_and_under_way_it_ends_first",
        ),
    ),
    Sabotage(
        takes_out="the gate is asked once more between intent and effect",
        red_at="c04aa7b9a7",
        shows=(
            "P4",
            "C4",
        ),
        against=(Weakness.NOTHING_ASKED_AGAIN,),
        edits=(
            Edit(
                file="executor.py",
                old="        objection = await execution.effect.admission.objection()\n",
                new='        objection = ""\n',
            ),
        ),
        tests="unit/executor/test_the_gate_before_every_attempt.py",
        red=(
            "test_an_effect_that_the_gate_objects_to_after_the_intent_is_not_made_and_is_judged_anew",
            "test_a_refused_attempt_says_in_the_ledger_that_it_was_not_made_and_why",
            "test_every_retry_passes_the_gate_and_is_judged_on_the_live_object",
            "test_an_intent_of_an_earlier_life_passes_the_gate_after_its_probe",
            "test_an_intent_that_has_grown_old_is_not_made",
            "test_a_daemon_that_has_lost_the_lead_makes_nothing",
            "test_a_budget_that_is_spent_in_the_intent_s_own_transaction_holds_the_effect",
            "test_cancelled_at_the_gate_an_effect_ends_at_once_and_under_way_it_ends_first",
        ),
    ),
    Sabotage(
        takes_out="an intent that has grown old is judged anew",
        red_at="c04aa7b9a7",
        shows=(
            "P4",
            "B14",
        ),
        against=(Weakness.NOTHING_ASKED_AGAIN,),
        edits=(
            Edit(
                file="executor.py",
                old='            objection = f"the intent is older than {INTENT_AGE.total_seconds():g}s"\n',
                new='            log.info("an intent is old", step=planned.path)\n',
            ),
        ),
        tests="unit/executor/test_the_gate_before_every_attempt.py",
        red=("test_an_intent_that_has_grown_old_is_not_made",),
    ),
    Sabotage(
        takes_out="nothing is begun while the daemon stops",
        red_at="c04aa7b9a7",
        shows=("C3",),
        against=(Weakness.NOTHING_ASKED_AGAIN,),
        edits=(
            Edit(
                file="decisions/admission.py",
                old='    return wait("the daemon is stopping") if inputs.stopping else None\n',
                new="    return None\n",
            ),
        ),
        tests="unit/admission/test_what_is_asked_before_every_attempt.py",
        red=(
            "test_each_hindrance_holds_what_it_should_and_says_why",
            "test_a_restore_under_way_is_held_by_people_and_by_blindness_only",
        ),
    ),
    Sabotage(
        takes_out="nothing is changed while the observer is blind",
        red_at="c04aa7b9a7",
        shows=("P6",),
        against=(Weakness.NOTHING_ASKED_AGAIN,),
        edits=(
            Edit(
                file="decisions/admission.py",
                old="    return wait(inputs.observer.stale_reason) if inputs.observer.stale_reason else None\n",
                new="    return None\n",
            ),
        ),
        tests="unit/admission/test_what_is_asked_before_every_attempt.py",
        red=(
            "test_each_hindrance_holds_what_it_should_and_says_why",
            "test_a_restore_under_way_is_held_by_people_and_by_blindness_only",
            "test_a_persons_no_and_blindness_admit_no_change_whatever_else_is_so",
        ),
    ),
    Sabotage(
        takes_out="the breaker is asked before every change",
        red_at="c04aa7b9a7",
        shows=("E32",),
        against=(Weakness.CHANGE_ELSEWHERE,),
        edits=(Edit(file="decisions/admission.py", old=("    breaker_open,\n    upstream,\n"), new="    upstream,\n"),),
        tests="unit/admission/test_what_is_asked_before_every_attempt.py",
        red=("test_each_hindrance_holds_what_it_should_and_says_why",),
    ),
    Sabotage(
        takes_out="an answer is good until its question expires",
        red_at="c04aa7b9a7",
        shows=("E28",),
        against=(Weakness.EVERLASTING_ANSWER,),
        edits=(
            Edit(
                file="decisions/reconciliation.py",
                old=("    if newest.answered is not None:\n        return IncidentNeed(action=IncidentAction.ASK)\n"),
                new=(
                    "    if newest.answered is not None:\n        return IncidentNeed(action=IncidentAction.START, approval=newest)\n"
                ),
            ),
        ),
        tests="unit/reconciliation/test_what_an_open_incident_needs.py",
        red=("test_an_answer_is_good_until_the_question_expires_and_asked_anew_then",),
    ),
    Sabotage(
        takes_out="a second rollback asks its own question",
        red_at="c04aa7b9a7",
        against=(Weakness.OLD_ANSWER,),
        edits=(
            Edit(
                file="runner/holds.py",
                old="        return next(reversed(await self._asked(path)), None)\n",
                new="        return next(iter(await self._asked(path)), None)\n",
            ),
        ),
        tests="unit/runner/test_asking_a_person.py",
        red=(
            "test_an_answer_of_an_earlier_life_is_good_until_its_question_expires",
            "test_a_rollback_that_is_asked_for_again_asks_its_own_question",
        ),
    ),
    Sabotage(
        takes_out="a pause counts where the object is that is changed",
        red_at="c04aa7b9a7",
        shows=("P7",),
        against=(Weakness.CHANGE_ELSEWHERE,),
        edits=(
            Edit(
                file="decisions/admission.py",
                old=("            for namespace in attempt.namespaces\n            for service in attempt.services\n"),
                new=(
                    "            for namespace in sorted(attempt.namespaces)[:1]\n"
                    "            for service in sorted(attempt.services)[:1]\n"
                ),
            ),
        ),
        tests="unit/admission/test_what_is_asked_before_every_attempt.py",
        red=("test_a_pause_counts_where_the_run_is_and_where_the_object_is",),
    ),
    Sabotage(
        takes_out="no rollback begins by itself while a pause holds",
        red_at="c04aa7b9a7",
        shows=("E29",),
        against=(Weakness.PAUSED_ROLLBACK,),
        edits=(
            Edit(
                file="drivers/deadlines.py",
                old="        return reason\n",
                new='        return ""\n',
            ),
        ),
        tests="unit/runner/test_a_pause_stops_the_clock.py",
        red=(
            "test_no_rollback_begins_by_itself_while_a_pause_holds",
            "test_a_pause_after_the_deadline_has_come_keeps_a_rollback_from_beginning",
        ),
    ),
    Sabotage(
        takes_out="the budget is counted in the intent's own transaction",
        red_at="5b6aafbc40",
        shows=("P7",),
        against=(Weakness.OVERSPENT_BUDGET,),
        edits=(
            Edit(
                file="ledger/runs.py",
                old=("            if budget is not None:\n                await _spend(connection, step, budget)\n"),
                new="",
            ),
        ),
        tests="contract/ledger/test_asking_before_an_effect.py",
        red=(
            "test_runs_that_delete_pods_of_one_service_take_no_more_than_may_be_down",
            "test_the_last_change_of_a_budget_is_made_by_one_of_many_runs",
        ),
    ),
    Sabotage(
        takes_out="a person is told of a hold that has reached its limit",
        red_at="c04aa7b9a7",
        against=(Weakness.SILENT_EXPIRY,),
        edits=(
            Edit(
                file="pipeline/pending_incidents.py",
                old="            await self._ledger.outbox.put_notice_once(incident.id, IncidentState.HELD, over, now)\n",
                new='            log.info("a hold is over", incident=incident.id)\n',
            ),
        ),
        tests="unit/pipeline/test_incidents_that_wait.py",
        red=("test_a_hold_that_is_over_is_told_once",),
    ),
    Sabotage(
        takes_out="a person is told of a question that nobody answered",
        red_at="c04aa7b9a7",
        shows=("E28",),
        against=(Weakness.SILENT_EXPIRY,),
        edits=(
            Edit(
                file="decisions/reconciliation.py",
                old="    return IncidentNeed(action=IncidentAction.END, state=IncidentState.CANCELLED, reason=text, notify=True)\n",
                new="    return IncidentNeed(action=IncidentAction.END, state=IncidentState.CANCELLED, reason=text)\n",
            ),
        ),
        tests="unit/reconciliation/test_what_an_open_incident_needs.py",
        red=("test_an_open_question_waits_until_it_expires",),
    ),
    Sabotage(
        takes_out="the budget is counted where the object is that is changed",
        red_at="c04aa7b9a7",
        shows=("P7",),
        against=(Weakness.CHANGE_ELSEWHERE,),
        edits=(
            Edit(
                file="ledger/history.py",
                old="    query = _changed(steps.c.started).where(steps.c.namespace == namespace, ",
                new="    query = _changed(steps.c.started).where(runs.c.namespace == namespace, ",
            ),
        ),
        tests="contract/ledger/test_asking_before_an_effect.py",
        red=("test_changes_are_counted_where_the_object_is_that_is_changed",),
    ),
    Sabotage(
        takes_out="a step at another service takes that one's locks",
        red_at="c04aa7b9a7",
        shows=("P2", "P7"),
        against=(Weakness.CHANGE_ELSEWHERE,),
        edits=(
            Edit(
                file="runner/impact.py",
                old="        locks=tuple(dict.fromkeys([*(lock for each in changed for lock in locks_of(each)), *own])),\n",
                new="        locks=tuple(dict.fromkeys([*(lock for each in changed if each.name == run.service for lock in locks_of(each)), *own])),\n",
            ),
        ),
        tests="unit/runner/test_the_gate_before_every_change.py",
        red=(
            "test_a_step_at_another_service_takes_its_locks_before_its_first_change_there",
            "test_a_step_does_not_wait_for_the_run_that_holds_an_earlier_service",
            "test_a_step_waits_for_the_run_that_holds_a_later_service",
            "test_the_locks_of_a_child_are_given_back_when_it_is_over",
        ),
    ),
    Sabotage(
        takes_out="an approval is still good when the claim that it allows is decided",
        red_at="c04aa7b9a7",
        shows=("E28",),
        against=(Weakness.EVERLASTING_ANSWER,),
        edits=(
            Edit(
                file="pipeline/run_requester.py",
                old="            approved = approved_until is not None and now < approved_until\n",
                new="            approved = approved_until is not None\n",
            ),
        ),
        tests="unit/pipeline/test_incidents_that_wait.py",
        red=("test_an_answer_that_expires_while_its_claim_waits_for_its_turn_starts_nothing_and_is_asked_anew",),
    ),
    Sabotage(
        takes_out="an approved run starts only with the changes that were shown",
        red_at="eef5c63322",
        shows=("E28",),
        edits=(
            Edit(
                file="pipeline/run_requester.py",
                old="            if digest_with(bound, preview) == approval.plan:\n",
                new="            if preview is not None and preview.digest:\n",
            ),
        ),
        tests="unit/pipeline/test_what_a_question_shows.py",
        red=("test_an_approved_run_that_would_make_other_changes_by_now_does_not_start_and_is_asked_about_again",),
    ),
    Sabotage(
        takes_out="an answer of an earlier life is good until its question expires",
        red_at="c04aa7b9a7",
        shows=("E28",),
        against=(Weakness.EVERLASTING_ANSWER,),
        edits=(
            Edit(
                file="runner/holds.py",
                old="        return None if expired and not (waited_for and newest is not None and newest.answered is None) else newest\n",
                new="        return None if expired and waited_for and newest is None else newest\n",
            ),
        ),
        tests="unit/runner/test_asking_a_person.py",
        red=(
            "test_a_rollback_that_is_asked_for_again_asks_its_own_question",
            "test_an_answer_of_an_earlier_life_is_good_until_its_question_expires",
        ),
    ),
    Sabotage(
        takes_out="a restore that a person has aborted makes no further change",
        red_at="0ce4c3a1d0",
        against=(Weakness.CHANGES_AFTER_A_NO,),
        edits=(
            Edit(
                file="runner/gate.py",
                old='        return self.gate.abort_reason if self.phase is Phase.FORWARD else ""\n',
                new='        return self.gate.abort_reason if self.phase is not Phase.FORWARD else ""\n',
            ),
        ),
        tests="unit/runner/test_aborting_a_run.py",
        red=("test_a_restore_that_is_aborted_is_left_as_it_is",),
    ),
    Sabotage(
        takes_out="a rule rests after a person has rejected its plan",
        red_at="0ce4c3a1d0",
        against=(Weakness.CHANGES_AFTER_A_NO,),
        edits=(Edit(file="decisions/guards.py", old="    rejected,\n", new=""),),
        tests="unit/guards/test_a_plan_that_was_rejected.py",
        red=(
            "test_a_no_is_about_one_plan_or_about_the_whole_service",
            "test_a_rejection_ends_with_the_cooldown_of_the_rule",
        ),
    ),
    Sabotage(
        takes_out="a run that has asked, and got a no, is not rolled back at its deadline",
        red_at="108e9f161c",
        against=(Weakness.CHANGES_AFTER_A_NO,),
        edits=(
            Edit(
                file="drivers/driver.py",
                old='        if self.journal.changed:\n            return ""\n        asked',
                new='        if not self.journal.changed:\n            return ""\n        asked',
            ),
        ),
        tests="unit/runner/test_asking_a_person.py",
        red=("test_a_run_that_asked_and_got_a_no_rolls_nothing_back_at_its_deadline",),
    ),
    Sabotage(
        takes_out="an object that cannot be read, and may carry a pause, is one",
        red_at="1e4ca382b4",
        against=(Weakness.UNREAD_NO,),
        edits=(
            Edit(
                file="pipeline/observed_state.py",
                old=(
                    "        return _set_aside(judged, lambda key: key[0] == namespace"
                    ' or key in (("", namespace), ("", ""), alias))\n'
                ),
                new='        return ""\n',
            ),
        ),
        tests="unit/pipeline/test_the_observed_state.py",
        red=(
            "test_an_object_that_cannot_be_read_and_may_forbid_a_change_is_a_pause_of_its_namespace",
            "test_an_alias_of_the_ledger_that_cannot_be_read_pauses_every_namespace",
        ),
    ),
    Sabotage(
        takes_out="no request that changes is sent while an address of what is never changed cannot be read",
        red_at="1e4ca382b4",
        against=(Weakness.UNREAD_NO,),
        edits=(
            Edit(
                file="pipeline/observed_state.py",
                old="_set_aside((self.caches.services, self.caches.endpoints), lambda key: key[0] in guarded)",
                new='""',
            ),
        ),
        tests="unit/pipeline/test_what_nothing_is_done_to.py",
        red=("test_no_request_that_changes_is_sent_while_an_address_of_what_is_never_changed_cannot_be_read",),
    ),
    Sabotage(
        takes_out="a change is about the object of the uid that was judged",
        red_at="1e4ca382b4",
        against=(Weakness.NAMESAKE,),
        edits=(
            Edit(
                file="actions/preconditions.py",
                old="    if asked.uid and asked.uid != unstructured.uid(obj):\n",
                new="    if asked.uid and not obj:\n",
            ),
        ),
        tests="unit/actions/test_other_changes.py",
        red=("test_a_machine_that_has_taken_the_name_of_the_node_that_was_meant_is_not_cordoned",),
    ),
)
