"""What CONTRIBUTING.md asks of every module, where ruff and mypy do not look."""

import ast
import re
from collections.abc import Iterator
from itertools import chain

import pytest

from tests.unit.project.tree import PACKAGE, PACKAGES, ROOT, Function, Module, modules

LONGEST_MODULE = 600
LONGEST_FUNCTION = 50
LONG_FUNCTION = 35
MOST_ARE_SHORTER = 0.9
STRAIGHT_LINES = {
    "daemon/kintsugi/telemetry/metrics.py __init__": "a list of metrics, one after the other",
}
WORN_NAMES = {"base", "common", "core_utils", "helper", "helpers", "lib", "manager", "misc", "util", "utils"}
BORDERS = {
    "actions/actions.py": "a look whose library fails",
    "app/periodic_jobs.py": "the scheduler would go on",
    "app/lifecycle.py": "one that cannot be closed keeps no other open",
    "commands/registry.py": "a stranger's module is loaded",
    "kube/object_cache.py": "each change of each object: hands on to Containment",
    "ledger/signals/group_committer.py": "raised at every caller who waits",
    "ledger/store/transactions.py": "raised at every caller whose write was in the transaction",
    "notices/slack.py": "the client of another company: what fails is tried again",
    "pipeline/run_supervisor.py": "one run's task",
    "retries.py": "the first attempt: raised again in the loop that decides about it",
    "server/ports.py": "a thread",
    "telemetry/containment.py": "the helper",
    "views/service_views.py": "each change of each object: hands on to Containment",
    "worker/__main__.py": "the process",
    "worker/restore.py": "what is dropped after a failure must not hide it",
}
"""The modules of the daemon that may catch everything, each with its reason."""


@pytest.fixture(scope="module")
def package() -> tuple[Module, ...]:
    """Return the modules of all packages."""
    found = [modules(each) for each in PACKAGES]
    assert [len(each) > least for each, least in zip(found, (100, 2, 20, 50, 5, 20, 5), strict=True)] == [True] * len(
        PACKAGES
    )
    return tuple(chain.from_iterable(found))


def test_no_module_is_longer_than_600_lines(package: tuple[Module, ...]) -> None:
    """The harness keeps to it too."""
    both = (*package, *modules(ROOT / "tests" / "harness"))
    assert [f"{each.name}: {len(each.lines)}" for each in both if len(each.lines) > LONGEST_MODULE] == []


def test_functions_are_short(package: tuple[Module, ...]) -> None:
    """At most 50 lines, and nine in ten less than 35; straight lines that split into nothing are named, each with its reason."""
    found = list(lengths(package))
    long = {f"{each.name} {node.name}" for each, node, length in found if length > LONGEST_FUNCTION}
    assert {each for each in long if "/migrations/versions/" not in each} - STRAIGHT_LINES.keys() == set()
    assert sum(length < LONG_FUNCTION for _, _, length in found) >= MOST_ARE_SHORTER * len(found)


LOAD_LATE = (
    "daemon/kintsugi/cli/",
    "daemon/kintsugi_demo/kintsugi_demo/command.py",
    "daemon/kintsugi/ledger/store/schema.py",
    "daemon/kintsugi/app/serving.py",
)
"""
The command line, so that its help comes at once; alembic, which only a ledger of an earlier version needs; and Apprise, which takes
memory from every daemon.
"""


def test_no_import_of_our_own_hides_in_a_function(package: tuple[Module, ...]) -> None:
    """An import that hides dodges a cycle."""
    hidden = [
        f"{each.name}:{node.lineno}"
        for each in package
        if not each.name.startswith(LOAD_LATE)
        for function in each.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_no_module_has_a_word_that_another_way_is_there_for(package: tuple[Module, ...]) -> None:
    """An import for the type checker hides a cycle, `asyncio.wait_for` swallows a cancellation (python/cpython#86296), work is in an issue."""
    words = ("TYPE_CHECKING", "asyncio.wait_for(", "TODO", "FIXME", "XXX", "NotImplementedError")
    assert [f"{each.name}: {word}" for each in package for word in words if word in each.text] == []


def test_every_module_has_a_name_and_a_docstring_that_say_what_it_is(package: tuple[Module, ...]) -> None:
    """A module whose name says nothing takes in everything; an empty module has nothing to say."""
    assert [each.name for each in package if each.path.stem in WORN_NAMES] == []
    assert [each.name for each in package if each.text.strip() and ast.get_docstring(each.tree) is None] == []


def test_public_names_have_a_docstring(package: tuple[Module, ...]) -> None:
    """Protocols' methods are told by the class; an `@override` by its base; what a decorator registers, by its command."""
    assert [f"{each.name}:{node.lineno} {node.name}" for each in package for node in silent(each)] == []


def test_everything_is_caught_only_at_a_border_and_with_the_reason(package: tuple[Module, ...]) -> None:
    """A broad `except` that does not pass on needs a comment at its head; in the daemon, its module is named above."""
    handlers = [(each, node) for each in package for node in ast.walk(each.tree) if isinstance(node, ast.ExceptHandler)]
    broad = [(each, node) for each, node in handlers if is_broad(node)]
    assert [f"{each.name}:{node.lineno}" for each, node in broad if not is_commented(each, node)] == []
    ours = {str(each.path.relative_to(PACKAGE)) for each, _ in broad if each.path.is_relative_to(PACKAGE)}
    assert ours - BORDERS.keys() == set()


def test_only_one_module_makes_lines_for_people() -> None:
    """What is typed as a line is one: its maker has escaped what a stranger may have put into it."""
    makes = re.compile(r"\bLines?\(")
    found = [each.name for each in modules(PACKAGE) if makes.search(each.text) and each.path.name != "lines.py"]
    assert found == [], "call `line` or `lines` of daemon/kubeobjects/kubeobjects/lines.py"


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
