"""The files of a run of the tests, what makes it red, and how the longest silence about a service is measured (P11)."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cluster.sequences import Look, silence
from tests.harness import heart, network
from tests.unit.project.tree import ROOT

PROGRAM = "import sys, tempfile; print(tempfile.mkdtemp()); sys.exit(3)"


def test_a_run_s_temporary_files_go_with_it_and_its_exit_code_is_the_command_s() -> None:
    """They are in memory where there is room."""
    command = [sys.executable, "-m", "tests.harness.network", network.FILES_ONLY, "--", sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    folder = Path(done.stdout.strip()).parent
    assert not folder.exists()
    assert (folder.parent == Path("/dev/shm")) is network.has_shared_memory()


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
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(TESTS)
    pytester.makeini("[pytest]\nmarkers =\n    cluster: x\n    long: x\n")

    done = pytester.runpytest_inprocess("-p", "tests.harness.tally", "-p", "no:cacheprovider", *options)

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


START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """Return a moment so many minutes after the start."""
    return START + timedelta(minutes=minutes)


def looks(*down: tuple[float, float], until: float = 30) -> Sequence[Look]:
    """Return a look each six seconds; between these minutes the service is down."""
    moments = [n / 10 for n in range(int(until * 10))]
    return [
        Look(at=at(each), ready=0 if any(a <= each < b for a, b in down) else 2, wanted=2, paused=False)
        for each in moments
    ]


@pytest.mark.parametrize(
    ("down", "writes", "notices", "minutes", "broken"),
    [
        ([(1, 9)], [], [], 7.9, True),
        ([(1, 7)], [], [], 5.9, False),
        ([(1, 20)], [], [4], 2.9, False),
        ([(1, 20)], [2, 10], [], 9.9, False),
        ([(1, 20)], [2], [], 17.9, True),
        ([(1, 5), (6, 12)], [], [], 10.9, True),
        ([(1, 5), (15, 20)], [], [2, 16], 0.9, False),
        ([(10, 20)], [1], [2], 9.9, True),
    ],
    ids=[
        "nothing",
        "up in time",
        "told in time",
        "changes, one after the other",
        "a change that is too old",
        "up for a moment",
        "two faults",
        "what was before does not count",
    ],
)
def test_a_service_is_silent_while_it_is_down_and_nothing_is_done_and_nobody_told(
    down: list[tuple[float, float]], writes: list[float], notices: list[float], minutes: float, broken: bool
) -> None:
    found = silence("web", looks(*down), [at(each) for each in writes], [at(each) for each in notices])
    assert found.longest.total_seconds() / 60 == pytest.approx(minutes, abs=0.11)
    assert found.broken is broken
