"""
The contents and needs of a dump, from the script that `pg_restore --schema-only` writes of it, read line by line.

Each entry of the script begins with a comment that says its name, kind and owner. Only the statements name the roles
that rights are granted to; these are read within entries about rights alone: the body of a function may hold anything.
"""

import re
from collections.abc import Iterator

from kintsugi_restore.backups import ArchiveContents

ENTRY = re.compile(
    r"-- (?:Data for )?Name: (?P<name>.*); Type: (?P<kind>.*?); Schema: (?P<schema>.*?); Owner: (?P<owner>.*)"
)
TABLESPACE = re.compile(r"; Tablespace: .*$")
_SPEAKS_OF_ROLES = ("ACL", "DEFAULT ACL", "POLICY")
_TABLES = ("TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW")
_LISTED = re.compile(r"\d+; \d+ \d+ (?P<what>.*)")
_TABLE_OF_ROWS = {"TABLE DATA ": "TABLE ", "SEQUENCE SET ": "SEQUENCE "}
"""The prefixes of the entries of rows and values in a list, and those of the tables and sequences that have them."""

_MAKES_TABLE = ("TABLE ", "SEQUENCE ", "FOREIGN TABLE ")
_WORD = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|[^\W\d][\w$]*|[,;(]")
_BEFORE_ROLES = frozenset({"TO", "FROM", "ROLE", "AUTHORIZATION"})
_NO_ROLES = frozenset({"PUBLIC", "CURRENT_USER", "CURRENT_ROLE", "SESSION_USER", "DEFAULT"})
_OWN = "pg_"
"""Roles whose names begin so are PostgreSQL's own, and are everywhere."""

_ALWAYS_THERE = frozenset({"plpgsql"})


class Script:
    """Takes in the script's lines and keeps what they say in bounded pieces: no line of it is kept."""

    def __init__(self) -> None:
        self._tables: list[str] = []
        self._roles: set[str] = set()
        self._extensions: set[str] = set()
        self._kind = ""

    def take(self, line: str) -> None:
        """Take in one line."""
        entry = ENTRY.match(line)
        if entry is not None:
            self._enter(entry)
        elif self._kind in _SPEAKS_OF_ROLES and not line.startswith("--"):
            self._roles.update(_named(line))

    def contents(self) -> ArchiveContents:
        """Return what was found, each in the order of its name."""
        return ArchiveContents(
            tables=tuple(sorted(self._tables)),
            roles=tuple(sorted(role for role in self._roles if role and not role.startswith(_OWN))),
            extensions=tuple(sorted(self._extensions - _ALWAYS_THERE)),
        )

    def _enter(self, entry: re.Match[str]) -> None:
        self._kind = entry["kind"]
        owner = TABLESPACE.sub("", entry["owner"])
        self._roles.add("" if owner == "-" else owner)
        if self._kind in _TABLES:
            self._tables.append(f"{entry['schema']}.{entry['name']}")
        elif self._kind == "EXTENSION":
            self._extensions.add(entry["name"])


class ArchiveList:
    """Takes in the lines of a dump's list, and keeps of what it has rows or a value, and of those what it makes."""

    def __init__(self) -> None:
        self._rows: set[str] = set()
        self._made: set[str] = set()

    def take(self, line: str) -> None:
        """Take in one line: number, object, kind, schema, name and owner; an entry of rows has those of its table."""
        found = _LISTED.fullmatch(line)
        what = found["what"] if found is not None else ""
        for data, made in _TABLE_OF_ROWS.items():
            if what.startswith(data):
                self._rows.add(made + what.removeprefix(data))
                return
        if what.startswith(_MAKES_TABLE):
            self._made.add(what.removeprefix("FOREIGN "))

    def foreign_rows(self) -> tuple[str, ...]:
        """Return, as SCHEMA.NAME, what it has rows or a value of, and does not make."""
        alone = (what.partition(" ")[2].rpartition(" ")[0] for what in self._rows - self._made)
        return tuple(sorted(name.replace(" ", ".", 1) for name in alone))


def _named(line: str) -> Iterator[str]:
    """Go through the roles that a statement about rights names: after TO, FROM, ROLE or AUTHORIZATION, and commas."""
    listening = False
    for word in _WORD.findall(line):
        if word.upper() in _BEFORE_ROLES:
            listening = True
        elif listening and word != ",":
            if word[0] == '"':
                yield word[1:-1].replace('""', '"')
            elif word.upper() in ("USING", "WITH", "GRANT", "REVOKE", "IN", "(", ";"):
                listening = False
            elif word.upper() not in _NO_ROLES:
                yield word.strip("'")
        if word.upper() == "USING":
            return
