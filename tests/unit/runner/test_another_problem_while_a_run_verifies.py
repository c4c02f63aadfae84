"""A run that verifies, or waits for its alert, does not swallow the next problem of its service (P11, E36)."""

from dataclasses import replace

import pytest

from kintsugi.model.causes import Cause, CauseKind, Confidence, Diagnosis, KeptDiagnosis, Occasion
from kintsugi.model.outages import Fault, Outage, Superseded
from kintsugi.model.records import IncidentState
from tests.unit.factories import NOW, moment
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime

CRASH = Fault(template="found", kind=CauseKind.CONTAINER_EXIT, object="pod")
IMAGE = Fault(template="found", kind=CauseKind.IMAGE_PULL, object="deployment/web", field="containers[web].image")
CHANGES = "- {id: one, run: kubectl cordon one}"
LOOKS = "- {id: look, run: kubectl get pods}"


def verifying(steps: str = CHANGES, *, well: bool = True) -> RunBench:
    """Make a run about a crashing container whose steps end at once; they make the service well, or do not. Its alert goes on."""
    bench = RunBench(steps, rollback="after: 30m")
    bench.heal = lambda: bench.observed.show(ready=3, pods=())  # type: ignore[method-assign]
    cause = Cause(kind=CauseKind.CONTAINER_EXIT, object="pod/web-3", confidence=Confidence.LIKELY, text="it crashes")
    found = Diagnosis(object="deployment/web", namespace="production", at=NOW, summary="it crashes", causes=(cause,))
    bench.ledger.diagnosed = [KeptDiagnosis(incident="inc-1", occasion=Occasion.OPENED, diagnosis=found)]
    if well:
        bench.at(5, bench.heal)
    return bench


def breaks(
    bench: RunBench, fault: Fault, *, at: float, down_since: float | None = None, diagnosed_after: float = 20
) -> None:
    """Let the service have a fault from a moment on, which is diagnosed a while later; it may have been down before."""
    since = moment(seconds=at if down_since is None else down_since)
    outage = Outage(service="web", since=since, fault=fault, fault_since=moment(seconds=at))

    def show(outage: Outage) -> None:
        bench.observed.show(ready=1)
        bench.observed.outages["web"] = outage

    bench.at(at, lambda: show(outage))
    bench.at(at + diagnosed_after, lambda: show(replace(outage, diagnosed=moment(seconds=at + diagnosed_after))))


@pytest.mark.parametrize(
    ("fault", "by", "text"),
    [
        (IMAGE, Superseded.OTHER_FAULT, "then another problem began: ImagePull deployment/web containers[web].image"),
        (CRASH, Superseded.SAME_FAULT, "then its problem returned: ContainerExit pod"),
        (Fault(template="new"), Superseded.OTHER_FAULT, "then another problem began: a problem without a known cause"),
    ],
    ids=["another cause", "the same cause", "another template"],
)
@pytest.mark.parametrize(("steps", "ends"), [(CHANGES, IncidentState.RECOVERED), (LOOKS, IncidentState.NO_ACTION)])
async def test_a_service_that_breaks_again_ends_the_verification_with_what_the_run_had_reached(
    steps: str, ends: IncidentState, fault: Fault, by: Superseded, text: str
) -> None:
    """Also that of a run that changed nothing and waits for the alert that has started it."""
    bench = verifying(steps)
    breaks(bench, fault, at=60)
    ended = await bench.drive()
    assert (ended.state, ended.superseded) == (ends, by)
    assert text in ended.reason
    assert ended.finished is not None
    assert (ended.finished - NOW).total_seconds() <= 95


@pytest.mark.parametrize(("steps", "ends"), [(CHANGES, IncidentState.INEFFECTIVE), (LOOKS, IncidentState.CANCELLED)])
async def test_another_fault_of_a_service_that_was_not_well_yet_ends_the_run_too(
    steps: str, ends: IncidentState
) -> None:
    bench = verifying(steps, well=False)
    breaks(bench, IMAGE, at=60, down_since=0)
    ended = await bench.drive()
    assert (ended.state, ended.superseded) == (ends, Superseded.OTHER_FAULT)


async def test_the_fault_that_the_run_is_about_is_waited_for_until_the_deadline() -> None:
    bench = verifying(well=False)
    bench.observed.outages["web"] = Outage(service="web", since=NOW, fault=CRASH, fault_since=NOW, diagnosed=NOW)
    ended = await bench.drive()
    assert ended.superseded is None
    assert ended.started + bench.runbook.rollback.after <= bench.ledger.record.deadline
    assert IncidentState.ROLLING_BACK in bench.states


async def test_a_problem_of_a_moment_ends_no_verification() -> None:
    bench = verifying()
    breaks(bench, IMAGE, at=60, diagnosed_after=5)

    def over() -> None:
        bench.heal()
        bench.observed.outages.clear()
        bench.resolve()

    bench.at(80, over)
    ended = await bench.drive()
    assert (ended.state, ended.superseded) == (IncidentState.RECOVERED, None)


async def test_a_rollout_of_somebody_else_that_is_well_goes_on_being_verified() -> None:
    bench = verifying()
    bench.at(60, lambda: bench.observed.show(template="new"))
    bench.at(70, bench.resolve)
    ended = await bench.drive()
    assert (ended.state, ended.superseded) == (IncidentState.RECOVERED, None)
