"""
The owners of a dump's objects, and the objects that only a superuser can make: from its list and schema script.

`pg_restore` runs without a superuser's rights and makes everything as one owner (`--no-owner`). So extensions are made
before it, owners and default rights are given after it, and triggers on events, publications and subscriptions are left
out. All that is read here is a name, a kind or a word of a fixed list; no statement of a dump is kept.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kintsugi_restore.worker.archive_contents import ENTRY, TABLESPACE
from kintsugi_restore.worker.database import pg_restore_output, unquoted
from kintsugi_restore.worker.dump import Dump

_NAME = r"(?:\"(?:[^\"]|\"\")+\"|[A-Za-z_][\w$]*)"
_EXTENSION = re.compile(rf"CREATE EXTENSION IF NOT EXISTS (?P<name>{_NAME})(?: WITH SCHEMA (?P<schema>{_NAME}))?;")
_DEFAULT = re.compile(
    rf"ALTER DEFAULT PRIVILEGES FOR ROLE (?P<of>{_NAME})(?: IN SCHEMA (?P<schema>{_NAME}))?"
    r" (?P<verb>GRANT|REVOKE) (?P<privileges>[A-Z]+(?:,[A-Z]+)*) ON (?P<kind>TABLES|SEQUENCES|FUNCTIONS|TYPES|SCHEMAS)"
    rf"\s+(?:TO|FROM) (?P<role>{_NAME})(?P<option> WITH GRANT OPTION)?;"
)
_LARGE = re.compile(r"\d+; \d+ \d+ BLOB(?: METADATA)? - (?P<name>\d+) (?P<owner>.+)")
_LISTED = re.compile(r"\d+; \d+ \d+ (?P<what>.*)")
_MADE_BEFORE = ("EXTENSION - ", "COMMENT - EXTENSION ", "DEFAULT ACL ")
_LEFT_OUT = ("EVENT TRIGGER - ", "PUBLICATION - ", "PUBLICATION TABLE", "SUBSCRIPTION - ", "SUBSCRIPTION TABLE")
_ABOUT_LEFT_OUT = tuple(f"COMMENT - {kind} " for kind in ("EVENT TRIGGER", "PUBLICATION", "SUBSCRIPTION"))
_KINDS = {"domain": "type", "shell type": "type", "statistics": "statistics object"}
"""Kinds that PostgreSQL's `pg_identify_object` calls otherwise than a dump."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extension:
    """An extension that the dump needs, and the schema that it is in; `made`: the dump makes that schema itself."""

    name: str
    schema: str = ""
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DefaultRight:
    """Rights on what a role will make: given to another one, or taken from it."""

    of: str
    schema: str
    granted: bool
    privileges: tuple[str, ...]
    kind: str
    role: str
    grantable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DumpOwnership:
    """
    The ownership in a dump: `owners` by kind and name as `key` writes them; and the objects that `pg_restore` does not
    make.

    `listed` is the list for its `--use-list`; `left_out` names what is not restored.
    """

    listed: str
    owners: dict[tuple[str, str], str]
    extensions: tuple[Extension, ...] = ()
    default_rights: tuple[DefaultRight, ...] = ()
    left_out: tuple[str, ...] = ()


async def dump_ownership_of(dump: Dump) -> DumpOwnership:
    """Read what the dump says. Raises WorkFailed when it is no archive of pg_dump."""
    return read(
        await pg_restore_output("--list", dump=dump), await pg_restore_output("--schema-only", "--file=-", dump=dump)
    )


def read(listed: str, script: str) -> DumpOwnership:
    """Read the list and the script that `pg_restore` writes of a dump."""
    owners: dict[tuple[str, str], str] = {}
    extensions: list[Extension] = []
    rights: list[DefaultRight] = []
    for line in script.splitlines():
        if entry := ENTRY.fullmatch(line):
            owners[key(entry["kind"], entry["schema"], entry["name"])] = TABLESPACE.sub("", entry["owner"])
        elif found := _EXTENSION.fullmatch(line):
            extensions.append(Extension(name=unquoted(found["name"]), schema=unquoted(found["schema"] or "")))
        elif found := _DEFAULT.fullmatch(line):
            rights.append(_default_right(found))
    for line in listed.splitlines():
        if found := _LARGE.fullmatch(line):
            owners[key("large object", "-", found["name"])] = found["owner"]
    schemas = {name for (kind, name) in owners if kind == "schema"}
    made = tuple(
        Extension(name=each.name, schema=each.schema, made=_bare(each.schema) in schemas) for each in extensions
    )
    kept, left_out = _sorted_out(listed.splitlines(), {each.schema for each in made if each.made})
    return DumpOwnership(
        listed="\n".join(kept) + "\n",
        owners={which: owner for which, owner in owners.items() if owner not in ("", "-")},
        extensions=made,
        default_rights=tuple(rights),
        left_out=left_out,
    )


def key(kind: str, schema: str, name: str) -> tuple[str, str]:
    """Write of what an entry is: the kind as PostgreSQL calls it, the name with its schema, without quotes and blanks."""
    lowered = kind.lower()
    whole = name if schema in ("", "-") else f"{schema}.{name}"
    return _KINDS.get(lowered, lowered), _bare(whole)


def _bare(name: str) -> str:
    return name.replace(" ", "").replace('"', "")


def _sorted_out(lines: Iterable[str], schemas: set[str]) -> tuple[list[str], tuple[str, ...]]:
    """
    Separate the lines for `pg_restore` from those that it cannot execute; return also the names of objects that are not
    restored.
    """
    kept: list[str] = []
    left_out: list[str] = []
    for line in lines:
        found = _LISTED.fullmatch(line)
        if found is None:
            continue
        what = found["what"]
        if what.startswith(_LEFT_OUT):
            left_out.append(what.rpartition(" ")[0])
        elif not what.startswith((*_MADE_BEFORE, *_ABOUT_LEFT_OUT)) and not _is_schema(what, schemas):
            kept.append(line)
    return kept, tuple(left_out)


def _is_schema(what: str, schemas: set[str]) -> bool:
    return any(what.startswith(f"SCHEMA - {name} ") for name in schemas)


def _default_right(found: re.Match[str]) -> DefaultRight:
    return DefaultRight(
        of=unquoted(found["of"]),
        schema=unquoted(found["schema"] or ""),
        granted=found["verb"] == "GRANT",
        privileges=tuple(found["privileges"].split(",")),
        kind=found["kind"],
        role=unquoted(found["role"]),
        grantable=found["option"] is not None,
    )
