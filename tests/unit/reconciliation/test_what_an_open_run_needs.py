"""What is owed to an open run: a task, another one, or a person; never for ever the same (P5, C8)."""

from datetime import timedelta

import pytest

from kintsugi.decisions.reconciliation import (
    HEARTBEAT_TIMEOUT,
    MOST_TASK_FAILURES,
    ReconcileAction,
    RunLiveness,
    reconcile_action,
)
from tests.unit.factories import moment, run

PAUSE = timedelta(seconds=5)
NEVER_DIED = timedelta(0)


def action_for(
    *,
    since_heartbeat: timedelta | None = None,
    failures: int = 0,
    failed_for: timedelta = NEVER_DIED,
    minutes: float = 0,
) -> ReconcileAction:
    """Decide on a run whose deadline is half an hour after its start."""
    liveness = RunLiveness(since_heartbeat=since_heartbeat, failures=failures, failed_for=failed_for)
    return reconcile_action(run(), liveness, pause=PAUSE, now=moment(minutes=minutes))


@pytest.mark.parametrize("minutes", [0, 29, 31, 600])
def test_a_run_without_a_task_is_taken_up_whether_or_not_it_is_overdue(minutes: float) -> None:
    assert action_for(minutes=minutes) is ReconcileAction.TAKE_UP


def test_a_run_that_looks_is_left_alone_even_past_its_deadline() -> None:
    """A rollback, too, takes place after the deadline."""
    assert action_for(since_heartbeat=timedelta(seconds=1), minutes=45) is ReconcileAction.LEAVE


def test_a_run_that_looks_at_nothing_is_restarted_once_it_is_past_its_deadline() -> None:
    silent = HEARTBEAT_TIMEOUT + timedelta(seconds=1)
    assert action_for(since_heartbeat=silent, minutes=29) is ReconcileAction.LEAVE
    assert action_for(since_heartbeat=silent, minutes=31) is ReconcileAction.RESTART
    assert action_for(since_heartbeat=HEARTBEAT_TIMEOUT, minutes=31) is ReconcileAction.LEAVE


@pytest.mark.parametrize("failures", range(1, MOST_TASK_FAILURES + 1))
def test_a_run_whose_task_died_is_taken_up_again_after_a_pause_that_doubles(failures: int) -> None:
    pause = PAUSE * 2**failures
    assert action_for(failures=failures, failed_for=pause - timedelta(seconds=1)) is ReconcileAction.LEAVE
    assert action_for(failures=failures, failed_for=pause) is ReconcileAction.TAKE_UP


def test_a_run_that_dies_again_and_again_is_handed_over() -> None:
    assert action_for(failures=MOST_TASK_FAILURES + 1, failed_for=timedelta(hours=1)) is ReconcileAction.HAND_OVER
