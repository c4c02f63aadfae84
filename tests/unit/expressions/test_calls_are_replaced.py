"""Calls of our functions are replaced by plain CEL in the text, and nothing else is touched."""

import pytest

from kintsugi.expressions import BOOL, INT, Function
from kintsugi.expressions.expansion import expand

FUNCTIONS = {
    "twice": Function(name="twice", accepts=((INT,),), result=INT, runs="{0} * 2"),
    "near": Function(name="near", accepts=((INT, INT),), result=BOOL, runs="{0} - {1} < 3"),
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("twice(x)", "((x) * 2)"),
        ("twice ( x ) + 1", "(( x ) * 2) + 1"),
        ("near(twice(a), f(b, [c, d]))", "((((a) * 2)) - ( f(b, [c, d])) < 3)"),
        ("xs.all(x, near(x, 1))", "xs.all(x, ((x) - ( 1) < 3))"),
        ("{'twice(': twice(1)}['twice(']", "{'twice(': ((1) * 2)}['twice(']"),
        ("twice(a[')'])", "((a[')']) * 2)"),
        ('twice(r"\\")', '((r"\\") * 2)'),
        ("twice('''a'\n)''')", "(('''a'\n)''') * 2)"),
        ("twice(x // the last )\n)", "((x // the last )\n) * 2)"),
    ],
)
def test_a_call_is_replaced_with_its_arguments(source: str, expected: str) -> None:
    assert expand(source, FUNCTIONS) == expected


@pytest.mark.parametrize(
    "source",
    [
        "x.twice(1)",
        "x. twice(1)",
        "twice",
        "twice == near",
        "'twice(x)'",
        "// twice(x)\ntrue",
        "a ? [b, {c: d}] : (e)",
        "",
    ],
)
def test_a_call_that_is_not_ours_stays_as_it_is(source: str) -> None:
    assert expand(source, FUNCTIONS) == source
