"""A dump is a program that somebody else wrote: whoever restores it gives it no right over server, roles or other data (E9)."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kintsugi.model.restores import Restored
from kintsugi_restore.worker.target import OwnershipComment, hidden
from kintsugi_restore.worker_results import Failed, owner_of
from tests.harness.waiting import wait_for
from tests.integration.hostile_dump import ORDERS, hostile, running
from tests.integration.restore_stage import TIMEOUT, RestoreStage

pytestmark = pytest.mark.long


INTRUDER = "CREATE ROLE intruder SUPERUSER LOGIN;"
AS_BEFORE = "RESET SESSION AUTHORIZATION; RESET ROLE; "
FIRES = "CREATE TRIGGER fires BEFORE INSERT ON public.marked FOR EACH ROW EXECUTE FUNCTION public.harm();"


@pytest.fixture
def stage(built: RestoreStage) -> Iterator[RestoreStage]:
    """Return the server as it was before the test; a role of the application's is on it."""
    built.server.psql("CREATE ROLE app LOGIN PASSWORD 'before'")
    yield built
    built.server.psql("DROP ROLE IF EXISTS intruder")
    harm(built).unlink(missing_ok=True)
    built.reset()


def harm(stage: RestoreStage) -> Path:
    """Name a file that only the server's own user can make: it is there when a program of the dump's has run."""
    return stage.server.folder / "data" / "harmed"


def program(stage: RestoreStage) -> str:
    """Write the statement that runs a program on the server."""
    return f"COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; touch {harm(stage)}'"


def restored(stage: RestoreStage, file: Path, *more: str, into: str = "app") -> Restored | Failed:
    """Restore a dump, well or not; nothing but the new database may be another than before."""
    before = stage.everything()
    last = stage.worker("restore", str(file), "--database", into, "--role", "app", *more).ends()
    assert isinstance(last, Restored | Failed), last
    assert not harm(stage).exists(), f"a program of the dump's has run: {last}"
    if isinstance(last, Restored):
        stage.server.psql(f'DROP DATABASE "{into}"')
        for role in stage.server.psql("SELECT rolname FROM pg_roles WHERE rolname ~ '^kintsugi_owner_'").splitlines():
            assert stage.server.psql(f"SELECT rolsuper FROM pg_roles WHERE rolname = '{role}'") == "f"
            stage.server.psql(f"DROP ROLE {role}")
    assert stage.everything() == before
    return last


@pytest.mark.parametrize("first", ["", AS_BEFORE], ids=["at-once", "with-the-rights-given-back"])
@pytest.mark.parametrize("scratch", [False, True], ids=["restore", "drill"])
@pytest.mark.parametrize(
    "statement",
    [
        "PROGRAM",
        INTRUDER,
        "ALTER ROLE app SUPERUSER;",
        "ALTER ROLE app PASSWORD 'mine';",
        "ALTER SYSTEM SET archive_command = 'touch harmed';",
        "SET ROLE operator; CREATE ROLE intruder SUPERUSER;",
        "SELECT pg_read_file('postgresql.conf');",
        "DROP DATABASE live WITH (FORCE);",
    ],
)
def test_a_statement_in_a_dump_has_no_right_beyond_its_database(
    stage: RestoreStage, statement: str, scratch: bool, first: str
) -> None:
    """E9: `pg_restore` runs what the table of contents says, whatever that is."""
    asked = first + statement.replace("PROGRAM", f"{program(stage)};")
    file = hostile(stage.server, stage.server.folder, ORDERS, name="app", tampered=asked)
    into, more = ("kintsugi_drill_x", ("--scratch", "--name", "x")) if scratch else ("app", ())
    assert isinstance(restored(stage, file, *more, into=into), Failed)


@pytest.mark.parametrize("statement", ["PROGRAM", INTRUDER], ids=["program", "role"])
def test_a_trigger_that_fires_in_a_restore_has_no_right_beyond_its_database(
    stage: RestoreStage, statement: str
) -> None:
    """E9: it fires at the rows that are loaded."""
    does = running(statement.replace("PROGRAM", program(stage)), returns="trigger", ends="RETURN NEW")
    file = hostile(stage.server, stage.server.folder, (*ORDERS, does), name="app", tampered=FIRES)
    assert isinstance(restored(stage, file), Failed)


@pytest.mark.parametrize("statement", ["PROGRAM;", INTRUDER, "ALTER ROLE app PASSWORD 'mine';"])
def test_the_entries_of_a_dump_about_its_database_are_read_and_not_run(stage: RestoreStage, statement: str) -> None:
    """E9: the entries about the database itself are done in another one, by whoever may rename databases."""
    asked = f"DATABASE:{statement.replace('PROGRAM', program(stage))}"
    file = hostile(stage.server, stage.server.folder, ORDERS, name="app", tampered=asked)
    assert isinstance(restored(stage, file), Restored)


def test_an_index_that_is_read_for_statistics_has_no_right_beyond_its_database(stage: RestoreStage) -> None:
    """E9: ANALYZE calls the functions that an index is made of, also long after a restore."""
    tried = f"BEGIN EXECUTE $do${program(stage)}$do$; EXCEPTION WHEN OTHERS THEN NULL; END"
    does = f"CREATE FUNCTION public.harm() RETURNS void LANGUAGE plpgsql AS $harm$ BEGIN {tried}; END $harm$"
    same = (
        "CREATE FUNCTION public.same(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$"
        " BEGIN PERFORM public.harm(); RETURN i; END $$"
    )
    index = "CREATE INDEX ON public.marked (public.same(i));"
    file = hostile(stage.server, stage.server.folder, (*ORDERS, does, same), name="app", tampered=index)
    last = stage.worker("restore", str(file), "--database", "app", "--role", "app").ends()
    assert isinstance(last, Restored), last
    stage.server.psql("ANALYZE", dsn=stage.server.dsn("app"))
    assert not harm(stage).exists(), "statistics were made with the rights of a superuser"


def test_a_dump_that_forges_what_a_worker_wrote_down_has_nobody_else_s_role_dropped(stage: RestoreStage) -> None:
    """E9: the owner of a database may write the comment on it; the next worker reads that, and clears up by it."""
    forged = OwnershipComment(drill="x", roles=("app",)).text
    statement = f"COMMENT ON DATABASE {hidden('kintsugi_drill_x')} IS '{forged}'; COMMIT; SELECT pg_sleep(600);"
    file = hostile(stage.server, stage.server.folder, ORDERS, name="app", tampered=statement)
    before = stage.everything()
    worker = stage.worker("restore", str(file), "--database", "kintsugi_drill_x", "--scratch", "--name", "x")
    said = (
        f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{hidden('kintsugi_drill_x')}'"
    )
    wait_for(lambda: stage.server.psql(said) == forged, within=TIMEOUT, describe=lambda: stage.server.psql(said))
    worker.send(signal.SIGKILL)
    worker.ends()
    failing = hostile(stage.server, stage.server.folder, ORDERS, name="app", tampered="SELECT 1/0;")
    stage.failed(stage.worker("restore", str(failing), "--database", "kintsugi_drill_x", "--scratch", "--name", "x"))
    stage.server.psql(f"DROP ROLE {owner_of('kintsugi_drill_x')}")
    assert stage.everything() == before
