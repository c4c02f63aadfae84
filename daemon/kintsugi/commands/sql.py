"""
The statements that a database may be asked: one that only reads, and calls only functions that are known to read.

Judged by lists of what is allowed, twice: which functions are called, on PostgreSQL's own tokens (`sql_tokens`); the
parts of the statement, on a syntax tree (`sql_tree`). The checked text is the text that is sent. The server also runs
it in a read-only transaction, which alone would not keep it from ending sessions, reading files or promoting a standby.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from kintsugi.commands.sql_functions import FUNCTIONS
from kintsugi.commands.sql_tokens import Token, tokens_of
from kintsugi.commands.sql_tree import check_tree, names_elsewhere

LONGEST = 8000

_BEGINNINGS = frozenset({"select", "show", "with", "table", "values"})
_SHOW = re.compile(r"SHOW\s+([A-Za-z_][A-Za-z0-9_.]*)", re.IGNORECASE)
_GRAMMAR = """
    all and any array as between by case cast coalesce cube current_time current_timestamp distinct else except exists
    filter first from greatest group
    grouping having ilike in intersect is join lateral least like limit localtime localtimestamp materialized next not
    nullif offset on or over rollup row select sets similar some then to trim union using values when where within
"""
_BEFORE_BRACKETS = frozenset(_GRAMMAR.split())
"""Words of the grammar that brackets follow without a call; trim, cast and their like are grammar, and no functions."""
_NAMING = frozenset({"as", "with", "recursive"})
"""Words before a name with its columns, or a type, in brackets: `AS t (a, b)`, `AS numeric(10, 2)`."""
_OWN_SCHEMA = "pg_catalog"
_SERVER_SCHEMAS = frozenset({_OWN_SCHEMA, "information_schema"})
"""Schemas whose contents only a superuser can change."""

Name = tuple[str, ...]
"""A function's name with its schema, if that is written: a dot inside of quotes parts nothing."""

_LISTED: frozenset[Name] = frozenset({(name,) for name in FUNCTIONS} | {(_OWN_SCHEMA, name) for name in FUNCTIONS})


def plain_statement(text: str) -> str:
    """
    Return a statement without comments, and without one `;` at its end.

    Raises ValueError when it is not exactly one that begins as a question does, with what would be right.
    """
    return "".join(token.text for token in _tokens(text)).strip()


def checked_statement(text: str, allowed_functions: frozenset[str] = frozenset()) -> str:
    """
    Return a statement as `plain_statement` does, if it only looks.

    `allowed_functions` are further functions that may be called, as the service's document names them. Raises ValueError.
    """
    statement = plain_statement(text)
    _check_statement(statement, allowed_functions)
    return statement


def names_of_owners(statement: str) -> tuple[str, ...]:
    """
    Return the names in a statement, with their schemas, that are not the server's own: their owners define what they
    run.
    """
    return () if shown_setting(statement) else names_elsewhere(statement, _SERVER_SCHEMAS)


def shown_setting(statement: str) -> str:
    """Return the setting that a SHOW asks for, "" of another statement."""
    found = _SHOW.fullmatch(statement.strip())
    return found[1] if found else ""


def _tokens(text: str) -> tuple[Token, ...]:
    statement = text.strip()
    if not statement or len(statement) > LONGEST:
        raise ValueError(f"a statement has 1 to {LONGEST} characters, and this one {len(statement)}")
    found = tokens_of(statement)
    rest = [token for token in found if token.kind != "blank"]
    if rest and rest[-1].is_mark(";"):
        last = rest.pop()
        found = tuple(token for token in found if token is not last)
    if any(token.is_mark(";") for token in rest):
        raise ValueError("a semicolon (;) is understood at the end of SQL only: a step sends exactly one query")
    if not rest or not any(rest[0].is_word(word) for word in _BEGINNINGS):
        raise ValueError(f"{statement[:40]!r} is not a query: write SELECT, SHOW, WITH, TABLE or VALUES")
    return found


@lru_cache(maxsize=1024)
def _check_statement(statement: str, allowed_functions: frozenset[str]) -> None:
    tokens = [token for token in tokens_of(statement) if token.kind != "blank"]
    if tokens[0].is_word("show"):
        if not _SHOW.fullmatch(statement):
            raise ValueError(f"{statement[:40]!r} is not understood: SHOW takes the name of one setting")
        return
    functions = _LISTED | {tuple(name.split(".")) for name in allowed_functions}
    for position, token in enumerate(tokens):
        if token.is_mark("(") and (called := _called(tokens[:position])) and called not in functions:
            raise ValueError(
                f"{'.'.join(called)} is not known to be read-only, so it is not called: a service's `sqlFunctions` lists "
                f"the functions that it vouches for; an alias with columns is written AS {called[-1]} (a, b)"
            )
    check_tree(statement, {name[-1] for name in functions})


def _called(before: Sequence[Token]) -> Name:
    """Return the name of the function whose bracket opens behind these tokens; empty when none is called."""
    if not before or not before[-1].is_name:
        return ()
    first = len(before) - 1
    while first >= 2 and before[first - 1].is_mark(".") and before[first - 2].is_name:
        first -= 2
    leading = before[first - 1] if first else None
    if leading is not None and (leading.is_mark("::") or any(leading.is_word(word) for word in _NAMING)):
        return ()
    name = tuple(token.word for token in before[first:] if token.is_name)
    is_grammar = len(name) == 1 and before[-1].kind == "name" and name[0] in _BEFORE_BRACKETS
    return () if is_grammar else name
