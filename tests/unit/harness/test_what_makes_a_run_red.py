"""Which runs of the tests fail: those that left a test out, and those of a real cluster that were red twice."""

from collections.abc import Sequence

import pytest

from tests.harness import heart
from tests.unit.project.tree import ROOT

pytest_plugins = ["pytester"]

TESTS = """
import pytest

def test_plain():
    pass

@pytest.mark.cluster
def test_of_the_cluster():
    pass

@pytest.mark.long
def test_skipped():
    pytest.skip("no such program")
"""


@pytest.mark.parametrize(
    ("options", "ci", "code", "told"),
    [
        (("-m", "not cluster and not long"), "true", 0, ""),
        (("-k", "plain"), "true", 1, "cluster: 0 run, 1 NOT RUN: deselected"),
        (("-m", "long"), "", 0, "other tests: 1 NOT RUN: no such program"),
    ],
)
def test_a_test_that_did_not_run_is_told_and_fails_the_run_where_all_must(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    options: Sequence[str],
    ci: str,
    code: int,
    told: str,
) -> None:
    """Marks sort the tests into commands: what was left out by its mark is run by another one."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(TESTS)
    pytester.makeini("[pytest]\nmarkers =\n    cluster: x\n    long: x\n")

    done = pytester.runpytest_subprocess("-p", "tests.harness.tally", "-p", "no:cacheprovider", *options)

    assert done.ret == code
    assert told in done.stdout.str()


@pytest.mark.parametrize(
    ("code", "red", "again"),
    [
        (0, [], []),
        (1, ["a"], ["a"]),
        (1, ["a", "b"], ["a", "b"]),
        (1, ["a", "b", "c"], []),
        (1, [], []),  # a skip where none may be
        (2, ["a"], []),  # interrupted, or not collected
    ],
)
def test_few_red_tests_of_a_real_cluster_are_run_once_more(code: int, red: list[str], again: list[str]) -> None:
    """More than two at once are a defect, and what ended the run as a whole is no test's bad luck."""
    assert list(heart.repeated(red, code)) == again
