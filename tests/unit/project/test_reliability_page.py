"""docs/reliability.md has a row for every promise and fault that a test shows."""

from tests.unit.project.coverage import PAGE, Command, rows, shown
from tests.unit.project.tree import ROOT

PROMISES = [f"P{number}" for number in range(1, 12)]


def test_every_number_in_a_test_has_a_row() -> None:
    """A number that stands nowhere is a slip of the pen."""
    known = set(rows(PAGE.read_text()))
    assert {number: tests for number, tests in shown().items() if number not in known} == {}


def test_the_embedded_cluster_shows_nothing_of_the_daemon() -> None:
    """It plays the faults; what the daemon makes of them is shown by tests of the daemon."""
    stand_in = ROOT / "tests" / "unit" / "kubesim"
    assert {
        number for number, tests in shown().items() if any(each.path.is_relative_to(stand_in) for each in tests)
    } == set()


def test_every_promise_is_shown_whenever_a_change_is_checked() -> None:
    """A promise that only `make test-all` shows is broken for a day before anybody knows."""
    checked = {number for number, tests in shown().items() if {each.command for each in tests} - {Command.ALL}}
    assert [promise for promise in PROMISES if promise not in checked] == []


def test_every_row_stands_once() -> None:
    """In order, with none left out."""
    numbers = rows(PAGE.read_text())
    assert numbers[: len(PROMISES)] == PROMISES
    for letter, count in zip("ABCDE", (22, 24, 17, 11, 37), strict=True):
        assert [each for each in numbers if each[0] == letter] == [f"{letter}{each}" for each in range(1, count + 1)]
