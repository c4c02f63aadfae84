"""One expression: compiled and checked when a document is loaded, evaluated many times with the values of a moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from reprlib import repr as shortened

from cel_expr_python import cel

from kintsugi.errors import EvaluationError
from kintsugi.expressions.bindings import Bindings, Lost, holds_lost, lost_read, without_computed_fields
from kintsugi.expressions.computed_fields import ComputedField, computed_fields
from kintsugi.expressions.environment import (
    PACKAGE,
    Environment,
    environment,
    meant_by,
    parse,
    read_type,
    runnable,
    stems_in,
)
from kintsugi.expressions.problems import ExpressionProblem, explain, refuse
from kintsugi.expressions.syntax import Node, Reads, fields_in, read_tree
from kintsugi.expressions.types import (
    ANY,
    BOOL,
    ListOf,
    MapOf,
    Scalar,
    Struct,
    Type,
    fits,
)
from kubeobjects.predicates import START_UP_ALLOWANCE

_NO_ANSWER = (cel.Type.ERROR, cel.Type.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """
    A checked expression.

    `reads` are the dotted paths that it reads (`service.ready`, `object.status.phase`; the path of a list stands for
    its items, too), `whole` those of which it reads all below, `compared` those whose whole value decides. `result` is
    the type of its answer: ANY where it depends on the values. `variables` are the names that it needs a value of; those
    that only a computed field uses are not `converted`.
    """

    source: str
    reads: frozenset[str]
    result: Type
    wanted: Type = field(repr=False)
    variables: frozenset[str] = field(repr=False)
    program: cel.Expression = field(repr=False, compare=False)
    computed_fields: tuple[ComputedField, ...] = field(default=(), repr=False)
    converted: frozenset[str] = field(default=frozenset(), repr=False)
    whole: frozenset[str] = field(default=frozenset(), repr=False)
    compared: frozenset[str] = field(default=frozenset(), repr=False)

    def evaluate(self, names: Mapping[str, object]) -> object:
        """
        Answer on the values of `names`, as plain Python: dicts, lists, scalars, datetimes and timedeltas.

        Give `Bindings` to ask several expressions about the same moment. A name without a value is an error only where it is
        read: `steps.x.ran && …` asks nothing of a step that did not run. Raises EvaluationError when there is no answer: an
        absent field or name, one that is lost, an answer of another type than was asked for, or a budget exceeded. It is
        never a reason to act.
        """
        bindings = names if isinstance(names, Bindings) else Bindings(names)
        if path := lost_read(self.reads, self.compared, bindings.lost):
            raise EvaluationError(f"{path} {bindings.lost.why}")
        try:
            answer = self.program.eval(
                bindings.activation(self.converted, self.reads, self.whole, self.computed_fields)
            )
            value = answer.plain_value()
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise EvaluationError(bindings.missing(self.variables) or f"{self.source}: {_reason(error)}") from error
        if value is True or value is False:
            if self.wanted in (BOOL, ANY):
                return value
        elif answer.type() in _NO_ANSWER:
            raise EvaluationError(bindings.missing(self.variables) or f"{self.source}: {_reason(value)}")
        if not _is(value, self.wanted):
            raise EvaluationError(f"{self.source}: gives {shortened(value)}, not a {self.wanted}")
        if bindings.lost.paths and holds_lost(value, bindings.lost.mark):
            raise EvaluationError(f"{self._lost_above(bindings.lost)} {bindings.lost.why}")
        return without_computed_fields(value) if self.computed_fields else value

    def _lost_above(self, lost: Lost) -> str:
        """Name what is lost below the paths that are read."""
        below = (path for path in sorted(lost.paths) if any(path.startswith(f"{each}.") for each in self.reads))
        return next(below, self.source)


def compile_expression(
    source: str,
    *,
    names: Mapping[str, Type],
    result: Type,
    start_up: timedelta = START_UP_ALLOWANCE,
    container: str | None = None,
) -> Expression:
    """
    Check and compile an expression that sees `names`.

    `result` is the type that its answer must have; ANY takes each. `start_up` is what a pod may take to become ready
    before it counts as unhealthy. Names may leave out the prefix `container`. Raises ExpressionProblem, with the offset
    of the mistake in `source`.
    """
    fields = computed_fields(start_up)
    meant = meant_by(source, names, fields, container or "")
    declared = frozenset(meant.items())
    try:
        return _compiled(source, result, (declared, container or ""), stems_in(source, names), fields)
    except RuntimeError as error:
        place = environment(declared, container or "")
        raise explain(str(error), source, replace(place, names=dict(names))) from error


@lru_cache(maxsize=1024)
def _compiled(
    source: str,
    result: Type,
    where: tuple[frozenset[tuple[str, Type]], str],
    taken: frozenset[str],
    fields: tuple[ComputedField, ...],
) -> Expression:
    """
    Compile once: files that are read again because one of them has changed cost no more than what is new in them.

    `where` are the names and the container of the environment, which is not kept. `taken` are what no variable of the
    expression may be called. Raises RuntimeError, as CEL does, and ExpressionProblem.
    """
    place = environment(*where)
    refuse(read_tree(parse(source)), place, taken)
    checked = place.check.compile(source)
    given = _result_type(checked, result, place)
    serialised = checked.serialize()
    tree = read_tree(serialised)
    computed = _computed_fields(tree, place, fields)
    reads = Reads()
    reads.visit(tree, {})
    used = {name for each in computed for name in each.uses}
    return Expression(
        source=source,
        reads=frozenset(reads.paths | used),
        result=given,
        wanted=result,
        variables=frozenset(reads.variables | used),
        program=runnable(serialised),
        computed_fields=computed,
        converted=frozenset(reads.variables),
        whole=frozenset(reads.whole),
        compared=frozenset(reads.compared),
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


def _computed_fields(tree: Node, place: Environment, fields: tuple[ComputedField, ...]) -> tuple[ComputedField, ...]:
    """Choose the computed fields that an expression may read; one that needs a name which the place lacks is a problem."""
    read = list(fields_in(tree))
    found: list[ComputedField] = []
    for each in fields:
        owners = ("", f"{PACKAGE}.{each.of.__name__}")
        offset = next((offset for offset, name, owner in read if name == each.name and owner in owners), None)
        if offset is None:
            continue
        for name in each.uses:
            if name not in place.names:
                raise ExpressionProblem(f"{each.name} needs `{name}`, which is not known here", offset=offset)
        found.append(each)
    return tuple(found)


def _is(value: object, wanted: Type) -> bool:
    """Return whether an answer is of a type; the items of a list are left to who uses them."""
    match wanted:
        case ListOf():
            return isinstance(value, list)
        case MapOf() | Struct():
            return isinstance(value, dict)
        case Scalar():
            plainly = isinstance(value, wanted.python)
            return plainly and (wanted in (BOOL, ANY) or not isinstance(value, bool))


def _reason(error: object) -> str:
    """Return CEL's run-time complaint without its codes."""
    text = str(error).removesuffix(" [INTERNAL]").removesuffix(" [INVALID_ARGUMENT]")
    if "Iteration budget exceeded" in text:
        return "goes through too many items"
    code, colon, rest = text.partition(": ")
    text = rest if colon and code.isupper() and " " not in code else text
    absent = text.removeprefix("Key not found in map : ").strip('"')
    return text if absent == text else f"the field `{absent}` is absent"
