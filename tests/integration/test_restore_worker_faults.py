"""What goes wrong in the middle of a restore: nothing live is touched, nothing half-done is left (E11, E12)."""

import asyncio
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from kintsugi.model.worker_results import OWNER, WorkFailure, owner_of
from kintsugi_restore.worker.target import OwnershipComment, hidden
from tests.harness import disks
from tests.harness.fixtures import scratch
from tests.harness.waiting import eventually, wait_for
from tests.integration.restore_stage import TIMEOUT, Dumps, RestoreStage, dumps, restored_sql, sql_of

pytestmark = pytest.mark.long

SLOWLY = 0.1
PHASES = {"rows": 'data for table "public.slow"', "index": "INDEX"}


@pytest.fixture(scope="module")
def made() -> Iterator[Dumps]:
    """Return the dumps."""
    with dumps() as found:
        yield found


@pytest.fixture(scope="module")
def built(made: Dumps) -> Iterator[RestoreStage]:
    """Return the server that most tests here restore into."""
    with RestoreStage.built(made) as stage:
        yield stage


@pytest.fixture
def stage(built: RestoreStage) -> Iterator[RestoreStage]:
    """Return the server as it was before the test."""
    yield built
    built.reset()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Return the root of a file system of 24 MiB that the server may write to."""
    with scratch("small-") as folder, disks.mounted(folder, options="size=24m,mode=777"):
        yield folder


@pytest.mark.parametrize("at", ["rows", "index"])
def test_a_worker_that_is_asked_to_stop_leaves_the_server_as_it_was(stage: RestoreStage, at: str) -> None:
    """Kubernetes asks with SIGTERM; asked twice, it still cleans up."""
    before = stage.everything()
    stage.pace(**{at: SLOWLY})
    paced = stage.everything()
    worker = stage.restore("slow", "--role", "app")
    worker.comes_to(PHASES[at])
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGTERM)
    failed = stage.failed(worker)
    assert failed.kind is WorkFailure.INTERRUPTED
    assert stage.everything() == paced == before
    stage.pace()
    stage.restored(stage.restore("slow"))


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
@pytest.mark.parametrize("at", ["rows", "index"])
def test_a_worker_that_was_killed_is_followed_by_another_that_does_it_whole(
    stage: RestoreStage, at: str, existing: bool
) -> None:
    """E11: also where the killed one's `pg_restore` has the whole file and still works."""
    if existing:
        stage.server.psql("CREATE DATABASE slow CONNECTION LIMIT 5")
        stage.server.psql("COMMENT ON DATABASE slow IS 'mine'")
    stage.pace(**{at: SLOWLY})
    worker = stage.restore("slow")
    worker.comes_to(PHASES[at])
    worker.send(signal.SIGKILL)
    assert worker.ends() is None
    assert stage.databases() == {hidden("slow")}
    stage.pace()
    stage.restored(stage.restore("slow"))
    assert stage.databases() == {"slow"}
    assert restored_sql(stage.server, "slow") == stage.dumps.sql["slow"]
    if existing:
        look = "SELECT datconnlimit, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'slow'"
        assert stage.server.psql(look) == "5|mine"


def test_a_database_that_an_earlier_worker_had_restored_whole_is_only_handed_over(stage: RestoreStage) -> None:
    """E11: killed between the transaction's end and the name; another file is restored anew."""
    for second, note in (("large", "only its last step was missing"), ("slow", "")):
        stage.restored(stage.restore("large", into="target"))
        stage.server.psql(f"ALTER DATABASE target RENAME TO {hidden('target')}")
        mark = OwnershipComment(sha256=stage.digest("large")).text
        stage.server.psql(f"COMMENT ON DATABASE {hidden('target')} IS '{mark}'")
        worker = stage.restore(second, into="target")
        stage.restored(worker)
        assert note in worker.notes
        assert restored_sql(stage.server, "target") == stage.dumps.sql[second]
        stage.reset()


def test_a_hidden_database_without_our_mark_is_neither_used_nor_dropped(stage: RestoreStage) -> None:
    """A full database of the hidden name without our mark is somebody's."""
    stage.restored(stage.restore("large", into=hidden("slow")))
    before = sql_of(stage.server, hidden("slow"))
    failed = stage.failed(stage.restore("slow"))
    assert failed.kind is WorkFailure.REFUSED
    assert hidden("slow") in failed.reason
    assert sql_of(stage.server, hidden("slow")) == before


def test_a_second_worker_waits_a_moment_and_is_refused(stage: RestoreStage) -> None:
    """The lock is the server's: it holds whoever started them, and goes with the first one's session."""
    before = stage.everything()
    stage.pace(rows=SLOWLY)
    first = stage.restore("slow")
    first.comes_to(PHASES["rows"])
    other = stage.restore("large")
    stage.restored(other)
    second = stage.failed(stage.restore("slow"))
    assert second.kind is WorkFailure.REFUSED
    assert "another restore into slow is running, since " in second.reason
    first.send(signal.SIGTERM)
    assert stage.failed(first).kind is WorkFailure.INTERRUPTED
    stage.server.psql("DROP DATABASE large")
    stage.server.psql(f"DROP ROLE {owner_of('large')}")
    assert stage.everything() == before


async def test_the_database_cannot_be_used_before_it_is_whole(stage: RestoreStage) -> None:
    """E12: not even a superuser who asks again and again; the first who gets in finds everything."""
    stage.pace(rows=0.03)
    stage.server.psql("CREATE DATABASE slow")
    worker = stage.restore("slow")
    await asyncio.to_thread(worker.comes_to, PHASES["rows"])
    tried = 0

    async def found() -> list[int]:
        nonlocal tried
        tried += 1
        session = await asyncpg.connect(stage.server.dsn("slow"))
        try:
            return [await session.fetchval("SELECT count(*) FROM pg_indexes WHERE indexname = 'slow_i'")]
        finally:
            await session.close()

    assert await eventually(found, within=TIMEOUT, every=0.02) == [1]
    assert tried > 3
    await asyncio.to_thread(stage.restored, worker)


async def test_a_session_in_the_hidden_database_is_ended_and_named(stage: RestoreStage) -> None:
    """E12: monitoring connects to every database that it finds."""
    stage.pace(rows=0.01)
    worker = stage.restore("slow")
    await asyncio.to_thread(worker.comes_to, PHASES["rows"])
    curious = await asyncpg.connect(stage.server.dsn(hidden("slow")))
    await asyncio.to_thread(stage.restored, worker)
    assert "postgres from 127.0.0.1" in worker.notes
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await curious.fetchval("SELECT 1")


async def test_a_client_on_the_empty_database_is_named_and_left_alone(stage: RestoreStage) -> None:
    """E12: an application that was not stopped would write into what comes."""
    stage.server.psql("CREATE DATABASE slow")
    before = stage.everything()
    client = await asyncpg.connect(stage.server.dsn("slow"))
    try:
        failed = await asyncio.to_thread(lambda: stage.failed(stage.restore("slow")))
        assert failed.kind is WorkFailure.REFUSED
        assert "clients are connected to slow (postgres from 127.0.0.1)" in failed.reason
        assert await client.fetchval("SELECT 1") == 1
    finally:
        await client.close()
    assert stage.everything() == before


def test_a_database_that_somebody_makes_meanwhile_is_not_replaced(stage: RestoreStage) -> None:
    """E12: the restored one is kept under the name that the reason tells, and the next worker hands it over."""
    stage.pace(rows=0.01)
    worker = stage.restore("slow")
    worker.comes_to(PHASES["rows"])
    stage.server.psql("CREATE DATABASE slow")
    failed = stage.failed(worker)
    assert failed.kind is WorkFailure.REFUSED
    assert f"kept as {hidden('slow')}" in failed.reason
    assert stage.failed(stage.restore("slow")).kind is WorkFailure.REFUSED
    stage.server.psql("DROP DATABASE slow")
    stage.restored(stage.restore("slow"))
    assert restored_sql(stage.server, "slow") == stage.dumps.sql["slow"]


def test_a_full_disk_is_called_one_and_leaves_what_was(stage: RestoreStage, small_disk: Path) -> None:
    """E11: here in the tablespace of the database."""
    try:
        assert stage.server.server.uid is not None
        shutil.chown(small_disk, stage.server.server.uid)
        stage.server.psql(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        stage.server.psql("CREATE DATABASE large TABLESPACE small")
        before = stage.everything()
        failed = stage.failed(stage.restore("large"))
        assert failed.kind is WorkFailure.DISK_FULL
        assert "No space left on device" in failed.reason
        assert "TABLE DATA large" in failed.reason
        assert stage.everything() == before
        disks.resize(small_disk, "200m")
        stage.restored(stage.restore("large"))
        assert restored_sql(stage.server, "large") == stage.dumps.sql["large"]
    finally:
        stage.reset()
        stage.server.psql("DROP TABLESPACE IF EXISTS small")


def test_a_full_disk_below_the_whole_server_is_called_one(made: Dumps, small_disk: Path) -> None:
    """E11: it falls over when its log has no room; with room again it is as it was, and the restore is done."""
    disks.resize(small_disk, "110m")
    with RestoreStage.built(made, folder=small_disk) as stage:
        before = stage.everything()
        failed = stage.failed(stage.restore("large"))
        assert failed.kind is WorkFailure.DISK_FULL, failed.reason
        disks.resize(small_disk, "600m")
        stage.server.kill()
        stage.server.start()
        assert without_leftovers(stage) == before
        stage.restored(stage.restore("large"))
        assert restored_sql(stage.server, "large") == made.sql["large"]


@pytest.mark.parametrize("at", ["rows", "index"])
def test_a_server_that_was_killed_is_as_it_was_when_it_comes_back(stage: RestoreStage, at: str) -> None:
    """E11: at most an empty hidden database is left, and the next worker takes it."""
    before = stage.everything()
    stage.pace(**{at: SLOWLY})
    worker = stage.restore("slow")
    worker.comes_to(PHASES[at])
    stage.server.kill()
    failed = stage.failed(worker)
    assert failed.kind is WorkFailure.UNREACHABLE
    assert "went away" in failed.reason
    stage.server.start()
    stage.pace()
    assert without_leftovers(stage) == before
    stage.restored(stage.restore("slow"))
    assert restored_sql(stage.server, "slow") == stage.dumps.sql["slow"]


def test_a_worker_whose_server_hangs_ends_when_it_is_asked_to(stage: RestoreStage) -> None:
    """E11: it cannot clear up, and says so, before Kubernetes loses patience."""
    before = stage.everything()
    stage.pace(rows=SLOWLY)
    worker = stage.restore("slow")
    worker.comes_to(PHASES["rows"])
    stage.server.freeze()
    try:
        began = time.monotonic()
        worker.send(signal.SIGTERM)
        failed = stage.failed(worker)
        assert time.monotonic() - began < 30
    finally:
        stage.server.thaw()
    assert failed.kind is WorkFailure.INTERRUPTED
    assert f"{hidden('slow')} was left on 127.0.0.1" in worker.notes
    stage.pace()
    wait_for(lambda: stage.at_work() == 0, within=TIMEOUT, describe=stage.at_work)
    assert without_leftovers(stage) == before
    stage.restored(stage.restore("slow"))


def test_a_session_that_an_operator_ends_is_a_failure_and_cleaned_up(stage: RestoreStage) -> None:
    """The server stays, the worker's own session too."""
    before = stage.everything()
    stage.pace(rows=SLOWLY)
    worker = stage.restore("slow")
    worker.comes_to(PHASES["rows"])
    stage.server.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{hidden('slow')}'")
    failed = stage.failed(worker)
    assert failed.kind is WorkFailure.UNREACHABLE
    assert "terminating connection" in failed.reason
    stage.pace()
    assert stage.everything() == before


def test_an_extension_that_the_server_lacks_is_named(made: Dumps) -> None:
    """E10: on a server whose package does not bring it."""
    with scratch("bare-") as folder, RestoreStage.built(made, folder=folder, without=("vector",)) as stage:
        before = stage.everything()
        failed = stage.failed(stage.restore("shop", "--role", "app", "--role", "reporting"))
        assert failed.kind is WorkFailure.MISMATCH
        assert "the extension vector, which is not installed" in failed.reason
        assert stage.everything() == before


def without_leftovers(stage: RestoreStage) -> str:
    """Write down all that is on the server but an empty hidden database and the role that owns it."""
    for name in stage.databases():
        assert name.startswith("kintsugi_restoring_")
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert stage.server.psql(tables, dsn=stage.server.dsn(name)) == "0"
    ours = ("kintsugi_restoring_", OWNER)
    lines = stage.everything().splitlines(keepends=True)
    return "".join(line for line in lines if not any(each in line for each in ours))
