"""What a run may do again is committed with its next intent, before the change, and never later than a moment (P8)."""

import asyncio
from dataclasses import replace

import pytest

from kintsugi.errors import BudgetSpent, LedgerUnavailable
from kintsugi.model.change_limits import Budget
from kintsugi.model.records import IncidentState, RunUpdate, SeenWorkload, StepRecord, StepState
from kintsugi.runner.journal import DEFERRED_FOR, Journal
from tests.harness import ledgers
from tests.unit.factories import NOW, incident, run, step, virtual_clock
from tests.unit.run_rows import RunRows

PLANNED, INTENT, DONE = StepState.PLANNED, StepState.INTENT, StepState.DONE
FOUND = SeenWorkload(template="abc", revision=1, desired=3, ready=2, uid="uid-1")


class Commits:
    """The failpoints of a ledger: the names of what was committed, together where one commit was for all; `away` refuses."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.away = False
        self._before = False

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Note a name before its commit."""
        if self.away:
            raise LedgerUnavailable("the disk is full")
        if before and not self._before:
            self.groups.append([])
        if before:
            self.groups[-1].append(name)
        self._before = before


class JournalBench:
    """The journal of one run on the real ledger in memory."""

    def __init__(self) -> None:
        ledgers.work_at_once()
        self.rows = RunRows(run(), incident())
        self.commits = Commits()
        self.rows.ledger._store._failpoints = self.commits
        self.journal = Journal(run(), self.rows.ledger, ())

    async def begin(self, path: str) -> StepRecord:
        """Write that a step begins, as what need not be durable yet."""
        begun = step(path, state=PLANNED)
        await self.journal.save_step(begun, expect=None, now=virtual_clock(), deferred=True)
        return begun

    async def intend(self, path: str, budget: Budget | None = None) -> None:
        """Write the intent of a change."""
        await self.journal.save_step(step(path, state=INTENT), expect=None, now=virtual_clock(), budget=budget)


async def test_all_that_comes_before_a_change_is_in_the_commit_of_its_intent() -> None:
    bench = JournalBench()
    await bench.journal.update(RunUpdate(workload_found=FOUND), deferred=True)
    await bench.begin("restart")
    for kind in ("description", "events", "logs"):
        await bench.journal.keep_evidence("run-1", "restart#0", kind, f"its {kind}", NOW)
    assert bench.commits.groups == []
    await bench.intend("restart#0")
    assert bench.commits.groups == [
        [
            "update-run workload_found",
            *["keep-evidence restart#0"] * 3,
            "save-step restart planned",
            "save-step restart#0 intent",
        ]
    ]
    assert [kind for _, kind, _ in bench.rows.evidence] == ["description", "events", "logs"]
    assert bench.journal.run.workload_found == FOUND == (await bench.rows.ledger.incidents.run("run-1")).workload_found


async def test_what_no_other_write_follows_is_written_after_a_moment() -> None:
    """A person who looks sees how far the run is."""
    bench = JournalBench()
    await bench.begin("wait")
    await asyncio.sleep(DEFERRED_FOR.total_seconds() * 0.9)
    assert bench.commits.groups == []
    await asyncio.sleep(DEFERRED_FOR.total_seconds() * 0.2)
    assert bench.commits.groups == [["save-step wait planned"]]


async def test_a_run_is_moved_after_all_that_was_deferred() -> None:
    bench = JournalBench()
    await bench.begin("look")
    await bench.journal.move(IncidentState.VERIFYING, "all steps have ended", NOW)
    assert bench.commits.groups == [["save-step look planned", "move-run verifying"]]
    assert bench.journal.run.state is IncidentState.VERIFYING


async def test_of_two_writes_of_a_step_the_later_one_is_committed() -> None:
    """One that is made again, after a commit whose answer was lost, finds what it has written."""
    bench = JournalBench()
    begun = await bench.begin("look")
    await bench.journal.save_step(replace(begun, state=DONE), expect=PLANNED, now=NOW, deferred=True)
    await bench.intend("delete#0")
    assert bench.commits.groups == [["save-step look done", "save-step delete#0 intent"]]


async def test_what_was_deferred_outlives_an_intent_that_is_refused() -> None:
    bench = JournalBench()
    await bench.begin("delete")
    with pytest.raises(BudgetSpent):
        await bench.intend("delete#0", Budget(most=0, since=NOW))
    assert bench.rows.known("delete") is None
    await bench.journal.flush()
    assert bench.rows.known("delete") is not None
    assert bench.rows.known("delete#0") is None


async def test_after_a_write_that_failed_aside_the_run_writes_no_more() -> None:
    """It is not known then what the ledger has: who drives the run reads it anew."""
    bench = JournalBench()
    bench.commits.away = True
    await bench.begin("delete")
    await asyncio.sleep(DEFERRED_FOR.total_seconds() * 2)
    bench.commits.away = False
    with pytest.raises(LedgerUnavailable, match="the disk is full"):
        await bench.intend("delete#0")
    assert bench.rows.known("delete#0") is None


async def test_a_journal_that_is_closed_writes_no_more() -> None:
    bench = JournalBench()
    await bench.begin("look")
    await bench.journal.close()
    await asyncio.sleep(DEFERRED_FOR.total_seconds() * 2)
    assert bench.commits.groups == []
