"""
Refuses expressions that CEL accepts but that can only fail later: bad literals, `has` of a variable, hidden names,
written messages.

A literal pattern, duration or time is tried when the document is loaded, not when it is first evaluated.
"""

import re
from collections.abc import Mapping

from cel_expr_python import cel

from kintsugi.expressions.environment import Environment
from kintsugi.expressions.expression_problem import ExpressionProblem
from kintsugi.expressions.read_paths import every
from kintsugi.expressions.syntax import CallExpr, Comprehension, CreateStruct, Ident, Literal, Node, Select

_TRIAL = cel.NewEnv(variables={"text": cel.Type.STRING})
_TRIALS: Mapping[str, cel.Expression] = {
    "matches": _TRIAL.compile("''.matches(text)"),
    "duration": _TRIAL.compile("duration(text)"),
    "timestamp": _TRIAL.compile("timestamp(text)"),
}
_DAYS = re.compile(r"(\d+(?:\.\d+)?)d")


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
