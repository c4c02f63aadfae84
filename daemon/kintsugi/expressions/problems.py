"""
The problems of an expression as written: CEL's errors in our words, and what CEL accepts but can only fail later.

A literal pattern, duration or time is tried when the document is loaded, not when it is first evaluated.
"""

import re
from collections.abc import Iterable, Mapping

from cel_expr_python import cel

from kintsugi.errors import KintsugiError
from kintsugi.expressions.computed_fields import computed_fields
from kintsugi.expressions.environment import Environment
from kintsugi.expressions.syntax import CallExpr, Comprehension, CreateStruct, Ident, Literal, Node, Select, every
from kintsugi.expressions.types import Struct
from kubeobjects.spelling import nearest

_TRIAL = cel.NewEnv(variables={"text": cel.Type.STRING})
_TRIALS: Mapping[str, cel.Expression] = {
    "matches": _TRIAL.compile("''.matches(text)"),
    "duration": _TRIAL.compile("duration(text)"),
    "timestamp": _TRIAL.compile("timestamp(text)"),
}
_DAYS = re.compile(r"(\d+(?:\.\d+)?)d")

_PLACE = re.compile(r"ERROR: <input>:(\d+):(-?\d+): (.*)")
_NO_FIELD = re.compile(r"undefined field '(.+?)' not found in struct '(?:kintsugi\.)?(.+?)'")
_NO_NAME = re.compile(r"undeclared reference to '(.+?)' \(in container")
_NO_OVERLOAD = re.compile(r"found no matching overload for '(.+?)' applied to '\((.*)\)'")
_NO_FIELDS = re.compile(r"expression of type '(.+?)' cannot be the operand of a select operation")
_RESERVED = re.compile(r"reserved identifier: (\w+)")
_WORD = re.compile(r"[A-Za-z_][\w.]*")
_DASHED = re.compile(r"[\w.]*\w-\w")

_OPERATORS = {"_?_:_": "?:", "_[_]": "[]", "!_": "!", "-_": "-", "@in": "in"}
_KNOWN = (
    "all", "exists", "exists_one", "filter", "map", "has", "size", "matches", "contains", "startsWith", "endsWith", "join",
    "split", "lowerAscii", "upperAscii", "replace", "trim", "substring", "indexOf", "format", "timestamp", "duration", "int",
    "double", "string", "orValue", "hasValue", "getHours", "getMinutes", "getDayOfWeek", "getFullYear", "optional", "math",
)  # fmt: skip


class ExpressionProblem(KintsugiError):
    """
    An expression cannot be used as it is written.

    `offset` counts characters from the start of the text that was given (an expression or a template); `suggestion` is
    what would be right, as a name or a phrase, or empty.
    """

    def __init__(self, message: str, *, offset: int = 0, suggestion: str = "") -> None:
        super().__init__(f"{message}; {suggestion}" if suggestion else message)
        self.message = message
        self.offset = offset
        self.suggestion = suggestion

    def moved(self, by: int) -> "ExpressionProblem":
        """Return the same problem, seen from a text in which the expression starts at `by`."""
        return ExpressionProblem(self.message, offset=self.offset + by, suggestion=self.suggestion)


def refuse(parsed: Node, environment: Environment, taken: frozenset[str]) -> None:
    """Raise ExpressionProblem for what a parsed tree holds that cannot work; no variable may be called as what is `taken`."""
    for node in every(parsed):
        match node:
            case Comprehension():
                _refuse_hiding(node, taken)
            case Select(test=True):
                _refuse_test(node, environment)
            case CreateStruct(name=str(name)) if name:
                raise ExpressionProblem(f"a {name} cannot be written out in an expression", offset=node.offset)
            case CallExpr(function=function, arguments=(*_, Literal(text=str()) as literal)) if function in _TRIALS:
                _try_literal(function, literal)


def _refuse_hiding(fold: Comprehension, taken: frozenset[str]) -> None:
    """Keep macros off known names: CEL reads `service.ready` as the variable, whatever the macro calls `service`."""
    for name in (fold.item, fold.accumulator):
        if name in taken:
            hint = "call the items otherwise"
            raise ExpressionProblem(f"`{name}` is a name here already", offset=fold.offset, suggestion=hint)


def _refuse_test(test: Select, environment: Environment) -> None:
    """Refuse `has` of a dotted variable: CEL gives its value."""
    name = _dotted(test)
    if name in environment.names:
        raise ExpressionProblem(
            f"has({name}) does not check whether {name} exists: a name always exists",
            offset=test.offset,
            suggestion=f"ask for a field of it, as in has({name}.x)",
        )


def _try_literal(function: str, literal: Literal) -> None:
    text = literal.text or ""
    answer = _TRIALS[function].eval(data={"text": text})
    if answer.type() != cel.Type.ERROR:
        return
    if function == "matches":
        reason = str(answer.value()).partition("invalid regular expression: ")[2]
        raise ExpressionProblem(f"{text!r} is not a regular expression (RE2): {reason}", offset=literal.offset)
    if function == "timestamp":
        hint = "write it as 2026-01-31T12:00:00Z"
        raise ExpressionProblem(f"{text!r} is not a time", offset=literal.offset, suggestion=hint)
    raise ExpressionProblem(f"{text!r} is not a duration", offset=literal.offset, suggestion=_duration_hint(text))


def _duration_hint(text: str) -> str:
    days = _DAYS.search(text)
    if days:
        return f'there are no days: write "{float(days[1]) * 24:g}h" for "{days[0]}"'
    return 'write it with h, m, s or ms, as in "1h30m"'


def _dotted(node: Node) -> str:
    match node:
        case Ident():
            return node.name
        case Select():
            above = _dotted(node.operand)
            return f"{above}.{node.field}" if above else ""
        case _:
            return ""


def explain(error: str, source: str, environment: Environment) -> ExpressionProblem:
    """Turn the text of a compile error into a problem: its first complaint, the others follow from it."""
    found = _PLACE.search(error)
    if found is None:
        return ExpressionProblem(error.removeprefix("INVALID_ARGUMENT: ").split("\n")[0])
    offset = _offset(source, int(found[1]), int(found[2]))
    text = found[3]
    if missing := _NO_FIELD.search(text):
        return _no_field(missing[1], environment.structs[missing[2]], source, offset)
    if missing := _NO_NAME.search(text):
        return _no_name(missing[1], source, offset, environment)
    if wrong := _NO_OVERLOAD.search(text):
        return _no_overload(wrong[1], _clean(wrong[2]), offset)
    if wrong := _NO_FIELDS.search(text):
        return _no_fields(_clean(wrong[1]), source, offset)
    if wrong := _RESERVED.search(text):
        hint = f"write it after its object, as in service.{wrong[1]}"
        return ExpressionProblem(f"`{wrong[1]}` is a reserved word of expressions", offset=offset, suggestion=hint)
    return ExpressionProblem(_clean(text.partition(" expecting {")[0]), offset=offset)


def closest(word: str, candidates: Iterable[str]) -> str:
    """Return "did you mean `x`?" for the candidate that a misspelt word means, "" when none is so near."""
    return f"did you mean `{near}`?" if (near := nearest(word, sorted(candidates))) else ""


def _offset(source: str, line: int, column: int) -> int:
    before = source.split("\n")[: line - 1]
    return min(sum(len(text) + 1 for text in before) + max(column - 1, 0), len(source))


def _no_field(name: str, struct: Struct, source: str, offset: int) -> ExpressionProblem:
    offset = max(source.find(name, offset), offset)
    hint = closest(name, struct.fields) or f"it has {', '.join(sorted(struct.fields))}"
    return ExpressionProblem(
        f"{struct.name} has no field `{name}`", offset=offset, suggestion=_dash(source, offset) or hint
    )


def _no_name(name: str, source: str, offset: int, environment: Environment) -> ExpressionProblem:
    offset = max(source.rfind(name, 0, offset + len(name)), 0)
    called = source[offset + len(name) :].lstrip().startswith("(")
    owners = [each.of.__name__ for each in computed_fields() if each.name == name]
    if called and owners:
        hint = f"it is a field of {' and '.join(owners)}: write x.{name}"
        return ExpressionProblem(f"there is no function `{name}`", offset=offset, suggestion=hint)
    kind = "function" if called else "name"
    known: list[str] = [*_KNOWN] if called else list(environment.names)
    prefix = f"{environment.container}."
    known += [known_name.removeprefix(prefix) for known_name in environment.names if known_name.startswith(prefix)]
    hint = _dash(source, offset) or closest(name, known) or _closest_stem(name, known)
    if not hint and name == "each":
        hint = "it is the item of a step's `forEach`"
    elif not hint and name.startswith("params."):
        hint = f"declare {name.removeprefix('params.')} under the runbook's `parameters`"
    return ExpressionProblem(f"there is no {kind} `{name}` here", offset=offset, suggestion=hint)


def _closest_stem(name: str, known: Iterable[str]) -> str:
    """Look for the nearest name while leaving out the last fields of a dotted one."""
    stem, _, _ = name.rpartition(".")
    return (closest(stem, known) or _closest_stem(stem, known)) if stem else ""


def _no_overload(name: str, given: str, offset: int) -> ExpressionProblem:
    if re.search(r"[a-z]", name.removeprefix("@")) and name not in _OPERATORS:
        return ExpressionProblem(f"{name} does not take ({given})", offset=offset)
    operator = _OPERATORS.get(name, name.strip("_"))
    hint = "write both as the same type, as in double(x)" if given in {"int, double", "double, int"} else ""
    return ExpressionProblem(f"`{operator}` does not work on ({given})", offset=offset, suggestion=hint)


def _no_fields(kind: str, source: str, offset: int) -> ExpressionProblem:
    hint = _dash(source, offset)
    if not hint and kind.startswith("list("):
        hint = "choose an item with [0], or ask all of them with .all(x, …) or .exists(x, …)"
    return ExpressionProblem(f"a {kind} has no fields", offset=offset, suggestion=hint)


def _dash(source: str, offset: int) -> str:
    """Return a hint that a dash is a minus, when the place is on either side of one inside a word."""
    start = offset
    while start > 0 and (source[start - 1].isalnum() or source[start - 1] in "._-"):
        start -= 1
    found = _DASHED.match(source, start)
    if found is None:
        return ""
    word = _WORD.match(source, found.end() - 1)
    return f"a dash is a minus in expressions: write {found[0][:-2]}_{word[0] if word else ''}"


def _clean(text: str) -> str:
    text = re.sub(r"google\.protobuf\.(\w+)", lambda found: found[1].lower(), text)
    return text.replace("kintsugi.", "").replace("null_type", "null").replace("dyn", "any")
