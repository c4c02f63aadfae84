"""A run that verifies, or waits for its alert, does not swallow the next problem of its service (P11, E36)."""

from dataclasses import replace

import pytest

from kintsugi.model.outages import Fault, Outage, Superseded
from kintsugi.model.records import IncidentState, KeptDiagnosis, Occasion
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis
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


NEW = Fault(template="new", kind=CauseKind.CONTAINER_EXIT, object="pod")
OTHER, SAME = Superseded.OTHER_FAULT, Superseded.SAME_FAULT
ANOTHER, RETURNED = "then another problem began: ", "then its problem returned: "


@pytest.mark.parametrize(
    ("steps", "fault", "at", "by", "text"),
    [
        (CHANGES, NEW, 60, OTHER, ANOTHER + "ContainerExit pod"),
        (CHANGES, IMAGE, 180, OTHER, ANOTHER + "ImagePull deployment/web containers[web].image"),
        (CHANGES, CRASH, 180, SAME, RETURNED + "ContainerExit pod"),
        (LOOKS, IMAGE, 60, OTHER, ANOTHER + "ImagePull deployment/web containers[web].image"),
        (LOOKS, CRASH, 60, SAME, RETURNED + "ContainerExit pod"),
    ],
    ids=[
        "another template",
        "another cause after lasting health",
        "the same cause after lasting health",
        "another cause where nothing was changed",
        "the same cause where nothing was changed",
    ],
)
async def test_a_service_that_breaks_again_ends_the_verification_with_what_the_run_had_reached(
    steps: str, fault: Fault, at: float, by: Superseded, text: str
) -> None:
    bench = verifying(steps)
    breaks(bench, fault, at=at)
    ended = await bench.drive()
    reached = IncidentState.RECOVERED if steps == CHANGES else IncidentState.NO_ACTION
    assert (ended.state, ended.superseded) == (reached, by)
    assert text in ended.reason
    assert ended.finished is not None
    assert (ended.finished - NOW).total_seconds() <= at + 35


@pytest.mark.parametrize(("steps", "ends"), [(CHANGES, IncidentState.INEFFECTIVE), (LOOKS, IncidentState.CANCELLED)])
async def test_another_template_under_a_service_that_was_not_well_yet_ends_the_run_too(
    steps: str, ends: IncidentState
) -> None:
    bench = verifying(steps, well=False)
    breaks(bench, NEW, at=60, down_since=0)
    ended = await bench.drive()
    assert (ended.state, ended.superseded) == (ends, OTHER)


@pytest.mark.parametrize(("at", "down_since"), [(60, None), (60, 0)], ids=["well for a moment", "not well yet"])
async def test_a_problem_soon_after_the_steps_may_be_the_run_s_own_and_its_deadline_decides(
    at: float, down_since: float | None
) -> None:
    """A pod that starts slowly, or crashes again, has another cause at each look."""
    bench = verifying()
    breaks(bench, IMAGE, at=at, down_since=down_since)
    ended = await bench.drive()
    assert ended.superseded is None
    assert IncidentState.ROLLING_BACK in bench.states


@pytest.mark.parametrize("step", ["set image deployment/web web=web:2", "rollout restart deployment/web"])
async def test_the_template_that_the_run_has_set_itself_is_no_other_problem_and_is_rolled_back(step: str) -> None:
    """Whichever command has set it."""
    bench = verifying(f"- {{id: one, run: kubectl {step}}}", well=False)
    bench.actor.on_change = lambda _: bench.observed.show(template="new")
    breaks(bench, NEW, at=1, down_since=0)
    ended = await bench.drive()
    assert ended.superseded is None
    assert IncidentState.ROLLING_BACK in bench.states


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
