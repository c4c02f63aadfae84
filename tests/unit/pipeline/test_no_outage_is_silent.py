"""While a service is down, a repair goes on or a person is notified of this fault within seven minutes (P11)."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.commands import encode, parse
from kintsugi.decisions.outage_notices import OutageTimings
from kintsugi.ledger import Ledger
from kintsugi.model.records import (
    NEEDLESS,
    Incident,
    IncidentState,
    KeptDiagnosis,
    Notice,
    Occasion,
    Reason,
    StepState,
    Verdict,
    VerdictKind,
)
from kintsugi.model.services import Service
from kintsugi.pipeline.outage_watch import OutageWatch
from kintsugi.telemetry import Containment
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis
from tests.harness.ledger_rows import keep
from tests.unit.factories import NOW, incident, moment, run, service_text, signal, step, virtual_clock
from tests.unit.pipeline.business import PipelineBench

pytestmark = pytest.mark.looptime

PROMISED = timedelta(minutes=7)


class OutageBench:
    """The service web with one bad pod of three, watched every five seconds; `cause` is what a diagnosis finds."""

    def __init__(self, ledger: Ledger, *documents: str, notifies: bool = True) -> None:
        self.ledger = ledger
        self.business = PipelineBench(ledger=ledger, documents=documents)
        self.cause: CauseKind | None = CauseKind.VOLUME
        self.diagnosed = 0
        self.heard: list[tuple[str, str]] = []
        self.watch = self.new_process(notifies=notifies)

    def new_process(self, *, notifies: bool = True) -> OutageWatch:
        """Return the watch of a process that knows nothing yet."""
        watch = OutageWatch(
            ledger=self.ledger,
            observed=self.business.observed,
            diagnose=self.diagnose,
            containment=Containment(),
            timings=OutageTimings(),
            notifies=notifies,
            activities=self.activities,
        )
        watch.on_notice(lambda service, text: self.heard.append((service, text)))
        return watch

    async def activities(self) -> Mapping[str, str]:
        """Return what happens with web."""
        return {"web": "paused by ada: a release"}

    async def diagnose(self, service: Service) -> Diagnosis:
        """Find the cause."""
        self.diagnosed += 1
        causes: tuple[Cause, ...] = ()
        if self.cause is not None:
            text = f"{self.cause} of {service.name}"
            causes = (Cause(kind=self.cause, object="pod/web-3", confidence=Confidence.LIKELY, text=text),)
        summary = causes[0].text if causes else "no cause is known"
        return Diagnosis(
            object="deployment/web", namespace="production", at=virtual_clock(), summary=summary, causes=causes
        )

    async def look(self, lasting: timedelta) -> None:
        """Look every five seconds for so long."""
        for _ in range(int(lasting / timedelta(seconds=5))):
            self.business.cluster.services.refresh(everything=True)
            await self.watch.step()
            await asyncio.sleep(5)

    def be(self, *, well: bool) -> None:
        """Let all pods be ready, or one of them not."""
        self.business.cluster.run("web-3", ready=well)

    async def notice(self) -> Notice:
        """Return the only notice."""
        found = await self.notices()
        assert len(found) == 1
        return found[0]

    async def notices(self) -> list[Notice]:
        """List the notices in their order."""
        return sorted(await self.ledger.outbox.due_notices(moment(hours=9), 100), key=lambda each: each.created)


@pytest.fixture
async def bench(ledger: Ledger) -> OutageBench:
    return OutageBench(ledger)


async def test_an_outage_that_nothing_repairs_is_told_with_its_cause_and_the_next_command(bench: OutageBench) -> None:
    await bench.look(timedelta(minutes=20))
    notice = await bench.notice()
    assert notice.created - NOW <= PROMISED
    assert notice.text.splitlines() == [
        f"web: down since {NOW:%H:%M:%S}, 2 of 3 pods ready",
        "problem: Volume (likely): pod/web-3: Volume of web",
        "now: paused by ada: a release",
        "next: kintsugi diagnose deployment/web -n production",
    ]
    assert bench.heard == [("web", notice.text)]


async def test_each_fault_of_an_outage_is_told_once(bench: OutageBench) -> None:
    await bench.look(timedelta(minutes=10))
    bench.cause = CauseKind.IMAGE_PULL
    await bench.look(timedelta(minutes=10))
    bench.cause = CauseKind.VOLUME
    await bench.look(timedelta(minutes=30))
    told = await bench.notices()
    assert len(told) == 2
    first, second = told
    assert ("Volume (likely)" in first.text, "ImagePull (likely)" in second.text) == (True, True)
    assert second.created - moment(minutes=10) <= PROMISED


async def test_another_template_is_another_fault_of_the_same_cause(bench: OutageBench) -> None:
    await bench.look(timedelta(minutes=8))
    bench.business.cluster.deploy(2)
    await bench.look(timedelta(minutes=8))
    assert len(await bench.notices()) == 2


async def test_the_next_outage_is_told_anew(bench: OutageBench) -> None:
    await bench.look(timedelta(minutes=8))
    bench.be(well=True)
    await bench.look(timedelta(minutes=1))
    bench.be(well=False)
    await bench.look(timedelta(minutes=8))
    assert len(await bench.notices()) == 2


async def test_a_cause_that_is_found_late_is_told_although_the_outage_was(bench: OutageBench) -> None:
    bench.cause = None
    await bench.look(timedelta(minutes=8))
    bench.cause = CauseKind.NODE
    await bench.look(timedelta(minutes=3))
    assert ["Node (likely)" in each.text for each in await bench.notices()] == [False, True]


async def test_an_outage_goes_on_over_a_restart_and_is_told_in_time(bench: OutageBench) -> None:
    await bench.look(timedelta(minutes=5))
    bench.watch = bench.new_process()
    await bench.look(timedelta(minutes=5))
    bench.watch = bench.new_process()
    await bench.look(timedelta(minutes=5))
    notice = await bench.notice()
    assert notice.created - NOW <= PROMISED


async def test_a_service_that_is_not_seen_is_not_down(bench: OutageBench) -> None:
    """P6: blindness is told once, by the incident about the observer."""
    await bench.look(timedelta(minutes=2))
    bench.business.cluster.clock_problem = "the clock jumps"
    await bench.look(timedelta(minutes=20))
    assert await bench.notices() == []


async def test_without_a_way_of_notice_the_outage_is_told_once_to_listeners(ledger: Ledger) -> None:
    bench = OutageBench(ledger, notifies=False)
    await bench.look(timedelta(minutes=30))
    assert [service for service, _ in bench.heard] == ["web"]
    assert await bench.notices() == []
    assert bench.watch.unnotified == {"web": timedelta(0)}


def opened(state: IncidentState, *, at: float = 0) -> Incident:
    """Return an open incident of web."""
    return replace(incident(), state=state, opened=moment(minutes=at), closed=None)


@pytest.mark.parametrize(
    ("cause", "at", "told"),
    [(CauseKind.VOLUME, 3, 1), (CauseKind.IMAGE_PULL, 3, 2), (CauseKind.VOLUME, -5, 2)],
    ids=["of this cause", "of another cause", "of a problem before"],
)
async def test_a_question_is_a_notice_of_the_fault_where_it_has_its_cause(
    bench: OutageBench, cause: CauseKind, at: float, told: int
) -> None:
    await keep(bench.ledger, opened(IncidentState.AWAITING_APPROVAL))
    bench.cause = cause
    diagnosis = replace(await bench.diagnose(bench.business.catalog.services["web"]), at=moment(minutes=at))
    await bench.ledger.incidents.keep_diagnosis(
        KeptDiagnosis(incident="inc-1", occasion=Occasion.OPENED, diagnosis=diagnosis)
    )
    bench.cause = CauseKind.VOLUME
    await bench.ledger.outbox.put_notice_once(
        "inc-1", IncidentState.AWAITING_APPROVAL, "may it run?", moment(minutes=3)
    )
    await bench.look(timedelta(minutes=20))
    assert len(await bench.notices()) == told


async def test_a_notice_that_is_not_delivered_is_no_notice_for_the_metric(bench: OutageBench) -> None:
    await bench.look(timedelta(minutes=20))
    assert bench.watch.unnotified["web"] > timedelta(minutes=19)
    notice = await bench.notice()
    await bench.ledger.outbox.notice_sent(notice.id)
    await bench.look(timedelta(seconds=10))
    assert bench.watch.unnotified["web"] == timedelta(0)


async def test_causes_that_take_turns_do_not_put_the_notice_off(bench: OutageBench) -> None:
    for number in range(20):
        bench.cause = (CauseKind.VOLUME, CauseKind.IMAGE_PULL)[number % 2]
        await bench.look(timedelta(minutes=1))
    assert (await bench.notices())[0].created - NOW <= PROMISED


@pytest.mark.parametrize(
    ("reason", "until", "told_after"),
    [
        (Reason.OWNED, None, 20),
        (Reason.FAILURES, 60 * 60, 20),
        (Reason.LOCKED, 30, 30),
        (Reason.BUDGET, 30, 6 * 60),
        (Reason.PAUSED, 30, 6 * 60),
    ],
)
async def test_a_signal_that_is_refused_for_a_while_has_a_person_notified_as_soon_as_the_cause_is_known(
    bench: OutageBench, reason: Reason, until: float | None, told_after: float
) -> None:
    """A person's pause and a slot that may be free in a moment are waited for as long as any outage."""
    (known,) = (await bench.ledger.signals.accept([signal()], NOW)).ids
    verdict = Verdict(kind=VerdictKind.REFUSED, reason=reason, text="it is refused", rule="web-pods")
    until_then = moment(seconds=until) if until is not None else None
    await bench.ledger.signals.settle({known: replace(verdict, until=until_then)}, NOW)
    await bench.look(timedelta(minutes=10))
    notice = await bench.notice()
    assert (notice.created - NOW).total_seconds() == pytest.approx(told_after, abs=10)
    assert notice.kind is IncidentState.OPEN
    assert "problem: Volume (likely)" in notice.text


@pytest.mark.parametrize(
    ("state", "told_after"),
    [(IncidentState.RUNNING, None), (IncidentState.VERIFYING, 12), (IncidentState.AWAITING_APPROVAL, 12)],
)
async def test_a_run_counts_as_a_repair_while_it_waits_for_its_own_change(
    bench: OutageBench, state: IncidentState, told_after: float | None
) -> None:
    """Ten minutes after the last change it is one no more, whatever the run waits for."""
    going = replace(run(), state=state)
    changed = replace(
        step(path="restart#0", state=StepState.DONE),
        changes=True,
        started=moment(minutes=2),
        finished=moment(minutes=2),
    )
    await keep(bench.ledger, opened(state), going, changed)
    bench.business.supervisor.under_way = [going]
    await bench.look(timedelta(minutes=25))
    told = [(each.created - NOW) / timedelta(minutes=1) for each in await bench.notices()]
    assert told == ([] if told_after is None else [pytest.approx(told_after, abs=0.2)])


@pytest.mark.parametrize(("later", "needless"), [("the same", 1), ("another cause", 0), ("well", 0)], ids=str)
async def test_a_restart_is_needless_where_its_fault_stands_ten_minutes_later(
    bench: OutageBench, later: str, needless: int
) -> None:
    heard: list[tuple[str, int]] = []
    bench.watch.on_needless(lambda service, count: heard.append((service, count)))
    deleted = replace(
        step(path="restart/first#0", state=StepState.DONE),
        command=encode(parse("kubectl delete pod web-3 -n production")),
        changes=True,
        started=moment(minutes=2),
        finished=moment(minutes=2),
    )
    await keep(bench.ledger, opened(IncidentState.VERIFYING), run(), deleted)
    found = await bench.diagnose(bench.business.catalog.services["web"])
    await bench.ledger.incidents.keep_diagnosis(
        KeptDiagnosis(incident="inc-1", occasion=Occasion.OPENED, diagnosis=found)
    )
    await bench.look(timedelta(minutes=6))
    if later == "another cause":
        bench.cause = CauseKind.IMAGE_PULL
    bench.be(well=later == "well")
    await bench.look(timedelta(minutes=14))
    assert heard == [("web", needless)] * needless
    (kept,) = await bench.ledger.incidents.steps("run-1")
    assert (NEEDLESS in kept.facts) == bool(needless)


async def test_a_run_that_has_changed_nothing_is_no_repair(bench: OutageBench) -> None:
    going = replace(run(), state=IncidentState.VERIFYING)
    await keep(bench.ledger, opened(IncidentState.VERIFYING), going)
    bench.business.supervisor.under_way = [going]
    await bench.look(PROMISED)
    assert len(await bench.notices()) == 1


async def test_services_that_are_down_are_diagnosed_once_a_minute(bench: OutageBench) -> None:
    await bench.look(timedelta(minutes=10))
    assert 9 <= bench.diagnosed <= 11


async def test_the_notice_about_an_upstream_tells_of_its_dependents(ledger: Ledger) -> None:
    """The workload of shop does not exist, and web, which shop depends on, is down for as long."""
    bench = OutageBench(ledger, service_text("shop", priority=3, depends_on=("web",)))
    await bench.look(timedelta(minutes=20))
    notice = await bench.notice()
    assert "also affected: shop" in notice.text.splitlines()
    bench.be(well=True)
    await bench.look(PROMISED)
    assert [each.text.partition(":")[0] for each in await bench.notices()] == ["web", "shop"]
