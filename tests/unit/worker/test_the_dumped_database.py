"""What a dump says of its own database is read from what `pg_restore --create` writes."""

from kintsugi.worker.database import Database, read

SCRIPT = r"""--
-- PostgreSQL database dump
--
\restrict abc
SET statement_timeout = 0;
CREATE DATABASE "my ""app" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'C' ICU_LOCALE = 'de''x' TABLESPACE = fast;
ALTER DATABASE "my ""app" OWNER TO app;
\connect "my ""app"
ALTER DATABASE "my ""app" SET work_mem TO '8MB';
"""


def test_name_options_and_statements_are_told_apart() -> None:
    """A tablespace is the old machine's; psql's own lines are none of the server's."""
    assert read(SCRIPT) == Database(
        name='my "app',
        options=" ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'C' ICU_LOCALE = 'de''x'",
        statements="SET statement_timeout = 0;\n"
        'ALTER DATABASE "my ""app" OWNER TO app;\n'
        'ALTER DATABASE "my ""app" SET work_mem TO \'8MB\';',
    )


def test_a_dump_without_its_database_asks_for_nothing() -> None:
    """A dump of one schema has none."""
    assert read("SET statement_timeout = 0;\n") == Database()
