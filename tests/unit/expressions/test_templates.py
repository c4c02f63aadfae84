"""Text with holes."""

from datetime import timedelta

import pytest

from kintsugi.errors import EvaluationError
from kintsugi.expressions import Bindings, ExpressionProblem, TextTemplate, placeholders_in
from tests.unit.expressions.examples import NOW, SCOPE, Vase

VALUES = {
    "vase": Vase(name="ming", weight=2.0),
    "limit": 5,
    "numbers": [1],
    "patience": timedelta(hours=26, seconds=1.5),
    "now": NOW,
    "value": {"metadata": {"name": "web-1", "uid": "u"}},
}


def filled(text: str) -> object:
    """Compile and fill in."""
    return SCOPE.template(text).evaluate(VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("--replicas=${limit}", "--replicas=5"),
        ("${vase.name}/${limit + 1}!", "ming/6!"),
        ("a ${patience} at ${now}", "a 26h2s at 2026-03-01T12:00:00Z"),
        ("it is ${limit > 3}", "it is true"),
        ("weighs ${vase.weight}", "weighs 2"),
        ("pod ${value}", "pod web-1"),
        ("$${limit} costs $5 and $$", "${limit} costs $5 and $$"),
        ("$${${limit}}", "${5}"),
        ("x${{'}': 'a}b'}['}']}y", "xa}by"),
        ('x${"a\\"}" + vase.name}y', 'xa"}mingy'),
    ],
)
def test_holes_are_filled(text: str, expected: str) -> None:
    assert filled(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("${limit}", 5), ("${numbers}", [1]), ("${patience}", VALUES["patience"]), ("${value}", VALUES["value"])],
)
def test_a_single_hole_keeps_its_value(text: str, expected: object) -> None:
    assert filled(text) == expected


@pytest.mark.parametrize("text", ["all: ${numbers}", "lid: ${vase.lid}", "m ${vase.marks}", "n ${null}"])
def test_a_template_with_a_value_that_is_no_text_has_no_answer(text: str) -> None:
    with pytest.raises(EvaluationError):
        filled(text)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("--replicas=${limt}", "limt"),
        ("${limit} ${ vase.weigth }", "weigth"),
        ("a ${limit", "${limit"),
        ("a ${}", "}"),
        ("a ${'}", "${'}"),
    ],
)
def test_a_mistake_in_a_hole_is_placed_in_the_text(text: str, at: str) -> None:
    with pytest.raises(ExpressionProblem) as raised:
        SCOPE.template(text)
    assert text[raised.value.offset :].startswith(at)


def test_holes_are_found_with_their_ends() -> None:
    text = "a ${limit} $${no} ${{'x': 1}.x}"
    assert [text[start:end] for start, end in placeholders_in(text)] == ["${limit}", "${{'x': 1}.x}"]


def test_a_template_says_what_it_reads_and_is_filled_from_prepared_names() -> None:
    template = SCOPE.template("${vase.name} ${limit}")
    assert isinstance(template, TextTemplate)
    assert template.reads == {"vase.name", "limit"}
    assert [hole.source for hole in template.placeholders] == ["vase.name", "limit"]
    assert template.evaluate(Bindings(VALUES)) == "ming 5"
