"""The restore worker against a real server and real dumps: what it makes, and what it refuses (E8, E10)."""

import re
import signal

import pytest

from kintsugi.model.restores import Restored
from kintsugi_restore.worker_results import Failed, WorkFailure
from tests.harness.fixtures import scratch
from tests.harness.postgres import Postgres
from tests.harness.processes import free_port
from tests.harness.waiting import wait_for
from tests.integration.hostile_dump import ORDERS, hostile
from tests.integration.restore_stage import (
    SHOP_ROWS,
    TIMEOUT,
    RestoreStage,
    restored_sql,
    sql_of,
)

pytestmark = pytest.mark.long

ROLES = ("app", "reporting")


def test_a_restored_database_is_the_dumped_one_to_the_last_comma(restoring: RestoreStage) -> None:
    """Sequences, constraints, extensions, large objects, owners, rights, policies: all of it, and its own settings."""
    restored = restoring.restored(restoring.restore("shop", "--sha256", restoring.digest("shop"), roles=ROLES))
    assert {table.name: table.rows for table in restored.tables} == SHOP_ROWS
    assert restored.bytes == restoring.dumps.files["shop"].stat().st_size
    assert restored_sql(restoring.server, "shop") == restoring.dumps.sql["shop"]
    shop = restoring.server.dsn("shop")
    assert restoring.server.psql("SHOW work_mem", dsn=shop) == "8MB"
    assert (
        restoring.server.psql(
            "SELECT datdba::regrole, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'"
        )
        == "app|the shop's"
    )
    assert restoring.server.psql("INSERT INTO orders (state) VALUES ('new') RETURNING id", dsn=shop).startswith("2001")


@pytest.mark.parametrize("password", ["simple", 'it\'s a \\ "long" one', "pässwört"])
def test_declared_roles_log_in_with_the_passwords_from_the_environment(restoring: RestoreStage, password: str) -> None:
    """The server is given what it keeps of a password, never the password."""
    restoring.environment["PGPASSWORD_APP"] = password
    restoring.restored(restoring.restore("shop", roles=ROLES))
    quoted = "'{}'".format(password.replace("\\", "\\\\").replace("'", "\\'"))
    assert restoring.log_in("app", quoted, "shop", "SELECT count(*) FROM orders") == "2000"
    with pytest.raises(RuntimeError, match="password authentication failed"):
        restoring.log_in("app", "wrong", "shop", "SELECT 1")
    with pytest.raises(RuntimeError, match="password"):
        restoring.log_in("reporting", "none", "shop", "SELECT 1")


def test_a_role_that_exists_is_left_as_it_is(restoring: RestoreStage) -> None:
    """Roles are the whole server's: other databases may count on them."""
    restoring.server.psql("CREATE ROLE app LOGIN PASSWORD 'before' CONNECTION LIMIT 7")
    restoring.environment["PGPASSWORD_APP"] = "after"
    restoring.restored(restoring.restore("shop", roles=ROLES))
    assert restoring.log_in("app", "before", "shop", "SELECT count(*) FROM orders") == "2000"
    assert restoring.server.psql("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'app'") == "7"


def test_an_empty_database_is_filled_and_keeps_what_it_is(restoring: RestoreStage) -> None:
    """An image's entry point makes one: its owner, rights, settings and comment are somebody's wish."""
    restoring.server.psql("CREATE DATABASE shop CONNECTION LIMIT 33")
    restoring.server.psql("COMMENT ON DATABASE shop IS 'made by hand'")
    restoring.server.psql("ALTER DATABASE shop SET timezone = 'Asia/Tokyo'")
    look = "SELECT oid, datconnlimit, datallowconn, shobj_description(oid, 'pg_database') FROM pg_database"
    before = restoring.server.psql(f"{look} WHERE datname = 'shop'")
    restoring.restored(restoring.restore("shop", roles=ROLES))
    assert restoring.server.psql(f"{look} WHERE datname = 'shop'") == before
    assert restoring.server.psql("SHOW timezone", dsn=restoring.server.dsn("shop")) == "Asia/Tokyo"
    assert restored_sql(restoring.server, "shop") == restoring.dumps.sql["shop"]


def test_the_database_of_all_names_can_be_restored_into(restoring: RestoreStage) -> None:
    """Applications do live in `postgres`."""
    restoring.restored(restoring.restore("large", into="postgres"))
    assert restoring.server.psql("SELECT count(*) FROM large") == "60000"
    restoring.server.psql("DROP TABLE large")
    assert restoring.databases() == set()


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
def test_a_database_that_holds_anything_is_refused(restoring: RestoreStage, thing: str) -> None:
    """In whatever schema; nothing of it is touched."""
    restoring.server.psql("CREATE DATABASE shop")
    restoring.server.psql("CREATE SCHEMA hidden", dsn=restoring.server.dsn("shop"))
    restoring.server.psql(thing, dsn=restoring.server.dsn("shop"))
    before = restoring.everything(), sql_of(restoring.server, "shop")
    restoring.failed(restoring.restore("shop", roles=ROLES), WorkFailure.REFUSED, "shop is not empty")
    assert (restoring.everything(), sql_of(restoring.server, "shop")) == before


def test_a_database_that_only_has_an_extension_is_empty(restoring: RestoreStage) -> None:
    """Images bring them in their template."""
    restoring.server.psql("CREATE DATABASE shop")
    restoring.server.psql("CREATE EXTENSION vector", dsn=restoring.server.dsn("shop"))
    restoring.restored(restoring.restore("shop", roles=ROLES))
    assert restored_sql(restoring.server, "shop") == restoring.dumps.sql["shop"]


REFUSALS = [
    pytest.param("{shop} --database shop", WorkFailure.MISMATCH, "the role app,", id="no role is declared"),
    pytest.param(
        "{shop} --database shop --role app", WorkFailure.MISMATCH, "the role reporting,", id="one role is not"
    ),
    pytest.param("{shop} --database shop --scratch --name r1", WorkFailure.REFUSED, "", id="a drill into a live name"),
    pytest.param("{shop} --database kintsugi_drill_x", WorkFailure.REFUSED, "", id="a restore into a drill's name"),
    pytest.param("{shop} --database template1", WorkFailure.REFUSED, "", id="into a template"),
    pytest.param("{large} --database large --sha256 {sha}", WorkFailure.MISMATCH, "{sha:.12}", id="another file"),
    pytest.param("/nowhere/at-all.dump --database shop", None, "/nowhere/at-all.dump", id="no file"),
    pytest.param("{folder} --database shop", None, "{folder}", id="a folder"),
]
"""Restores that are refused before anything is done, and words of the reason; `sha` is the checksum of the shop's dump."""


@pytest.mark.parametrize(("arguments", "kind", "says"), REFUSALS)
def test_a_restore_that_does_not_fit_is_refused_with_its_reason_and_leaves_nothing(
    restoring: RestoreStage, arguments: str, kind: WorkFailure | None, says: str
) -> None:
    """E8, E10: roles that were made for the attempt are gone again; a path is said as it was given."""
    given = {**restoring.dumps.files, "folder": restoring.server.folder, "sha": restoring.digest("shop")}
    before = restoring.everything()
    restoring.failed(restoring.worker("restore", *arguments.format(**given).split()), kind, says.format(**given))
    assert restoring.everything() == before


def test_a_database_is_made_like_the_dumped_one_or_the_locale_is_named(restoring: RestoreStage) -> None:
    """E10: with a locale that the server lacks, a person may make the database with another one."""
    look = "SELECT datcollate FROM pg_database WHERE datname = 'slow'"
    restoring.restored(restoring.restore("slow"))
    assert restoring.server.psql(look) == "C.utf8"
    restoring.server.psql("DROP DATABASE slow")
    before = restoring.everything()
    foreign = restoring.server.folder / "foreign.dump"
    foreign.write_bytes(restoring.dumps.files["slow"].read_bytes().replace(b"'C.utf8'", b"'Q.utf8'"))
    restoring.failed(restoring.worker("restore", str(foreign), "--database", "slow"), WorkFailure.MISMATCH, "Q.utf8")
    assert restoring.everything() == before
    restoring.server.psql("CREATE DATABASE slow")
    restoring.restored(restoring.worker("restore", str(foreign), "--database", "slow"))


def test_a_wrong_password_is_told_from_a_server_that_is_away(restoring: RestoreStage) -> None:
    """Each says where."""
    before = restoring.everything()
    restoring.environment["PGPASSWORD"] = "wrong"
    says = f"127.0.0.1:{restoring.server.port} does not let operator do this: password"
    restoring.failed(restoring.restore("shop"), WorkFailure.REFUSED, says)
    shop = ("restore", str(restoring.dumps.files["shop"]), "--database", "shop")
    restoring.failed(restoring.worker(*shop, port=free_port()), WorkFailure.UNREACHABLE)
    never = "database.invalid"  # is never resolved (RFC 6761)
    restoring.failed(restoring.worker(*shop, host=never), WorkFailure.UNREACHABLE, never)
    assert restoring.everything() == before


def test_a_server_of_another_major_version_is_refused_with_both_numbers(restoring: RestoreStage) -> None:
    """E10: before anything is done there."""
    with scratch("eighteen-") as folder:
        newer = Postgres.prepare(folder, major=18)
        newer.start()
        try:
            newer.psql("CREATE ROLE operator SUPERUSER LOGIN")
            shop = ("restore", str(restoring.dumps.files["shop"]), "--database", "shop")
            worker = restoring.worker(*shop, port=newer.port)
            restoring.failed(worker, WorkFailure.MISMATCH, "is PostgreSQL 18", "PostgreSQL 16")
            assert newer.psql("SELECT count(*) FROM pg_database WHERE datname ~ 'shop'") == "0"
        finally:
            newer.stop()


@pytest.mark.parametrize("share", [0.0, 0.002, 0.5, 0.999])
def test_a_dump_that_was_cut_off_leaves_nothing(restoring: RestoreStage, share: float) -> None:
    """E8: wherever it ends."""
    before = restoring.everything()
    whole = restoring.dumps.files["large"].read_bytes()
    cut = restoring.server.folder / "cut.dump"
    cut.write_bytes(whole[: int(len(whole) * share)])
    restoring.failed(restoring.worker("restore", str(cut), "--database", "large"), WorkFailure.FAILED)
    assert restoring.everything() == before


def test_a_drill_restores_beside_the_live_one(restoring: RestoreStage) -> None:
    """Roles that are made for it cannot log in, and own nothing in it."""
    scratch_name = "kintsugi_drill_r1"
    restoring.environment["PGPASSWORD_APP"] = "secret"
    restored = restoring.restored(
        restoring.restore("shop", "--scratch", "--name", "r1", into=scratch_name, roles=ROLES)
    )
    assert {table.name: table.rows for table in restored.tables} == SHOP_ROWS
    assert unowned(sql_of(restoring.server, scratch_name)) == unowned(restoring.dumps.sql["shop"])
    assert restoring.server.psql("SELECT count(*) FROM pg_roles WHERE rolname = 'app' AND NOT rolcanlogin") == "1"


def test_a_drill_s_worker_stays_when_it_is_done_and_ends_well_when_it_is_told_to(restoring: RestoreStage) -> None:
    """What it restored is asked about meanwhile: its own server ends with it."""
    worker = restoring.restore("shop", "--scratch", "--name", "r1", "--hold", into="kintsugi_drill_r1", roles=ROLES)
    wait_for(
        lambda: any(isinstance(line, Restored | Failed) for line in worker.lines),
        within=TIMEOUT,
        describe=lambda: str(worker.lines),
    )
    assert (
        restoring.server.psql("SELECT count(*) FROM public.orders", dsn=restoring.server.dsn("kintsugi_drill_r1"))
        == "2000"
    )
    assert not worker.over
    worker.send(signal.SIGTERM)
    assert isinstance(worker.ends(), Restored)


def test_a_drill_s_worker_that_fails_ends_at_once(restoring: RestoreStage) -> None:
    """There is nothing to ask about."""
    worker = restoring.restore("shop", "--scratch", "--name", "r1", "--hold", into="kintsugi_drill_r1")
    restoring.failed(worker, None, "which is not declared")


def test_entries_that_only_a_superuser_can_make_are_made_before_or_left_out_and_named(restoring: RestoreStage) -> None:
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
    file = hostile(restoring.server, restoring.server.folder, statements, name="special")
    before = restoring.everything()
    restoring.server.psql("CREATE DATABASE special")
    empty = restoring.everything()
    worker = restoring.worker("restore", str(file), "--database", "special", "--sha256", "0" * 64)
    restoring.failed(worker, WorkFailure.MISMATCH)
    assert restoring.everything() == empty
    worker = restoring.worker("restore", str(file), "--database", "special")
    restored = restoring.restored(worker)
    assert {table.name: table.rows for table in restored.tables} == {"public.near": 1, "public.marked": 0}
    assert "only a superuser may make it: PUBLICATION - everything, EVENT TRIGGER - watched" in worker.notes
    restoring.server.psql("DROP DATABASE special")
    restoring.server.psql("DROP ROLE kintsugi_owner_special")
    assert restoring.everything() == before


def test_an_empty_database_is_left_without_extensions_when_its_dump_cannot_be_restored(restoring: RestoreStage) -> None:
    """E11: they are made before the dump is run, and go again with it."""
    statements = (*ORDERS, "CREATE SCHEMA extensions", "CREATE EXTENSION vector WITH SCHEMA extensions")
    file = hostile(restoring.server, restoring.server.folder, statements, name="special", tampered="SELECT 1/0;")
    restoring.server.psql("CREATE DATABASE special")
    before = restoring.everything(), sql_of(restoring.server, "special")
    restoring.failed(restoring.worker("restore", str(file), "--database", "special"), None, "division by zero")
    assert (restoring.everything(), sql_of(restoring.server, "special")) == before


def unowned(sql: str) -> str:
    """Leave out of a database as SQL whom things belong to, and what will belong to whom."""
    return re.sub(r"^(ALTER .* OWNER TO .*;|ALTER DEFAULT PRIVILEGES .*;|--.*|)\n", "", sql, flags=re.MULTILINE)
