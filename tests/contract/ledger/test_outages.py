"""When the database is gone, full, read-only or damaged nothing is accepted, nothing is lost and nothing is invented."""

import asyncio
import contextlib
import os
import signal as signals
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import Ledger
from tests.contract.ledger.build import NOW, begin, leading, not_opened, request, signal, started, step, write
from tests.harness import disks
from tests.harness.ledger_rows import beside
from tests.harness.postgres import Postgres

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]


def test_an_accepted_signal_survives_a_kill_at_any_moment(url: str) -> None:
    """P1, C1, D8: SIGKILL in the middle; everything that was answered is there, and the lock is free at once."""
    known: set[str] = set()
    for _ in range(3):
        known.update(_accepted_until_killed(url))
    kept = asyncio.run(_keys(url))
    assert known
    assert known <= kept, f"lost: {sorted(known - kept)}"


def _accepted_until_killed(url: str) -> Iterator[str]:
    """Yield every key that a process told to be durable before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.contract.ledger.accepting_process", url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signals.SIGKILL)
        assert first, "the process ended before it accepted anything"
        for line in (first, *process.stdout):
            yield from line.split()


async def _keys(url: str) -> set[str]:
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        return {each.key for each in await ledger.signals.firing()}


async def test_a_full_disk_refuses_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    """D7, P8: no intent on record, no effect; and all goes on when there is room again."""
    async with leading(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        run = await begin(ledger)
        await _limit_pages(ledger, 1)  # no more than it has already
        with pytest.raises(LedgerUnavailable, match="full"):
            await _accept_much(ledger)
        accepted = await ledger.signals.pending()
        with pytest.raises(LedgerUnavailable):
            await _accept_much(ledger, batches=1)
        assert await ledger.signals.pending() == accepted
        assert accepted % 20 == 0
        await _limit_pages(ledger, 1_000_000)
        await ledger.signals.accept([signal()], NOW)
        await write(ledger, step(run))
        assert await ledger.signals.pending() == accepted + 1


async def _accept_much(ledger: Ledger, *, batches: int = 1000) -> None:
    for _ in range(batches):
        await ledger.signals.accept([signal(labels={"long": "x" * 2000}) for _ in range(20)], NOW)


async def _limit_pages(ledger: Ledger, pages: int) -> None:
    limit = text(f"PRAGMA max_page_count = {pages}")
    await beside(ledger, lambda connection: connection.execute(limit))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return the root of a file system of 2 MiB."""
    with disks.mounted(tmp_path, options="size=2m"):
        yield tmp_path


async def test_a_full_file_system_refuses_and_recovers(small_disk: Path) -> None:
    """D7: the same on a real file system of 2 MiB."""
    async with Ledger.open(f"sqlite:///{small_disk}/ledger.db", holder="kintsugi-0") as ledger:
        with pytest.raises(LedgerUnavailable):
            await _accept_much(ledger)
        accepted = await ledger.signals.pending()
        assert accepted % 20 == 0
        disks.resize(small_disk, "16m")
        await ledger.signals.accept([signal()], NOW)
        assert await ledger.signals.pending() == accepted + 1


async def test_a_damaged_file_and_one_that_is_no_database_are_refused_with_an_instruction_and_kept(
    tmp_path: Path,
) -> None:
    """D9: a ledger made anew would have forgotten limits and cooldowns."""
    path = tmp_path / "ledger.db"
    async with Ledger.open(f"sqlite:///{path}", holder="kintsugi-0") as ledger:
        for _ in range(20):
            await ledger.signals.accept([signal() for _ in range(50)], NOW)
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 3 : 4096 * 40] = b"\xa5" * (4096 * 37)
    for content in (bytes(damaged), b"this is not a database, and must not become one " * 200):
        path.write_bytes(content)
        opening = Ledger.open(f"sqlite:///{path}", holder="kintsugi-0")
        await not_opened(opening, LedgerUnavailable, "restore it from a backup")
        assert path.read_bytes() == content


async def test_a_ledger_in_a_folder_that_does_not_exist_is_unavailable(tmp_path: Path) -> None:
    """The volume is not mounted."""
    opening = Ledger.open(f"sqlite:///{tmp_path}/nowhere/ledger.db", holder="kintsugi-0")
    await not_opened(opening, LedgerUnavailable, r"cannot be opened: .*set --ledger sqlite:///PATH")


async def test_a_file_locked_by_another_program_is_unavailable_and_then_available(tmp_path: Path) -> None:
    """D9: somebody has opened the file with a database client and left a transaction open."""
    async with Ledger.open(f"sqlite:///{tmp_path}/ledger.db", holder="kintsugi-0") as ledger:
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerUnavailable, match="locked"):
                await ledger.signals.accept([signal()], NOW)
            assert await ledger.signals.pending() == 0
            other.execute("ROLLBACK")
        await ledger.signals.accept([signal()], NOW)
        assert await ledger.signals.pending() == 1


on_postgres = pytest.mark.parametrize("made", ["postgres"], indirect=True)


@on_postgres
async def test_postgres_stopped_is_unavailable_at_once_and_available_when_it_is_back(
    ledger: Ledger, postgres_server: Postgres
) -> None:
    """D1, A5: the sender is told, and waits for no time to pass; what was accepted is kept, what was refused is not."""
    await ledger.signals.accept([signal("before")], NOW)
    postgres_server.stop()
    try:
        async with asyncio.timeout(60):
            with pytest.raises(LedgerUnavailable):
                await ledger.signals.accept([signal("during")], NOW)
        with pytest.raises(LedgerUnavailable):
            await ledger.ping()
    finally:
        postgres_server.start()
    await ledger.signals.accept([signal("after")], NOW)
    assert {each.key for each in await ledger.signals.firing()} == {"before", "after"}
    started(await request(ledger))


@on_postgres
async def test_postgres_restarted_between_two_calls_is_not_noticed(ledger: Ledger, postgres_server: Postgres) -> None:
    """D1: pooled connections are dead; the transaction runs again on a new one."""
    run = await begin(ledger)
    await asyncio.gather(*(ledger.ping() for _ in range(20)))
    postgres_server.stop()
    postgres_server.start()
    await write(ledger, step(run))
    assert len(await ledger.incidents.steps(run.id)) == 1


@on_postgres
async def test_postgres_that_hangs_is_unavailable_within_a_bounded_time(
    ledger: Ledger, postgres_server: Postgres
) -> None:
    """C12, C7: nothing waits for ever."""
    await ledger.ping()
    postgres_server.freeze()
    try:
        with pytest.raises(LedgerUnavailable):
            await asyncio.wait_for(ledger.signals.accept([signal()], NOW), 60)
    finally:
        postgres_server.thaw()
    accepted = await ledger.signals.accept([signal()], NOW)
    assert accepted.new == 1


@on_postgres
async def test_a_read_only_postgres_is_unavailable(ledger: Ledger, made: str, postgres_server: Postgres) -> None:
    """D4: a standby, or a primary that was demoted under our connections."""
    run = await begin(ledger)
    _set_read_only(made, postgres_server, "on")
    with pytest.raises(LedgerUnavailable, match="read-only"):
        await write(ledger, step(run))
    with pytest.raises(LedgerUnavailable, match="read-only"):
        await ledger.signals.accept([signal()], NOW)
    _set_read_only(made, postgres_server, "off")
    await write(ledger, step(run))


def _set_read_only(url: str, server: Postgres, state: str) -> None:
    """Do what a demotion or a promotion does: to the database, and to the sessions that are there."""
    server.psql(f'ALTER DATABASE "{url.rpartition("/")[2]}" SET default_transaction_read_only = {state}')
    server.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.rpartition('/')[2]}'")
