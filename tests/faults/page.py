"""docs/faults.md as values: the rows of its tables, the services of its applications, and its files. Nothing is known elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parents[2] / "docs" / "faults.md"
NONE = "-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """
    One fault: in which table it stands, of which service it is, what makes it, and what is expected.

    `commands` are what stands in the page between backquotes, in order. `cause`, `object` and `field` are `-` where none is
    expected; `confidence` is the most that may be said. `beside` are causes that may be named too, and be certain.
    """

    table: str
    id: str
    of: str
    commands: tuple[str, ...]
    cause: str
    object: str = NONE
    field: str = NONE
    confidence: str
    end: str
    near_miss: str
    beside: frozenset[str] = frozenset()

    @property
    def application(self) -> str:
        """Return the application that it is of."""
        return self.of.partition(" ")[0].rstrip(",")

    @property
    def service(self) -> str:
        """Return the service that it is of; `all` for a whole application."""
        return self.of.rpartition(" ")[2]

    @property
    def moves(self) -> frozenset[str]:
        """Return what is done besides kubectl, by its first word: `@mark`, `helm`."""
        return frozenset(each.split()[0] for each in self.commands) - {"kubectl"}


def text() -> str:
    """Return the page."""
    return FILE.read_text()


def section(heading: str) -> str:
    """Return what stands under a heading, up to the next one."""
    [found] = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text(), re.MULTILINE | re.DOTALL)
    return str(found)


def cells(heading: str) -> list[list[str]]:
    """Return the rows of the table under a heading, without its first line."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[2:]]


def causes() -> list[str]:
    """Return the words for causes, each of which has a table."""
    return [cause.strip("`") for cause, _ in cells("Causes")]


def ends() -> set[str]:
    """Return the words for ends."""
    return {end.strip("`") for end, _ in cells("Ends")}


@cache
def rows() -> tuple[Row, ...]:
    """Return the faults of all tables."""
    return tuple(_row(table, *each) for table in causes() for each in cells(table))


@cache
def controls() -> tuple[Row, ...]:
    """Return what must have no cause."""
    return tuple(
        Row(
            table="Controls",
            id=id_,
            of=of,
            commands=tuple(re.findall("`([^`]+)`", made_by)),
            cause=NONE,
            confidence=NONE,
            end="let alone",
            near_miss="",
        )
        for id_, of, made_by, _expected, _source in cells("Controls")
    )


@cache
def several() -> Mapping[str, tuple[str, ...]]:
    """Return what is made at a time: ids of rows, by the id of the whole; commands that are no row are left out."""
    ids = {each.id for each in rows()}
    return {
        id_: tuple(each for each in re.split("[,;] ", made) if each in ids)
        for id_, made, _, _ in cells("Several at a time")
    }


@cache
def commands_beside() -> Mapping[str, tuple[str, ...]]:
    """Return the commands that are typed after the rows of several at a time, by the id of the whole."""
    return {id_: tuple(re.findall("`([^`]+)`", made)) for id_, made, _, _ in cells("Several at a time")}


@cache
def named_beside() -> Mapping[str, frozenset[tuple[str, str]]]:
    """Return which causes, each with its object, several at a time are said to have besides those of their rows."""
    return {
        id_: frozenset(re.findall("`([A-Z][A-Za-z]+)` `([^`]+)`", different))
        for id_, _, _, different in cells("Several at a time")
    }


@cache
def coming_first() -> Mapping[str, str]:
    """Return the row whose cause is named first, by the id of several of one service."""
    return {id_: first for id_, _, first, _ in cells("Several at a time") if first}


def row(id_: str) -> Row:
    """Return the fault with this id."""
    return next(each for each in (*rows(), *controls()) if each.id == id_)


@cache
def workloads() -> Mapping[str, str]:
    """Return the workload of each service of both applications, as kubectl writes it."""
    found = (
        each for each in cells("The two applications") if re.fullmatch(r"[a-z]+/[\w-]+", each[1].partition(",")[0])
    )
    return {each[0]: each[1].partition(",")[0] for each in found}


def services_of(application: str) -> Mapping[str, str]:
    """Return what stands in the column Service of each service of one application."""
    _, _, text = section("The two applications").partition(f"\n**{application}**")
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines() if line.startswith("|")]
    return {each[0]: each[4] for each in rows if each[0] in workloads()}


@cache
def upstreams() -> Mapping[str, tuple[str, ...]]:
    """Return what each service of both applications depends on."""
    found = (each for each in cells("The two applications") if each[0] in workloads())
    return {each[0]: tuple(filter(None, each[-1].split(", "))) for each in found}


def files() -> Mapping[str, str]:
    """Return the files that the page shows, by name: YAML."""
    return {name.strip("`"): content.strip("`") for name, content in cells("Files")}


def _row(table: str, id_: str, of: str, made_by: str, _seen: str, cause: str, *rest: str) -> Row:
    confidence, end, near_miss, _source = rest
    words = re.findall("`([^`]+)`", cause)
    kind, object_, field, *beside = words if len(words) >= 3 else (NONE, NONE, NONE)
    return Row(
        table=table,
        id=id_,
        of=of,
        commands=tuple(re.findall("`([^`]+)`", made_by)),
        cause=kind,
        object=object_,
        field=field,
        confidence=confidence.strip("`"),
        end=end,
        near_miss=near_miss,
        beside=frozenset(beside),
    )
