"""Everything that can be known to be wrong is said when a document is loaded, where it stands, with what would be right."""

import gc
from dataclasses import replace

import pytest

from kintsugi.expressions import (
    ANY,
    BOOL,
    INT,
    STRING,
    ExpressionProblem,
    ListOf,
    MapOf,
    Scope,
    Struct,
    compile_expression,
    computed_fields,
)
from kintsugi.expressions.environment import Environment, meant_by
from kintsugi.expressions.types import Type
from tests.unit.expressions.examples import POD, SCOPE, VASE


def problem_of(source: str, *, result: Type = BOOL, scope: Scope = SCOPE) -> ExpressionProblem:
    """Return the problem that compiling ends in."""
    with pytest.raises(ExpressionProblem) as raised:
        scope.expression(source, result=result)
    return raised.value


@pytest.mark.parametrize(
    ("source", "says", "at"),
    [
        ("vase.weigth > 1.0", "did you mean `weight`?", "weigth"),
        ("vase . weigth > 1.0", "did you mean `weight`?", "weigth"),
        ("vases.all(v, v.pieces.exists(p, p.widht > 1))", "did you mean `width`?", "widht"),
        ("vaze.whole", "did you mean `vase`?", "vaze"),
        ("steps.fnid.passed", "did you mean `steps.find.passed`?", "steps.fnid.passed"),
        ("steps.find.vase.whoel", "did you mean `whole`?", "whoel"),
        ("pods.all(p, p.displayStatos == '')", "did you mean `displayStatus`?", "displayStatos"),
        ("vase.name.startWith('x')", "did you mean `startsWith`?", "startWith"),
        ("vase.whole &&\n  vaze.whole", "did you mean `vase`?", "vaze"),
        ("'Ü' == vase.name && vaze.whole", "did you mean `vase`?", "vaze"),
    ],
)
def test_a_misspelt_name_is_refused_with_its_place_and_the_nearest_one(source: str, says: str, at: str) -> None:
    problem = problem_of(source)
    assert problem.suggestion == says
    assert source[problem.offset :].startswith(at)


def test_an_expression_is_compiled_among_the_names_that_it_may_mean_however_many_its_place_sees() -> None:
    many = {f"steps.s{number}.passed": BOOL for number in range(1000)}
    scope = replace(SCOPE, names={**SCOPE.names, **many})
    meant = meant_by("steps.s7.passed && vase.whole", scope.names, computed_fields())
    assert [name for name in meant if name in many] == ["steps.s7.passed"]
    assert "vase" in meant
    assert "steps.find.passed" not in meant
    assert problem_of("steps.s1001.passed", scope=scope).suggestion.startswith("did you mean `steps.s1")


def test_a_variable_may_not_be_called_as_a_name_of_its_place_begins_though_nothing_else_mentions_it() -> None:
    problem = problem_of("vases.all(steps, steps.whole)")
    assert "steps" in problem.message


def test_a_field_that_resembles_no_other_is_answered_with_all_fields() -> None:
    problem = problem_of("vase.lid.xyz == 1")
    assert problem.suggestion == "it has crackedAt, gluedBy, width"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("vase.name == 1", "`==` does not work on (string, int)"),
        ("limit + 1.5 > 2.0", "`+` does not work on (int, double)"),
        ("now > patience", "`>` does not work on (timestamp, duration)"),
        ("pod.displayStatus == 1", "`==` does not work on (string, int)"),
        ("vases.name == ''", "a list(Vase) has no fields"),
        ("size(vase) == 1", "size does not take (Vase)"),
        ("vase.whole ? 1 : 'a'", "`?:` does not work on (bool, int, string)"),
    ],
)
def test_types_that_do_not_fit_are_refused(source: str, message: str) -> None:
    assert problem_of(source).message == message


@pytest.mark.parametrize(
    ("source", "message", "suggestion"),
    [
        ("unhealthy(pod)", "there is no function `unhealthy`", "it is a field of Pod: write x.unhealthy"),
        ("pods.all(p, ready(p))", "there is no function `ready`", "it is a field of Pod and Node: write x.ready"),
        ("value.address() == ''", "there is no function `address`", "it is a field of KubeService: write x.address"),
        ("zzz(pod)", "there is no function `zzz` here", ""),
    ],
)
def test_a_call_of_an_unknown_function_names_the_field_of_that_name(source: str, message: str, suggestion: str) -> None:
    problem = problem_of(source)
    assert (problem.message, problem.suggestion) == (message, suggestion)


@pytest.mark.parametrize(
    ("source", "result", "message"),
    [
        ("vase.name", BOOL, "the answer is a string, not a bool"),
        ("vases", BOOL, "the answer is a list of Vase, not a bool"),
        ("vase", ListOf(ANY), "the answer is a Vase, not a list of any"),
        ("vases.map(v, v.name)", ListOf(VASE), "the answer is a list of string, not a list of Vase"),
        ("vase.?lid", ANY, "the answer may be absent"),
        ("type(vase)", ANY, "the answer is a type<kintsugi.vase>, which cannot be used"),
    ],
)
def test_an_answer_of_the_wrong_type_is_refused(source: str, result: Type, message: str) -> None:
    assert problem_of(source, result=result).message == message


def test_an_expression_of_any_type_passes_for_a_truth_and_is_judged_when_it_runs() -> None:
    assert SCOPE.expression("value").result == ANY


@pytest.mark.parametrize(
    ("source", "suggestion"),
    [
        ('patience > duration("2d")', 'there are no days: write "48h" for "2d"'),
        ('patience > duration("1.5d")', 'there are no days: write "36h" for "1.5d"'),
        ('patience > duration("soon")', 'write it with h, m, s or ms, as in "1h30m"'),
        ('now > timestamp("yesterday")', "write it as 2026-01-31T12:00:00Z"),
    ],
)
def test_a_duration_or_time_that_cannot_be_read_is_refused(source: str, suggestion: str) -> None:
    problem = problem_of(source)
    assert problem.suggestion == suggestion
    assert source[problem.offset] == '"'


def test_a_broken_regular_expression_is_refused_before_it_ever_runs() -> None:
    source = 'vases.exists(v, v.name.matches("(a"))'
    problem = problem_of(source)
    assert problem.message == "'(a' is not a regular expression (RE2): missing ): (a"
    assert source[problem.offset :].startswith('"(a"')


@pytest.mark.parametrize("source", ["vases.old-vase.whole", "steps.find-it.met"])
def test_a_dash_in_a_name_is_explained(source: str) -> None:
    suggestion = problem_of(source).suggestion
    assert suggestion == f"a dash is a minus in expressions: write {source.replace('-', '_')}"


def test_the_reserved_word_namespace_is_explained() -> None:
    problem = problem_of("namespace == 'x'")
    assert problem.message == "`namespace` is a reserved word of expressions"
    assert problem.suggestion == "write it after its object, as in service.namespace"


def test_has_of_a_whole_name_is_refused_because_it_would_give_the_value() -> None:
    problem = problem_of("has(steps.find.vase)", result=ANY)
    assert "has(steps.find.vase) does not check" in problem.message
    assert SCOPE.expression("has(steps.find.vase.lid)").result == BOOL


@pytest.mark.parametrize("source", ["vases.all(vase, vase.whole)", "cel.bind(steps, vase, steps.whole)"])
def test_a_macro_may_not_hide_a_name(source: str) -> None:
    """CEL would read steps.find.passed as the variable, whatever the macro calls steps."""
    assert "is a name here already" in problem_of(source).message


def test_a_message_cannot_be_written_out() -> None:
    assert "cannot be written out" in problem_of("kintsugi.Vase{whole: true} == vase").message


@pytest.mark.parametrize("source", ["", "vase.", "vase.whole &&", "(vase.whole", "vase.whole)", "'abc", "1 = 1"])
def test_broken_syntax_is_refused_with_a_short_message(source: str) -> None:
    problem = problem_of(source)
    assert problem.message
    assert "\n" not in problem.message
    assert 0 <= problem.offset <= len(source)


def test_nesting_and_length_beyond_all_reason_are_refused() -> None:
    assert problem_of("(" * 5000 + "vase.whole" + ")" * 5000).message
    assert problem_of("vase.whole && " * 20000 + "true").message


def test_a_computed_field_that_needs_a_name_is_refused_where_the_name_is_unknown() -> None:
    scope = Scope(names={"pod": POD, "counts": MapOf(INT)})
    assert problem_of("pod.unhealthy", scope=scope).message == "unhealthy needs `now`, which is not known here"
    assert problem_of("pod.?unhealthy.orValue(false)", scope=scope).message.startswith("unhealthy needs `now`")
    assert scope.expression("counts.unhealthy > 3").reads == {"counts.unhealthy"}


def test_names_may_leave_out_the_container() -> None:
    expression = compile_expression("passed", names={"steps.find.passed": BOOL}, container="steps.find", result=BOOL)
    assert expression.reads == {"steps.find.passed"}
    assert expression.evaluate({"steps.find.passed": True}) is True


def test_two_types_of_one_name_are_an_error_of_the_program() -> None:
    names = {"a": Struct("Thing", {"x": STRING}), "b": Struct("Thing", {"y": STRING})}
    with pytest.raises(ValueError, match="two different struct types are named Thing"):
        compile_expression("a.x == b.y", names=names, result=BOOL)


def test_an_expression_keeps_no_environment() -> None:
    """An environment takes 200 KiB, and a catalog has hundreds of expressions, each of which sees names of its own."""

    def environments() -> int:
        return sum(isinstance(each, Environment) for each in gc.get_objects())

    before = environments()
    kept = [compile_expression(f"x{number} > 1", names={f"x{number}": INT}, result=BOOL) for number in range(40)]
    assert kept[39].evaluate({"x39": 2}) is True
    assert environments() - before <= 16
