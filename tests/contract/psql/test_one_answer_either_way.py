"""
A question to a real PostgreSQL has the same answer through the `psql` of a container and over the network.

E4, E5: bounded, read-only, over in time. The container's side runs the real psql with the very words that it is given.
"""

import asyncio
from datetime import timedelta

import pytest

from kintsugi.clients.addresses import AddressRule
from kintsugi.commands import parse
from kintsugi.errors import ProbeFailed, Refused
from tests.contract.psql.asking import SOON, WAYS, AskedServer
from tests.unit.actions.cluster_of_dicts import actions_on

QUESTIONS = [
    ("SELECT 1", 1),
    ("SELECT true AS yes, false AS no", True),
    ("SELECT 2.5::numeric AS n", 2.5),
    ("SELECT 9223372036854775807 AS big", 9223372036854775807),
    ("SELECT 'it''s ünïcode, ☃' AS text", "it's ünïcode, ☃"),
    ("SELECT NULL AS nothing", None),
    ("SELECT timestamptz '2026-05-04 12:00:00+02' AS moment", "2026-05-04T10:00:00+00:00"),
    ("SELECT ARRAY[1, 2, 3] AS list", [1, 2, 3]),
    ("""SELECT json '{"a":\n {"b": 1}}' AS inner""", {"a": {"b": 1}}),
    ("SELECT 1, 2, 3", 1),
    ("SELECT 7 AS x, 8 AS x", 7),
    ("VALUES (1, 'a'), (2, 'b')", 1),
    ("WITH t AS (SELECT 5 AS five) TABLE t", 5),
    ("SHOW default_transaction_read_only", "on"),
    ("SELECT 1 -- a note", 1),
    ("SELECT count(*) FROM pg_stat_replication", 0),
]


@pytest.mark.parametrize(("statement", "value"), QUESTIONS, ids=[statement for statement, _ in QUESTIONS])
async def test_rows_and_value_are_the_same_either_way(asked: AskedServer, statement: str, value: object) -> None:
    inside, directly = [await asked.ask(way, statement) for way in WAYS]
    assert inside == directly
    assert inside["value"] == value
    assert type(inside["value"]) is type(value)


async def test_rows_keep_their_order_and_their_columns_names_and_without_a_row_there_is_no_value(
    asked: AskedServer, way: str
) -> None:
    names = await asked.ask(way, "SELECT n, n * n AS square FROM generate_series(3, 1, -1) AS n")
    assert names["rows"] == [{"n": 3, "square": 9}, {"n": 2, "square": 4}, {"n": 1, "square": 1}]
    assert await asked.ask(way, "SELECT 1 AS one WHERE false") == {"rows": []}


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT no_such_column", "no_such_column"),
        ("SELECT n FROM generate_series(1, 1001) AS n", "more than 1000 rows"),
        ("SELECT repeat('x', 2000000)", "longer than 1 MiB"),
    ],
)
async def test_a_statement_that_is_no_single_look_has_no_answer(
    asked: AskedServer, way: str, statement: str, words: str
) -> None:
    with pytest.raises(ProbeFailed, match=words):
        await asked.ask(way, statement)


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(asked: AskedServer, way: str) -> None:
    """E1: the deadline holds where the work is done, not only where it is waited for."""
    slow = "SELECT count(*) FROM generate_series(1, 100000000000) AS n"
    with pytest.raises(ProbeFailed, match=r"statement timeout|no answer within|has not ended within"):
        await asked.ask(way, slow, deadline=timedelta(seconds=2))
    running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kintsugi' AND query LIKE '%series(1, 1000000000%'"
    for _ in range(50):
        if (await asked.ask("directly", f"{running} AND pid <> pg_backend_pid()"))["value"] == 0:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the statement still runs")


async def test_a_server_that_is_not_there_is_told_in_its_own_words(asked: AskedServer, way: str) -> None:
    asked.port = 1
    with pytest.raises(ProbeFailed, match=r"refused|Connect call failed"):
        await asked.ask(way, "SELECT 1")


async def test_the_program_is_held_to_its_deadline_in_the_container(asked: AskedServer) -> None:
    """E1: by `timeout -k`, where the container has it, and by psql's own limits in any case."""
    await asked.ask("in a container", "SELECT 1")
    (words,) = asked.container.started
    assert words[:4] == ("timeout", "-k", "2", "8")
    assert "statement_timeout=8000" in " ".join(words)
    assert "connect_timeout='5'" in " ".join(words)


async def test_an_address_that_may_not_be_asked_is_refused() -> None:
    """E6: a database's host is held to the same rule as a URL's."""
    command = parse("psql -h 127.0.0.1 -U postgres -c 'SELECT 1'")
    with pytest.raises(Refused, match="the daemon's own machine"):
        await actions_on(rule=AddressRule()).read(command, deadline=SOON)
