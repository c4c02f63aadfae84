"""What has a type is not told by its text: paths of steps are built and read in one module, and no sentence is branched on."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from tests.unit.project.tree import PACKAGE, Module, modules

PARTS = ("app/", "cli/", "decisions/", "drivers/", "ledger/", "pipeline/", "runner/", "executor.py")
"""Where paths of steps are met; elsewhere a path is a file's, or a URL's."""

SIGNS = ("/", "[", "#", "~", "+", "?")
TAKES_APART = {
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
NO_NOTES = {"@time", "@seconds"}
"""Tags of values in JSON."""

_NOTE = re.compile(r"@[a-z-]+")


def test_paths_of_steps_are_built_and_read_in_one_module() -> None:
    found = [f"{each.name}:{line}" for each in parts() for line in (*built(each), *taken_apart(each))]
    assert found == [], "the text of a path is StepPath's business: daemon/kintsugi/model/step_path.py"


def test_a_text_of_a_path_in_another_module_is_found() -> None:
    sabotaged = [
        'f"{step.path}#{index}"',
        'f"{at.path(step.id)}[]"',
        'f"{path}~0"',
        'path = step.path + "~%"',
        'step.path.partition("#")[0]',
        'path.startswith("@")',
        '"#" in step.path',
        'note = "@found"',
    ]
    for text in sabotaged:
        module = Module(path=PACKAGE / "x.py", text=text, tree=ast.parse(text))
        assert [*built(module), *taken_apart(module)], text


def parts() -> Iterator[Module]:
    """Yield the modules in which paths of steps are met."""
    for each in modules(PACKAGE):
        name = str(each.path.relative_to(PACKAGE))
        if name.startswith(PARTS) and "/migrations/" not in name:
            yield each


def built(module: Module) -> Iterator[int]:
    """Yield the lines that put a path and a sign together, or write the path of a note out."""
    for node in ast.walk(module.tree):
        match node:
            case ast.JoinedStr(values=values):
                if any(_is_path(one) and _begins_with_sign(other) for one, other in pairwise(values)):
                    yield node.lineno
            case ast.BinOp(left=left, right=right) if _is_path(left) and _begins_with_sign(right):
                yield node.lineno
            case ast.Constant(value=str(text)) if _NOTE.fullmatch(text) and text not in NO_NOTES:
                yield node.lineno


def taken_apart(module: Module) -> Iterator[int]:
    """Yield the lines that look into the text of a path."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in TAKES_APART and _is_path(value):
                yield node.lineno
            case ast.Compare(left=ast.Constant(value=sign), ops=[ast.In() | ast.NotIn()], comparators=[whole]):
                if sign in SIGNS and _is_path(whole):
                    yield node.lineno


def _is_path(node: ast.expr) -> bool:
    if isinstance(node, ast.FormattedValue):
        return _is_path(node.value)
    if isinstance(node, ast.Call):
        return _is_path(node.func)
    return (isinstance(node, ast.Name) and node.id == "path") or (
        isinstance(node, ast.Attribute) and node.attr == "path"
    )


def _begins_with_sign(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(SIGNS)


FOR_PEOPLE = {"reason", "why", "error", "question", "summary", "standing"}
"""Names of what is a sentence for people."""


def test_no_code_branches_on_a_sentence_for_people() -> None:
    found = [f"{each.name}:{line}" for each in parts() for line in branches_on_text(each)]
    assert found == [], "what is decided by has a type, or a column: a sentence may be put better at any time"


def test_a_branch_on_a_sentence_is_found() -> None:
    for text in (
        'run.reason.startswith("stopped")',
        "self.run.reason.startswith(STOPPED)",
        '"asked" in run.reason',
        'if why == "it is over": pass',
        'error.partition(": ")',
        "_WORD.match(incident.reason)",
        'manager.startswith("HPA ")',
    ):
        module = Module(path=PACKAGE / "x.py", text=text, tree=ast.parse(text))
        assert [*branches_on_text(module)], text


def branches_on_text(module: Module) -> Iterator[int]:
    """Yield the lines that look into a sentence, or compare one with a text that is written out."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in TAKES_APART and _is_sentence(value):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="match" | "search" | "fullmatch"), args=[text, *_]) if _is_sentence(
                text
            ):
                yield node.lineno
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[whole]):
                if isinstance(left, ast.Constant) and _is_sentence(whole):
                    yield node.lineno
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[ast.Constant(value=str(text))]):
                if text and _is_sentence(left):
                    yield node.lineno


def _is_sentence(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in FOR_PEOPLE or name == "manager"


def test_only_one_module_makes_lines_for_people() -> None:
    """What is typed as a line is one: its maker has escaped what a stranger may have put into it."""
    makes = re.compile(r"\bLines?\(")
    found = [each.name for each in modules(PACKAGE) if makes.search(each.text) and each.path.name != "lines.py"]
    assert found == [], "call `line` or `lines` of daemon/kubeobjects/kubeobjects/lines.py"
