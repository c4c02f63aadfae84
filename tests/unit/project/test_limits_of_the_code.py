"""What CONTRIBUTING.md asks of every module, where ruff and mypy do not look."""

import ast
from collections.abc import Iterator
from itertools import chain

import pytest

from tests.unit.project.tree import PACKAGES, ROOT, Function, Module, modules

LONGEST_MODULE = 600
LONGEST_FUNCTION = 50
LONG_FUNCTION = 35
MOST_ARE_SHORTER = 0.9
STRAIGHT_LINES = {
    "daemon/kintsugi/telemetry/metrics.py __init__": "a list of metrics, one after the other",
}
WORN_NAMES = {"base", "common", "core_utils", "helper", "helpers", "lib", "manager", "misc", "util", "utils"}


@pytest.fixture(scope="module")
def package() -> tuple[Module, ...]:
    """Return the modules of all packages."""
    found = [modules(each) for each in PACKAGES]
    assert [len(each) > least for each, least in zip(found, (100, 2, 40, 50, 5, 20), strict=True)] == [True] * len(
        PACKAGES
    )
    return tuple(chain.from_iterable(found))


def test_no_module_is_longer_than_600_lines(package: tuple[Module, ...]) -> None:
    """The harness keeps to it too."""
    both = (*package, *modules(ROOT / "tests" / "harness"))
    assert [f"{each.name}: {len(each.lines)}" for each in both if len(each.lines) > LONGEST_MODULE] == []


def test_no_function_is_longer_than_50_lines(package: tuple[Module, ...]) -> None:
    """Straight lines that split into nothing are named, each with its reason."""
    long = {f"{each.name} {node.name}" for each, node, length in lengths(package) if length > LONGEST_FUNCTION}
    assert {each for each in long if "/migrations/versions/" not in each} - STRAIGHT_LINES.keys() == set()


def test_nine_functions_in_ten_are_shorter_than_35_lines(package: tuple[Module, ...]) -> None:
    """Half of them are far shorter; this is the half that drifts."""
    all_lengths = [length for _, _, length in lengths(package)]
    assert sum(length < LONG_FUNCTION for length in all_lengths) >= MOST_ARE_SHORTER * len(all_lengths)


def test_no_import_of_our_own_hides_in_a_function(package: tuple[Module, ...]) -> None:
    """An import that hides dodges a cycle; only the command line loads late, so that its help comes at once."""
    hidden = [
        f"{each.name}:{node.lineno}"
        for each in package
        if not each.name.startswith(("daemon/kintsugi/cli/", "daemon/kintsugi_demo/kintsugi_demo/command.py"))
        for function in each.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_no_import_is_for_the_type_checker_alone(package: tuple[Module, ...]) -> None:
    """It would hide a cycle from import-linter and from readers."""
    names = [each.name for each in package if "TYPE_CHECKING" in each.text]
    assert names == []


def test_every_module_is_named_for_what_it_holds(package: tuple[Module, ...]) -> None:
    """A module whose name says nothing takes in everything."""
    assert [each.name for each in package if each.path.stem in WORN_NAMES] == []


def test_every_module_says_what_it_is(package: tuple[Module, ...]) -> None:
    """An empty module has nothing to say."""
    assert [each.name for each in package if each.text.strip() and ast.get_docstring(each.tree) is None] == []


def test_public_names_have_a_docstring(package: tuple[Module, ...]) -> None:
    """Protocols' methods are told by the class; an `@override` by its base; what a decorator registers, by its command."""
    assert [f"{each.name}:{node.lineno} {node.name}" for each in package for node in silent(each)] == []


def test_catching_everything_is_explained(package: tuple[Module, ...]) -> None:
    """A broad `except` that does not pass on needs a comment at its head: what is contained, and why."""
    unexplained = [
        f"{each.name}:{node.lineno}"
        for each in package
        for node in ast.walk(each.tree)
        if isinstance(node, ast.ExceptHandler) and is_broad(node) and not is_commented(each, node)
    ]
    assert unexplained == []


def test_no_deadline_can_swallow_a_cancellation(package: tuple[Module, ...]) -> None:
    """`asyncio.wait_for` of Python 3.11 does, when both come at once (python/cpython#86296); `asyncio.timeout` does not."""
    assert [each.name for each in package if "asyncio.wait_for(" in each.text] == []


def test_no_work_is_left_for_later(package: tuple[Module, ...]) -> None:
    """What is not there is in an issue, not in the code."""
    words = ("TODO", "FIXME", "XXX", "NotImplementedError")
    assert [f"{each.name}: {word}" for each in package for word in words if word in each.text] == []


def lengths(package: tuple[Module, ...]) -> Iterator[tuple[Module, Function, int]]:
    """Measure every function from its `def` to its end."""
    for each in package:
        for node in each.functions():
            assert node.end_lineno is not None
            yield each, node, node.end_lineno - node.lineno + 1


def silent(module: Module) -> Iterator[ast.ClassDef | Function]:
    """List the public classes, functions and methods without a docstring."""
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from without_docstring([node])
            if not any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases):
                yield from without_docstring(node.body)
        elif isinstance(node, Function):
            yield from without_docstring([node])


def without_docstring(nodes: list[ast.ClassDef] | list[Function] | list[ast.stmt]) -> Iterator[ast.ClassDef | Function]:
    """List those of them that are public and say nothing."""
    for node in nodes:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_") or ast.get_docstring(node):
            continue
        if not any(isinstance(each, ast.Name) and each.id == "override" for each in node.decorator_list):
            yield node


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler takes in everything and keeps it."""
    broad = ("Exception", "BaseException")
    if handler.type is not None and not (isinstance(handler.type, ast.Name) and handler.type.id in broad):
        return False
    last = handler.body[-1]
    return not (isinstance(last, ast.Raise) and last.exc is None)


def is_commented(module: Module, handler: ast.ExceptHandler) -> bool:
    """Return whether there is a comment above the handler's line, on it, or before its first statement."""
    return any("#" in line for line in module.lines[handler.lineno - 2 : handler.body[0].lineno])
