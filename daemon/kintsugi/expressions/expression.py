"""One expression: compiled and checked when a document is loaded, asked many times with the values of a moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from reprlib import repr as shortened

from cel_expr_python import cel

from kintsugi.errors import EvaluationError
from kintsugi.expressions.complaint import explain
from kintsugi.expressions.dialect import read_type
from kintsugi.expressions.environment import Environment, environment, parse
from kintsugi.expressions.expansion import expand
from kintsugi.expressions.function import FACT, Fact, Function
from kintsugi.expressions.names import Names, without_facts
from kintsugi.expressions.problem import ExpressionProblem
from kintsugi.expressions.reads import Reads, calls_in
from kintsugi.expressions.refusals import refuse
from kintsugi.expressions.syntax import Node, read_tree
from kintsugi.expressions.types import (
    ANY,
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    ListOf,
    MapOf,
    Scalar,
    Struct,
    Type,
    fits,
)

_PYTHON: Mapping[Scalar, type | tuple[type, ...]] = {
    BOOL: bool,
    INT: int,
    DOUBLE: (float, int),
    STRING: str,
    BYTES: (bytes, bytearray),
    TIMESTAMP: datetime,
    DURATION: timedelta,
    NULL: type(None),
    ANY: object,
}
_NO_ANSWER = (cel.Type.ERROR, cel.Type.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """
    A checked expression.

    `reads` are the dotted paths that it reads (`service.ready`, `object.status.phase`; the path of a list stands for its
    items, too), `result` the type of its answer: ANY when only the values can tell.
    """

    source: str
    reads: frozenset[str]
    result: Type
    wanted: Type = field(repr=False)
    variables: frozenset[str] = field(repr=False)
    program: cel.Expression = field(repr=False, compare=False)
    facts: tuple[Fact, ...] = field(default=(), repr=False)

    def evaluate(self, names: Mapping[str, object]) -> object:
        """
        Answer on the values of `names`, as plain Python: dicts, lists, scalars, datetimes and timedeltas.

        Give `Names` to ask several expressions about the same moment. A name without a value is an error only where it is
        read: `steps.x.ran && …` asks nothing of a step that did not run. Raises EvaluationError when there is no answer: an
        absent field or name, an answer of another type than was asked for, or a budget exceeded. It is never a reason to
        act.
        """
        prepared = names if isinstance(names, Names) else Names(names)
        try:
            answer = self.program.eval(prepared.activation(self.variables, self.facts))
            value = answer.plain_value()
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise EvaluationError(prepared.missing(self.variables) or f"{self.source}: {_reason(error)}") from error
        if value is True or value is False:
            if self.wanted in (BOOL, ANY):
                return value
        elif answer.type() in _NO_ANSWER:
            raise EvaluationError(prepared.missing(self.variables) or f"{self.source}: {_reason(value)}")
        if not _is(value, self.wanted):
            raise EvaluationError(f"{self.source}: gives {shortened(value)}, not a {self.wanted}")
        return without_facts(value) if self.facts else value


def compile_expression(
    source: str,
    *,
    names: Mapping[str, Type],
    result: Type,
    functions: Sequence[Function] = (),
    container: str | None = None,
) -> Expression:
    """
    Check and compile an expression that sees `names` and calls `functions`.

    `result` is the type that its answer must have; ANY takes each. Names may leave out the prefix `container`. Raises
    ExpressionProblem, with the offset of the mistake in `source`.
    """
    return _compiled(source, result, environment(frozenset(names.items()), tuple(functions), container or ""))


@lru_cache(maxsize=1024)
def _compiled(source: str, result: Type, place: Environment) -> Expression:
    """Compile once: files that are read again because one of them has changed cost no more than what is new in them."""
    try:
        refuse(read_tree(parse(source)), place)
        checked = place.check.compile(source)
        program = place.run.compile(expand(source, place.functions))
    except RuntimeError as error:
        raise explain(str(error), source, place) from error
    given = _result_type(checked, result, place)
    tree = read_tree(checked.serialize())
    facts = _facts(tree, place)
    reads = Reads()
    reads.visit(tree, {})
    used = {name for fact in facts for name in fact.uses}
    return Expression(
        source=source,
        reads=frozenset(reads.paths | used),
        result=given,
        wanted=result,
        variables=frozenset(reads.variables | used),
        program=program,
        facts=facts,
    )


def _result_type(checked: cel.Expression, wanted: Type, place: Environment) -> Type:
    named = str(checked.return_type())
    if named.startswith("optional_type<"):
        raise ExpressionProblem("the answer may be absent", suggestion="end with .orValue(…), or ask .hasValue()")
    given = read_type(named, place.structs)
    if given is None:
        raise ExpressionProblem(f"the answer is a {named.lower()}, which cannot be used")
    if not fits(given, wanted):
        raise ExpressionProblem(f"the answer is a {given}, not a {wanted}")
    return given


def _facts(tree: Node, place: Environment) -> tuple[Fact, ...]:
    """Collect the facts that calls read; one that uses a name which the scope lacks is a problem."""
    found: dict[str, Fact] = {}
    for call in calls_in(tree):
        function = place.functions.get(call.function)
        for fact in function.facts if function else ():
            for name in fact.uses:
                if name not in place.names:
                    message = f"{call.function} needs `{name}`, which is not known here"
                    raise ExpressionProblem(message, offset=call.offset)
            found[f"{fact.of.__name__}.{fact.name}"] = fact
    return tuple(found[key] for key in sorted(found))


def _is(value: object, wanted: Type) -> bool:
    """Tell whether an answer is of a type; the items of a list are left to who uses them."""
    match wanted:
        case ListOf():
            return isinstance(value, list)
        case MapOf() | Struct():
            return isinstance(value, dict)
        case Scalar():
            plainly = isinstance(value, _PYTHON[wanted])
            return plainly and (wanted in (BOOL, ANY) or not isinstance(value, bool))


def _reason(error: object) -> str:
    """Say CEL's run-time complaint without its codes."""
    text = str(error).removesuffix(" [INTERNAL]").removesuffix(" [INVALID_ARGUMENT]")
    if "Iteration budget exceeded" in text:
        return "goes through too many items"
    code, colon, rest = text.partition(": ")
    text = rest if colon and code.isupper() and " " not in code else text
    absent = text.removeprefix("Key not found in map : ").strip('"')
    if absent.startswith(FACT):
        return f"{absent.removeprefix(FACT)} is asked of something that is no known object"
    return text if absent == text else f"the field `{absent}` is absent"
