"""The restore worker against a real server and real dumps: what it makes, and what it refuses (E8, E10)."""

import hashlib
import re
import signal
from collections.abc import Iterator

import pytest

from kintsugi.model.worker_results import Failed, Restored, WorkFailure
from tests.harness.fixtures import scratch
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_for
from tests.integration.hostile_dump import ORDERS, hostile
from tests.integration.restore_stage import (
    SHOP_ROWS,
    TIMEOUT,
    Dumps,
    RestoreStage,
    dumps,
    nobody_listens,
    restored_sql,
    sql_of,
)

pytestmark = pytest.mark.long

ROLES = ("app", "reporting")


@pytest.fixture(scope="module")
def made() -> Iterator[Dumps]:
    """Return the dumps."""
    with dumps() as found:
        yield found


@pytest.fixture(scope="module")
def built(made: Dumps) -> Iterator[RestoreStage]:
    """Return the server that all tests here restore into."""
    with RestoreStage.built(made) as stage:
        yield stage


@pytest.fixture
def stage(built: RestoreStage) -> Iterator[RestoreStage]:
    """Return the server as it was before the test."""
    yield built
    built.reset()


def test_a_restored_database_is_the_dumped_one_to_the_last_comma(stage: RestoreStage) -> None:
    """Sequences, constraints, extensions, large objects, owners, rights, policies: all of it, and its own settings."""
    restored = stage.restored(stage.restore("shop", roles=ROLES))
    assert {table.name: table.rows for table in restored.tables} == SHOP_ROWS
    assert restored.bytes == stage.dumps.files["shop"].stat().st_size
    assert restored_sql(stage.server, "shop") == stage.dumps.sql["shop"]
    shop = stage.server.dsn("shop")
    assert stage.server.psql("SHOW work_mem", dsn=shop) == "8MB"
    assert (
        stage.server.psql(
            "SELECT datdba::regrole, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'"
        )
        == "app|the shop's"
    )
    assert stage.server.psql("INSERT INTO orders (state) VALUES ('new') RETURNING id", dsn=shop).startswith("2001")


@pytest.mark.parametrize("password", ["simple", 'it\'s a \\ "long" one', "pässwört"])
def test_declared_roles_log_in_with_the_passwords_from_the_environment(stage: RestoreStage, password: str) -> None:
    """The server is given what it keeps of a password, never the password."""
    stage.environment["PGPASSWORD_APP"] = password
    stage.restored(stage.restore("shop", roles=ROLES))
    quoted = "'{}'".format(password.replace("\\", "\\\\").replace("'", "\\'"))
    assert stage.log_in("app", quoted, "shop", "SELECT count(*) FROM orders") == "2000"
    with pytest.raises(RuntimeError, match="password authentication failed"):
        stage.log_in("app", "wrong", "shop", "SELECT 1")
    with pytest.raises(RuntimeError, match="password"):
        stage.log_in("reporting", "none", "shop", "SELECT 1")


def test_a_role_that_exists_is_left_as_it_is(stage: RestoreStage) -> None:
    """Roles are the whole server's: other databases may count on them."""
    stage.server.psql("CREATE ROLE app LOGIN PASSWORD 'before' CONNECTION LIMIT 7")
    stage.environment["PGPASSWORD_APP"] = "after"
    stage.restored(stage.restore("shop", roles=ROLES))
    assert stage.log_in("app", "before", "shop", "SELECT count(*) FROM orders") == "2000"
    assert stage.server.psql("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'app'") == "7"


def test_an_empty_database_is_filled_and_keeps_what_it_is(stage: RestoreStage) -> None:
    """An image's entry point makes one: its owner, rights, settings and comment are somebody's wish."""
    stage.server.psql("CREATE DATABASE shop CONNECTION LIMIT 33")
    stage.server.psql("COMMENT ON DATABASE shop IS 'made by hand'")
    stage.server.psql("ALTER DATABASE shop SET timezone = 'Asia/Tokyo'")
    look = "SELECT oid, datconnlimit, datallowconn, shobj_description(oid, 'pg_database') FROM pg_database"
    before = stage.server.psql(f"{look} WHERE datname = 'shop'")
    stage.restored(stage.restore("shop", roles=ROLES))
    assert stage.server.psql(f"{look} WHERE datname = 'shop'") == before
    assert stage.server.psql("SHOW timezone", dsn=stage.server.dsn("shop")) == "Asia/Tokyo"
    assert restored_sql(stage.server, "shop") == stage.dumps.sql["shop"]


def test_the_database_of_all_names_can_be_restored_into(stage: RestoreStage) -> None:
    """Applications do live in `postgres`."""
    stage.restored(stage.restore("large", into="postgres"))
    assert stage.server.psql("SELECT count(*) FROM large") == "60000"
    stage.server.psql("DROP TABLE large")
    assert stage.databases() == set()


@pytest.mark.parametrize(
    "thing",
    [
        "CREATE TABLE hidden.away (i int)",
        "CREATE TABLE public.here (i int)",
        "CREATE VIEW hidden.view AS SELECT 1 AS one",
        "CREATE FUNCTION hidden.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT lo_create(4711)",
    ],
)
def test_a_database_that_holds_anything_is_refused(stage: RestoreStage, thing: str) -> None:
    """In whatever schema; nothing of it is touched."""
    stage.server.psql("CREATE DATABASE shop")
    stage.server.psql("CREATE SCHEMA hidden", dsn=stage.server.dsn("shop"))
    stage.server.psql(thing, dsn=stage.server.dsn("shop"))
    before = stage.everything(), sql_of(stage.server, "shop")
    failed = stage.failed(stage.restore("shop", roles=ROLES))
    assert failed.kind is WorkFailure.REFUSED
    assert "shop is not empty" in failed.reason
    assert (stage.everything(), sql_of(stage.server, "shop")) == before


def test_a_database_that_only_has_an_extension_is_empty(stage: RestoreStage) -> None:
    """Images bring them in their template."""
    stage.server.psql("CREATE DATABASE shop")
    stage.server.psql("CREATE EXTENSION vector", dsn=stage.server.dsn("shop"))
    stage.restored(stage.restore("shop", roles=ROLES))
    assert restored_sql(stage.server, "shop") == stage.dumps.sql["shop"]


@pytest.mark.parametrize(("declared", "lacks"), [((), "app"), (("app",), "reporting")])
def test_a_role_that_is_neither_there_nor_declared_is_named(
    stage: RestoreStage, declared: tuple[str, ...], lacks: str
) -> None:
    """E10: and roles that were made for the attempt are gone again."""
    before = stage.everything()
    failed = stage.failed(stage.restore("shop", roles=declared))
    assert failed.kind is WorkFailure.MISMATCH
    assert f"the role {lacks}," in failed.reason
    assert stage.everything() == before


def test_a_database_is_made_like_the_dumped_one_or_the_locale_is_named(stage: RestoreStage) -> None:
    """E10: with a locale that the server lacks, a person may make the database with another one."""
    look = "SELECT datcollate FROM pg_database WHERE datname = 'slow'"
    stage.restored(stage.restore("slow"))
    assert stage.server.psql(look) == "C.utf8"
    stage.server.psql("DROP DATABASE slow")
    before = stage.everything()
    foreign = stage.server.folder / "foreign.dump"
    foreign.write_bytes(stage.dumps.files["slow"].read_bytes().replace(b"'C.utf8'", b"'Q.utf8'"))
    failed = stage.failed(stage.worker("restore", str(foreign), "--database", "slow"))
    assert failed.kind is WorkFailure.MISMATCH
    assert "Q.utf8" in failed.reason
    assert stage.everything() == before
    stage.server.psql("CREATE DATABASE slow")
    stage.restored(stage.worker("restore", str(foreign), "--database", "slow"))


def test_a_wrong_password_is_told_from_a_server_that_is_away(stage: RestoreStage) -> None:
    """Each says where."""
    before = stage.everything()
    stage.environment["PGPASSWORD"] = "wrong"
    failed = stage.failed(stage.restore("shop"))
    assert failed.kind is WorkFailure.REFUSED
    assert f"127.0.0.1:{stage.server.port} does not let operator do this: password" in failed.reason
    worker = stage.worker("restore", str(stage.dumps.files["shop"]), "--database", "shop", port=nobody_listens())
    assert stage.failed(worker).kind is WorkFailure.UNREACHABLE
    assert stage.everything() == before


def test_a_host_that_does_not_exist_is_named(stage: RestoreStage) -> None:
    """`.invalid` is never resolved (RFC 6761)."""
    worker = stage.worker("restore", str(stage.dumps.files["shop"]), "--database", "shop", host="database.invalid")
    failed = stage.failed(worker)
    assert failed.kind is WorkFailure.UNREACHABLE
    assert "database.invalid" in failed.reason


def test_a_server_of_another_major_version_is_refused_with_both_numbers(stage: RestoreStage) -> None:
    """E10: before anything is done there."""
    with scratch("eighteen-") as folder:
        newer = Postgres.prepare(folder, major=18)
        newer.start()
        try:
            newer.psql("CREATE ROLE operator SUPERUSER LOGIN")
            failed = stage.failed(
                stage.worker("restore", str(stage.dumps.files["shop"]), "--database", "shop", port=newer.port)
            )
            assert newer.psql("SELECT count(*) FROM pg_database WHERE datname ~ 'shop'") == "0"
        finally:
            newer.stop()
    assert failed.kind is WorkFailure.MISMATCH
    assert "is PostgreSQL 18" in failed.reason
    assert "PostgreSQL 16" in failed.reason


def test_a_file_that_is_not_the_fetched_one_is_refused(stage: RestoreStage) -> None:
    """E8: the checksum is taken again, of the very file that is used."""
    before = stage.everything()
    digest = hashlib.sha256(stage.dumps.files["shop"].read_bytes()).hexdigest()
    failed = stage.failed(stage.restore("large", "--sha256", digest))
    assert failed.kind is WorkFailure.MISMATCH
    assert digest[:12] in failed.reason
    assert stage.everything() == before
    stage.restored(stage.restore("shop", "--sha256", digest, roles=ROLES))


@pytest.mark.parametrize("share", [0.0, 0.002, 0.5, 0.999])
def test_a_dump_that_was_cut_off_leaves_nothing(stage: RestoreStage, share: float) -> None:
    """E8: wherever it ends."""
    before = stage.everything()
    whole = stage.dumps.files["large"].read_bytes()
    cut = stage.server.folder / "cut.dump"
    cut.write_bytes(whole[: int(len(whole) * share)])
    failed = stage.failed(stage.worker("restore", str(cut), "--database", "large"))
    assert failed.kind is WorkFailure.FAILED
    assert stage.everything() == before


def test_a_file_that_is_missing_or_a_folder_is_named(stage: RestoreStage) -> None:
    """A path is said as it was given."""
    for wrong in ("/nowhere/at-all.dump", str(stage.server.folder)):
        failed = stage.failed(stage.worker("restore", wrong, "--database", "shop"))
        assert wrong in failed.reason


def test_a_drill_restores_beside_the_live_one(stage: RestoreStage) -> None:
    """Roles that are made for it cannot log in, and own nothing in it."""
    scratch_name = "kintsugi_drill_r1"
    stage.environment["PGPASSWORD_APP"] = "secret"
    restored = stage.restored(stage.restore("shop", "--scratch", "--name", "r1", into=scratch_name, roles=ROLES))
    assert {table.name: table.rows for table in restored.tables} == SHOP_ROWS
    assert unowned(sql_of(stage.server, scratch_name)) == unowned(stage.dumps.sql["shop"])
    assert stage.server.psql("SELECT count(*) FROM pg_roles WHERE rolname = 'app' AND NOT rolcanlogin") == "1"


def test_a_drill_s_worker_stays_when_it_is_done_and_ends_well_when_it_is_told_to(stage: RestoreStage) -> None:
    """What it restored is asked about meanwhile: its own server ends with it."""
    worker = stage.restore("shop", "--scratch", "--name", "r1", "--hold", into="kintsugi_drill_r1", roles=ROLES)
    wait_for(
        lambda: any(isinstance(line, Restored | Failed) for line in worker.lines),
        within=TIMEOUT,
        describe=lambda: str(worker.lines),
    )
    assert stage.server.psql("SELECT count(*) FROM public.orders", dsn=stage.server.dsn("kintsugi_drill_r1")) == "2000"
    assert not worker.over
    worker.send(signal.SIGTERM)
    assert isinstance(worker.ends(), Restored)


def test_a_drill_s_worker_that_fails_ends_at_once(stage: RestoreStage) -> None:
    """There is nothing to ask about."""
    worker = stage.restore("shop", "--scratch", "--name", "r1", "--hold", into="kintsugi_drill_r1")
    assert "which is not declared" in stage.failed(worker).reason


def test_names_hold_restores_and_drills_apart(stage: RestoreStage) -> None:
    """Neither goes into the other's database, nor into a template."""
    for arguments in (("--scratch", "shop"), ("kintsugi_drill_x",), ("template1",)):
        *more, into = arguments
        assert stage.failed(stage.restore("shop", *more, into=into)).kind is WorkFailure.REFUSED


def test_entries_that_only_a_superuser_can_make_are_made_before_or_left_out_and_named(stage: RestoreStage) -> None:
    """E10: an extension in a schema of the dump's own, rows behind policies that hold for their owner, too."""
    statements = (
        "CREATE SCHEMA extensions",
        "CREATE EXTENSION vector WITH SCHEMA extensions",
        "CREATE TABLE public.near (at extensions.vector(3))",
        "INSERT INTO public.near VALUES ('[1,2,3]')",
        "CREATE POLICY nobody ON public.near USING (false)",
        "ALTER TABLE public.near ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE public.near FORCE ROW LEVEL SECURITY",
        "CREATE TABLE public.marked (i int)",
        "CREATE FUNCTION public.seen() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$",
        "CREATE EVENT TRIGGER watched ON ddl_command_end EXECUTE FUNCTION public.seen()",
        "CREATE PUBLICATION everything FOR ALL TABLES",
    )
    file = hostile(stage.server, stage.server.folder, statements, name="special")
    before = stage.everything()
    stage.server.psql("CREATE DATABASE special")
    empty = stage.everything()
    worker = stage.worker("restore", str(file), "--database", "special", "--sha256", "0" * 64)
    assert stage.failed(worker).kind is WorkFailure.MISMATCH
    assert stage.everything() == empty
    worker = stage.worker("restore", str(file), "--database", "special")
    restored = stage.restored(worker)
    assert {table.name: table.rows for table in restored.tables} == {"public.near": 1, "public.marked": 0}
    assert "only a superuser may make it: PUBLICATION - everything, EVENT TRIGGER - watched" in worker.notes
    stage.server.psql("DROP DATABASE special")
    stage.server.psql("DROP ROLE kintsugi_owner_special")
    assert stage.everything() == before


def test_an_empty_database_is_left_without_extensions_when_its_dump_cannot_be_restored(stage: RestoreStage) -> None:
    """E11: they are made before the dump is run, and go again with it."""
    statements = (*ORDERS, "CREATE SCHEMA extensions", "CREATE EXTENSION vector WITH SCHEMA extensions")
    file = hostile(stage.server, stage.server.folder, statements, name="special", tampered="SELECT 1/0;")
    stage.server.psql("CREATE DATABASE special")
    before = stage.everything(), sql_of(stage.server, "special")
    assert "division by zero" in stage.failed(stage.worker("restore", str(file), "--database", "special")).reason
    assert (stage.everything(), sql_of(stage.server, "special")) == before


def unowned(sql: str) -> str:
    """Leave out of a database as SQL whom things belong to, and what will belong to whom."""
    return re.sub(r"^(ALTER .* OWNER TO .*;|ALTER DEFAULT PRIVILEGES .*;|--.*|)\n", "", sql, flags=re.MULTILINE)
