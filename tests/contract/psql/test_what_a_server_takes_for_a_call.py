"""
A real PostgreSQL and the judgement of SQL agree: what the list allows only looks, and what could act is stopped before it.

P10. The server is asked of each function on the list; and what is refused is shown to act where nobody refuses it.
"""

import pytest

from kintsugi.commands import CommandProblem
from kintsugi.commands.sql import FUNCTIONS, VOLATILE
from kintsugi.errors import ProbeFailed
from tests.contract.psql.asking import AskedServer
from tests.harness.postgres import Postgres
from tests.unit.commands.test_programs import QUESTIONS

SCHEMA = """
CREATE SCHEMA judged; SET search_path = judged;
CREATE TABLE told (name text);
CREATE FUNCTION told_of(name text) RETURNS integer LANGUAGE sql VOLATILE AS 'INSERT INTO judged.told VALUES (name) RETURNING 1'
"""
SPELLINGS = [
    '"pg_terminate_backend"(pid)',
    "pg_terminate_backend/**/(pid)",
    "PG_Terminate_Backend--'\n(pid)",
    'pg_catalog . "pg_terminate_backend" /* /* */ */ (pid)',
    "U&\"pg!005fterminate_backend\" UESCAPE '!' (pid)",
]
FILES = ["\"pg_read_file\"('PG_VERSION')", "pg_ls_dir('.')", "pg_catalog./**/pg_stat_file('PG_VERSION')"]


def test_each_function_of_the_list_is_the_servers_own_and_stable_and_everybody_s(postgres_server: Postgres) -> None:
    rows = postgres_server.psql(
        "SELECT proname, bool_or(provolatile = 'v'), bool_and(has_function_privilege('pg_monitor', oid, 'EXECUTE'))"
        " FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind <> 'p' GROUP BY 1"
    )
    found = {
        name: (volatile == "t", allowed == "t")
        for name, volatile, allowed in (row.split("|") for row in rows.split("\n"))
    }
    assert sorted(FUNCTIONS - found.keys() - {"pg_get_wal_replay_pause_state", "random"}) == []
    assert sorted(name for name in FUNCTIONS & found.keys() if found[name][0] and name not in VOLATILE) == []
    assert sorted(name for name in FUNCTIONS & found.keys() if not found[name][1]) == []


@pytest.mark.parametrize("call", SPELLINGS)
async def test_a_call_that_the_server_knows_in_any_spelling_is_refused_before_it_is_sent(
    postgres_server: Postgres, asked: AskedServer, call: str
) -> None:
    rest = "FROM pg_stat_activity WHERE application_name = 'nobody of this name'"
    assert postgres_server.psql(f"SELECT count({call}) {rest}") == "0"
    with pytest.raises(CommandProblem):
        await asked.ask("directly", f"SELECT {call} {rest}")


@pytest.mark.parametrize("call", FILES)
async def test_a_read_only_transaction_alone_would_let_files_of_the_server_be_read(
    postgres_server: Postgres, asked: AskedServer, call: str
) -> None:
    shown = postgres_server.psql(f"SET default_transaction_read_only = on; SELECT count(*) FROM {call}")
    assert shown
    with pytest.raises(CommandProblem, match="is not known to be read-only"):
        await asked.ask("directly", f"SELECT {call}")


async def test_a_function_that_a_service_vouches_for_is_held_to_a_read_only_transaction(
    postgres_server: Postgres, asked: AskedServer, way: str
) -> None:
    postgres_server.psql("DROP SCHEMA IF EXISTS judged CASCADE")
    postgres_server.psql(SCHEMA)
    postgres_server.psql("ALTER ROLE postgres SET default_transaction_read_only = off")
    try:
        with pytest.raises(CommandProblem, match=r"judged\.told_of is not known to be read-only"):
            await asked.ask(way, "SELECT judged.told_of('x')")
        with pytest.raises(ProbeFailed, match="read-only transaction"):
            await asked.ask(way, "SELECT judged.told_of('x')", allowed_functions=frozenset({"judged.told_of"}))
        assert postgres_server.psql("SELECT count(*) FROM judged.told") == "0"
    finally:
        postgres_server.psql("DROP SCHEMA judged CASCADE")
        postgres_server.psql("ALTER ROLE postgres RESET default_transaction_read_only")


async def test_a_comment_and_a_semicolon_make_no_difference_to_the_server(asked: AskedServer) -> None:
    assert (await asked.ask("in a container", "SELECT /* one */ 1; -- done"))["value"] == 1
    assert (await asked.ask("directly", "SELECT 'a;b' -- a note"))["value"] == "a;b"


@pytest.mark.parametrize("statement", [each for each in QUESTIONS if " t" not in each and "orders" not in each])
async def test_a_function_that_the_list_takes_is_taken_by_the_server(asked: AskedServer, statement: str) -> None:
    await asked.ask("directly", statement)
