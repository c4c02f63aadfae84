"""Every expression that rules, services and runbooks hold compiles where it stands, and a misspelt one does not."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kintsugi.expressions import ExpressionProblem
from tests.unit.scope.cases import ExpressionCase, cases

CASES = cases()
_STRING_OR_WORD = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*')
_WORDS_OF_CEL = frozenset({"true", "false", "null", "in"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_expression_compiles_where_it_stands(case: ExpressionCase) -> None:
    expression = case.scope.expression(case.source, result=case.gives)
    assert expression.source == case.source
    assert expression.reads


def test_the_cases_are_as_many_as_the_files_hold() -> None:
    assert len(CASES) == 110


def identifiers(case: ExpressionCase) -> Iterator[tuple[int, int]]:
    """Yield where each identifier of a case starts and ends; macro variables are left out, where they are renamed alike."""
    variables = set(re.findall(r"\((\w+),", case.source))
    for found in _STRING_OR_WORD.finditer(case.source):
        word = found.group()
        if word[0] not in "\"'" and word not in _WORDS_OF_CEL and word not in variables:
            yield found.span()


PLACES = [(case, start, end) for case in CASES for start, end in identifiers(case)]


def caught(case: ExpressionCase, start: int, end: int, word: str) -> bool:
    """Return whether the case is refused with `word` in the place of an identifier."""
    mutated = case.source[:start] + word + case.source[end:]
    try:
        case.scope.expression(mutated, result=case.gives)
    except ExpressionProblem as problem:
        return bool(problem.message) and 0 <= problem.offset <= len(mutated)
    return False


def test_at_least_95_in_100_misspelt_identifiers_are_caught() -> None:
    """A letter doubled, in every identifier of every expression: as a tired person misspells."""
    missed = [
        f"{case.name}: {case.source[start:end]}"
        for case, start, end in PLACES
        if not caught(case, start, end, f"{case.source[start:end]}{case.source[end - 1]}")
    ]
    assert len(PLACES) > 330
    assert len(missed) <= len(PLACES) * 0.05, missed


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(PLACES), data=st.data())
def test_a_field_of_a_known_object_is_never_misspelt_unseen(
    place: tuple[ExpressionCase, int, int], data: st.DataObject
) -> None:
    """Any other word in the place of any identifier is refused, or is itself a name that is known there."""
    case, start, end = place
    word = case.source[start:end]
    at = data.draw(st.integers(0, len(word) - 1))
    misspelt = word[:at] + data.draw(st.sampled_from("qzjx")) + word[at + 1 :]
    free = case.source[:start].rstrip().endswith("r.")  # a column of a table that only the database knows
    if misspelt != word and not free:
        assert caught(case, start, end, misspelt), misspelt
