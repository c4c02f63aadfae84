"""
The properties of a dumped database, read from the dump: encoding, locale, settings, owner, rights and comment.

`pg_restore` uses them only with `--create`, into a database of the dumped name; ours has another name until it is
whole. So they are read from the dump's table of contents into values, and statements are written anew from those: a
line of a dump is never run by the session that makes and renames databases. Lines that are not understood are left out
and counted.
"""

import asyncio
import re
from dataclasses import dataclass

from kintsugi_restore.worker.dump import Dump
from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker.programs import program
from kintsugi_restore.worker.server import identifier, literal
from kintsugi_restore.worker_results import WorkFailure

_ENTRY = re.compile(
    r"^\d+; \d+ \d+ (?:DATABASE|DATABASE PROPERTIES|ACL - DATABASE|COMMENT - DATABASE) .*$", re.MULTILINE
)
_NAME = r"(?:\"(?:[^\"]|\"\")+\"|[A-Za-z_][\w$]*)"
_TEXT = r"(?:'(?:[^'\\]|'')*')"
"""A literal without a backslash: what it means depends on no setting."""

_CREATE = re.compile(rf"^CREATE DATABASE (?P<name>{_NAME}) WITH TEMPLATE = template0(?P<options>.*);$", re.MULTILINE)
_OPTION = re.compile(
    r" (?:ENCODING|LOCALE_PROVIDER|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|ICU_RULES) = (?:'(?:[^']|'')*'|\w+)"
)
_OWNER = re.compile(rf"ALTER DATABASE (?P<name>{_NAME}) OWNER TO (?P<owner>{_NAME});")
_SETTING = re.compile(
    rf"ALTER DATABASE (?P<name>{_NAME}) SET (?P<setting>\"?[A-Za-z_][\w.]*\"?) TO (?P<values>{_TEXT}(?:, {_TEXT})*);"
)
_LIMIT = re.compile(rf"ALTER DATABASE (?P<name>{_NAME}) CONNECTION LIMIT = (?P<limit>\d{{1,6}});")
_COMMENT = re.compile(rf"COMMENT ON DATABASE (?P<name>{_NAME}) IS (?P<text>{_TEXT});")
_PRIVILEGE = r"(?:ALL|CONNECT|CREATE|TEMPORARY|TEMP)"
_RIGHT = re.compile(
    rf"(?P<verb>GRANT|REVOKE) (?P<privileges>{_PRIVILEGE}(?:,{_PRIVILEGE})*) ON DATABASE (?P<name>{_NAME})"
    rf" (?:TO|FROM) (?P<role>{_NAME})(?P<option> WITH GRANT OPTION)?;"
)
_SILENT = re.compile(r"(?:--|\\|SET |SELECT pg_catalog\.set_config\('search_path', '', false\);|CREATE DATABASE |$)")
"""Lines that say nothing of the database: psql's own, and how the script's own session is set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseSetting:
    """One setting of the database; several values make a list."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Rights on the database that are given to a role (PUBLIC: to all), or taken from it."""

    granted: bool
    privileges: tuple[str, ...]
    role: str
    grantable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """The dumped database: its name, the options of its CREATE DATABASE, and what was done to it then, in values."""

    name: str = ""
    options: str = ""
    owner: str = ""
    settings: tuple[DatabaseSetting, ...] = ()
    rights: tuple[Grant, ...] = ()
    limit: int | None = None
    comment: str | None = None
    not_understood: int = 0


async def database_of(dump: Dump) -> Database:
    """Read what the dump says. Raises WorkFailed when it is no archive of pg_dump."""
    contents = await pg_restore_output("--list", "--create", dump=dump)
    entries = "\n".join(_ENTRY.findall(contents))
    if not entries:
        return Database()
    return read(await pg_restore_output("--create", "--use-list=/dev/stdin", "--file=-", dump=dump, given=entries))


def read(script: str) -> Database:
    """Read the statements that `pg_restore --create` writes about the database alone, each in a line of its own."""
    created = _CREATE.search(script)
    if created is None:
        return Database()
    name = unquoted(created["name"])
    settings: list[DatabaseSetting] = []
    rights: list[Grant] = []
    owner, limit, comment, strange = "", None, None, 0
    for line in script.splitlines():
        if found := _OWNER.fullmatch(line):
            owner = unquoted(found["owner"])
        elif found := _SETTING.fullmatch(line):
            settings.append(DatabaseSetting(name=found["setting"].strip('"'), values=_texts(found["values"])))
        elif found := _LIMIT.fullmatch(line):
            limit = int(found["limit"])
        elif found := _COMMENT.fullmatch(line):
            (comment,) = _texts(found["text"])
        elif found := _RIGHT.fullmatch(line):
            rights.append(_right(found))
        elif not _SILENT.match(line):
            strange += 1
    return Database(
        name=name,
        options="".join(_OPTION.findall(created["options"])),
        owner=owner,
        settings=tuple(settings),
        rights=tuple(rights),
        limit=limit,
        comment=comment,
        not_understood=strange,
    )


def setting_statement(database: str, setting: DatabaseSetting) -> str:
    """Write the statement that gives a database a setting."""
    values = ", ".join(map(literal, setting.values))
    name = ".".join(map(identifier, setting.name.split(".")))
    return f"ALTER DATABASE {identifier(database)} SET {name} TO {values}"


def right_statement(database: str, right: Grant) -> str:
    """Write the statement that gives or takes rights on a database."""
    verb, word = ("GRANT", "TO") if right.granted else ("REVOKE", "FROM")
    role = "PUBLIC" if right.role == "PUBLIC" else identifier(right.role)
    option = " WITH GRANT OPTION" if right.grantable else ""
    return f"{verb} {', '.join(right.privileges)} ON DATABASE {identifier(database)} {word} {role}{option}"


def unquoted(name: str) -> str:
    """Return the name that an identifier of a script quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


async def pg_restore_output(*arguments: str, dump: Dump, given: str = "") -> str:
    """Return what `pg_restore` writes of the dump; it speaks to no server. Raises WorkFailed when it cannot read it."""
    process = await asyncio.create_subprocess_exec(
        program("pg_restore"),
        *arguments,
        str(dump.path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(given.encode())
    if process.returncode != 0:
        errors = err.decode(errors="replace").strip().splitlines()
        reason = errors[-1] if errors else f"pg_restore ended with code {process.returncode}"
        raise WorkFailed(WorkFailure.FAILED, f"{dump.path} is not a dump that can be restored: {reason}")
    return out.decode(errors="replace")


def _texts(values: str) -> tuple[str, ...]:
    return tuple(text[1:-1].replace("''", "'") for text in re.findall(_TEXT, values))


def _right(found: re.Match[str]) -> Grant:
    return Grant(
        granted=found["verb"] == "GRANT",
        privileges=tuple(found["privileges"].split(",")),
        role=unquoted(found["role"]),
        grantable=found["option"] is not None,
    )
