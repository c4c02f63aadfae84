"""
What a dump says of the database that it was taken from: its encoding and locale, its settings, owner and rights.

`pg_restore` uses them only with `--create`, into a database of the dumped name; ours has another name until it is whole.
So they are read from the dump's table of contents and done by ourselves.
"""

import asyncio
import re
from dataclasses import dataclass

from kintsugi.model.restore import WorkFailure
from kintsugi.worker.dump import Dump
from kintsugi.worker.lines import WorkFailed
from kintsugi.worker.programs import program

_ENTRY = re.compile(
    r"^\d+; \d+ \d+ (?:DATABASE|DATABASE PROPERTIES|ACL - DATABASE|COMMENT - DATABASE) .*$", re.MULTILINE
)
_CREATE = re.compile(
    r"^CREATE DATABASE (?P<name>\"(?:[^\"]|\"\")+\"|\w+) WITH TEMPLATE = template0(?P<options>.*);$", re.MULTILINE
)
_OPTION = re.compile(
    r" (?:ENCODING|LOCALE_PROVIDER|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|ICU_RULES) = (?:'(?:[^']|'')*'|\w+)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """The dumped database: its name, the options of its CREATE DATABASE, and the statements that make it as it was."""

    name: str = ""
    options: str = ""
    statements: str = ""


async def database_of(dump: Dump) -> Database:
    """Read what the dump says. Raises WorkFailed when it is no archive of pg_dump."""
    contents = await _said("--list", "--create", dump=dump)
    entries = "\n".join(_ENTRY.findall(contents))
    if not entries:
        return Database()
    return read(await _said("--create", "--use-list=/dev/stdin", "--file=-", dump=dump, given=entries))


def read(script: str) -> Database:
    """Read the statements that `pg_restore --create` writes about the database alone."""
    created = _CREATE.search(script)
    if created is None:
        return Database()
    statements = "\n".join(
        line for line in script.splitlines() if not line.startswith(("\\", "--")) and not _CREATE.match(line)
    )
    return Database(
        name=_unquoted(created["name"]),
        options="".join(_OPTION.findall(created["options"])),
        statements=statements.strip(),
    )


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


async def _said(*arguments: str, dump: Dump, given: str = "") -> str:
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
        said = err.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"pg_restore ended with code {process.returncode}"
        raise WorkFailed(WorkFailure.FAILED, f"{dump.path} is no dump that can be restored: {reason}")
    return out.decode()
