"""Counts the tests that were skipped or left out by name, so that one which did not run is never mistaken for one that passed."""

import os
from collections import Counter
from collections.abc import Sequence

import pytest

# A test that asks for one of these needs real parts, whether it says so or not.
_REAL = frozenset({"cluster", "alertmanager", "prometheus", "debian_postgres"})


class Tally:
    """What became of each test that carries the mark `cluster`, and which others did not run."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._cluster: set[str] = set()
        self._run: set[str] = set()
        self._not_run: dict[str, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Mark the tests that ask for real parts, and remember them."""
        for item in items:
            if _REAL & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.cluster)
            if item.get_closest_marker("cluster"):
                self._cluster.add(item.nodeid)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count a test that was left out by name; one that was left out by its mark is another command's."""
        for item in items:
            if item.config.option.keyword:
                self._not_run[item.nodeid] = "deselected"
            else:
                self._cluster.discard(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test as run when its body ran, and as not run when it was skipped or expected to fail."""
        if hasattr(report, "wasxfail"):
            self._not_run[report.nodeid] = "expected to fail"
        elif report.skipped:
            self._not_run[report.nodeid] = _reason(report)
        elif report.when == "call":
            self._run.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print at the end how many ran, and why the others did not."""
        for line in self.lines():
            terminalreporter.write_line(line)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run where nothing may be left out."""
        if (
            self._not_run
            and os.environ.get("CI", "").lower() in {"true", "1"}
            and session.exitstatus == pytest.ExitCode.OK
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def lines(self) -> list[str]:
        """Return the summary: `cluster: 10 run, 2 NOT RUN: why`, and `other tests: 1 NOT RUN: why`."""
        ran = ", ".join([f"cluster: {len(self._run & self._cluster)} run", *self.notes])
        cluster = [why for test, why in self._not_run.items() if test in self._cluster]
        others = [why for test, why in self._not_run.items() if test not in self._cluster]
        lines = [f"{ran}, {_told(cluster)}" if cluster else ran] if self._cluster else []
        return [*lines, f"other tests: {_told(others)}"] if others else lines


def _told(reasons: Sequence[str]) -> str:
    counted = Counter(reasons).most_common()
    why = "; ".join(reason if len(counted) == 1 else f"{reason} ({count})" for reason, count in counted)
    return f"{len(reasons)} NOT RUN: {why}"


_TALLY = pytest.StashKey[Tally]()


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


def pytest_configure(config: pytest.Config) -> None:
    """Count from the start of the run."""
    config.stash[_TALLY] = Tally()
    config.pluginmanager.register(config.stash[_TALLY], "kintsugi-tally")


def note(config: pytest.Config, text: str) -> None:
    """Add something worth knowing to the summary."""
    config.stash[_TALLY].notes.append(text)
