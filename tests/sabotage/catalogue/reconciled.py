"""What is owed to what the ledger has open."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage
from tests.sabotage.weaknesses import Weakness

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a run whose claim was answered late is started by the next signal",
        red_at="c04aa7b9a7",
        shows=("D2",),
        against=(Weakness.UNCARRIED_RUN,),
        edits=(
            Edit(
                file="pipeline/signal_evaluator.py",
                old=(
                    "        if result.run is not None and result.run.finished is None:\n"
                    "            self._supervisor.start(result.run)  # once: also one whose request's answer was lost\n"
                    "        return Disposition"
                ),
                new=(
                    "        if result.run is not None and result.verdict.kind is VerdictKind.STARTED:\n"
                    "            self._supervisor.start(result.run)\n"
                    "        return Disposition"
                ),
            ),
        ),
        tests="unit/pipeline/test_incidents_that_wait.py",
        red=("test_a_run_whose_claim_was_answered_late_is_started_by_the_next_signal",),
    ),
    Sabotage(
        takes_out="an open run without a task is taken up by the tick",
        red_at="c04aa7b9a7",
        shows=("P5",),
        against=(Weakness.UNCARRIED_RUN,),
        edits=(
            Edit(
                file="decisions/reconciliation.py",
                old="    return ReconcileAction.HAND_OVER if liveness.failures > MOST_TASK_FAILURES else ReconcileAction.TAKE_UP\n",
                new="    return ReconcileAction.HAND_OVER if liveness.failures > MOST_TASK_FAILURES else ReconcileAction.LEAVE\n",
            ),
        ),
        tests="unit/pipeline/test_runs_under_way.py",
        red=(
            "test_an_open_run_without_a_task_is_taken_up_by_the_tick",
            "test_a_run_whose_task_dies_is_counted_and_taken_up_again",
            "test_a_run_whose_task_dies_again_and_again_is_handed_over",
            "test_a_run_past_its_deadline_that_looks_at_nothing_is_seen_and_gets_a_new_task",
        ),
    ),
    Sabotage(
        takes_out="a run that dies again and again is handed over",
        red_at="c04aa7b9a7",
        shows=("P5",),
        against=(Weakness.UNCARRIED_RUN,),
        edits=(
            Edit(
                file="decisions/reconciliation.py",
                old="    return ReconcileAction.HAND_OVER if liveness.failures > MOST_TASK_FAILURES else ReconcileAction.TAKE_UP\n",
                new="    return ReconcileAction.TAKE_UP\n",
            ),
        ),
        tests="unit/reconciliation/test_what_an_open_run_needs.py",
        red=("test_a_run_that_dies_again_and_again_is_handed_over",),
    ),
    Sabotage(
        takes_out="an incident that no run carries is handed over",
        red_at="c04aa7b9a7",
        against=(Weakness.UNCARRIED_RUN,),
        edits=(
            Edit(
                file="decisions/reconciliation.py",
                old=(
                    "        return IncidentNeed(action=IncidentAction.END, reason=text, notify=True)\n    if not open_incident.signals:"
                ),
                new=(
                    "        return IncidentNeed(action=IncidentAction.WAIT, reason=text)\n    if not open_incident.signals:"
                ),
            ),
        ),
        tests="unit/reconciliation/test_what_an_open_incident_needs.py",
        red=(
            "test_an_incident_that_should_have_a_run_and_has_none_is_handed_over",
            "test_an_incident_that_waits_although_its_run_is_over_is_handed_over",
        ),
    ),
)
