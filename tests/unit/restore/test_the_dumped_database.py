"""What a dump says of its own database is read into values; what is not understood is never run (E9)."""

import pytest

from kintsugi_restore.worker.database import Database, DatabaseSetting, Grant, read, right_statement, setting_statement

SCRIPT = r"""--
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
    assert read(SCRIPT) == Database(
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
    assert read("SET statement_timeout = 0;\n") == Database()


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
    assert read(f"{created}\n{line}\n") == Database(name="app", options=" ENCODING = 'UTF8'", not_understood=1)


def test_statements_are_written_anew_with_every_name_and_value_quoted() -> None:
    """A setting of an extension's has a name in two parts."""
    setting = DatabaseSetting(name="pg_trgm.limit", values=("it's", "a\\b"))
    assert setting_statement('my "app', setting) == (
        """ALTER DATABASE "my ""app" SET "pg_trgm"."limit" TO E'it''s', E'a\\\\b'"""
    )
    right = Grant(granted=True, privileges=("CONNECT", "CREATE"), role='o"ps')
    assert right_statement("app", right) == 'GRANT CONNECT, CREATE ON DATABASE "app" TO "o""ps"'
