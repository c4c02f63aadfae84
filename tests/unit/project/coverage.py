"""
Which tests show each promise and fault of docs/reliability.md, from the numbers in their docstrings.

`make docs` writes it into build/shown-by.md, which is not committed: it changes with nearly every test.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.unit.project.tree import ROOT, Function, Module, modules

PAGE = ROOT / "docs" / "reliability.md"
SHOWN_BY = ROOT / "build" / "shown-by.md"
NUMBER = re.compile(r"\b(?:P(?:1[01]|[1-9])|[A-E][1-9]\d?)\b")
_ROW = re.compile(r"^\| (?P<number>[A-EP]\d+) \|")
_SAYING = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Command(StrEnum):
    """The first of the commands that runs a test."""

    TEST = "make test"
    CLUSTER = "make test-cluster"
    ALL = "make test-all"


@dataclass(frozen=True, kw_only=True, order=True)
class Showing:
    """A file of tests that shows a number, and the first command that runs one of those tests."""

    path: Path
    command: Command


def shown() -> Mapping[str, tuple[Showing, ...]]:
    """Return what shows each number: the docstring of a test names it, or that of its file."""
    found: dict[str, dict[Path, Command]] = defaultdict(dict)
    for module in modules(ROOT / "tests"):
        if module.path.name.startswith("test_"):
            for number, command in _numbers(module):
                best = found[number].setdefault(module.path, command)
                found[number][module.path] = min(best, command, key=list(Command).index)
    return {
        number: tuple(sorted(Showing(path=path, command=command) for path, command in paths.items()))
        for number, paths in found.items()
    }


def only_in_all() -> list[str]:
    """Return the numbers that only `make test-all` shows."""
    return [number for number, tests in shown().items() if {each.command for each in tests} == {Command.ALL}]


def rows(page: str) -> list[str]:
    """List the numbers that have a row."""
    return [found["number"] for line in page.splitlines() if (found := _ROW.match(line))]


def _numbers(module: Module) -> Iterator[tuple[str, Command]]:
    commands = {test: _command(module, test) for test in module.functions() if test.name.startswith("test_")}
    first = min(commands.values(), key=list(Command).index, default=Command.ALL)
    for number in NUMBER.findall(ast.get_docstring(module.tree) or ""):
        yield number, first
    for node in ast.walk(module.tree):
        if isinstance(node, _SAYING):
            for number in NUMBER.findall(ast.get_docstring(node) or ""):
                yield number, commands.get(node, first) if isinstance(node, Function) else first


def _command(module: Module, test: Function) -> Command:
    of_file = [
        node.value
        for node in module.tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    marks = {
        node.attr
        for mark in (*of_file, *test.decorator_list)
        for node in ast.walk(mark)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pytest.mark"
    }
    if "heart" in marks:
        return Command.CLUSTER
    quick = not marks & {"cluster", "long"} and not module.path.is_relative_to(ROOT / "tests" / "cluster")
    return Command.TEST if quick else Command.ALL


def _page() -> str:
    shows = shown()
    lines = [f"| {number} | {', '.join(map(_link, shows.get(number, ())))} |" for number in rows(PAGE.read_text())]
    only = ", ".join(only_in_all()) or "none"
    head = [
        "# Which tests show each promise and fault",
        "",
        f"By `make test-all` only: {only}.",
        "",
        "| | shown by |",
        "|---|---|",
    ]
    return "\n".join([*head, *lines, ""])


def _link(test: Showing) -> str:
    folder = test.path.parent.relative_to(ROOT / "tests")
    words = test.path.stem.removeprefix("test_").replace("_", " ")
    return f"[{folder}: {words}](../{test.path.relative_to(ROOT)}) (`{test.command}`)"


if __name__ == "__main__":
    SHOWN_BY.parent.mkdir(exist_ok=True)
    SHOWN_BY.write_text(_page())
    print(f"wrote {SHOWN_BY.relative_to(ROOT)}; by `{Command.ALL}` only: {', '.join(only_in_all())}")
