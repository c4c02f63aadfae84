"""What is read of a dump: its header, what it holds and needs, its own database, and what belongs to whom (E8, E9, E10)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi_restore.backups import ArchiveContents, ArchiveHeader, BackupFlaw, UnfitBackup
from kintsugi_restore.worker.archive import HEAD, read_header
from kintsugi_restore.worker.archive_contents import ArchiveList, Script
from kintsugi_restore.worker.database import (
    Database,
    DatabaseSetting,
    Grant,
    right_statement,
    setting_statement,
)
from kintsugi_restore.worker.database import read as database_of
from kintsugi_restore.worker.dump_ownership import DefaultRight, Extension, key
from kintsugi_restore.worker.dump_ownership import read as ownership_of

CREATED = (7, 14, 2, 24, 10, 126, 0)
"""02:14:07 on the 24th of November 2026, as C counts months and years."""


def header_number(value: int) -> bytes:
    """Write a header_number as pg_dump does: a sign, then its lowest byte first."""
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def header_text(value: str) -> bytes:
    """Write a header_text as pg_dump does."""
    return header_number(len(value.encode())) + value.encode()


def head(version: tuple[int, int] = (1, 15), server: str = "16.14 (Debian 16.14-1)", database: str = "shop") -> bytes:
    """Write the beginning of a dump in the custom format; before 1.15 the compression is a header_number, since then a byte."""
    compression = b"\x01" if version >= (1, 15) else header_number(-1)
    created = b"".join(map(header_number, CREATED))
    return (
        b"PGDMP"
        + bytes([*version, 0, 4, 8, 1])
        + compression
        + created
        + header_text(database)
        + header_text(server)
        + header_text("16.14")
    )


@pytest.mark.parametrize("version", [(1, 12), (1, 13), (1, 14), (1, 15), (1, 16)])
def test_the_header_of_each_format_since_9_0_is_read(version: tuple[int, int]) -> None:
    """1.16 is PostgreSQL 17's and 18's: pg_restore 16 cannot read it, and it is known for what it is."""
    assert read_header(head(version) + bytes(100)) == ArchiveHeader(
        database="shop", created=datetime(2026, 11, 24, 2, 14, 7, tzinfo=UTC), server=16, tools=16
    )


def test_old_versions_have_their_first_number() -> None:
    """9.6 is a major version of its own, and older than all that count."""
    found = read_header(head(server="9.6.24", database='Kün.st "x"'))
    assert isinstance(found, ArchiveHeader)
    assert (found.server, found.database) == (9, 'Kün.st "x"')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"--\n-- PostgreSQL database dump\n--\n", "the file is plain SQL"),
        (b"\xef\xbb\xbf\n  SET statement_timeout = 0;", "the file is plain SQL"),
        (b"\x1f\x8b\x08\x00", "the file is wrapped in gzip"),
        (b"\x28\xb5\x2f\xfd", "the file is wrapped in zstd"),
        (b"age-encryption.org/v1\n", "the file is wrapped in age"),
        (b"", "the file is not a dump of pg_dump"),
        (b"<?xml version", "the file is not a dump of pg_dump"),
    ],
)
def test_a_file_that_is_no_dump_is_called_what_it_is(content: bytes, said: str) -> None:
    """With what would be right, where it can be said."""
    found = read_header(content)
    assert isinstance(found, UnfitBackup)
    assert found.flaw is BackupFlaw.FORMAT
    assert found.reason.startswith(said)


@given(st.integers(min_value=5, max_value=len(head()) - 1))
def test_a_header_that_is_cut_off_is_damaged(length: int) -> None:
    """At whatever byte."""
    found = read_header(head()[:length])
    assert isinstance(found, UnfitBackup)
    assert found.flaw is BackupFlaw.DAMAGED


@given(st.binary(max_size=HEAD))
def test_no_bytes_after_the_magic_word_do_harm(content: bytes) -> None:
    """Sizes and lengths come from outside."""
    assert isinstance(read_header(b"PGDMP" + content), ArchiveHeader | UnfitBackup)


def contents_of(script: str) -> ArchiveContents:
    """Read a script line by line."""
    found = Script()
    for line in script.splitlines():
        found.take(line)
    return found.contents()


def entry(kind: str, *statements: str, owner: str = "-") -> str:
    """Write an entry of the script."""
    return "\n".join(("--", f"-- Name: x; Type: {kind}; Schema: public; Owner: {owner}", "--", "", *statements, ""))


@pytest.mark.parametrize(
    ("statement", "roles"),
    [
        ("GRANT SELECT ON TABLE public.orders TO reader;", {"reader"}),
        ('GRANT ALL ON SCHEMA shop TO "Odd ""One"", x" WITH GRANT OPTION;', {'Odd "One", x'}),
        ("REVOKE ALL ON TABLE public.orders FROM shop;", {"shop"}),
        ("GRANT SELECT(a, b) ON TABLE public.t TO PUBLIC;", set()),
        ("SET SESSION AUTHORIZATION lender;", {"lender"}),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE shop IN SCHEMA public GRANT SELECT ON TABLES  TO reader;",
            {"shop", "reader"},
        ),
    ],
)
def test_the_roles_that_rights_are_given_to_are_named(statement: str, roles: set[str]) -> None:
    """PUBLIC is none."""
    assert set(contents_of(entry("ACL", statement)).roles) == roles


def test_the_roles_of_a_policy_are_named_and_its_condition_is_not_read() -> None:
    """A condition is SQL of whatever kind."""
    policy = 'CREATE POLICY seen ON public.orders FOR SELECT TO a, "b c" USING ((x IN (SELECT y FROM tos)));'
    assert contents_of(entry("POLICY", policy)).roles == ("a", "b c")


def test_the_body_of_a_function_names_no_role() -> None:
    """What looks like a statement in it is a text."""
    body = entry("FUNCTION", "CREATE FUNCTION f() AS $$", "GRANT SELECT ON x TO nobody;", "$$;", owner="shop")
    assert contents_of(body).roles == ("shop",)


def test_owners_and_tablespaces_are_told_apart() -> None:
    """A table in a tablespace of its own says so after its owner."""
    found = contents_of("-- Name: odd; name; Type: TABLE; Schema: public; Owner: the shop; Tablespace: fast")
    assert (found.tables, found.roles) == (("public.odd; name",), ("the shop",))


def test_an_entry_that_every_server_has_is_not_needed() -> None:
    """PostgreSQL's own roles, and the language that it comes with."""
    script = (
        "-- Name: public; Type: SCHEMA; Schema: -; Owner: pg_database_owner\n"
        "-- Name: plpgsql; Type: EXTENSION; Schema: -; Owner: -\n"
        "-- Name: vector; Type: EXTENSION; Schema: -; Owner: -\n"
        "-- Name: EXTENSION vector; Type: COMMENT; Schema: -; Owner: \n"
    )
    assert contents_of(script) == ArchiveContents(extensions=("vector",))


def test_rows_of_what_a_dump_does_not_make_are_told_apart_by_its_list() -> None:
    listing = ArchiveList()
    for line in (
        "; Archive created at 2026-11-24 02:14:07 UTC",
        "215; 1259 16386 TABLE public orders the shop",
        "216; 1259 16390 SEQUENCE public orders_id_seq the shop",
        "217; 1259 16400 FOREIGN TABLE public far postgres",
        "3350; 0 16386 TABLE DATA public orders the shop",
        "3351; 0 16400 TABLE DATA public far postgres",
        "3352; 0 0 SEQUENCE SET public orders_id_seq the shop",
        "3353; 0 16500 TABLE DATA cron job postgres",
        "3354; 0 0 SEQUENCE SET cron jobid_seq postgres",
        "3355; 0 16501 MATERIALIZED VIEW DATA public sums postgres",
    ):
        listing.take(line)
    assert listing.foreign_rows() == ("cron.job", "cron.jobid_seq")


DATABASE_SCRIPT = r"""--
-- PostgreSQL database dump
--
\restrict abc
SET statement_timeout = 0;
CREATE DATABASE "my ""app" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'C' ICU_LOCALE = 'de''x' TABLESPACE = fast;
ALTER DATABASE "my ""app" OWNER TO app;
\connect "my ""app"
ALTER DATABASE "my ""app" SET work_mem TO '8MB';
ALTER DATABASE "my ""app" SET search_path TO 'shop', 'pub''lic';
ALTER DATABASE "my ""app" CONNECTION LIMIT = 7;
COMMENT ON DATABASE "my ""app" IS 'the shop''s';
REVOKE CONNECT,TEMPORARY ON DATABASE "my ""app" FROM PUBLIC;
GRANT CONNECT ON DATABASE "my ""app" TO reporting WITH GRANT OPTION;
"""


def test_the_commands_of_a_dump_about_its_database_are_told_apart() -> None:
    """A tablespace is the old machine's; psql's own lines are none of the server's."""
    assert database_of(DATABASE_SCRIPT) == Database(
        name='my "app',
        options=" ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'C' ICU_LOCALE = 'de''x'",
        owner="app",
        settings=(
            DatabaseSetting(name="work_mem", values=("8MB",)),
            DatabaseSetting(name="search_path", values=("shop", "pub'lic")),
        ),
        rights=(
            Grant(granted=False, privileges=("CONNECT", "TEMPORARY"), role="PUBLIC"),
            Grant(granted=True, privileges=("CONNECT",), role="reporting", grantable=True),
        ),
        limit=7,
        comment="the shop's",
    )


def test_a_dump_without_its_database_asks_for_nothing() -> None:
    """A dump of one schema has none."""
    assert database_of("SET statement_timeout = 0;\n") == Database()


@pytest.mark.parametrize(
    "line",
    [
        "ALTER ROLE app SUPERUSER;",
        "COPY (SELECT 1) TO PROGRAM 'id';",
        "ALTER DATABASE app SET work_mem TO '8MB'; CREATE ROLE intruder SUPERUSER;",
        "ALTER DATABASE app SET work_mem TO '8MB\\'; CREATE ROLE intruder; --';",
        "COMMENT ON DATABASE app IS 'x'; DROP DATABASE live;",
        "GRANT pg_execute_server_program TO app;",
        "GRANT CONNECT ON DATABASE app TO app; CREATE ROLE intruder;",
        "ALTER DATABASE app OWNER TO app; ALTER ROLE app SUPERUSER;",
        "ALTER DATABASE app CONNECTION LIMIT = 1; DROP DATABASE live;",
    ],
)
def test_a_line_that_is_not_understood_whole_is_left_out_and_counted(line: str) -> None:
    """What stands behind a statement on its line is no part of one either."""
    created = "CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'UTF8';"
    assert database_of(f"{created}\n{line}\n") == Database(name="app", options=" ENCODING = 'UTF8'", not_understood=1)


def test_statements_are_written_anew_with_every_name_and_value_quoted() -> None:
    """A setting of an extension's has a name in two parts."""
    setting = DatabaseSetting(name="pg_trgm.limit", values=("it's", "a\\b"))
    assert setting_statement('my "app', setting) == (
        """ALTER DATABASE "my ""app" SET "pg_trgm"."limit" TO E'it''s', E'a\\\\b'"""
    )
    right = Grant(granted=True, privileges=("CONNECT", "CREATE"), role='o"ps')
    assert right_statement("app", right) == 'GRANT CONNECT, CREATE ON DATABASE "app" TO "o""ps"'


LISTED = """\
;
; Archive created at 2026-11-24 02:14:07 UTC
;
7; 2615 16385 SCHEMA - extensions app
8; 2615 16386 SCHEMA - shop app
2; 3079 16390 EXTENSION - vector 
3500; 0 0 COMMENT - EXTENSION vector 
220; 1259 16400 TABLE shop orders app
3400; 2613 16500 BLOB - 16500 app
3301; 826 16600 DEFAULT ACL shop DEFAULT PRIVILEGES FOR TABLES app
3302; 3466 16700 EVENT TRIGGER - watch postgres
3303; 0 0 COMMENT - EVENT TRIGGER watch postgres
3304; 6104 16800 PUBLICATION - all_of_it postgres
"""  # noqa: W291  as pg_restore writes it
SCRIPT = """\
-- Name: extensions; Type: SCHEMA; Schema: -; Owner: app
-- Name: vector; Type: EXTENSION; Schema: -; Owner: -
CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA extensions;
-- Name: orders; Type: TABLE; Schema: shop; Owner: app; Tablespace: fast
-- Name: total(integer, shop.state); Type: FUNCTION; Schema: shop; Owner: reporting
-- Name: amount; Type: DOMAIN; Schema: shop; Owner: app
ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA shop GRANT SELECT ON TABLES  TO reporting;
ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT SELECT ON TABLES TO reporting; DROP DATABASE live;
"""


def test_owners_are_found_by_the_names_that_the_server_writes() -> None:
    """A domain is a type to it, and it writes arguments without blanks."""
    owners = ownership_of(LISTED, SCRIPT).owners
    assert owners[key("table", "", "shop.orders")] == "app"
    assert owners[key("function", "", "shop.total(integer,shop.state)")] == "reporting"
    assert owners[key("type", "", "shop.amount")] == "app"
    assert owners[key("large object", "", "16500")] == "app"


def test_entries_that_only_a_superuser_can_make_are_taken_out_of_the_list() -> None:
    """An extension with the schema that it is in is made before, default rights after; the rest is named."""
    found = ownership_of(LISTED, SCRIPT)
    assert [line.split(";")[0] for line in found.listed.splitlines()] == ["8", "220", "3400"]
    assert found.extensions == (Extension(name="vector", schema="extensions", made=True),)
    assert found.left_out == ("EVENT TRIGGER - watch", "PUBLICATION - all_of_it")


def test_default_rights_are_read_where_their_line_is_nothing_else() -> None:
    """What stands behind a statement on its line is no part of one."""
    assert ownership_of(LISTED, SCRIPT).default_rights == (
        DefaultRight(of="app", schema="shop", granted=True, privileges=("SELECT",), kind="TABLES", role="reporting"),
    )
