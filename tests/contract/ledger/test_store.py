"""
Works that share a commit, a commit whose answer is lost, a caller that goes away: nothing is done twice or lost, and no
transaction is left behind.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from types import NoneType
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Connection, insert, update

from kintsugi.errors import LedgerError, StaleEpoch, WrongState
from kintsugi.ledger import Ledger
from kintsugi.ledger.store.rows import values
from kintsugi.ledger.store.tables import leadership, pauses
from kintsugi.ledger.store.transactions import Work
from kintsugi.model.records import IncidentState, Pause, PauseScope, StepState
from tests.contract.ledger.build import (
    NOW,
    Crossings,
    accepted,
    begin,
    good_revision,
    leading,
    request,
    signal,
    started,
    step,
    write,
)
from tests.contract.ledger.test_manual_starts import by_hand
from tests.harness.ledger_rows import beside

PAUSE = Pause(id="pause-1", scope=PauseScope.GLOBAL, who="ann", why="deploy", since=NOW)


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


@pytest.fixture(params=[True, False], ids=["it-landed", "it-did-not-land"])
async def lossy(request: pytest.FixtureRequest, postgres: str) -> AsyncIterator[tuple[Ledger, BreakingConnection]]:
    """Return a ledger that is led over a line that will break, and the line."""
    real = urlsplit(postgres)
    line = BreakingConnection(host=real.hostname or "", port=real.port or 0, lands=request.param)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    through = postgres.replace(f":{real.port}/", f":{server.sockets[0].getsockname()[1]}/")
    async with leading(through, failpoints=line) as ledger:
        yield ledger, line
    server.close()


async def test_a_claim_starts_one_run(lossy: tuple[Ledger, BreakingConnection]) -> None:
    """D2, P2: known by its signal."""
    ledger, line = lossy
    told = await accepted(ledger)
    line.arm = "request-run"
    run = started(await request(ledger, told))
    assert line.broken == 1
    assert await ledger.incidents.open_runs() == (run,)
    assert len(await ledger.incidents.newest()) == 1


async def test_a_start_by_hand_starts_one_run(lossy: tuple[Ledger, BreakingConnection]) -> None:
    """D2, P2: known by its key."""
    ledger, line = lossy
    line.arm = "request-run"
    run = started(await by_hand(ledger))
    assert line.broken == 1
    assert await ledger.incidents.open_runs() == (run,)
    assert len(await ledger.people.questions_of(run.incident)) == 1


async def test_signals_are_accepted_once(lossy: tuple[Ledger, BreakingConnection]) -> None:
    """D2, P1: known by key and beginning."""
    ledger, line = lossy
    line.arm = "accept"
    accepted = await ledger.signals.accept([signal("a"), signal("b")], NOW)
    assert line.broken == 1
    assert len(set(accepted.ids)) == 2
    assert {each.id for each in await ledger.signals.firing()} == set(accepted.ids)


async def test_a_step_moves_once(lossy: tuple[Ledger, BreakingConnection]) -> None:
    """D2, P3: known by run, phase, path and state."""
    ledger, line = lossy
    run = await begin(ledger)
    line.arm = "save-step delete/pods#0 intent"
    await write(ledger, step(run))
    line.arm = "save-step delete/pods#0 done"
    await write(ledger, step(run, state=StepState.DONE), expect=StepState.INTENT)
    assert line.broken == 2
    assert [each.state for each in await ledger.incidents.steps(run.id)] == [StepState.DONE]


async def test_a_run_ends_once_and_people_are_told_once(lossy: tuple[Ledger, BreakingConnection]) -> None:
    """D2."""
    ledger, line = lossy
    run = await begin(ledger)
    line.arm = "move-run recovered"
    over = await ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "well", NOW)
    assert line.broken == 1
    assert await ledger.incidents.run(run.id) == over
    assert len(await ledger.outbox.due_notices(NOW)) == 1


async def test_works_that_share_a_commit_whose_answer_is_lost_are_each_done_once(
    lossy: tuple[Ledger, BreakingConnection],
) -> None:
    """D2: each looks at what is written before it writes."""
    ledger, line = lossy
    run = await begin(ledger)
    paths = [f"delete/pods#{number}" for number in range(4)]
    line.arm = f"save-step {paths[2]} intent"
    await asyncio.gather(*(write(ledger, step(run, path)) for path in paths))
    assert line.broken == 1
    assert sorted([each.path for each in await ledger.incidents.steps(run.id)]) == paths


async def test_works_that_arrive_during_a_transaction_share_the_next_one(made: str) -> None:
    """One fsync for all who wait, and nobody is answered before it."""
    crossings = Crossings()
    async with leading(made, failpoints=crossings) as ledger:
        run = await begin(ledger)
        crossings.passed.clear()
        await asyncio.gather(*(write(ledger, step(run, f"p{number}")) for number in range(4)))
    names = [f"save-step p{number} intent" for number in range(4)]
    alone, together = [names[:1], names[1:]] if crossings.passed[1][2] is False else [[], names]
    assert crossings.passed == [
        ("commit", name, before) for group in (alone, together) for before in (True, False) for name in group
    ]


async def test_a_work_that_is_refused_undoes_nothing_of_those_that_share_its_commit(ledger: Ledger) -> None:
    """A12: neither what a work itself finds wrong nor what the database refuses is the others' fault."""

    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(insert(pauses).values(values(PAUSE)))

    def half(connection: Connection) -> None:
        connection.execute(insert(pauses).values(values(replace(PAUSE, id="half"))))
        raise WrongState("it is over")

    refused: list[Work[None]] = [twice, half]
    outcomes = await asyncio.gather(
        ledger.good_state.note_good([good_revision("first")]),
        *(ledger._store.write("refused", each) for each in refused),
        ledger.good_state.note_good([good_revision("last")]),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes] == [NoneType, LedgerError, WrongState, NoneType]
    assert len([*await ledger.good_state.good_revisions("first"), *await ledger.good_state.good_revisions("last")]) == 2
    assert await ledger.people.pauses(NOW) == ()


async def test_who_no_longer_leads_is_refused_and_a_person_s_work_in_the_same_commit_is_kept(ledger: Ledger) -> None:
    """P4: an answer, a pause or a delivery needs no leader."""
    run = await begin(ledger)
    await beside(ledger, lambda connection: connection.execute(update(leadership).values(epoch=99)))
    outcomes = await asyncio.gather(
        *(write(ledger, step(run, f"p{number}")) for number in range(2)),
        ledger.people.pause(PAUSE),
        write(ledger, step(run, "last")),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes] == [StaleEpoch, StaleEpoch, NoneType, StaleEpoch]
    assert await ledger.people.pauses(NOW) == (PAUSE,)
    assert await ledger.incidents.steps(run.id) == ()


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
        writing = asyncio.create_task(
            ledger.good_state.note_good([good_revision("cut", f"t-{each}") for each in range(3)])
        )
        await asyncio.sleep(moment * 0.0002)
        writing.cancel()
        if again:
            await asyncio.sleep(0)
            writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await ledger.good_state.note_good([good_revision("whole", f"t-{moment}")])

    assert len(await ledger.good_state.good_revisions("whole")) == _MOMENTS


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
