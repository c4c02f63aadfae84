"""The answer to a commit is lost, or its caller goes away: nothing is done twice or lost, and no transaction is left behind."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.good_state import GoodRevision
from kintsugi.model.records import IncidentState, StepState
from tests.contract.ledger.build import NOW, accepted, begin, leading, request, signal, started, step, write
from tests.contract.ledger.test_manual_starts import by_hand


@dataclass
class BreakingConnection:
    """
    A line to PostgreSQL that breaks at a commit, once, when armed.

    `lands`: the server gets the COMMIT and its answer is lost; else the COMMIT itself is lost. It is the ledger's
    boundary too, so that it knows what the next words on the line are.
    """

    host: str
    port: int
    lands: bool
    arm: str = ""
    broken: int = 0
    _next: bool = False

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Break at the commit of the armed name."""
        if before and name == self.arm:
            self.arm, self._next = "", True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        server_reader, server_writer = await asyncio.open_connection(self.host, self.port)
        back = asyncio.create_task(self._carry(server_reader, writer))
        try:
            while words := await reader.read(65536):
                if self._next and b"COMMIT" in words:
                    self._next = False
                    back.cancel()
                    await asyncio.wait([back])
                    await self._break(words, server_reader, server_writer)
                    return
                server_writer.write(words)
        finally:
            back.cancel()
            writer.transport.abort()
            server_writer.transport.abort()

    async def _break(self, words: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.lands:
            writer.write(words)
            answer = await reader.read(65536)
            assert b"COMMIT" in answer, answer
        self.broken += 1

    @staticmethod
    async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := await reader.read(65536):
            writer.write(words)
        writer.close()


@asynccontextmanager
async def lossy(url: str, *, lands: bool) -> AsyncIterator[tuple[Ledger, BreakingConnection]]:
    """Open a ledger over a line that will break."""
    real = urlsplit(url)
    line = BreakingConnection(host=real.hostname or "", port=real.port or 0, lands=lands)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        through = url.replace(f":{real.port}/", f":{port}/")
        async with leading(through, failpoints=line) as ledger:
            yield ledger, line
    finally:
        server.close()


both = pytest.mark.parametrize("lands", [True, False], ids=["it-landed", "it-did-not-land"])


@both
async def test_a_claim_starts_one_run(postgres: str, lands: bool) -> None:
    """D2, P2: known by its signal."""
    async with lossy(postgres, lands=lands) as (ledger, line):
        told = await accepted(ledger)
        line.arm = "request-run"
        run = started(await request(ledger, told))
        assert line.broken == 1
        assert await ledger.runs.open_runs() == (run,)
        assert len(await ledger.incidents.newest()) == 1


@both
async def test_a_start_by_hand_starts_one_run(postgres: str, lands: bool) -> None:
    """D2, P2: known by its key."""
    async with lossy(postgres, lands=lands) as (ledger, line):
        line.arm = "request-run"
        run = started(await by_hand(ledger))
        assert line.broken == 1
        assert await ledger.runs.open_runs() == (run,)
        assert len(await ledger.approvals.of_incident(run.incident)) == 1


@both
async def test_signals_are_accepted_once(postgres: str, lands: bool) -> None:
    """D2, P1: known by key and beginning."""
    async with lossy(postgres, lands=lands) as (ledger, line):
        line.arm = "accept"
        accepted = await ledger.signals.accept([signal("a"), signal("b")], NOW)
        assert line.broken == 1
        assert len(set(accepted.ids)) == 2
        assert {each.id for each in await ledger.signals.firing()} == set(accepted.ids)


@both
async def test_a_step_moves_once(postgres: str, lands: bool) -> None:
    """D2, P3: known by run, phase, path and state."""
    async with lossy(postgres, lands=lands) as (ledger, line):
        run = await begin(ledger)
        line.arm = "save-step delete/pods#0 intent"
        await write(ledger, step(run))
        line.arm = "save-step delete/pods#0 done"
        await write(ledger, step(run, state=StepState.DONE), expect=StepState.INTENT)
        assert line.broken == 2
        assert [each.state for each in await ledger.runs.steps(run.id)] == [StepState.DONE]


@both
async def test_a_run_ends_once_and_people_are_told_once(postgres: str, lands: bool) -> None:
    """D2."""
    async with lossy(postgres, lands=lands) as (ledger, line):
        run = await begin(ledger)
        line.arm = "move-run recovered"
        over = await ledger.runs.move_run(run.id, IncidentState.RECOVERED, "well", NOW)
        assert line.broken == 1
        assert await ledger.runs.get(run.id) == over
        assert len(await ledger.outbox.due_notices(NOW)) == 1


_MOMENTS = 60


@pytest.fixture
def _nothing_collected() -> Iterator[None]:
    """Keep the garbage: a transaction that is left behind ends when its connection is collected, by luck."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_nothing_collected")
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
async def test_a_write_after_one_that_was_cancelled_at_any_moment_is_made(ledger: Ledger, again: bool) -> None:
    """A run whose deadline comes while it writes must not lock the ledger for itself and for everybody else."""
    for moment in range(_MOMENTS):
        writing = asyncio.create_task(ledger.revisions.note_good([revision("cut", each) for each in range(3)]))
        await asyncio.sleep(moment * 0.0002)
        writing.cancel()
        if again:
            await asyncio.sleep(0)
            writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await ledger.revisions.note_good([revision("whole", moment)])

    assert len(await ledger.revisions.good_revisions("whole")) == _MOMENTS


def revision(workload: str, number: int) -> GoodRevision:
    """Return a revision that was seen good."""
    return GoodRevision(workload=workload, template=f"t-{number}", number=number, first_good=NOW, last_good=NOW)


@pytest.mark.usefixtures("_nothing_collected")
async def test_a_reading_that_was_cancelled_at_any_moment_leaves_the_next_one_its_connection(ledger: Ledger) -> None:
    await ledger.signals.accept([signal(key="there")], NOW)
    for moment in range(_MOMENTS):
        reading = asyncio.create_task(ledger.signals.firing())
        await asyncio.sleep(moment * 0.0002)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        assert [each.key for each in await ledger.signals.firing()] == ["there"]
