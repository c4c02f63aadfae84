"""Runs about all services: what starts one, what it starts, and what is asked of that."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a rule about all services starts a run about all of them",
        red_at="c04aa7b9a7",
        against=(Weakness.RULE_OF_NOBODY,),
        edits=(
            Edit(
                file="pipeline/signal_evaluator.py",
                old="for rule, subject in subjects if subject is not None]",
                new="for rule, subject in subjects if rule.service and subject is not None]",
            ),
        ),
        tests="unit/pipeline/test_every_signal_gets_a_verdict.py",
        red=("test_a_rule_about_all_services_starts_a_run_about_all_of_them",),
    ),
    Sabotage(
        takes_out="what is about all services changes nothing itself",
        red_at="c04aa7b9a7",
        shows=("P8",),
        edits=(
            Edit(
                file="catalog/call_graph.py",
                old="    return isinstance(step.do, UndoStep) or (isinstance(step.do, Run) and step.do.command.changes)\n",
                new="    return isinstance(step.do, UndoStep)\n",
            ),
        ),
        tests="unit/catalog/test_documents_fit_together.py",
        red=("test_a_rule_about_all_services_starts_no_runbook_that_lacks_one",),
    ),
    Sabotage(
        takes_out="a step of a run starts one run of a service, however often it asks",
        red_at="c04aa7b9a7",
        shows=("P2",),
        edits=(
            Edit(
                file="ledger/run_requests.py",
                old="        child = await find_child(self._connection, self._request.parent, self._request.parent_step)\n",
                new='        child = await find_child(self._connection, self._request.parent, "")\n',
            ),
        ),
        tests="contract/ledger/test_child_runs.py",
        red=("test_a_step_starts_one_run_however_often_it_asks",),
    ),
    Sabotage(
        takes_out="a run that a step asks for takes over the incident of its service that is held, with its signals",
        red_at="c04aa7b9a7",
        shows=("P9",),
        edits=(
            Edit(
                file="ledger/run_requests.py",
                old="        if waiting and result.run is not None:\n",
                new="        if waiting and result.run is None:\n",
            ),
        ),
        tests="contract/ledger/test_child_runs.py",
        red=("test_a_child_takes_over_the_incident_of_its_service_that_is_held",),
    ),
    Sabotage(
        takes_out="a run that another one starts is held to what keeps others safe",
        red_at="c04aa7b9a7",
        shows=("P7",),
        edits=(
            Edit(
                file="decisions/guards.py",
                old="each not in (rejected, cooldown, ineffective, upstream, approving))",
                new="each in (observing, active))",
            ),
        ),
        tests="unit/guards/test_runs_that_a_run_starts.py",
        red=("test_a_child_is_held_to_what_keeps_others_safe",),
    ),
    Sabotage(
        takes_out="a run about all services is not recovered while one of them is ill",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="drivers/stack.py",
                old="        if unhealthy:\n",
                new="        if unhealthy and not self.run.service:\n",
            ),
        ),
        tests="unit/runner/test_runs_about_all_services.py",
        red=("test_a_run_whose_steps_are_done_is_not_recovered_while_a_service_is_ill",),
    ),
    Sabotage(
        takes_out="what may not start now for a reason that passes is asked for again",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="pipeline/children.py",
                old="            if verdict.reason not in WAITED_FOR:\n",
                new="            if verdict.reason not in WAITED_FOR or logged == verdict.text:\n",
            ),
        ),
        tests="unit/pipeline/test_child_runs.py",
        red=("test_a_child_waits_for_a_refusal_that_passes",),
    ),
    Sabotage(
        takes_out="what a restore has stopped is held at 0 until somebody has started it",
        red_at="c04aa7b9a7",
        shows=("P6",),
        edits=(
            Edit(
                file="decisions/zero_replicas.py",
                old="candidate.running_since <= stop.moment",
                new="candidate.running_since > stop.moment",
            ),
        ),
        tests="unit/zero_replicas/test_starting_what_is_at_zero.py",
        red=(
            "test_a_restore_holds_what_it_has_stopped_until_somebody_has_started_it",
            "test_a_workload_that_ran_again_after_the_restore_is_not_held_by_it",
        ),
    ),
    Sabotage(
        takes_out="the gate asks who holds at 0 what a step would start",
        red_at="c04aa7b9a7",
        shows=("P6",),
        edits=(
            Edit(
                file="runner/gate.py",
                old="await self._blocked_by_lock() or await self._blocked_at_zero()",
                new="await self._blocked_by_lock()",
            ),
        ),
        tests="unit/runner/test_the_gate_before_every_change.py",
        red=("test_a_workload_that_a_restore_holds_at_zero_is_started_by_no_step",),
    ),
    Sabotage(
        takes_out="what somebody has scaled to 0 is scaled up only by a command that says so",
        red_at="c04aa7b9a7",
        shows=("E14",),
        edits=(
            Edit(
                file="actions/preconditions.py",
                old="    if expected == 0:\n",
                new="    if expected != 1:\n",
            ),
        ),
        tests="unit/actions/test_starting_from_zero.py",
        red=("test_a_step_that_only_wants_more_replicas_does_not_start_what_is_at_zero",),
    ),
    Sabotage(
        takes_out="what a check has counted is remembered only while nothing is done for its service",
        red_at="c04aa7b9a7",
        shows=("P6",),
        edits=(
            Edit(
                file="views/counts.py",
                old=">= lasting and not under_recovery",
                new=">= lasting and under_recovery in (True, False)",
            ),
        ),
        tests="unit/sources/test_checks_on_an_interval.py",
        red=("test_a_count_of_a_check_is_remembered_while_its_service_is_well_and_no_run_is_under_way",),
    ),
    Sabotage(
        takes_out="a step may call a person however well the service looks",
        red_at="c04aa7b9a7",
        shows=("P6",),
        edits=(
            Edit(
                file="runner/interpreter.py",
                old="raise HandoverRequested(path, named",
                new="raise ExecutionStopped(path, named",
            ),
        ),
        tests="unit/runner/test_steps_go_in_order.py",
        red=("test_a_step_may_call_a_person_however_well_the_service_looks",),
    ),
    Sabotage(
        takes_out="while a child waits for a person the deadline of its parent waits, too",
        red_at="c04aa7b9a7",
        edits=(Edit(file="drivers/stack.py", old="        self.clock.others = self.waits.all\n", new=""),),
        tests="unit/runner/test_runs_about_all_services.py",
        red=(
            "test_while_a_child_waits_for_a_person_the_deadline_waits_too_and_the_next_have_the_time_that_was_left",
            "test_a_person_who_is_waited_for_when_a_run_is_taken_up_again_is_no_reason_to_end_it",
            "test_time_for_which_a_person_was_waited_for_is_not_lost_to_the_next_children_before_the_deadline_has_come",
        ),
    ),
    Sabotage(
        takes_out="time for which a person was waited for is not taken from the children that come next",
        red_at="c04aa7b9a7",
        edits=(Edit(file="drivers/stack.py", old="        await self.catch_up()", new="        pass"),),
        tests="unit/runner/test_runs_about_all_services.py",
        red=(
            "test_time_for_which_a_person_was_waited_for_is_not_lost_to_the_next_children_before_the_deadline_has_come",
        ),
    ),
    Sabotage(
        takes_out="a run about all services says which child of it asks a person",
        red_at="c04aa7b9a7",
        edits=(Edit(file="drivers/stack.py", old="if text and text != self.run.reason:", new="if text and not text:"),),
        tests="unit/runner/test_runs_about_all_services.py",
        red=("test_a_run_says_for_which_child_a_person_is_waited_and_how_it_is_answered_and_then_that_it_goes_on",),
    ),
    Sabotage(
        takes_out="what a child that did not help has done is handed over with the commands that take it back",
        red_at="c04aa7b9a7",
        edits=(Edit(file="drivers/stack.py", old="return undo_section(title, made)", new="return []"),),
        tests="unit/runner/test_runs_about_all_services.py",
        red=("test_the_changes_of_a_child_that_did_not_help_are_handed_over_with_the_commands_that_take_them_back",),
    ),
    Sabotage(
        takes_out="the commands of a stack that is handed over overrule its cooldown, too",
        red_at="c04aa7b9a7",
        edits=(Edit(file="drivers/stack.py", old=" --override {Override.COOLDOWN}", new=""),),
        tests="unit/runner/test_runs_about_all_services.py",
        red=("test_the_changes_of_a_child_that_did_not_help_are_handed_over_with_the_commands_that_take_them_back",),
    ),
    Sabotage(
        takes_out="a restore in a stack does not stop for a dependent that the stack recovers next",
        red_at="c04aa7b9a7",
        edits=(
            Edit(file="pipeline/observed_state.py", old="return bool(self.under_way().covered_by)", new="return False"),
        ),
        tests="integration/test_database_lost_in_a_stack.py",
        red=(
            "test_a_dependent_that_no_data_help_is_left_to_the_next_level_of_its_stack_and_no_reason_to_leave_the_restore",
        ),
    ),
    Sabotage(
        takes_out="a run about all services asks how far the rules of each service let its runbook go",
        red_at="5b6aafbc40",
        shows=("P8",),
        edits=(
            Edit(
                file="decisions/modes.py",
                old="return reduce(Mode.at_most, others, rule.mode)",
                new="return reduce(Mode.at_most, others[:0], rule.mode)",
            ),
        ),
        tests="unit/admission/test_how_far_a_run_may_go.py",
        red=(
            "test_a_rule_is_its_runbooks_services_own_where_it_names_none",
            "test_a_run_about_all_services_does_no_more_to_one_than_its_own_rules_let_the_same_runbook",
            "test_the_most_careful_of_several_services_counts",
        ),
    ),
    Sabotage(
        takes_out="a service that fails again after its run in the stack's is no longer covered by that one",
        red_at="c04aa7b9a7",
        edits=(Edit(file="decisions/priorities.py", old="failing > until)", new="failing < until)"),),
        tests="unit/priorities/test_cause_comes_first.py",
        red=("test_a_service_that_fails_again_after_its_run_of_the_stack_is_judged_by_itself_cause_first",),
    ),
)
