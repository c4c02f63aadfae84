"""A stale leader harms nothing, and an SQLite ledger has one daemon."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from kintsugi.errors import LedgerError, LedgerHeld, LedgerUnavailable, StaleEpoch
from kintsugi.ledger import Ledger
from kintsugi.ledger.store.process_lock import is_mount_point
from kintsugi.ledger.store.tables import leadership
from kintsugi.model.records import IncidentState, PauseScope, VerdictKind
from tests.contract.ledger.build import (
    NOW,
    begin,
    leading,
    not_opened,
    run_request,
    signal,
    start,
    step,
    verdict,
    write,
)
from tests.contract.ledger.test_failpoints import CHANGES, Change
from tests.harness.fixtures import scratch
from tests.harness.ledger_rows import beside
from tests.harness.postgres import Postgres
from tests.harness.waiting import eventually


async def set_epoch(ledger: Ledger, epoch: int) -> None:
    """Do what another leader, or a restored backup, does to the ledger."""
    await beside(ledger, lambda connection: connection.execute(update(leadership).values(epoch=epoch)))


async def test_each_lead_takes_a_higher_epoch_across_restarts(url: str) -> None:
    """P4."""
    epochs = []
    for _ in range(3):
        async with Ledger.open(url, holder="kintsugi-0") as ledger:
            epochs += [await ledger.lead(NOW), await ledger.lead(NOW)]
    assert epochs == [1, 2, 3, 4, 5, 6]


TRANSITIONS: dict[str, Change] = {
    "move-incident": lambda ledger, run: ledger.incidents.move_incident(
        run.incident, IncidentState.RECOVERED, "well", NOW
    ),
    "start-held": lambda ledger, run: ledger.incidents.start_held(run.incident, run_request(None), start, NOW),
    **{
        name: change
        for name, change in CHANGES.items()
        if name.startswith(("request-run", "save-", "move-run", "keep-evidence", "keep-diagnosis", "settle"))
    },
}


@pytest.mark.parametrize("name", TRANSITIONS)
async def test_a_stale_leader_writes_nothing(ledger: Ledger, name: str) -> None:
    """P4, C4: with the epoch of another in the ledger every transition is refused, and leaves no trace."""
    run = await begin(ledger)
    await set_epoch(ledger, 7)
    with pytest.raises(LedgerError) as refusal:
        await TRANSITIONS[name](ledger, run)
    assert isinstance(refusal.value, StaleEpoch)
    assert "led under epoch 7" in str(refusal.value)
    assert await ledger.incidents.open_runs() == (run,)
    assert await ledger.incidents.steps(run.id) == ()
    assert await ledger.incidents.evidence_of(run.id) == ()
    assert await ledger.incidents.diagnoses_of(run.incident) == ()


@pytest.mark.parametrize("name", TRANSITIONS)
async def test_a_standby_writes_nothing(url: str, name: str) -> None:
    """P4: a standby accepts signals and changes no run."""
    async with leading(url) as ledger:
        run = await begin(ledger)
    async with Ledger.open(url, holder="kintsugi-1") as standby:
        await standby.signals.accept([signal()], NOW)
        with pytest.raises(LedgerError, match="does not lead"):
            await TRANSITIONS[name](standby, run)


@pytest.mark.parametrize("epoch", [None, 1, 2], ids=["standby", "stale leader", "leader"])
async def test_who_does_not_lead_accepts_alerts_without_a_verdict(ledger: Ledger, epoch: int | None) -> None:
    """P4, P9: the verdict is the leader's."""
    await ledger.lead(NOW)
    ledger._store.epoch = epoch
    accepted = await ledger.signals.accept([signal()], NOW, lambda _: verdict(VerdictKind.NO_RULE))
    leads = epoch == 2
    assert (accepted.new, len(accepted.opened)) == (1, leads)
    assert await ledger.signals.pending() == (not leads)


async def test_a_second_leader_shuts_the_first_one_out(postgres: str) -> None:
    """P4, C4, C5: two live replicas."""
    async with Ledger.open(postgres, holder="kintsugi-0") as old, Ledger.open(postgres, holder="kintsugi-1") as new:
        await old.lead(NOW)
        run = await begin(old)
        await new.lead(NOW)
        with pytest.raises(StaleEpoch):
            await write(old, step(run))
        await write(new, step(run))
        await old.signals.accept([signal()], NOW)


async def test_a_ledger_that_went_back_is_not_led(ledger: Ledger) -> None:
    """D3: a restored backup or a lagging replica has lost commits."""
    run = await begin(ledger)
    await ledger.lead(NOW)
    await set_epoch(ledger, 1)
    with pytest.raises(StaleEpoch, match="lost commits"):
        await ledger.lead(NOW)
    with pytest.raises(StaleEpoch):
        await write(ledger, step(run))


async def test_a_second_daemon_on_sqlite_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    """C13."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with Ledger.open(url, holder="kintsugi-0"):
        await not_opened(Ledger.open(url, holder="kintsugi-1"), LedgerHeld, r"held by kintsugi-0, process \d+")
    async with Ledger.open(url, holder="kintsugi-1") as ledger:
        await ledger.ping()


@pytest.mark.parametrize("name", ["link.db", "there/ledger.db", "over/../ledger.db"])
async def test_a_second_name_of_an_sqlite_file_finds_the_same_lock(tmp_path: Path, name: str) -> None:
    """C13: a link to the file, or to its directory."""
    (tmp_path / "over").mkdir()
    (tmp_path / "link.db").symlink_to("ledger.db")
    (tmp_path / "there").symlink_to(tmp_path)
    async with Ledger.open(f"sqlite:///{tmp_path}/ledger.db", holder="kintsugi-0"):
        other = Ledger.open(f"sqlite:///{tmp_path}/{name}", holder="kintsugi-1")
        await not_opened(other, LedgerHeld, "held by kintsugi-0")


async def test_a_file_with_a_hard_link_is_no_ledger(tmp_path: Path) -> None:
    """C13: SQLite keeps its log beside the name, and so do we our lock: two names would be two ledgers over one file."""
    async with Ledger.open(f"sqlite:///{tmp_path}/ledger.db", holder="kintsugi-0"):
        (tmp_path / "other.db").hardlink_to(tmp_path / "ledger.db")
        other = Ledger.open(f"sqlite:///{tmp_path}/other.db", holder="kintsugi-1")
        await not_opened(other, LedgerUnavailable, "has a second name")


def test_a_file_that_is_mounted_alone_is_no_ledger() -> None:
    """C13: as with `subPath` in a pod; the directory of another mount has the same lock file in it."""
    line = "801 779 0:52 /data/ledger.db {} rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    assert is_mount_point(Path("/srv/ledger.db"), line.format("/srv/ledger.db"))
    assert is_mount_point(Path("/s v/ledger.db"), line.format("/s\\040v/ledger.db"))
    assert not is_mount_point(Path("/srv/ledger.db"), line.format("/srv"))


async def test_a_daemon_that_is_to_be_alone_lets_no_other_in(postgres: str) -> None:
    """P4: without a Lease, one under another name would take the lead from a healthy one, and that one from it."""
    async with Ledger.open(postgres, holder="kintsugi-0", alone=True):
        other = Ledger.open(postgres, holder="kintsugi-1", alone=True)
        await not_opened(other, LedgerHeld, "another daemon holds this ledger")
    async with Ledger.open(postgres, holder="kintsugi-1", alone=True) as ledger:
        await ledger.ping()


async def test_a_daemon_that_has_lost_the_session_of_its_lock_learns_of_it(
    postgres: str, postgres_server: Postgres
) -> None:
    """P4: ended by a person, a proxy or a failover; the server lives, and another daemon may hold the ledger by now."""
    async with leading(postgres, alone=True) as ledger:
        watched = asyncio.create_task(ledger.keep_held())
        end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
        postgres_server.psql(f"{end}(SELECT oid FROM pg_database WHERE datname = '{postgres.rpartition('/')[2]}')")
        ended, _ = await asyncio.wait({watched}, timeout=30)
        assert ended == {watched}, "it goes on, although another daemon may hold the ledger by now"
        with pytest.raises(StaleEpoch, match="must stop"):
            watched.result()


@pytest.mark.parametrize("led", [False, True])
async def test_after_a_restart_of_the_server_the_lock_is_taken_again_unless_somebody_led(
    postgres: str, postgres_server: Postgres, led: bool
) -> None:
    """P4, D1: while the database is away nobody can lead; who comes first afterwards does."""
    async with leading(postgres, alone=True) as ledger:
        postgres_server.stop()
        postgres_server.start()
        if led:
            async with Ledger.open(postgres, holder="kintsugi-1", alone=True) as other:
                await other.lead(NOW)
        watched = asyncio.create_task(ledger.keep_held())
        if led:
            with pytest.raises(StaleEpoch, match="led under epoch 2"):
                await asyncio.wait_for(watched, 60)
            return
        await eventually(lambda: is_locked(postgres, postgres_server), within=60, describe="the lock is taken again")
        assert not watched.done()
        watched.cancel()
        await asyncio.gather(watched, return_exceptions=True)


@pytest.mark.parametrize("lags", [True, False])
async def test_a_replica_that_takes_over_without_the_last_commits_is_noticed_and_one_with_them_is_served(
    lags: bool,
) -> None:
    """D3, P3: the epoch is the same, and the journal has no step of a change that was made; nothing is changed until a person looks."""
    with scratch("failover-") as folder:
        (folder / "primary").mkdir()
        primary = Postgres.prepare(folder / "primary")
        primary.start()
        dsn = primary.create_database()
        async with leading(dsn, alone=True) as ledger:
            await ledger.signals.accept([signal()], NOW)
            run = await begin(ledger) if not lags else None
            standby = primary.standby(folder / "standby", port=primary.port)
            run = run or await begin(ledger)
            primary.kill()
            standby.start()
            try:
                standby.psql("SELECT pg_promote()")
                watched = asyncio.create_task(ledger.keep_held())
                if lags:
                    with pytest.raises(StaleEpoch, match="lost commits"):
                        await ledger.signals.accept([signal("other")], NOW)
                    with pytest.raises(StaleEpoch, match="lost commits"):
                        await asyncio.wait_for(watched, 60)
                else:
                    await eventually(lambda: is_locked(dsn, standby), within=60, describe="the lock is taken again")
                    await write(ledger, step(run))
                    watched.cancel()
                    await asyncio.gather(watched, return_exceptions=True)
                (frozen,) = await ledger.people.pauses(datetime.now(UTC)) if lags else (None,)
                assert frozen is None or (frozen.freeze and frozen.scope is PauseScope.GLOBAL)
            finally:
                await ledger._store.engines.dispose()
                standby.stop()


def is_locked(postgres: str, server: Postgres) -> bool:
    """Return whether any session has an advisory lock in the database."""
    where = f"database = (SELECT oid FROM pg_database WHERE datname = '{postgres.rpartition('/')[2]}')"
    return server.psql(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {where}") == "1"


async def test_a_second_process_of_the_same_name_on_postgres_is_refused(postgres: str) -> None:
    """C13: replicas share a PostgreSQL ledger, but each once."""
    async with Ledger.open(postgres, holder="kintsugi-0"), Ledger.open(postgres, holder="kintsugi-1"):
        await not_opened(Ledger.open(postgres, holder="kintsugi-0"), LedgerHeld, "kintsugi-0")
    async with Ledger.open(postgres, holder="kintsugi-0") as ledger:
        await ledger.ping()


async def test_a_reader_reads_beside_the_daemon_and_writes_nothing(ledger: Ledger, made: str) -> None:
    """The CLI looks while the daemon works."""
    run = await begin(ledger)
    async with Ledger.read(made) as reader:
        assert await reader.incidents.open_runs() == (run,)
        with pytest.raises(LedgerError):
            await reader.signals.accept([signal()], NOW)
        with pytest.raises(LedgerError):
            await reader.lead(NOW)
    assert ledger.epoch == 1
    assert await ledger.signals.pending() == 0
