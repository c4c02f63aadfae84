"""What is known of a verb stands in its module: elsewhere nobody asks for one by its name, or for the type of a command."""

import ast
from collections.abc import Iterator

import pytest

from kintsugi.commands.registry import command_types, definitions_by_verb
from tests.unit.project.tree import PACKAGE, Module, modules

NAMES_THEM = "daemon/kintsugi/model/command.py"


def test_a_verb_is_asked_for_by_name_or_type_in_its_module_alone() -> None:
    outside = [each for each in modules(PACKAGE) if not each.name.startswith(("daemon/kintsugi/verbs/", NAMES_THEM))]
    asking = [each.name for each in outside if [*asks(each)]]
    assert asking == [], "ask its VerbDefinition: daemon/kintsugi/commands/registry.py finds it"


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("command.verb == Verb.CURL", True),
        ("isinstance(command, Patch | Create)", True),
        ("match command:\n    case Scale(replicas=0): pass", True),
        ('step.command.get("command") == Scale.__name__', True),
        ('step.command["command"] == "Scale"', True),
        ("type(command) is Delete", True),
        ("_UNDONE = {PgRestore: 'nothing'}", True),
        ('step.text.startswith("kubectl rollout undo")', True),
        ('verb in ("pg_restore", "curl")', True),
        ("isinstance(command, Command)", False),
        ("Delete(objects=(), namespace='')", False),
        ('tool == "kubectl"', False),
    ],
)
def test_a_question_for_a_verb_is_found_and_the_making_of_a_command_is_none(text: str, is_found: bool) -> None:
    assert bool([*asks(Module(path=PACKAGE / "x.py", text=text, tree=ast.parse(text)))]) == is_found


def asks(module: Module) -> Iterator[int]:
    """Yield the lines that name a verb, look for the type of a command, or compare a text with a verb's words."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="Verb")):
                yield node.lineno
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]) if _names_type(kinds):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="startswith" | "removeprefix"), args=[text]) if _is_verb(text):
                yield node.lineno
            case ast.MatchClass(cls=kind) if _is_type(kind):
                yield kind.lineno
            case ast.Compare(left=left, comparators=comparators):
                sides = [left, *comparators]
                if any(_is_type(side) or _is_verb(side) or _is_name_of_type(side) for side in sides):
                    yield node.lineno
            case ast.Dict(keys=keys) if any(key is not None and _is_type(key) for key in keys):
                yield node.lineno


def _is_type(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute) and node.attr == "__name__":
        return _is_type(node.value)
    return isinstance(node, ast.Name) and node.id in command_types()


def _names_type(node: ast.expr) -> bool:
    return any(_is_type(each) for each in ast.walk(node) if isinstance(each, ast.expr))


def _is_verb(node: ast.expr) -> bool:
    texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return any(text.strip() in definitions_by_verb() for text in texts)


def _is_name_of_type(node: ast.expr) -> bool:
    """Return whether a side of a comparison is what the ledger has for the type of a command."""
    match node:
        case ast.Subscript(slice=ast.Constant(value="command")):
            return True
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value="command"), *_]):
            return True
        case _:
            return False
