"""What goes wrong in the middle of a restore: nothing live is touched, nothing half-done is left (E11, E12)."""

import asyncio
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from kintsugi_restore.worker.target import OwnershipComment, hidden
from kintsugi_restore.worker_results import OWNER, WorkFailure, owner_of
from tests.harness import disks
from tests.harness.fixtures import scratch
from tests.harness.waiting import eventually, wait_for
from tests.integration.restore_stage import TIMEOUT, Dumps, RestoreStage, restored_sql, sql_of

pytestmark = pytest.mark.long

SLOWLY = 0.1
PHASES = {"rows": 'data for table "public.slow"', "index": "INDEX"}


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Return the root of a file system of 24 MiB that the server may write to."""
    with scratch("small-") as folder, disks.mounted(folder, options="size=24m,mode=777"):
        yield folder


@pytest.mark.parametrize("at", ["rows", "index"])
def test_a_worker_that_is_asked_to_stop_leaves_the_server_as_it_was(restoring: RestoreStage, at: str) -> None:
    """Kubernetes asks with SIGTERM; asked twice, it still cleans up."""
    before = restoring.everything()
    restoring.pace(**{at: SLOWLY})
    paced = restoring.everything()
    worker = restoring.restore("slow", "--role", "app")
    worker.comes_to(PHASES[at])
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGTERM)
    restoring.failed(worker, WorkFailure.INTERRUPTED)
    assert restoring.everything() == paced == before
    restoring.pace()
    restoring.restored(restoring.restore("slow"))


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
@pytest.mark.parametrize("at", ["rows", "index"])
def test_a_worker_that_was_killed_is_followed_by_another_that_does_it_whole(
    restoring: RestoreStage, at: str, existing: bool
) -> None:
    """E11: also where the killed one's `pg_restore` has the whole file and still works."""
    if existing:
        restoring.server.psql("CREATE DATABASE slow CONNECTION LIMIT 5")
        restoring.server.psql("COMMENT ON DATABASE slow IS 'mine'")
    restoring.pace(**{at: SLOWLY})
    worker = restoring.restore("slow")
    worker.comes_to(PHASES[at])
    worker.send(signal.SIGKILL)
    assert worker.ends() is None
    assert restoring.databases() == {hidden("slow")}
    restoring.pace()
    restoring.restored(restoring.restore("slow"))
    assert restoring.databases() == {"slow"}
    assert restored_sql(restoring.server, "slow") == restoring.dumps.sql["slow"]
    if existing:
        look = "SELECT datconnlimit, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'slow'"
        assert restoring.server.psql(look) == "5|mine"


def test_a_database_that_an_earlier_worker_had_restored_whole_is_only_handed_over(restoring: RestoreStage) -> None:
    """E11: killed between the transaction's end and the name; another file is restored anew."""
    for second, note in (("large", "only its last step was missing"), ("slow", "")):
        restoring.restored(restoring.restore("large", into="target"))
        restoring.server.psql(f"ALTER DATABASE target RENAME TO {hidden('target')}")
        mark = OwnershipComment(sha256=restoring.digest("large")).text
        restoring.server.psql(f"COMMENT ON DATABASE {hidden('target')} IS '{mark}'")
        worker = restoring.restore(second, into="target")
        restoring.restored(worker)
        assert note in worker.notes
        assert restored_sql(restoring.server, "target") == restoring.dumps.sql[second]
        restoring.reset()


def test_a_hidden_database_without_our_mark_is_neither_used_nor_dropped(restoring: RestoreStage) -> None:
    """A full database of the hidden name without our mark is somebody's."""
    restoring.restored(restoring.restore("large", into=hidden("slow")))
    before = sql_of(restoring.server, hidden("slow"))
    restoring.failed(restoring.restore("slow"), WorkFailure.REFUSED, hidden("slow"))
    assert sql_of(restoring.server, hidden("slow")) == before


def test_a_second_worker_waits_a_moment_and_is_refused(restoring: RestoreStage) -> None:
    """The lock is the server's: it holds whoever started them, and goes with the first one's session."""
    before = restoring.everything()
    restoring.pace(rows=SLOWLY)
    first = restoring.restore("slow")
    first.comes_to(PHASES["rows"])
    other = restoring.restore("large")
    restoring.restored(other)
    second = restoring.restore("slow")
    restoring.failed(second, WorkFailure.REFUSED, "another restore into slow is running, since ")
    first.send(signal.SIGTERM)
    restoring.failed(first, WorkFailure.INTERRUPTED)
    restoring.server.psql("DROP DATABASE large")
    restoring.server.psql(f"DROP ROLE {owner_of('large')}")
    assert restoring.everything() == before


async def test_the_database_cannot_be_used_before_it_is_whole(restoring: RestoreStage) -> None:
    """E12: not even a superuser who asks again and again; the first who gets in finds everything."""
    restoring.pace(rows=0.03)
    restoring.server.psql("CREATE DATABASE slow")
    worker = restoring.restore("slow")
    await asyncio.to_thread(worker.comes_to, PHASES["rows"])
    tried = 0

    async def found() -> list[int]:
        nonlocal tried
        tried += 1
        session = await asyncpg.connect(restoring.server.dsn("slow"))
        try:
            return [await session.fetchval("SELECT count(*) FROM pg_indexes WHERE indexname = 'slow_i'")]
        finally:
            await session.close()

    assert await eventually(found, within=TIMEOUT, every=0.02) == [1]
    assert tried > 3
    await asyncio.to_thread(restoring.restored, worker)


async def test_a_session_in_the_hidden_database_is_ended_and_named(restoring: RestoreStage) -> None:
    """E12: monitoring connects to every database that it finds."""
    restoring.pace(rows=0.01)
    worker = restoring.restore("slow")
    await asyncio.to_thread(worker.comes_to, PHASES["rows"])
    curious = await asyncpg.connect(restoring.server.dsn(hidden("slow")))
    await asyncio.to_thread(restoring.restored, worker)
    assert "postgres from 127.0.0.1" in worker.notes
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await curious.fetchval("SELECT 1")


async def test_a_client_on_the_empty_database_is_named_and_left_alone(restoring: RestoreStage) -> None:
    """E12: an application that was not stopped would write into what comes."""
    restoring.server.psql("CREATE DATABASE slow")
    before = restoring.everything()
    client = await asyncpg.connect(restoring.server.dsn("slow"))
    try:
        says = "clients are connected to slow (postgres from 127.0.0.1)"
        await asyncio.to_thread(restoring.failed, restoring.restore("slow"), WorkFailure.REFUSED, says)
        assert await client.fetchval("SELECT 1") == 1
    finally:
        await client.close()
    assert restoring.everything() == before


def test_a_database_that_somebody_makes_meanwhile_is_not_replaced(restoring: RestoreStage) -> None:
    """E12: the restored one is kept under the name that the reason tells, and the next worker hands it over."""
    restoring.pace(rows=0.01)
    worker = restoring.restore("slow")
    worker.comes_to(PHASES["rows"])
    restoring.server.psql("CREATE DATABASE slow")
    restoring.failed(worker, WorkFailure.REFUSED, f"kept as {hidden('slow')}")
    restoring.failed(restoring.restore("slow"), WorkFailure.REFUSED)
    restoring.server.psql("DROP DATABASE slow")
    restoring.restored(restoring.restore("slow"))
    assert restored_sql(restoring.server, "slow") == restoring.dumps.sql["slow"]


def test_a_full_disk_is_called_one_and_leaves_what_was(restoring: RestoreStage, small_disk: Path) -> None:
    """E11: here in the tablespace of the database."""
    try:
        assert restoring.server.server.uid is not None
        shutil.chown(small_disk, restoring.server.server.uid)
        restoring.server.psql(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        restoring.server.psql("CREATE DATABASE large TABLESPACE small")
        before = restoring.everything()
        says = ("No space left on device", "TABLE DATA large")
        restoring.failed(restoring.restore("large"), WorkFailure.DISK_FULL, *says)
        assert restoring.everything() == before
        disks.resize(small_disk, "200m")
        restoring.restored(restoring.restore("large"))
        assert restored_sql(restoring.server, "large") == restoring.dumps.sql["large"]
    finally:
        restoring.reset()
        restoring.server.psql("DROP TABLESPACE IF EXISTS small")


def test_a_full_disk_below_the_whole_server_is_called_one(made: Dumps, small_disk: Path) -> None:
    """E11: it falls over when its log has no room; with room again it is as it was, and the restore is done."""
    disks.resize(small_disk, "110m")
    with RestoreStage.built(made, folder=small_disk) as restoring:
        before = restoring.everything()
        restoring.failed(restoring.restore("large"), WorkFailure.DISK_FULL)
        disks.resize(small_disk, "600m")
        restoring.server.kill()
        restoring.server.start()
        assert without_leftovers(restoring) == before
        restoring.restored(restoring.restore("large"))
        assert restored_sql(restoring.server, "large") == made.sql["large"]


@pytest.mark.parametrize("at", ["rows", "index"])
def test_a_server_that_was_killed_is_as_it_was_when_it_comes_back(restoring: RestoreStage, at: str) -> None:
    """E11: at most an empty hidden database is left, and the next worker takes it."""
    before = restoring.everything()
    restoring.pace(**{at: SLOWLY})
    worker = restoring.restore("slow")
    worker.comes_to(PHASES[at])
    restoring.server.kill()
    restoring.failed(worker, WorkFailure.UNREACHABLE, "went away")
    restoring.server.start()
    restoring.pace()
    assert without_leftovers(restoring) == before
    restoring.restored(restoring.restore("slow"))
    assert restored_sql(restoring.server, "slow") == restoring.dumps.sql["slow"]


def test_a_worker_whose_server_hangs_ends_when_it_is_asked_to(restoring: RestoreStage) -> None:
    """E11: it cannot clear up, and says so, before Kubernetes loses patience."""
    before = restoring.everything()
    restoring.pace(rows=SLOWLY)
    worker = restoring.restore("slow")
    worker.comes_to(PHASES["rows"])
    restoring.server.freeze()
    try:
        began = time.monotonic()
        worker.send(signal.SIGTERM)
        restoring.failed(worker, WorkFailure.INTERRUPTED)
        assert time.monotonic() - began < 30
    finally:
        restoring.server.thaw()
    assert f"{hidden('slow')} was left on 127.0.0.1" in worker.notes
    restoring.pace()
    wait_for(lambda: restoring.at_work() == 0, within=TIMEOUT, describe=restoring.at_work)
    assert without_leftovers(restoring) == before
    restoring.restored(restoring.restore("slow"))


def test_a_session_that_an_operator_ends_is_a_failure_and_cleaned_up(restoring: RestoreStage) -> None:
    """The server stays, the worker's own session too."""
    before = restoring.everything()
    restoring.pace(rows=SLOWLY)
    worker = restoring.restore("slow")
    worker.comes_to(PHASES["rows"])
    restoring.server.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{hidden('slow')}'")
    restoring.failed(worker, WorkFailure.UNREACHABLE, "terminating connection")
    restoring.pace()
    assert restoring.everything() == before


def test_an_extension_that_the_server_lacks_is_named(made: Dumps) -> None:
    """E10: on a server whose package does not bring it."""
    with scratch("bare-") as folder, RestoreStage.built(made, folder=folder, without=("vector",)) as restoring:
        before = restoring.everything()
        worker = restoring.restore("shop", "--role", "app", "--role", "reporting")
        restoring.failed(worker, WorkFailure.MISMATCH, "the extension vector, which is not installed")
        assert restoring.everything() == before


def without_leftovers(restoring: RestoreStage) -> str:
    """Write down all that is on the server but an empty hidden database and the role that owns it."""
    for name in restoring.databases():
        assert name.startswith("kintsugi_restoring_")
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert restoring.server.psql(tables, dsn=restoring.server.dsn(name)) == "0"
    ours = ("kintsugi_restoring_", OWNER)
    lines = restoring.everything().splitlines(keepends=True)
    return "".join(line for line in lines if not any(each in line for each in ours))
