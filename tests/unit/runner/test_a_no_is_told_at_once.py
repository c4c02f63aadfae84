"""A freeze or mode observe that comes while a run waits: what is half done is handed over at once, with its commands (P8)."""

from datetime import timedelta

import pytest

from kintsugi.model.records import IncidentState
from kintsugi.model.rules import Mode
from tests.unit.factories import moment, pause
from tests.unit.runner.bench import RunBench, clock
from tests.unit.runner.test_workers_are_seen_through import RESTORE
from tests.unit.runner.test_workers_are_seen_through import bench as with_workers

pytestmark = pytest.mark.looptime

ONE = "- {id: one, run: kubectl cordon one}"
LOOK = "- {id: look, run: kubectl get pods, expect: service.ready > 5, within: 20m}"
NOES = pytest.mark.parametrize(
    ("no", "why"), [("freeze", "frozen by ada: a release"), ("observe", "mode is observe: no further changes are made")]
)


def said(bench: RunBench, no: str, seconds: float) -> None:
    """Let a person say no at a moment."""
    if no == "freeze":
        bench.at(seconds, lambda: bench.ledger.pauses.append(pause(since=moment(seconds=seconds), freeze=True)))
    else:
        bench.at(seconds, lambda: setattr(bench.observed, "mode", Mode.OBSERVE))


@NOES
@pytest.mark.parametrize("steps", [f"{ONE}\n{LOOK}", ONE], ids=["in a look", "while it verifies"])
async def test_a_run_that_waits_for_a_service_that_is_not_well_is_handed_over_at_once(
    steps: str, no: str, why: str
) -> None:
    bench = RunBench(steps)
    said(bench, no, 60)
    ended = await bench.drive()
    assert clock() == pytest.approx(60, abs=7)
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert why in ended.reason
    assert "Done:\n  kubectl cordon one" in ended.reason
    assert "Undo commands, newest first:\n  kubectl uncordon one" in ended.reason


@NOES
async def test_a_run_that_has_changed_nothing_is_cancelled_at_once(no: str, why: str) -> None:
    bench = RunBench(f"{LOOK}\n{ONE}")
    said(bench, no, 60)
    ended = await bench.drive()
    assert clock() == pytest.approx(60, abs=7)
    assert (ended.state, bench.effects) == (IncidentState.CANCELLED, [])
    assert ended.reason.startswith(why)


@NOES
async def test_a_run_whose_service_is_well_is_verified_to_its_end(no: str, why: str) -> None:
    """Nothing has to be written for that."""
    bench = RunBench(ONE, heals="kubectl cordon one")
    said(bench, no, 20)
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED, ended.reason


@NOES
async def test_a_person_is_told_of_a_worker_that_goes_on(no: str, why: str) -> None:
    bench = with_workers()
    said(bench, no, 400)
    ended = await bench.drive()
    assert clock() == pytest.approx(400, abs=7)
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert f"Still running:\n  {RESTORE} (its Job)" in ended.reason, ended.reason


@NOES
async def test_an_effect_in_doubt_when_the_process_ended_is_settled_before_the_no_ends_the_run(
    no: str, why: str
) -> None:
    """C1: whether a change was made is found out by looking, which nobody has forbidden."""
    for moments in range(1, 100):
        bench = RunBench(f"{ONE}\n{LOOK}")
        bench.ledger.commit_takes = timedelta(seconds=0.1)
        if not await bench.drive_until_cut(moments):
            break
        if no == "freeze":
            bench.ledger.pauses.append(pause(since=moment(seconds=clock()), freeze=True))
        else:
            bench.observed.mode = Mode.OBSERVE
        ended = await bench.drive()
        assert ended.state is (IncidentState.NEEDS_OPERATOR if bench.effects else IncidentState.CANCELLED), ended.reason
        assert "Uncertain" not in ended.reason
    assert moments > 5
