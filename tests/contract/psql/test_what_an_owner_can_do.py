"""
Whoever owns a database that is asked gets no right of whoever asks it (P10).

The owner of a real database lays in wait for the names that a question uses: its function runs a program on the server's machine
as soon as a superuser calls it, in a read-only transaction, too.
"""

from collections.abc import Iterator, Sequence

import pytest

from kintsugi.errors import ProbeFailed
from tests.contract.psql.asking import AskedServer, quoted
from tests.harness.postgres import Postgres

OWNER, READER, DATABASE = "laying_owner", "laying_reader", "laying"
RUNS = (
    "LANGUAGE plpgsql AS $$BEGIN COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; touch a-program-ran'; RETURN NULL; END$$"
)

SEARCH_PATH = (
    "CREATE SCHEMA evil",
    f"CREATE FUNCTION evil.row_to_json(record) RETURNS json {RUNS}",
    f"CREATE FUNCTION evil.version() RETURNS text {RUNS}",
    f"ALTER DATABASE {DATABASE} SET search_path = evil, pg_catalog",
)
"""Names are looked up in the owner's schema first."""

CLOSER_CALL = (
    f"CREATE FUNCTION public.collected(json, json) RETURNS json {RUNS}",
    "CREATE AGGREGATE public.json_agg(json) (SFUNC = public.collected, STYPE = json, INITCOND = '[]')",
)
"""An aggregate that fits our own call better than the server's own: of the very type, where that takes any."""

VIEW = (
    f"CREATE FUNCTION public.counted() RETURNS bigint {RUNS}",
    "CREATE VIEW public.orders AS SELECT public.counted() AS id",
    f"GRANT SELECT ON public.orders TO {READER}",
)
"""A view in a table's place, which calls a function."""


@pytest.fixture
def server(postgres_server: Postgres) -> Iterator[Postgres]:
    """The run's own server, with a database that its owner may change as they like."""

    def clear() -> None:
        postgres_server.psql("COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; rm -f a-program-ran'")
        postgres_server.psql(f"DROP DATABASE IF EXISTS {DATABASE}")
        for role in (OWNER, READER):
            postgres_server.psql(f"DROP ROLE IF EXISTS {role}")

    clear()
    for role in (OWNER, READER):
        postgres_server.psql(f"CREATE ROLE {role} LOGIN")
    postgres_server.psql(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
    yield postgres_server
    clear()


def lay(server: Postgres, statements: Sequence[str]) -> None:
    """Let the owner do what they may in their database."""
    for statement in statements:
        server.psql(statement, dsn=f"host=127.0.0.1 port={server.port} user={OWNER} dbname={DATABASE}")


def program_ran(server: Postgres) -> bool:
    """Return whether the owner's program has run on the server's machine."""
    return server.psql("SELECT count(*) FROM pg_ls_dir('.') AS name WHERE name = 'a-program-ran'") == "1"


async def ask(server: Postgres, way: str, statement: str, *, user: str = "postgres", connection: str = "") -> object:
    """Ask the owner's database, in a container or directly, with more words of the connection string."""
    database = quoted(f"dbname={DATABASE} {connection}") if connection else DATABASE
    return (await AskedServer(server).ask(way, statement, connection=f"-U {user} -d {database}")).get("value")


@pytest.mark.parametrize("trap", [SEARCH_PATH, CLOSER_CALL], ids=["a search path", "a closer call"])
async def test_a_superuser_s_question_calls_no_function_of_the_owner_by_its_name(
    server: Postgres, way: str, trap: Sequence[str]
) -> None:
    lay(server, trap)
    assert str(await ask(server, way, "SELECT version()")).startswith("PostgreSQL ")
    assert not program_ran(server)


async def test_our_own_call_is_the_server_s_also_where_the_owner_s_schema_is_looked_at(
    server: Postgres, way: str
) -> None:
    lay(server, CLOSER_CALL)
    assert await ask(server, way, "SELECT 1", connection="options=-csearch_path=pg_catalog,public") == 1
    assert not program_ran(server)


async def test_a_view_of_the_owner_runs_with_the_rights_of_whoever_asks(server: Postgres, way: str) -> None:
    """So an application's tables are asked as a role that is no superuser (docs/security.md)."""
    lay(server, VIEW)
    with pytest.raises(ProbeFailed, match="permission denied to COPY to or from an external program"):
        await ask(server, way, "SELECT max(id) FROM public.orders", user=READER)
    assert not program_ran(server)


async def test_a_name_outside_of_pg_catalog_needs_its_schema_and_the_error_says_so(server: Postgres, way: str) -> None:
    lay(server, ("CREATE TABLE public.orders (id bigint)", "INSERT INTO public.orders VALUES (7)"))
    lay(server, (f"GRANT SELECT ON public.orders TO {READER}",))
    with pytest.raises(ProbeFailed, match=r"(?s)relation .orders. does not exist.*names without a schema.*pg_catalog"):
        await ask(server, way, "SELECT max(id) FROM orders", user=READER)
    assert await ask(server, way, "SELECT max(id) FROM public.orders", user=READER) == 7


async def test_a_role_that_is_not_there_is_named_with_what_it_is_for(server: Postgres, way: str) -> None:
    with pytest.raises(
        ProbeFailed, match=r"(?s)role .laying_nobody. does not exist.*should not be a superuser.*-U ROLE"
    ):
        await ask(server, way, "SELECT 1", user="laying_nobody")
