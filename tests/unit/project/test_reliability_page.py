"""docs/reliability.md says of every promise and fault which tests show it, and says it truly."""

from tests.unit.project.coverage import PAGE, filled, rows, shown
from tests.unit.project.tree import ROOT

PROMISES = [f"P{number}" for number in range(1, 11)]


def test_the_page_says_what_the_tests_say() -> None:
    """`make docs` writes it anew."""
    page = PAGE.read_text()
    assert page == filled(page, shown()), "docs/reliability.md is not what the tests say: run `make docs`"


def test_every_number_in_a_test_has_a_row() -> None:
    """A number that stands nowhere is a slip of the pen."""
    known = set(rows(PAGE.read_text()))
    assert {number: paths for number, paths in shown().items() if number not in known} == {}


def test_the_embedded_cluster_shows_nothing_of_the_daemon() -> None:
    """It plays the faults; what the daemon makes of them is shown by tests of the daemon."""
    stand_in = ROOT / "tests" / "unit" / "kubesim"
    assert {
        number for number, paths in shown().items() if any(path.is_relative_to(stand_in) for path in paths)
    } == set()


def test_every_promise_is_shown_by_a_test() -> None:
    """A promise without a test is a hope."""
    tests = shown()
    assert [promise for promise in PROMISES if promise not in tests] == []


def test_every_row_stands_once() -> None:
    """In order, with none left out."""
    numbers = rows(PAGE.read_text())
    assert numbers[:10] == PROMISES
    for letter, count in zip("ABCDE", (22, 24, 17, 11, 35), strict=True):
        assert [each for each in numbers if each[0] == letter] == [f"{letter}{each}" for each in range(1, count + 1)]
