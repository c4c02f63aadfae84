"""
Dumps that do harm to whoever restores or reads them too trustingly: made by the real `pg_dump`, then changed in their bytes.

An archive keeps the statement of each entry as it is, with its length before it. So a comment that is long enough is the
place for any other statement of at most its length.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.harness.postgres import Postgres
from tests.integration.restore_stage import dump

ROOM = "x" * 400
"""What a comment says that another statement is put in the place of."""

TABLE = "COMMENT ON TABLE public.marked IS "
DATABASE = "COMMENT ON DATABASE {} IS "
ORDERS = (
    "CREATE TABLE public.marked (i int)",
    f"{TABLE}'{ROOM}'",
    "CREATE TABLE public.orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now())",
    "INSERT INTO public.orders SELECT FROM generate_series(1, 1000)",
    "INSERT INTO public.marked SELECT generate_series(1, 3)",
)


def running(statement: str, *, name: str = "public.harm", returns: str = "bigint", ends: str = "RETURN 1000") -> str:
    """Write a function that does a statement as whoever calls it."""
    return (
        f"CREATE FUNCTION {name}() RETURNS {returns} LANGUAGE plpgsql AS $harm$"
        f" BEGIN EXECUTE $do${statement}$do$; {ends}; END $harm$"
    )


def hostile(server: Postgres, folder: Path, statements: Sequence[str], *, name: str, tampered: str = "") -> Path:
    """
    Dump a database made by `statements`, with `tampered` in the place of the comment on a table, `public.marked`.

    With `DATABASE:` before it, it takes the place of the comment on the database instead.
    """
    server.psql(f"CREATE DATABASE {name}")
    try:
        for each in statements:
            server.psql(each, dsn=server.dsn(name))
        server.psql(f"{DATABASE.format(name)}'{ROOM}'")
        file = dump(server, name, folder / f"{name}.dump")
    finally:
        server.psql(f"DROP DATABASE {name}")
    place = DATABASE.format(name) if tampered.startswith("DATABASE:") else TABLE
    return put_in(file, f"{place}'{ROOM}';", tampered.removeprefix("DATABASE:")) if tampered else file


def put_in(file: Path, instead_of: str, statement: str) -> Path:
    """Put a statement in the place of another one, to the byte."""
    content = file.read_bytes()
    assert content.count(instead_of.encode()) == 1, f"{instead_of[:40]}… is not once in the dump"
    assert len(statement) <= len(instead_of)
    file.write_bytes(content.replace(instead_of.encode(), statement.ljust(len(instead_of)).encode()))
    return file
