"""
A backup that somebody else has written is restored and drilled by the daemon: it reads as good, and does harm to nobody (E9).

Its `orders` is a view: what the shipped `integrity` checks ask calls a function that runs a program on the server where it
may, and says nothing where it may not. The cluster is the embedded one; the server, the backups and the Jobs are real.
"""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import pytest

from kintsugi.model.records import IncidentState
from kintsugi_restore.worker_results import OWNER
from tests.integration.database_stage import SHOP, DatabaseStage, postgres

pytestmark = pytest.mark.long

HARMED = Path(tempfile.gettempdir()) / f"harmed-{token_hex(8)}"
"""What a program of the backup's would write, on whichever server: all of them are processes of this machine."""

TRIED = f"EXECUTE 'COPY (SELECT 1) TO PROGRAM ''cat >/dev/null; touch {HARMED}'''; "
HOSTILE = (
    (
        "CREATE FUNCTION public.harm() RETURNS bigint LANGUAGE plpgsql AS $harm$ BEGIN"
        f" BEGIN {TRIED} EXCEPTION WHEN OTHERS THEN NULL; END;"
        " BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXECUTE 'RESET ROLE'; "
        f"{TRIED} EXCEPTION WHEN OTHERS THEN NULL; END; RETURN 1000; END $harm$"
    ),
    "CREATE SEQUENCE public.orders_id_seq",
    "SELECT setval('public.orders_id_seq', 1000)",
    "CREATE VIEW public.orders AS SELECT public.harm() AS id, clock_timestamp() AS created_at",
    "CREATE TABLE public.customers (id int)",
    "CREATE SCHEMA looked_up_first",
    "CREATE VIEW looked_up_first.pg_constraint AS SELECT public.harm()::text AS conname, false AS convalidated",
    (
        "CREATE VIEW looked_up_first.pg_stat_user_tables AS SELECT public.harm()::text AS schemaname, 'x' AS relname,"
        " 0 AS n_tup_ins, 0 AS n_tup_upd, 0 AS n_tup_del"
    ),
    "ALTER DATABASE app SET search_path = looked_up_first, pg_catalog, public",
)
ROLES = f"SELECT string_agg(rolname || rolsuper, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^{OWNER}'"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[DatabaseStage]:
    """A shop whose database has a thousand orders, and whose only backup is somebody else's."""
    async with DatabaseStage.set(tmp_path, database=[postgres()]) as stage:
        await stage.psql("CREATE ROLE app LOGIN")
        await stage.psql("CREATE DATABASE app")
        await stage.fill(*HOSTILE)
        await stage.back_up("monday.dump")
        await stage.psql("DROP DATABASE app")
        await stage.psql("CREATE DATABASE app")
        await stage.fill(*SHOP)
        yield stage


async def test_a_hostile_backup_that_is_restored_runs_nothing_as_a_superuser(stage: DatabaseStage) -> None:
    """E9: its checks are met, with names looked up where they should be; what they call has no right."""
    roles = await stage.psql(ROLES)
    stage.corrupt()
    await stage.question()
    await stage.agree()
    ended = await stage.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR, IncidentState.FAILED)
    assert not HARMED.exists(), await stage.story()
    assert ended.state is IncidentState.RECOVERED, await stage.story()
    assert await stage.psql(ROLES) == roles
    owner = "SELECT rolsuper FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname = 'app'"
    assert await stage.psql(owner) == "f"


async def test_a_hostile_backup_that_is_drilled_never_touches_the_live_server(stage: DatabaseStage) -> None:
    """E9: by the clock, where nobody was asked: no connection, no database, no role of it is ever on that server."""
    everything = (
        "SELECT (SELECT string_agg(rolname || rolsuper, ' ' ORDER BY rolname) FROM pg_roles)"
        " || (SELECT string_agg(datname || oid, ' ' ORDER BY oid) FROM pg_database)"
    )
    there = await stage.psql(everything)
    await stage.tell_connections()
    before = await stage.connections()
    ended = await stage.drilled()
    assert not HARMED.exists(), await stage.story()
    assert ended.state is IncidentState.PASSED, await stage.story()
    assert await stage.psql(everything) == there
    assert await stage.connections(since=before) == []
