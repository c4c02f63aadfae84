"""An expression that asks for what is lost has no answer; one that goes past it does."""

import pytest

from kintsugi.errors import EvaluationError
from kintsugi.expressions import ANY, Bindings, ListOf, Lost, MapOf, compile_expression
from kintsugi.expressions.types import Type

MARK = "[gone]"
OBJECTS = [{"name": "a", "note": MARK, "lines": ["x", "y"]}, {"name": "b", "note": "", "lines": [MARK]}]
NAMES: dict[str, Type] = {"seen.json": ANY, "seen.items": ListOf(MapOf(ANY)), "other": ANY, "key": ANY}
VALUES = {
    "seen.json": {"user": "carl", "id": MARK, "deep": {"id": MARK}},
    "seen.items": OBJECTS,
    "other": {},
    "key": "id",
}
PATHS = frozenset({"seen.json.id", "seen.json.deep.id", "seen.items.note", "seen.items.lines"})


def answer(source: str, lost: Lost) -> object:
    """Evaluate on the values, of which some may be lost."""
    return compile_expression(source, names=NAMES, result=ANY).evaluate(Bindings(VALUES, lost))


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
    answer(source, Lost())
    with pytest.raises(EvaluationError, match=rf"^{path} went away$"):
        answer(source, Lost(paths=PATHS, mark=MARK, why="went away"))


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
    assert answer(source, Lost()) == expected
    assert answer(source, Lost(paths=PATHS, mark=MARK, why="went away")) == expected
