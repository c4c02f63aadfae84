"""New alerts are judged by the commit that accepts them, or from memory; the ledger stays the truth (P1, P4, P9)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from kintsugi.decisions.matcher import Matcher
from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger.signals.signals import Signals
from kintsugi.ledger.store.transactions import Store
from kintsugi.mask import MASK
from kintsugi.model.records import Reason, Signal, Verdict, VerdictKind
from kintsugi.model.rules import RuleSource
from kintsugi.pipeline.new_signals import MOST, NewSignals
from kintsugi.pipeline.signal_evaluator import NO_RULE
from tests.harness import ledgers
from tests.unit.factories import catalog, rule_text, runbook_text, service_text, signal, virtual_clock
from tests.unit.pipeline.business import PipelineBench, alert, running

pytestmark = pytest.mark.looptime
OTHER = alert(alertname="Other")
ELSEWHERE = alert(namespace="staging")
"""An alert that a rule matches and that is refused, without a request of a run."""


class NotedSignals(Signals):
    """The ledger's signals, which count how often they are read; one settling after another fails with `errors`."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.reads = 0
        self.errors: list[Exception] = []

    async def due(self, now: datetime, limit: int = 500) -> tuple[Signal, ...]:
        """Return what is to be judged."""
        self.reads += 1
        return await super().due(now, limit)

    async def settle(self, verdicts: Mapping[str, Verdict], now: datetime) -> None:
        """Keep verdicts."""
        if verdicts and self.errors:
            raise self.errors.pop()
        await super().settle(verdicts, now)


@dataclass
class Commits:
    """Failpoints that note the commits."""

    names: list[str] = field(default_factory=list)

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Note one."""
        if before:
            self.names.append(name)


class AcceptingBench(PipelineBench):
    """A pipeline that accepts signals; its commits and what its listeners hear is noted."""

    def __init__(self) -> None:
        self.commits = Commits()
        memory = ledgers.LedgerAtOnce(self.commits)
        memory.ledger.signals = self.signals = NotedSignals(memory.ledger._store)
        super().__init__(ledger=memory.ledger)
        self._memory = memory
        self.heard: list[tuple[str, VerdictKind]] = []
        self.pipeline.on_verdict(lambda given, verdict: self.heard.append((given.id, verdict.kind)))

    async def accept(self, *given: Signal) -> None:
        """Let the pipeline accept signals."""
        ledgers.work_at_once()
        accepted = await self.pipeline.accept(given, virtual_clock())
        assert accepted.new == len(given)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the pipeline run meanwhile, and have read the inbox once."""
        ledgers.work_at_once()
        async with running(self.pipeline):
            await asyncio.sleep(1)
            yield


async def test_an_alert_that_no_rule_matches_is_settled_by_one_commit() -> None:
    """P9: its listeners hear of it once, and the log has one line for all."""
    bench = AcceptingBench()
    given = [replace(OTHER, id=f"sig-{number}", key=f"fp-{number}") for number in range(3)]
    with capture_logs() as logs:
        await bench.accept(*given)
        assert bench.commits.names == ["accept"]
        assert await bench.verdicts() == {each.id: NO_RULE for each in given}
        async with bench.running():
            pass
    assert bench.commits.names == ["accept"]
    assert bench.heard == [(each.id, VerdictKind.NO_RULE) for each in given]
    assert [line["signals"] for line in logs if line["event"] == "no rule matches"] == [3]


async def test_a_rule_that_is_new_when_an_alert_is_committed_counts() -> None:
    bench = AcceptingBench()
    waiting = asyncio.create_task(bench.accept(OTHER))
    await asyncio.sleep(0)
    assert bench.commits.names == []
    rule = rule_text("others", service="web", on="alert", more="matchers: [alertname=Other]")
    bench.active_catalog.catalog = catalog(service_text(), rule, runbook_text())
    bench.active_catalog.matcher = Matcher(bench.active_catalog.catalog)
    await waiting
    assert await bench.verdicts() == {}
    await bench.pipeline.step()
    assert (await bench.verdicts())[OTHER.id].kind is VerdictKind.STARTED


async def test_nothing_is_judged_as_it_is_accepted_while_the_clock_is_in_doubt() -> None:
    """C9."""
    bench = AcceptingBench()
    bench.cluster.clock_problem = "this machine's clock is 1h ahead of the API server's"
    async with bench.running():
        await bench.accept(OTHER, replace(alert(), id="sig-2", key="fp-2"))
        await asyncio.sleep(60)
        assert (await bench.verdicts(), bench.heard) == ({}, [])
        bench.cluster.clock_problem = ""
        await asyncio.sleep(6)
    kinds = {name: verdict.kind for name, verdict in (await bench.verdicts()).items()}
    assert kinds == {OTHER.id: VerdictKind.NO_RULE, "sig-2": VerdictKind.STARTED}


async def test_a_daemon_that_does_not_lead_gives_no_verdict() -> None:
    """P4."""
    bench = AcceptingBench()
    bench.ledger._store.epoch = None
    await bench.accept(OTHER)
    assert (await bench.verdicts(), bench.heard) == ({}, [])


async def test_an_alert_that_a_rule_matches_is_evaluated_without_a_read_of_the_inbox() -> None:
    bench = AcceptingBench()
    async with bench.running():
        reads = bench.signals.reads
        await bench.accept(alert())
        await asyncio.sleep(0.01)
        assert (await bench.verdicts())["sig-1"].kind is VerdictKind.STARTED
        assert bench.signals.reads == reads
        await asyncio.sleep(60)
    assert len(bench.heard) == 1


async def test_a_provisional_verdict_on_a_new_alert_is_looked_at_when_it_ends() -> None:
    bench = AcceptingBench()
    bench.cluster.caches.pods.silent_for = 99.0
    async with bench.running():
        await bench.accept(alert())
        await asyncio.sleep(0.01)
        verdict = (await bench.verdicts())["sig-1"]
        assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.STALE)
        assert verdict.until is not None
        bench.cluster.caches.pods.silent_for = 0.0
        await asyncio.sleep((verdict.until - virtual_clock()).total_seconds() + 0.3)
        assert (await bench.verdicts())["sig-1"].kind is VerdictKind.STARTED


async def test_a_new_alert_whose_verdict_is_not_kept_is_found_in_the_ledger() -> None:
    """P9, D1: a failed settle leaves the row due."""
    bench = AcceptingBench()
    bench.signals.errors = [LedgerUnavailable("the disk is full")]
    async with bench.running():
        await bench.accept(ELSEWHERE)
        await asyncio.sleep(0.1)
        assert await bench.verdicts() == {}
        await asyncio.sleep(1)
        assert (await bench.verdicts())["sig-1"].reason is Reason.FOREIGN_TARGET


async def test_an_alert_that_may_hold_a_secret_is_judged_by_what_is_stored() -> None:
    """P6: a masked label matches no rule, whatever its value was."""
    rule = rule_text("keyed", service="web", on="alert", more="matchers: [alertname=Down, api_key!=x]")
    bench = AcceptingBench()
    bench.active_catalog.matcher = Matcher(catalog(service_text(), rule, runbook_text()))
    async with bench.running():
        await bench.accept(alert(api_key="a-long-secret"))
        await asyncio.sleep(0.01)
        assert await bench.verdicts() == {"sig-1": NO_RULE}
    ((stored, _),) = await ledgers.newest_signals(bench.ledger)
    assert stored.labels["api_key"] == MASK


async def test_an_alert_that_was_read_before_it_is_taken_from_memory_is_judged_once() -> None:
    bench = AcceptingBench()
    await bench.accept(ELSEWHERE)
    await bench.pipeline.step()
    async with bench.running():
        await asyncio.sleep(10)
    assert bench.heard == [("sig-1", VerdictKind.REFUSED)]


def many(number: int) -> list[Signal]:
    """Return so many signals."""
    return [signal(id=f"sig-{each}", key=f"key-{each}", kind=RuleSource.ALERT) for each in range(number)]


def test_new_signals_are_taken_in_the_order_of_their_arrival() -> None:
    new, given = NewSignals(), many(5)
    assert new.add(given[:2])
    assert new.add(given[1:])
    assert [new.take(3), new.take(3), new.take(3)] == [given[:3], given[3:], []]


def test_a_storm_of_new_signals_is_left_to_the_ledger() -> None:
    new, given = NewSignals(), many(MOST + 1)
    assert new.add(given[:MOST])
    assert not new.add(given[MOST:])
    assert new.take(MOST) == []
    assert new.add(given[:1])
    assert new.take(MOST) == given[:1]


def test_a_signal_that_was_read_from_the_ledger_is_not_taken_again() -> None:
    new, given = NewSignals(), many(3)
    new.add(given[:1])
    new.note_read(given[:2])
    new.note_read([])
    new.add(given[1:])
    assert new.take(MOST) == given[2:]


async def test_a_storm_of_new_alerts_is_read_from_the_ledger_whole() -> None:
    """P9: none is lost beyond the bound."""
    bench = AcceptingBench()
    given = [replace(ELSEWHERE, id=f"sig-{number}", key=f"fp-{number}") for number in range(MOST + 1)]
    await bench.accept(*given)
    async with bench.running():
        await asyncio.sleep(30)
    assert await bench.signals.pending() == 0
    assert len(bench.heard) == len(given)
