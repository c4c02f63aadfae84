"""
Builds `psql` queries that only read: from a line of their own, or from the words after `kubectl exec … --`.

`-d` takes a database, or libpq's connection string with how the connection is made: `-d "dbname=app sslmode=require"`.
Of `options` in it only the search path is supported: `options=-csearch_path=pg_catalog,public`.
"""

import re
from collections.abc import Mapping, Sequence
from getopt import GetoptError, gnu_getopt

from kintsugi.commands.arg_types import FILE, HOST, PORT
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import ParsedCommand
from kintsugi.commands.sql import checked_statement, plain_statement
from kintsugi.errors import CommandError
from kintsugi.model.command import Psql

USAGE = "psql [-p PORT] [-U USER] [-d DATABASE | 'dbname=DATABASE sslmode=MODE sslrootcert=FILE passfile=FILE'] -c STATEMENT"
HARMLESS = (
    ("-X", "--no-psqlrc"),
    ("-A", "--no-align"),
    ("-t", "--tuples-only"),
    ("-q", "--quiet"),
    ("-w", "--no-password"),
)
"""Flags of psql's output and prompt, which are accepted and ignored."""
NO_PROMPT = "it cannot be typed in: the service's `env` names the Secret (PGPASSWORD), or the connection a passfile"
REFUSED = (
    (("-f", "--file"), "no files are read: write the statement with -c"),
    (("-o", "--output"), "no files are written: rows are kept with the incident"),
    (("-v", "--set", "--variable"), "no values are put into SQL: write the statement out"),
)
MODES = ("disable", "prefer", "require", "verify-full")

_NAME = re.compile(r"[A-Za-z0-9_](?:[-A-Za-z0-9_.$]{0,61}[A-Za-z0-9_])?")
_SEARCH_PATH = re.compile(r"-csearch_path=([a-z_][a-z0-9_$]*(?:,[a-z_][a-z0-9_$]*)*)")
_PAIR = re.compile(r"\s*([a-z]+)\s*=\s*([^\s'\\]+)\s*")
_KEYS: Mapping[str, str] = {
    "host": "host",
    "port": "port",
    "user": "user",
    "dbname": "database",
    "sslmode": "sslmode",
    "sslrootcert": "rootcert",
    "passfile": "passfile",
    "options": "search_path",
}
_FLAGS = {"-h": "host", "-p": "port", "-U": "user", "-d": "database", "-c": "statement"}
_LONG = {"--host": "-h", "--port": "-p", "--username": "-U", "--dbname": "-d", "--command": "-c"}


def build_psql(parsed: ParsedCommand) -> Psql:
    """Build a `psql` that asks a server directly."""
    if parsed.arguments:
        raise parsed.misused(
            f"{parsed.arguments[0].text!r} is not expected here: name the database with -d, the user with -U"
        )
    port = parsed.number("port")
    texts = {key: parsed.text(key) for key in ("host", "user", "database", "statement")}
    command = _psql({**texts, "port": str(port) if port else ""})
    _check_reads_only(command, parsed.allowed_functions)
    return command


def check_psql(argv: Sequence[str], allowed_functions: frozenset[str]) -> None:
    """Refuse a `psql` that might do more than look: raises CommandProblem. `allowed_functions` are further functions it may call."""
    _check_reads_only(psql_of(argv), allowed_functions)


def _check_reads_only(command: Psql, allowed_functions: frozenset[str]) -> None:
    try:
        checked_statement(command.statement, allowed_functions)
    except ValueError as error:
        raise CommandProblem(f"psql: {error}") from error


def psql_of(argv: Sequence[str]) -> Psql:
    """
    Read the words of a `psql`, the program itself included. Raises CommandProblem for what is not one question.

    Whether its statement only looks was judged when the command was made (`check_psql`).
    """
    short = "".join(flag[1] for flag, _ in HARMLESS) + "".join(f"{flag[1]}:" for flag in _FLAGS)
    long = [*(name[2:] for _, name in HARMLESS), *(f"{name[2:]}=" for name in _LONG)]
    try:
        options, rest = gnu_getopt(list(argv[1:]), short, long)
    except GetoptError as error:
        raise CommandProblem(f"psql: {error.msg}; it is written: {USAGE}") from error
    if rest:
        raise CommandProblem(f"psql: {rest[0]!r} is not expected here: name the database with -d, the user with -U")
    given = [(_FLAGS[flag], text) for name, text in options if (flag := _LONG.get(name, name)) in _FLAGS]
    if len(dict(given)) != len(given):
        raise CommandProblem("psql: a flag is given twice: a step sends one query to one server")
    return _psql(dict(given))


def _psql(given: Mapping[str, str]) -> Psql:
    texts = {key: text for key, text in given.items() if text}
    connection = _connection(texts.pop("database", ""))
    if twice := sorted(texts.keys() & connection.keys()):
        raise CommandProblem(f"psql: the {twice[0]} is given twice, as a flag and in the connection string")
    texts |= connection
    try:
        _check(texts)
        return Psql(statement=plain_statement(texts.pop("statement", "")), port=int(texts.pop("port", "0")), **texts)
    except ValueError as error:
        raise CommandProblem(f"psql: {error}") from error


def _connection(text: str) -> dict[str, str]:
    """Parse the value of `-d`: a database, or `key=value` pairs. A URL is refused, because URLs contain credentials."""
    if "=" not in text:
        return {"database": text} if text else {}
    found = _PAIR.findall(text)
    if "://" in text or "".join(f"{key}={value}" for key, value in found) != re.sub(r"\s", "", text):
        raise CommandProblem(f"psql: {text!r} is not understood as a connection: write key=value with blanks between")
    unknown = [key for key, _ in found if key not in _KEYS]
    if unknown:
        known = ", ".join(_KEYS)
        raise CommandProblem(f"psql: a connection string takes {known} here, not {unknown[0]}; {NO_PROMPT}")
    return {_KEYS[key]: _search_path(value) if key == "options" else value for key, value in found}


def _search_path(options: str) -> str:
    found = _SEARCH_PATH.fullmatch(options)
    if found is None:
        raise CommandProblem(f"psql: of a session's options only -csearch_path=SCHEMA,… is understood, not {options!r}")
    return found[1]


def _check(texts: Mapping[str, str]) -> None:
    for key, text in texts.items():
        try:
            match key:
                case "host":
                    HOST.convert(text)
                case "port":
                    PORT.convert(text)
                case "rootcert" | "passfile":
                    FILE.convert(text)
                case "user" | "database" if not _NAME.fullmatch(text):
                    raise ValueError(f"{text!r} is not the name of a {key} (letters, digits, and _.-$ between them)")
                case "sslmode" if text not in MODES:
                    raise ValueError(f"sslmode={text} is not understood: it is one of {', '.join(MODES)}")
        except CommandError as error:
            raise ValueError(str(error)) from error
