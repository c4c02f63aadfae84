"""What has a type is not told by its text: paths of steps are built and read in one module, and no sentence is branched on."""

import ast
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from tests.unit.project.tree import PACKAGE, Module, modules

PARTS = ("app/", "cli/", "decisions/", "ledger/", "pipeline/", "runner/", "executor.py")
"""Where paths of steps are met; elsewhere a path is a file's, or a URL's."""

SIGNS = ("/", "[", "#", "~", "+", "?")
LOOKS = {
    "startswith",
    "endswith",
    "partition",
    "rpartition",
    "split",
    "rsplit",
    "removeprefix",
    "removesuffix",
    "count",
}
MATCHES = {"match", "search", "fullmatch"}
NO_NOTES = {"@time", "@seconds"}
"""Tags of values in JSON."""
FOR_PEOPLE = {"reason", "why", "error", "question", "summary", "standing", "manager"}
"""Names of what is a sentence for people."""


def paths(module: Module) -> Iterator[int]:
    """Yield the lines that put a step's path and a sign together, write the path of a note out, or look into a path."""
    for node in ast.walk(module.tree):
        match node:
            case ast.JoinedStr(values=values):
                if any(_is_path(one) and _begins_with_sign(other) for one, other in pairwise(values)):
                    yield node.lineno
            case ast.BinOp(left=left, right=right) if _is_path(left) and _begins_with_sign(right):
                yield node.lineno
            case ast.Constant(value=str(text)) if re.fullmatch(r"@[a-z-]+", text) and text not in NO_NOTES:
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in LOOKS and _is_path(value):
                yield node.lineno
            case ast.Compare(left=ast.Constant(value=sign), ops=[ast.In() | ast.NotIn()], comparators=[whole]):
                if sign in SIGNS and _is_path(whole):
                    yield node.lineno


def sentences(module: Module) -> Iterator[int]:
    """Yield the lines that look into a sentence for people, or compare one with a text that is written out."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in LOOKS and _is_sentence(value):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr=attr), args=[text, *_]) if attr in MATCHES and _is_sentence(text):
                yield node.lineno
            case ast.Compare(left=ast.Constant(), ops=[ast.In() | ast.NotIn()], comparators=[whole]):
                if _is_sentence(whole):
                    yield node.lineno
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[ast.Constant(value=str(text))]):
                if text and _is_sentence(left):
                    yield node.lineno


def _is_path(node: ast.expr) -> bool:
    match node:
        case ast.FormattedValue(value=inner) | ast.Call(func=inner):
            return _is_path(inner)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name == "path"
        case _:
            return False


def _begins_with_sign(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(SIGNS)


def _is_sentence(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in FOR_PEOPLE
    )


@pytest.mark.parametrize(
    ("finds", "instead"),
    [
        (paths, "the text of a path is StepPath's business: daemon/kintsugi/model/step_path.py"),
        (sentences, "what is decided by has a type, or a column: a sentence may be put better at any time"),
    ],
)
def test_no_code_takes_apart_the_text_of_a_path_or_branches_on_a_sentence(
    finds: Callable[[Module], Iterator[int]], instead: str
) -> None:
    names = {each: str(each.path.relative_to(PACKAGE)) for each in modules(PACKAGE)}
    parts = [each for each, name in names.items() if name.startswith(PARTS) and "/migrations/" not in name]
    assert [f"{each.name}:{line}" for each in parts for line in finds(each)] == [], instead


@pytest.mark.parametrize(
    ("finds", "text"),
    [
        (paths, 'f"{step.path}#{index}"'),
        (paths, 'f"{at.path(step.id)}[]"'),
        (paths, 'path = step.path + "~%"'),
        (paths, 'step.path.partition("#")[0]'),
        (paths, '"#" in step.path'),
        (paths, 'note = "@found"'),
        (sentences, "self.run.reason.startswith(STOPPED)"),
        (sentences, '"asked" in run.reason'),
        (sentences, 'if why == "it is over": pass'),
        (sentences, "_WORD.match(incident.reason)"),
    ],
)
def test_a_text_that_is_taken_apart_is_found(finds: Callable[[Module], Iterator[int]], text: str) -> None:
    assert [*finds(Module(path=PACKAGE / "x.py", text=text, tree=ast.parse(text)))]
