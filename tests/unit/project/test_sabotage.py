"""Each sabotage still fits the code, and only an assertion counts."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.sabotage.catalogue import ALL
from tests.sabotage.sabotage import Outcome, Sabotage, SabotageError, objections, outcomes, replaced
from tests.sabotage.trees import CODE, ROOT
from tests.unit.project import coverage

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.fixture
def absent(): raise AssertionError("no")

@pytest.fixture
def leaving():
    yield
    raise AssertionError("no")

def test_true_is_passed(): pass
def test_left_out_is_skipped(): pytest.skip("no")
def test_false_is_asserted(): assert [] == [1]
def test_with_words_is_asserted(): assert [] == [1], "no"
def test_raised_is_asserted(): raise AssertionError("no")
def test_silent_is_asserted():
    with pytest.raises(ValueError): pass
def test_error_is_broken(): raise RuntimeError("assert no")
def test_late_is_broken(): pytest.fail("Timeout >120.0s")
def test_before_is_broken(absent): pass
def test_after_is_broken(leaving): assert [] == [1]
"""
TEST = "test_that_it_is_so"
ONE = Sabotage(takes_out="that it is so", file="one.py", old="yes", new="no", tests="unit/test_one.py", red=(TEST,))


def test_each_sabotage_fits_the_code_as_it_is_and_names_tests_that_are_there() -> None:
    wrong = [f"{each.takes_out}: {problem}" for each in ALL for problem in problems(each)]
    assert wrong == [], "adapt the entries in tests/sabotage/catalogue, or take them out with their behaviour"


def problems(sabotage: Sabotage) -> Iterator[str]:
    """Yield what does not fit: the old text stands there once, and with the new one the file is Python still."""
    before = (ROOT / CODE / sabotage.file).read_text()
    try:
        if ast.dump(ast.parse(replaced(before, sabotage))) == ast.dump(ast.parse(before)):
            yield "it changes nothing"
    except (SabotageError, SyntaxError) as error:
        yield str(error)
    tree = ast.parse((ROOT / "tests" / sabotage.tests).read_text())
    there = {getattr(node, "name", "") for node in tree.body}
    yield from (f"{sabotage.tests} has no {name}" for name in sabotage.red if name not in there)
    if not sabotage.red:
        yield "it names no test"


def test_every_promise_has_two_sabotages_and_every_number_a_row() -> None:
    shown = Counter(number for each in ALL for number in each.shows)
    known = coverage.rows(coverage.PAGE.read_text())
    assert [number for number in known if number.startswith("P") and shown[number] < 2] == []
    assert set(shown) - set(known) == set()
    assert [name for name, times in Counter(each.takes_out for each in ALL).items() if times > 1] == []


def test_a_text_that_does_not_stand_there_once_is_not_replaced() -> None:
    for text in ("", "yes yes"):
        with pytest.raises(SabotageError, match="one\\.py"):
            replaced(text, ONE)


@pytest.mark.parametrize(
    ("ended", "wrong"),
    [
        ({TEST: Outcome.ASSERTED, "test_other": Outcome.PASSED}, ""),
        ({f"{TEST}[a]": Outcome.ASSERTED, f"{TEST}[b]": Outcome.SKIPPED, f"{TEST}[c]": Outcome.PASSED}, ""),
        ({f"{TEST}[a]": Outcome.ASSERTED, f"{TEST}[b]": Outcome.BROKEN}, r"\[b\] failed otherwise"),
        ({TEST: Outcome.PASSED}, "did not fail by assertion"),
        ({TEST: Outcome.SKIPPED}, "did not fail by assertion"),
        ({}, "did not fail by assertion"),
        ({TEST: Outcome.ASSERTED, f"{TEST}_too": Outcome.ASSERTED}, "too failed, and is not named"),
        ({TEST: Outcome.ASSERTED, f"{TEST}_too": Outcome.BROKEN}, "too failed otherwise"),
    ],
)
def test_red_are_the_named_tests_and_no_others(ended: dict[str, Outcome], wrong: str) -> None:
    found = objections(ONE, ended)
    assert bool(found) == bool(wrong)
    assert re.search(wrong, "\n".join(found))


def test_only_an_assertion_is_red(pytester: pytest.Pytester) -> None:
    """A test that could not even begin, or took too long, says nothing about the behaviour."""
    pytester.makepyfile(TESTS)
    report = pytester.path / "report.xml"
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio", f"--junitxml={report}")
    ended = {name: outcome for name, outcome in outcomes(report).items() if name.startswith("test_")}
    assert {name.partition("_is_")[2] for name in ended} == {each.name.lower() for each in Outcome}
    assert [name for name, outcome in ended.items() if not name.endswith(outcome.name.lower())] == []
