"""
A backup that somebody else has written is restored and drilled by the daemon: it reads as good, and does harm to nobody (E9).

Its `orders` is a view: what the shipped `integrity` checks ask calls a function that runs a program on the server where it
may, and says nothing where it may not. The cluster is the embedded one; the server, the backups and the Jobs are real.
"""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from kintsugi.app.intake import deeds
from kintsugi.model.records import IncidentState
from kintsugi.model.restore import OWNER
from tests.integration.database_stage import CLAIM, DATABASE, NAMESPACE, SHOP, Stage, postgres

pytestmark = pytest.mark.timeout(600)

HARMED = "harmed"
ENDED = (IncidentState.PASSED, IncidentState.FAILED, IncidentState.CANCELLED, IncidentState.NEEDS_OPERATOR)
TRIED = f"EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {HARMED}'''; "
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
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A shop whose database has a thousand orders, and whose only backup is somebody else's."""
    async with Stage.set(tmp_path, database=[postgres()]) as stage:
        await stage.psql("CREATE DATABASE app")
        await stage.fill(*HOSTILE)
        await stage.back_up("monday.dump")
        await stage.psql("DROP DATABASE app")
        await stage.psql("CREATE DATABASE app")
        await stage.fill(*SHOP)
        yield stage


def harmed(stage: Stage) -> Sequence[Path]:
    """Find what a program of the backup's has written."""
    return list(stage.cluster.disk_of(CLAIM, NAMESPACE).rglob(HARMED))


async def test_a_hostile_backup_that_is_restored_runs_nothing_as_a_superuser(stage: Stage) -> None:
    """E9: its checks are met, with names looked up where they should be; what they call has no right."""
    roles = await stage.psql(ROLES)
    stage.corrupt()
    await stage.question()
    await stage.agree()
    ended = await stage.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR, IncidentState.FAILED)
    assert harmed(stage) == [], await stage.story()
    assert ended.state is IncidentState.RECOVERED, await stage.story()
    assert await stage.psql(ROLES) == roles
    owner = "SELECT rolsuper FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname = 'app'"
    assert await stage.psql(owner) == "f"


async def test_a_hostile_backup_that_is_drilled_runs_nothing_as_a_superuser(stage: Stage) -> None:
    """E9: on the service's own server, by the clock, where nobody was asked; no role of it stays."""
    everybody = "SELECT string_agg(rolname || rolsuper, ' ' ORDER BY rolname) FROM pg_roles"
    roles = await stage.psql(everybody)
    await deeds(stage.core).drill(DATABASE, who="ada")
    ended = await stage.reaches(*ENDED)
    assert harmed(stage) == [], await stage.story()
    assert ended.state is IncidentState.PASSED, await stage.story()
    assert await stage.psql(everybody) == roles
