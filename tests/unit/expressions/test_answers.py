"""What an expression answers on the values of a moment, which of them it reads, and when it has no answer (P6)."""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.errors import EvaluationError
from kintsugi.expressions import (
    ANY,
    BOOL,
    INT,
    Bindings,
    ListOf,
    Lost,
    MapOf,
    compile_expression,
    from_json,
    plain,
    to_json,
)
from kintsugi.expressions.types import Type
from kubeobjects.kept import Pod
from tests.unit.expressions.examples import NOW, SCOPE, Piece, Shelf, Vase

WHOLE = Vase(name="ming", whole=True, marks={"a.b/c": "x"}, pieces=(Piece(glued_by="gold", width=3, cracked_at=NOW),))
BROKEN = Vase(name="qing")
VALUES: Mapping[str, object] = {
    "vase": WHOLE,
    "vases": [WHOLE, BROKEN],
    "vases.old_vase": BROKEN,
    "shelf": Shelf(shelf_name="upper", vases=(WHOLE,)),
    "steps.find.vase": WHOLE,
    "limit": 3,
    "patience": timedelta(hours=1),
    "now": NOW,
    "numbers": [1, 2, 3],
}


def answer(source: str, values: Mapping[str, object] = VALUES, *, result: Type = ANY) -> object:
    """Compile and evaluate."""
    return SCOPE.expression(source, result=result).evaluate(values)


def no_answer(source: str, values: Mapping[str, object] = VALUES, *, result: Type = ANY) -> str:
    """Return what an evaluation without an answer says."""
    with pytest.raises(EvaluationError) as raised:
        answer(source, values, result=result)
    return str(raised.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("vase.whole && vase.name == 'ming'", True),
        ("vases.filter(v, !v.whole).map(v, v.name)", ["qing"]),
        ("vase.pieces[0].gluedBy", "gold"),
        ("vase.marks['a.b/c']", "x"),
        ("vase.marks.?absent.orValue('none')", "none"),
        ("vase.colour", "red"),
        ("vase.weight", 1.5),
        ("size(vases) >= limit", False),
        ("vases.old_vase.whole || size(vases) == 2", True),
        ("shelf.shelf_name + shelf.vases[0].name", "upperming"),
        ("now - patience", NOW - timedelta(hours=1)),
        ("now - vase.pieces[0].crackedAt", timedelta(0)),
        ("patience > duration('59m59s')", True),
        ("has(vase.lid)", False),
        ("vase.?lid.?width.orValue(7)", 7),
        ("cel.bind(n, vase.name, n + n)", "mingming"),
        ("math.greatest(numbers)", 3),
        ("numbers.map(n, n * 2)", [2, 4, 6]),
        ("// the name\nvase.name", "ming"),
    ],
)
def test_an_expression_answers_on_structs_dataclasses_and_builtins(source: str, expected: object) -> None:
    assert answer(source) == expected


def test_dotted_names_and_a_list_of_the_same_name_stand_side_by_side() -> None:
    assert answer("vases.exists(v, v.name == vases.old_vase.name)") is True


@pytest.mark.parametrize(
    "source", ["vase.lid.width == 0", "vases.old_vase.pieces[0].width == 1", "vase.marks.absent == ''"]
)
def test_an_absent_field_has_no_answer(source: str) -> None:
    """P6: what is missing is never taken for an answer."""
    assert source in no_answer(source)


def test_an_empty_text_is_absent_so_that_it_differs_from_nothing() -> None:
    """P6: `phase != "Bound"` must not be true of an object whose phase nobody has reported."""
    assert no_answer("vase.name != 'ming'", {"vase": Vase()}) == "vase.name != 'ming': the field `name` is absent"


def test_zero_false_and_empty_lists_are_answers() -> None:
    assert answer("!vase.whole && size(vase.pieces) == 0 && size(vase.marks) == 0", {"vase": Vase()}) is True


def test_a_name_without_a_value_has_no_answer() -> None:
    assert no_answer("steps.find.passed") == "steps.find.passed: no value here"


def test_a_true_side_is_enough_where_the_other_has_no_answer() -> None:
    assert answer("vase.whole || vase.lid.width > 1") is True
    assert answer("!vase.whole && vase.lid.width > 1") is False
    assert "absent" in no_answer("vase.whole && vase.lid.width > 1")


def test_going_through_too_many_items_has_no_answer() -> None:
    assert answer("numbers.all(n, n >= 0)", {"numbers": list(range(9999))}) is True
    assert no_answer("numbers.all(n, n >= 0)", {"numbers": list(range(10000))}) == (
        "numbers.all(n, n >= 0): goes through too many items"
    )


def test_nested_loops_stop_soon_and_have_no_answer() -> None:
    source = "numbers.all(a, numbers.all(b, numbers.all(c, numbers.all(d, a + b + c + d >= 0))))"
    assert "too many items" in no_answer(source, {"numbers": list(range(100))})


@pytest.mark.parametrize(
    ("value", "wanted"), [("yes", BOOL), (1, BOOL), (None, BOOL), (True, INT), ("a", ListOf(ANY)), (1.5, INT)]
)
def test_an_answer_of_another_type_than_asked_for_is_none(value: object, wanted: Type) -> None:
    assert f"not a {wanted}" in no_answer("value", {"value": value}, result=wanted)


@pytest.mark.parametrize("value", [True, "x", 5, 2.5, None, [1, {"a": None}], {"a": [NOW]}, NOW, timedelta(seconds=5)])
def test_a_value_goes_through_unchanged(value: object) -> None:
    assert answer("value", {"value": value}) == value


def test_whole_numbers_and_fractions_compare_when_only_the_values_tell() -> None:
    assert answer("value > 0", {"value": 1.5}) is True
    assert answer("value == 1", {"value": 1.0}) is True


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), object(), 2**70, {"a": object()}, "\udc80"])  # noqa: DTZ001
def test_a_value_that_cannot_be_read_has_no_answer(value: object) -> None:
    assert no_answer("value", {"value": value})


def test_a_division_by_zero_has_no_answer() -> None:
    assert "divide by zero" in no_answer("1 / (limit - 3) == 1")


class Counting(Mapping[str, object]):
    """Values that count how often each was asked for."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values_asked: dict[str, int] = {}
        self._values = values

    def __getitem__(self, name: str) -> object:
        self.values_asked[name] = self.values_asked.get(name, 0) + 1
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def test_many_expressions_share_one_conversion_and_unread_values_are_never_touched() -> None:
    counting = Counting(VALUES)
    names = Bindings(counting)
    for number in range(100):
        assert SCOPE.expression(f"vase.name == 'vase-{number}'").evaluate(names) is False
    assert counting.values_asked == {"vase": 1}


POD = msgspec.convert(
    {
        "metadata": {"name": "web-1", "creationTimestamp": "2026-03-01T11:00:00Z"},
        "status": {"phase": "Running"},
    },
    Pod,
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("pod.displayStatus", "Running"),
        ("pods.map(p, p.displayStatus)", ["Running"]),
        ("pods.filter(p, p.displayStatus == 'Running' && !p.unhealthy).map(p, p.metadata.name)", ["web-1"]),
        ("(pods + pods)[1].?displayStatus.orValue('')", "Running"),
        ("pods[?0].displayStatus.orValue('')", "Running"),
        ("cel.bind(p, pod, has(p.unhealthy))", True),
        ("[pod].map(p, {'status': p.displayStatus})", [{"status": "Running"}]),
    ],
)
def test_kept_objects_have_computed_fields(source: str, expected: object) -> None:
    assert answer(source, {"pod": POD, "pods": [POD], "now": NOW}) == expected


def test_an_object_that_an_earlier_answer_gave_has_its_computed_fields_again() -> None:
    pods = answer("pods.filter(p, p.displayStatus == 'Running')", {"pods": [POD]}, result=ListOf(ANY))
    assert isinstance(pods, list)
    (pod,) = pods
    assert "displayStatus" not in pod
    assert answer("pod.displayStatus == 'Running' && !pod.unhealthy", {"pod": pod, "now": NOW}) is True


def test_a_computed_field_of_something_unknown_is_absent() -> None:
    assert no_answer("pod.ready", {"pod": {"status": {}}}) == "pod.ready: the field `ready` is absent"
    assert no_answer("value.ready", {"value": {}}) == "value.ready: the field `ready` is absent"
    malformed = {"apiVersion": "v1", "kind": "Pod", "status": {"containerStatuses": "none"}}
    assert "not a Pod" in no_answer("pod.ready", {"pod": malformed})


def test_asking_again_and_again_takes_no_memory() -> None:
    """A daemon asks millions of times: cel-expr-python frees no argument of a Python function, so none is ever called."""
    expression = SCOPE.expression(
        "pod.displayStatus == 'Running' && !pod.unhealthy && pods.all(p, p.displayStatus != '')"
    )

    def ask() -> None:
        assert expression.evaluate({"pod": POD, "pods": [POD, POD], "now": NOW}) is True

    for _ in range(50):
        ask()
    before = sys.getallocatedblocks()
    for _ in range(500):
        ask()
    assert sys.getallocatedblocks() - before < 250


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("vase.name", {"vase.name"}),
        ("has(vase.lid)", {"vase.lid"}),
        ("vase.marks['a.b/c']", {"vase.marks.a.b/c"}),
        ("vase.?lid.?width.orValue(0)", {"vase.lid.width"}),
        ("vase.pieces[limit].width", {"vase.pieces.width", "limit"}),
        ("vase.pieces.exists(p, p.width > limit)", {"vase.pieces", "vase.pieces.width", "limit"}),
        ("vases.all(v, v.pieces.all(p, p.width > 1))", {"vases", "vases.pieces", "vases.pieces.width"}),
        ("cel.bind(l, vase.lid, l.width)", {"vase.lid", "vase.lid.width"}),
        ("steps.find.vase.name", {"steps.find.vase.name"}),
        ("steps.find.passed && !vases.old_vase.whole", {"steps.find.passed", "vases.old_vase.whole"}),
        ("pod.displayStatus", {"pod.displayStatus"}),
        ("pods.exists(p, p.unhealthy)", {"pods", "pods.unhealthy", "now"}),
        ("vases.filter(v, v.whole)[0].name", {"vases", "vases.whole"}),
        ("{'a': vase.name, 'b': [limit]}", {"vase.name", "limit"}),
        ("1 + 2", set()),
    ],
)
def test_reads_are_the_dotted_paths(source: str, reads: set[str]) -> None:
    assert SCOPE.expression(source, result=ANY).reads == reads


@pytest.mark.parametrize(
    "source",
    [
        "vase == vases[0] && vase.marks == {'a.b/c': 'x'}",
        "string(size(vase.pieces)) + vase.pieces[0].gluedBy",
        "vase.marks['a.b/c'] + vase.marks[vase.marks.filter(key, true)[0]]",
        "value[numbers == [] ? 'lid' : 'pieces'][0].gluedBy",
        "[vase, vases[1]].filter(v, v.whole)[0].name",
        "vases.filter(v, v.whole).map(v, v.name) + vases.map(v, v.name)",
        "vases.filter(v, v.name == 'ming')",
        "vases.exists(v, v.pieces.exists(p, p.width > 2))",
        "cel.bind(v, vase, v.pieces.map(p, p.crackedAt))",
        "(limit > 2 ? vase : vases.old_vase).name",
        "(limit > 5 ? vases : shelf.vases).map(v, v.?lid.?width.orValue(limit))",
        "vases.all(v, true) && !has(vase.lid) && has(shelf.vases)",
        "shelf.vases[limit - 3].pieces",
        "[shelf]",
        "value.map(key, 1)",
    ],
)
def test_an_answer_is_the_same_when_only_what_is_read_is_converted(source: str) -> None:
    """P6: a field that was left out would be absent."""
    values = {**VALUES, "value": WHOLE}
    assert answer(source, values) == answer(source, {name: plain(value) for name, value in values.items()})


class Unreadable:
    """A value that no expression can take."""


@pytest.mark.parametrize("source", ["vase.name == 'ming'", "vases.exists(v, v.name == 'ming')"])
def test_fields_that_are_not_read_are_not_converted(source: str) -> None:
    vase = msgspec.structs.replace(WHOLE, marks={"a": Unreadable()})
    assert answer(source, {"vase": vase, "vases": [vase]}) is True
    assert "Unreadable" in no_answer("vase == vases[0]", {"vase": vase, "vases": [vase]})


MARK = "[gone]"
OBJECTS = [{"name": "a", "note": MARK, "lines": ["x", "y"]}, {"name": "b", "note": "", "lines": [MARK]}]
NAMES: dict[str, Type] = {"seen.json": ANY, "seen.items": ListOf(MapOf(ANY)), "other": ANY, "key": ANY}
LOST_VALUES = {
    "seen.json": {"user": "carl", "id": MARK, "deep": {"id": MARK}},
    "seen.items": OBJECTS,
    "other": {},
    "key": "id",
}
PATHS = frozenset({"seen.json.id", "seen.json.deep.id", "seen.items.note", "seen.items.lines"})


def answer_of(source: str, lost: Lost) -> object:
    """Evaluate on the values, of which some may be lost."""
    return compile_expression(source, names=NAMES, result=ANY).evaluate(Bindings(LOST_VALUES, lost))


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("seen.json.id", "seen.json.id"),
        ("seen.json.id == 'x'", "seen.json.id"),
        ("seen.json['id'] != 'x' || true", "seen.json.id"),
        ("seen.json[key] == 'x'", "seen.json.deep.id"),
        ("seen.json[key]", "seen.json.deep.id"),
        ("seen.json == other", "seen.json.deep.id"),
        ("seen.json.deep in [other]", "seen.json.deep.id"),
        ("seen.items.exists(i, i.note.contains('x'))", "seen.items.note"),
        ("seen.items[0].note", "seen.items.note"),
        ("seen.items.map(i, i.note)", "seen.items.note"),
        ("seen.items.filter(i, i == other).size()", "seen.items.lines"),
        ("seen.items.map(i, i.lines)", "seen.items.lines"),
        ("cel.bind(j, seen.json, j.id + 'x')", "seen.json.id"),
    ],
)
def test_an_expression_that_asks_for_a_lost_field_has_no_answer_and_names_it(source: str, path: str) -> None:
    answer_of(source, Lost())
    with pytest.raises(EvaluationError, match=rf"^{path} went away$"):
        answer_of(source, Lost(paths=PATHS, mark=MARK, why="went away"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("seen.json.user", "carl"),
        ("seen.json.user == 'carl'", True),
        ("size(seen.items)", 2),
        ("seen.items.exists(i, i.name == 'b')", True),
        ("seen.items.filter(i, i.name == 'a')[0].name", "a"),
        ("seen.items.filter(i, i.name == 'a')", [OBJECTS[0]]),
        ("seen.items.map(i, i.name)", ["a", "b"]),
        ("seen.items", OBJECTS),
        ("true ? seen.items : []", OBJECTS),
        ("1 + 2", 3),
    ],
)
def test_an_expression_that_goes_past_a_lost_field_has_the_same_answer_as_ever(source: str, expected: object) -> None:
    assert answer_of(source, Lost()) == expected
    assert answer_of(source, Lost(paths=PATHS, mark=MARK, why="went away")) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        1.5,
        "text",
        "",
        [1, [2, {"a": None}]],
        {"@time": NOW, "now": NOW},
        NOW,
        timedelta(hours=-3, microseconds=5),
        {"when": [NOW, timedelta(days=2)]},
        {"@time": "not ours"},
        {"@map": {"@seconds": [{"@time": 5}]}},
    ],
)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    assert from_json(orjson.loads(orjson.dumps(to_json(value)))) == value


def test_an_object_that_came_back_is_read_as_before() -> None:
    values = {"vase": Vase(name="ming", pieces=(Piece(cracked_at=NOW),)), "now": NOW, "pod": Pod()}
    returned = from_json(orjson.loads(orjson.dumps(to_json(values))))
    assert isinstance(returned, dict)
    assert plain(returned) == plain(values)
    source = "now - vase.pieces[0].crackedAt == duration('0s') && pod.displayStatus == ''"
    assert SCOPE.expression(source).evaluate(returned) is True


@pytest.mark.parametrize(
    "value",
    [
        {"@time": 5},
        {"@time": "soon"},
        {"@seconds": "1"},
        {"@seconds": True},
        {"@seconds": 1e300},
        {"@map": [{"@time": None}]},
        {"a": [{"@seconds": {"@time": "never"}}]},
    ],
)
def test_json_that_to_json_never_makes_stays_as_it_is(value: object) -> None:
    """C1: what an earlier version or a hand has written must not keep a run from being taken up again."""
    assert from_json(value) == value


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["@time", "@seconds", "@map"]) | st.text(), inner),
    max_leaves=20,
)


@given(anything)
def test_any_json_comes_back_as_it_was(value: object) -> None:
    """C1: a web service's answer is anybody's."""
    assert from_json(to_json(value)) == value
    from_json(value)
