"""How much may be done at once: pods of a service, services of a namespace."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="no more pods of a service are deleted at a time than its share",
        red_at="c04aa7b9a7",
        shows=("P7",),
        against=(Weakness.EMPTIED_SERVICE,),
        edits=(
            Edit(
                file="model/change_limits.py",
                old="        if self.allowed(disrupted - {pod}) > 0:\n",
                new="        if self.allowed(disrupted - {pod}) >= 0:\n",
            ),
        ),
        tests="unit/runner/test_pods_that_must_stay.py",
        red=(
            "test_no_more_than_the_share_of_the_pods_is_down_at_once_and_the_rest_go_when_the_first_are_back",
            "test_the_other_pods_stay_and_the_deadline_ends_the_run_where_the_first_do_not_come_back",
            "test_pods_that_do_not_serve_go_first_so_that_none_waits_for_one_that_is_deleted_after_it",
        ),
    ),
    Sabotage(
        takes_out="the pods that must stay are counted in the intent's own transaction",
        red_at="c04aa7b9a7",
        shows=("P7",),
        against=(Weakness.EMPTIED_SERVICE, Weakness.OVERSPENT_BUDGET),
        edits=(
            Edit(file="ledger/runs.py", old="    for pods in budget.pods:\n", new="    for pods in budget.pods[:0]:\n"),
        ),
        tests="contract/ledger/test_asking_before_an_effect.py",
        red=("test_runs_that_delete_pods_of_one_service_take_no_more_than_may_be_down",),
    ),
    Sabotage(
        takes_out="a run that waits asks whether anything may still be written for it",
        red_at="5b6aafbc40",
        shows=("P8",),
        edits=(
            Edit(
                file="drivers/driver.py",
                old="        if (forbidden := await self._forbidden()) is not None:\n            return [forbidden]\n",
                new="",
            ),
        ),
        tests="unit/runner/test_a_no_is_told_at_once.py",
        red=(
            "test_an_effect_in_doubt_when_the_process_ended_is_settled_before_the_no_ends_the_run",
            "test_a_run_that_waits_for_a_service_that_is_not_well_is_handed_over_at_once",
            "test_a_run_that_has_changed_nothing_is_cancelled_at_once",
            "test_a_person_is_told_of_a_worker_that_goes_on",
        ),
    ),
    Sabotage(
        takes_out="the gate holds the deletion of a pod while too few others serve",
        red_at="c04aa7b9a7",
        shows=("P7",),
        against=(Weakness.EMPTIED_SERVICE,),
        edits=(Edit(file="decisions/admission.py", old="    overspent,\n    too_few,\n", new="    overspent,\n"),),
        tests="unit/admission/test_what_is_asked_before_every_attempt.py",
        red=("test_each_hindrance_holds_what_it_should_and_says_why",),
    ),
    Sabotage(
        takes_out="a pod that does not serve is deleted without waiting",
        red_at="c04aa7b9a7",
        shows=("P7",),
        against=(Weakness.STUCK_RECOVERY,),
        edits=(
            Edit(
                file="model/change_limits.py",
                old="        if pod in self.unready:\n",
                new="        if pod in self.unready and self.allowed(disrupted) > 0:\n",
            ),
        ),
        tests="unit/admission/test_which_pods_may_go.py",
        red=(
            "test_a_pod_that_does_not_serve_is_never_held",
            "test_a_pod_that_we_have_deleted_counts_as_gone_although_it_is_shown_as_ready_still",
        ),
    ),
    Sabotage(
        takes_out="of several pods that are deleted those that do not serve go first",
        red_at="c04aa7b9a7",
        against=(Weakness.STUCK_RECOVERY,),
        edits=(
            Edit(
                file="runner/for_each.py",
                old="take_next(waiting, serving(views) if deletes(step) else ())",
                new="take_next(waiting, serving(views) if step.do is None else ())",
            ),
        ),
        tests="unit/runner/test_pods_that_must_stay.py",
        red=("test_pods_that_do_not_serve_go_first_so_that_none_waits_for_one_that_is_deleted_after_it",),
    ),
    Sabotage(
        takes_out="only so many services of one namespace are recovered at once",
        red_at="5b6aafbc40",
        shows=("P7",),
        against=(Weakness.CROWDED_NAMESPACE,),
        edits=(
            Edit(
                file="decisions/slots.py",
                old="        return min(self.left, max(0, self.most_in_namespace - self.taken.count(namespace)))\n",
                new="        return min(self.left, max(1, self.most_in_namespace - self.taken.count(namespace)))\n",
            ),
        ),
        tests="unit/guards/test_the_budget.py",
        red=(
            "test_a_slot_is_given_away_only_to_a_higher_priority_that_has_none_and_could_use_it",
            "test_only_so_many_services_of_one_namespace_are_recovered_at_once",
            "test_a_service_that_comes_before_takes_a_slot_only_where_there_is_one_for_it",
            "test_neither_limit_is_ever_exceeded_and_no_slot_stays_free_that_somebody_could_take",
        ),
    ),
    Sabotage(
        takes_out="who waits for a slot of its namespace keeps none from others",
        red_at="c04aa7b9a7",
        against=(Weakness.CROWDED_NAMESPACE,),
        edits=(
            Edit(
                file="pipeline/slot_queue.py",
                old="        first = next((each for each in self._waiting if self._has_free_slot(each[2])), None)\n",
                new="        first = next((each for each in self._waiting[:1] if self._has_free_slot(each[2])), None)\n",
            ),
        ),
        tests="unit/pipeline/test_the_line_of_child_runs.py",
        red=("test_a_child_that_waits_for_room_in_its_namespace_holds_up_no_other_namespace",),
    ),
    Sabotage(
        takes_out="a run gives its slot to a higher priority before its next step",
        red_at="c04aa7b9a7",
        against=(Weakness.KEPT_SLOT,),
        edits=(
            Edit(
                file="runner/interpreter.py",
                old="            if self._yielding is not None and not scope.prefix and not self._has_begun(step, scope):\n",
                new="            if self._yielding is not None and not scope.path(step.id) and not self._has_begun(step, scope):\n",
            ),
        ),
        tests="unit/pipeline/test_overtaking.py",
        red=("test_a_higher_priority_that_comes_later_has_the_slot_before_the_next_step",),
    ),
    Sabotage(
        takes_out="who waits for a slot is judged as soon as one is free",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="pipeline/pipeline.py",
                old="        if self._contention.for_slots():\n            self._is_slot_free = True\n",
                new="        if self._contention.for_slots():\n            self._is_slot_free = False\n",
            ),
        ),
        tests="unit/pipeline/test_overtaking.py",
        red=(
            "test_a_higher_priority_that_comes_later_has_the_slot_before_the_next_step",
            "test_a_waiting_service_has_the_slot_as_soon_as_a_run_has_ended",
        ),
    ),
    Sabotage(
        takes_out="after a restart it is known who waits for a slot",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="pipeline/pipeline.py",
                old="again = max(until, now)",
                new="again = min(until, now)",
            ),
        ),
        tests="unit/pipeline/test_overtaking.py",
        red=("test_after_a_restart_it_is_known_who_waits_for_a_slot_before_any_run_goes_on",),
    ),
    Sabotage(
        takes_out="a step is never torn for a higher priority",
        red_at="c04aa7b9a7",
        against=(Weakness.TORN_STEP,),
        edits=(
            Edit(
                file="runner/interpreter.py",
                old="            if self._yielding is not None and not scope.prefix and not self._has_begun(step, scope):\n",
                new="            if self._yielding is not None and not self._has_begun(step, scope):\n",
            ),
        ),
        tests="unit/runner/test_giving_a_slot_away.py",
        red=(
            "test_the_step_under_way_is_ended_whole_and_the_next_waits_until_there_is_a_slot_again",
            "test_a_rollback_that_a_person_wants_does_not_wait_for_a_slot",
            "test_a_run_without_a_slot_in_the_ledger_waits_on",
        ),
    ),
    Sabotage(
        takes_out="only a higher priority that has no slot and could use it is given one",
        red_at="c04aa7b9a7",
        against=(Weakness.KEPT_SLOT,),
        edits=(
            Edit(
                file="decisions/slots.py",
                old="        elif each.priority < service.priority and ",
                new="        elif each.priority <= service.priority and ",
            ),
        ),
        tests="unit/guards/test_the_budget.py",
        red=(
            "test_a_slot_is_given_away_only_to_a_higher_priority_that_has_none_and_could_use_it",
            "test_slots_that_are_given_away_end_with_the_highest_priorities_and_never_go_round",
        ),
    ),
    Sabotage(
        takes_out="the time without a slot does not count towards the deadline",
        red_at="c04aa7b9a7",
        against=(Weakness.KEPT_SLOT,),
        edits=(
            Edit(
                file="runner/holds.py",
                old="            deadline, reason = run.deadline + (now - since), ",
                new="            deadline, reason = run.deadline + (since - since), ",
            ),
        ),
        tests="unit/runner/test_giving_a_slot_away.py",
        red=(
            "test_the_time_without_a_slot_does_not_count_towards_the_deadline",
            "test_a_pause_after_it_is_added_to_the_time_without_a_slot",
        ),
    ),
    Sabotage(
        takes_out="a run that gave its slot away has one again only where the ledger says so",
        red_at="c04aa7b9a7",
        shows=("P7",),
        against=(Weakness.CROWDED_NAMESPACE,),
        edits=(
            Edit(
                file="ledger/admissions.py",
                old="            if refusal(await places(connection)):\n",
                new="            if refusal(await places(connection)) == '-':\n",
            ),
        ),
        tests="contract/ledger/test_asking_before_an_effect.py",
        red=(
            "test_a_run_without_a_slot_takes_none_and_has_one_again_only_where_nothing_refuses_it",
            "test_runs_that_want_their_slot_back_go_on_only_while_there_are_slots",
        ),
    ),
    Sabotage(
        takes_out="what is left of each limit is a metric",
        red_at="c04aa7b9a7",
        against=(Weakness.UNTOLD_LIMIT,),
        edits=(Edit(file="app/metrics_recorder.py", old="        await self._collect_limits(now)\n", new=""),),
        tests="unit/app/test_what_is_left_of_the_limits.py",
        red=(
            "test_the_rest_of_the_limits_is_told_by_namespace_and_by_service",
            "test_an_overspent_limit_has_none_left",
        ),
    ),
)
