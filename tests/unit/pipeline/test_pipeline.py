"""When the inbox is looked into, which signals are evaluated again, and how a person resumes a service (P9, P11)."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from kintsugi.errors import LedgerUnavailable, NotRecorded, WrongState
from kintsugi.ledger import Ledger
from kintsugi.ledger.catalogs import Catalogs
from kintsugi.ledger.signals.signals import Signals
from kintsugi.ledger.store.transactions import Store
from kintsugi.model.api_types import ActivityKind, SignalQuery
from kintsugi.model.catalog import Catalog
from kintsugi.model.outages import Fault, Outage
from kintsugi.model.records import IncidentState, KeptDiagnosis, Occasion, Reason, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Mode
from kintsugi.pipeline.active_catalog import MOST_KNOWN, ActiveCatalog
from kintsugi.pipeline.pipeline import IDLE
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis
from tests.harness.ledger_rows import keep
from tests.unit.factories import (
    NOW,
    catalog,
    ended,
    moment,
    rule_text,
    runbook_text,
    service_text,
    signal,
    virtual_clock,
)
from tests.unit.pipeline.business import EVERY, PipelineBench, alert, operator_service, running

pytestmark = pytest.mark.looptime


class CountedSignals(Signals):
    """Signals that note how often they are looked into; while `away` nothing is answered."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.looks = 0
        self.away = False

    async def due(self, now: datetime, limit: int = 500) -> tuple[Signal, ...]:
        """Return what is to be judged."""
        self.looks += 1
        if self.away:
            raise LedgerUnavailable("away")
        return await super().due(now, limit)


@pytest.fixture
async def inbox(ledger: Ledger) -> CountedSignals:
    """Return the ledger's signals."""
    ledger.signals = counted = CountedSignals(ledger._store)
    return counted


@pytest.fixture
async def business(ledger: Ledger, inbox: CountedSignals) -> PipelineBench:
    """Return a pipeline over the ledger."""
    return PipelineBench(ledger=ledger)


async def test_an_idle_inbox_is_hardly_looked_into(business: PipelineBench, inbox: CountedSignals) -> None:
    async with running(business.pipeline):
        await asyncio.sleep(60)
    assert inbox.looks <= 60 / IDLE.total_seconds() + 1


async def test_a_new_signal_is_judged_at_once(business: PipelineBench, inbox: CountedSignals) -> None:
    async with running(business.pipeline):
        await asyncio.sleep(1)
        await inbox.accept([alert()], virtual_clock())
        business.pipeline.wake()
        await asyncio.sleep(0.01)
        (judged,) = await inbox.list_signals(SignalQuery())
        assert judged.verdict is not None


async def test_a_provisional_verdict_is_looked_at_when_it_ends(business: PipelineBench, inbox: CountedSignals) -> None:
    given = alert()
    until = moment(seconds=2)
    provisional = Verdict(kind=VerdictKind.REFUSED, reason=Reason.PAUSED, text="it is paused", until=until)
    await inbox.accept([given], moment())
    await inbox.settle({given.id: provisional}, moment())
    async with running(business.pipeline):
        await asyncio.sleep(1.9)
        assert inbox.looks == 1
        await asyncio.sleep(0.2)
        assert inbox.looks == 2


async def test_a_ledger_that_is_away_is_asked_again_soon(business: PipelineBench, inbox: CountedSignals) -> None:
    inbox.away = True
    async with running(business.pipeline):
        await asyncio.sleep(2)
    assert inbox.looks >= 2 / EVERY.total_seconds() - 1


@pytest.mark.parametrize("turns", range(5))
async def test_a_pipeline_that_is_cancelled_just_as_there_is_news_ends(turns: int, business: PipelineBench) -> None:
    task = asyncio.create_task(business.pipeline.run(EVERY))
    await asyncio.sleep(1)
    business.pipeline.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=60)
    assert task.cancelled(), task


DISK = Cause(
    kind=CauseKind.VOLUME, object="persistentvolumeclaim/data", confidence=Confidence.LIKELY, text="it is full"
)


def outage(fault: Fault) -> Outage:
    """Return an outage of web that began just now."""
    return Outage(service="web", since=NOW, fault=fault, fault_since=NOW, diagnosed=NOW)


async def test_the_fault_that_was_handed_over_stays_refused_and_another_one_starts_a_run(ledger: Ledger) -> None:
    bench = await was_handed_over(ledger)
    found = Diagnosis(object="deployment/web", namespace="production", at=NOW, summary="it is full", causes=(DISK,))
    await ledger.incidents.keep_diagnosis(KeptDiagnosis(incident="inc-1", occasion=Occasion.HAND_OVER, diagnosis=found))
    bench.observed.outage = lambda _: outage(Fault.of(DISK, "hash-1"))
    given = signal()
    verdict = await bench.judged(given)
    assert (verdict.reason, verdict.until) == (Reason.HUMAN, moment(minutes=55))

    await bench.pipeline.evaluate_refused("web")
    await bench.pipeline.step()
    assert (await bench.verdicts())[given.id].reason is Reason.HUMAN

    bench.observed.outage = lambda _: outage(
        Fault(template="hash-1", kind=CauseKind.IMAGE_PULL, object="deployment/web")
    )
    await bench.pipeline.step()
    assert (await bench.verdicts())[given.id].reason is Reason.HUMAN, "nobody has said yet that there is another fault"
    await bench.pipeline.evaluate_refused("web")
    await bench.pipeline.step()
    assert (await bench.verdicts())[given.id].kind is VerdictKind.STARTED
    assert len(bench.supervisor.started) == 1


async def test_a_signal_that_was_only_observed_starts_a_run_after_the_mode_was_changed(ledger: Ledger) -> None:
    given = signal()
    assert (await PipelineBench(ledger=ledger, mode=Mode.OBSERVE).judged(given)).kind is VerdictKind.OBSERVED
    bench = PipelineBench(ledger=ledger, mode=Mode.AUTO)
    await bench.pipeline.evaluate_observed()
    await bench.pipeline.step()
    assert (await bench.verdicts())[given.id].kind is VerdictKind.STARTED


async def test_a_signal_that_is_over_is_not_evaluated_again_after_the_mode_was_changed(ledger: Ledger) -> None:
    given = signal()
    await PipelineBench(ledger=ledger, mode=Mode.OBSERVE).judged(given)
    await ledger.signals.accept([signal(id="end", ended=moment(seconds=20))], moment(seconds=20))
    bench = PipelineBench(ledger=ledger, mode=Mode.AUTO)
    await bench.pipeline.evaluate_observed()
    await bench.pipeline.step()
    assert bench.supervisor.started == []


class ReadCatalogs(Catalogs):
    """The ledger's catalogs, which note what was read."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.read: list[str] = []

    async def texts(self, digest: str) -> Mapping[str, str]:
        """Return the texts."""
        self.read.append(digest)
        return await super().texts(digest)


async def test_a_catalog_a_reload_does_not_fill_the_memory(ledger: Ledger) -> None:
    first = catalog(service_text(), rule_text(), runbook_text())

    def parse(texts: Mapping[str, str]) -> Catalog:
        return replace(first, digest=texts["digest"])

    keeper = ReadCatalogs(ledger._store)
    active_catalog = ActiveCatalog(first, keeper, parse)
    for number in range(100):
        await active_catalog.activate(replace(first, digest=f"d{number}", texts={"digest": f"d{number}"}))
    assert len(active_catalog._known) == MOST_KNOWN
    assert (await active_catalog.by_digest("d99")).digest == "d99"
    assert keeper.read == []
    for number in range(20):
        assert (await active_catalog.by_digest(f"d{number}")).digest == f"d{number}"
    assert len(active_catalog._known) == MOST_KNOWN
    assert (await active_catalog.by_digest("d99")).digest == "d99"
    assert "d99" not in keeper.read


class OperatorBench(PipelineBench):
    """A daemon on a ledger, and what people ask of it; `untold` has by service for how long nobody was notified."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger=ledger)
        self.untold: dict[str, timedelta] = {}
        self.operator = operator_service(
            ledger,
            self.active_catalog,
            self.observed,
            pipeline=self.pipeline,
            outages=SimpleNamespace(unnotified=self.untold, notifies=False),
            supervisor=SimpleNamespace(timings=None),
        )

    async def resume(self, of: str = "inc-1") -> None:
        """Let ana resume it."""
        await self.operator.resume(of, who="ana", why="the disk has room")

    async def current(self) -> ActivityKind:
        """Return what happens with web."""
        (web,) = (await self.operator.services()).services
        return web.activity.kind


async def was_handed_over(ledger: Ledger, state: IncidentState = IncidentState.NEEDS_OPERATOR) -> OperatorBench:
    """Return a daemon whose web service had a run that ended so five minutes ago."""
    await keep(ledger, *ended(state, finished=moment(minutes=-5)))
    return OperatorBench(ledger)


async def test_a_resumed_service_is_evaluated_anew_and_the_next_daemon_knows_it(ledger: Ledger) -> None:
    bench, given = await was_handed_over(ledger), signal()
    refused = await bench.judged(given)
    assert (refused.reason, "kintsugi resume inc-1 --why TEXT" in refused.text) == (Reason.HUMAN, True)
    assert await bench.current() is ActivityKind.HANDED_OVER

    await bench.resume()
    assert await bench.current() is not ActivityKind.HANDED_OVER
    next_daemon = OperatorBench(ledger)
    await next_daemon.pipeline.step()
    assert (await next_daemon.verdicts())[given.id].kind is VerdictKind.STARTED
    assert len(next_daemon.supervisor.started) == 1
    resumed = (await next_daemon.operator.incident("inc-1")).resumed
    assert resumed is not None
    assert (resumed.who, resumed.why, resumed.since) == ("ana", "the disk has room", NOW)


@pytest.mark.parametrize("state", [IncidentState.RECOVERED, IncidentState.CANCELLED, IncidentState.RUNNING])
async def test_an_incident_that_was_not_handed_over_is_not_resumed(ledger: Ledger, state: IncidentState) -> None:
    bench = await was_handed_over(ledger, state)
    with pytest.raises(WrongState, match=f"incident inc-1 is {state}: it has not ended in a hand-over"):
        await bench.resume()
    with pytest.raises(NotRecorded, match="neither a pause nor an incident inc-9"):
        await bench.resume("inc-9")


async def test_a_rest_that_is_over_is_not_ended(ledger: Ledger) -> None:
    """By a person, or because the service was well for long enough."""
    bench = await was_handed_over(ledger)
    limits = bench.observed.limits
    bench.cluster.run("web-3")
    bench.cluster.services.refresh(everything=True)
    bench.observed.limits = replace(limits, good_after=timedelta())
    assert await bench.current() is not ActivityKind.HANDED_OVER
    with pytest.raises(WrongState, match="incident inc-1: web does not rest after this hand-over, or no longer"):
        await bench.resume()
    bench.observed.limits = limits
    await bench.resume()
    with pytest.raises(WrongState, match="or no longer"):
        await bench.resume()


async def test_the_daemon_counts_the_services_that_are_down_and_of_which_no_person_was_notified(ledger: Ledger) -> None:
    """P11."""
    bench = OperatorBench(ledger)
    bench.untold.update(web=timedelta(minutes=1), api=timedelta())
    status = (await bench.operator.services()).daemon
    assert (status.unnotified, status.notifies) == (1, False)
