"""What is owed to what the ledger has open."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a run whose claim was answered late is started by the next signal",
        shows=("D2",),
        edits=(
            Edit(
                file="pipeline/pipeline.py",
                old=(
                    "        if claimed.run is not None and claimed.run.finished is None:\n"
                    "            self._roster.start(claimed.run)  # once: also one whose claim's answer was lost\n"
                    "        return Judged"
                ),
                new=(
                    "        if claimed.run is not None and claimed.verdict.kind is VerdictKind.STARTED:\n"
                    "            self._roster.start(claimed.run)\n"
                    "        return Judged"
                ),
            ),
        ),
        tests="unit/pipeline/test_incidents_that_wait.py",
        red=("test_a_run_whose_claim_was_answered_late_is_started_by_the_next_signal",),
    ),
    Sabotage(
        takes_out="an open run without a task is taken up by the tick",
        shows=("P5",),
        edits=(
            Edit(
                file="reconciliation.py",
                old="    return Care.HAND_OVER if attendance.deaths > MOST_DEATHS else Care.TAKE_UP\n",
                new="    return Care.HAND_OVER if attendance.deaths > MOST_DEATHS else Care.LEAVE\n",
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
        shows=("P5",),
        edits=(
            Edit(
                file="reconciliation.py",
                old="    return Care.HAND_OVER if attendance.deaths > MOST_DEATHS else Care.TAKE_UP\n",
                new="    return Care.TAKE_UP\n",
            ),
        ),
        tests="unit/reconciliation/test_what_an_open_run_needs.py",
        red=("test_a_run_that_dies_again_and_again_is_handed_over",),
    ),
    Sabotage(
        takes_out="an incident that no run carries is handed over",
        edits=(
            Edit(
                file="reconciliation.py",
                old=("        return Need(deed=Deed.END, reason=text, told=True)\n    if not standing.signals:"),
                new=("        return Need(deed=Deed.WAIT, reason=text)\n    if not standing.signals:"),
            ),
        ),
        tests="unit/reconciliation/test_what_an_open_incident_needs.py",
        red=(
            "test_an_incident_that_should_have_a_run_and_has_none_is_handed_over",
            "test_an_incident_that_waits_although_its_run_is_over_is_handed_over",
        ),
    ),
)
