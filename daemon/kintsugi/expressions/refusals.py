"""
What CEL lets through though it can only fail later: bad literals, `has` of a variable, hidden names, written messages.

A pattern, duration or time that is written out is tried when the document is loaded, not in the middle of a night.
"""

import re
from collections.abc import Iterator, Mapping

from cel_expr_python import cel

from kintsugi.expressions.environment import Environment
from kintsugi.expressions.problem import ExpressionProblem
from kintsugi.expressions.reads import calls_in, children
from kintsugi.expressions.syntax import Fold, Ident, Literal, Made, Node, Select

_TRIAL = cel.NewEnv(variables={"text": cel.Type.STRING})
_TRIALS: Mapping[str, cel.Expression] = {
    "matches": _TRIAL.compile("''.matches(text)"),
    "duration": _TRIAL.compile("duration(text)"),
    "timestamp": _TRIAL.compile("timestamp(text)"),
}
_DAYS = re.compile(r"(\d+(?:\.\d+)?)d")


def refuse(parsed: Node, environment: Environment) -> None:
    """Raise ExpressionProblem for what a parsed tree holds that cannot work."""
    taken = {name.partition(".")[0] for name in environment.names}
    for node in _every(parsed):
        match node:
            case Fold() if taken & {node.item, node.accumulator}:
                (name,) = taken & {node.item, node.accumulator}
                # CEL would read `service.ready` as the variable of that name, whatever the macro calls `service`.
                raise ExpressionProblem(
                    f"`{name}` is a name here already", offset=node.offset, suggestion="call the items otherwise"
                )
            case Select(test=True) if _dotted(node) in environment.names:
                name = _dotted(node)
                raise ExpressionProblem(
                    f"has({name}) does not ask whether {name} is there: it is a name, and always is",
                    offset=node.offset,
                    suggestion=f"ask for a field of it, as in has({name}.x)",
                )
            case Made(name=str(name)) if name:
                raise ExpressionProblem(f"a {name} cannot be written out in an expression", offset=node.offset)
    for call in calls_in(parsed):
        literal = call.arguments[-1] if call.arguments else None
        if call.function in _TRIALS and isinstance(literal, Literal) and literal.text is not None:
            _try_literal(call.function, literal)


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


def _every(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _every(child)


def _dotted(node: Node) -> str:
    match node:
        case Ident():
            return node.name
        case Select():
            above = _dotted(node.operand)
            return f"{above}.{node.field}" if above else ""
        case _:
            return ""
