"""Writes into docs/reliability.md which tests show each promise and fault: `make docs`.

The rows are written by people; the last column comes from the numbers in the docstrings of the tests.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.unit.project.tree import ROOT, modules

PAGE = ROOT / "docs" / "reliability.md"
NUMBER = re.compile(r"\b(?:P(?:10|[1-9])|[A-E][1-9]\d?)\b")
_ROW = re.compile(r"^\| (?P<number>[A-EP]\d+) \|(?P<cells>.*)\|[^|]*\|$")
_SAYING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def shown() -> Mapping[str, tuple[Path, ...]]:
    """Return the test files that show each number, from the docstrings of their tests and their own."""
    found: dict[str, set[Path]] = defaultdict(set)
    for module in modules(ROOT / "tests"):
        if module.path.name.startswith("test_"):
            for number in numbers(module.tree):
                found[number].add(module.path)
    return {number: tuple(sorted(paths)) for number, paths in found.items()}


def numbers(tree: ast.Module) -> Iterator[str]:
    """Go through the numbers in the docstrings of one file."""
    for node in ast.walk(tree):
        if isinstance(node, _SAYING):
            yield from NUMBER.findall(ast.get_docstring(node) or "")


def rows(page: str) -> list[str]:
    """List the numbers that have a row."""
    return [found["number"] for line in page.splitlines() if (found := _ROW.match(line))]


def filled(page: str, tests: Mapping[str, tuple[Path, ...]]) -> str:
    """Return the page with its last columns filled in."""
    return "".join(f"{_filled(line, tests)}\n" for line in page.splitlines())


def _filled(line: str, tests: Mapping[str, tuple[Path, ...]]) -> str:
    row = _ROW.match(line)
    if row is None:
        return line
    links = ", ".join(map(_link, tests.get(row["number"], ())))
    return f"| {row['number']} |{row['cells']}| {links or 'nothing yet'} |"


def _link(test: Path) -> str:
    folder = test.parent.relative_to(ROOT / "tests")
    words = test.stem.removeprefix("test_").replace("_", " ")
    return f"[{folder}: {words}](../{test.relative_to(ROOT)})"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), shown()))
