"""When a run is diagnosed, and how it ends: no later problem of its service is swallowed meanwhile (P11, E36)."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from kintsugi.errors import Forbidden
from kintsugi.model.outages import Fault, Outage, Superseded
from kintsugi.model.records import IncidentState, KeptDiagnosis, Occasion, Trigger, clear_since
from kintsugi.model.services import Service
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis
from tests.unit.factories import NOW, incident, moment
from tests.unit.runner.bench import SCALE, TIMEOUT, RunBench, clock

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
ANOTHER, RETURNED = "then another problem began, at 12:0", "then its problem returned: ContainerExit pod"


@pytest.mark.parametrize(
    ("steps", "fault", "at", "by", "text"),
    [
        (CHANGES, NEW, 60, OTHER, ANOTHER),
        (CHANGES, IMAGE, 180, OTHER, ANOTHER),
        (CHANGES, CRASH, 180, SAME, RETURNED),
        (LOOKS, IMAGE, 60, OTHER, ANOTHER),
        (LOOKS, CRASH, 60, SAME, RETURNED),
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
    assert "ImagePull" not in ended.reason  # another problem has a notice of its own
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


@pytest.mark.parametrize(
    ("steps", "fault", "at", "well_before"),
    [
        (CHANGES, IMAGE, 60, True),
        (CHANGES, IMAGE, 60, False),
        (CHANGES, CRASH, 1, False),
        ("- {id: one, run: 'kubectl set image deployment/web web=web:2'}", NEW, 1, False),
        ("- {id: one, run: kubectl rollout restart deployment/web}", NEW, 1, False),
    ],
    ids=["well for a moment", "not well yet", "what the run is about", "an image that it has set", "its own restart"],
)
async def test_a_problem_that_may_be_the_run_s_own_is_waited_for_until_the_deadline(
    steps: str, fault: Fault, at: float, well_before: bool
) -> None:
    """A pod that starts slowly, or crashes again, has another cause at each look; a template is the run's, whichever command has set it."""
    bench = verifying(steps, well=at > 1)
    if fault is NEW:
        bench.actor.on_change = lambda _: bench.observed.show(template="new")
    breaks(bench, fault, at=at, down_since=None if well_before else 0)
    ended = await bench.drive()
    assert ended.superseded is None
    assert ended.started + bench.runbook.rollback.after <= bench.ledger.record.deadline
    assert IncidentState.ROLLING_BACK in bench.states


async def test_the_time_in_which_no_process_watched_does_not_count_as_health() -> None:
    """What the run is about was there all the time; the next process finds it anew."""
    bench = verifying(well=False)
    await bench.drive_until_killed(5)
    await bench.sleep_until(200)
    breaks(bench, CRASH, at=205)
    ended = await bench.drive()
    assert ended.superseded is None
    assert IncidentState.ROLLING_BACK in bench.states


@pytest.mark.parametrize("for_a_moment", [True, False], ids=["a problem of a moment", "a rollout that is well"])
async def test_a_problem_that_does_not_last_ends_no_verification(for_a_moment: bool) -> None:
    """Also a rollout of somebody else."""
    bench = verifying()
    if for_a_moment:
        breaks(bench, IMAGE, at=60, diagnosed_after=5)
    else:
        bench.at(60, lambda: bench.observed.show(template="new"))
    bench.at(80, bench.heal)
    bench.at(80, bench.observed.outages.clear)
    bench.at(80, bench.resolve)
    ended = await bench.drive()
    assert (ended.state, ended.superseded) == (IncidentState.RECOVERED, None)


@dataclass
class RememberedDiagnoses:
    """Remembers when a diagnosis was asked for: its occasion, the changes so far, and the run's state."""

    bench: RunBench
    asked: list[tuple[Occasion, int, IncidentState]] = field(default_factory=list)

    async def make(self, incident: str, service: Service, occasion: Occasion) -> None:
        assert (incident, service.name) == (self.bench.ledger.incident.id, "web")
        self.asked.append((occasion, len(self.bench.effects), self.bench.ledger.record.state))


TWO = f"{CHANGES}\n- {{id: two, run: kubectl cordon two}}"


@pytest.mark.parametrize(
    ("steps", "heals", "state", "again"),
    [
        (CHANGES, "kubectl cordon one", IncidentState.RECOVERED, []),
        (TWO, "", IncidentState.FAILED, [(Occasion.HAND_OVER, 1, IncidentState.RUNNING)]),
        (CHANGES, "kubectl uncordon", IncidentState.ROLLED_BACK, [(Occasion.ROLLBACK, 1, IncidentState.VERIFYING)]),
    ],
    ids=["it recovers", "it is handed over", "it is rolled back"],
)
async def test_a_run_is_diagnosed_before_its_first_change_and_before_a_rollback_or_a_hand_over(
    steps: str, heals: str, state: IncidentState, again: list[tuple[Occasion, int, IncidentState]]
) -> None:
    bench = RunBench(steps, rollback="after: 10m", heals=heals or None, heals_after=timedelta(0))
    bench.actor.will("perform kubectl cordon two", Forbidden("may not patch"))
    bench.diagnoses = remembered = RememberedDiagnoses(bench)
    assert (await bench.drive()).state is state
    assert remembered.asked == [(Occasion.OPENED, 0, IncidentState.RUNNING), *again]


@pytest.mark.parametrize(
    ("trigger", "since", "can_end"),
    [
        (Trigger(firing=True), None, True),
        (Trigger(firing=True, ended=moment(minutes=3)), None, True),
        (Trigger(ended=moment(minutes=3)), moment(minutes=3), True),
        (Trigger(), NOW, False),
    ],
)
def test_a_trigger_is_clear_when_all_lasting_signals_have_ended(
    trigger: Trigger, since: datetime | None, can_end: bool
) -> None:
    assert (clear_since(incident(), trigger), trigger.lasting) == (since, can_end)


async def test_the_ledger_is_not_asked_about_the_trigger_before_the_service_has_been_well_for_long_enough() -> None:
    bench = RunBench(f"- {{id: scale, run: {SCALE}}}\n", heals="kubectl scale")
    asked: list[float] = []
    trigger_of = bench.ledger.trigger_of

    async def counted(incident: str) -> Trigger:
        asked.append(clock())
        return await trigger_of(incident)

    bench.ledger.trigger_of = counted  # type: ignore[method-assign]
    assert (await bench.drive()).state is IncidentState.RECOVERED, bench.reason
    healed = bench.heals_after.total_seconds()
    assert [moment for moment in asked if healed < moment < healed + TIMEOUT.verify.total_seconds()] == []
