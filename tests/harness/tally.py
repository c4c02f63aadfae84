"""Counts the tests that need real parts, so that one which did not run is never mistaken for one that passed."""

import os
from collections import Counter
from collections.abc import Sequence

import pytest

# A test that asks for one of these needs real parts, whether it says so or not.
_REAL = frozenset({"cluster", "alertmanager", "prometheus", "debian_postgres"})


class Tally:
    """What became of each test that carries the mark `cluster`."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._counted: set[str] = set()
        self._run: set[str] = set()
        self._not_run: dict[str, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Mark the tests that ask for real parts, and remember them."""
        for item in items:
            if _REAL & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.cluster)
            if item.get_closest_marker("cluster"):
                self._counted.add(item.nodeid)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count a test that was left out by name. Marks sort the tests into commands: another one runs those left out by mark."""
        for item in items:
            if item.nodeid in self._counted and item.config.option.keyword:
                self._not_run[item.nodeid] = "deselected"
            else:
                self._counted.discard(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test as run when its body ran, and as not run when it was skipped or expected to fail."""
        if report.nodeid not in self._counted:
            return
        if hasattr(report, "wasxfail"):
            self._not_run[report.nodeid] = "expected to fail"
        elif report.skipped:
            self._not_run[report.nodeid] = _reason(report)
        elif report.when == "call":
            self._run.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print at the end how many ran, and why the others did not."""
        if self._counted:
            terminalreporter.write_line(self.line())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run where nothing may be left out."""
        if (
            self._not_run
            and os.environ.get("CI", "").lower() in {"true", "1"}
            and session.exitstatus == pytest.ExitCode.OK
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def line(self) -> str:
        """Return the summary: `cluster: 10 run` or `cluster: 0 run, 10 NOT RUN: why`."""
        ran = f"cluster: {len(self._run)} run" + "".join(f", {each}" for each in self.notes)
        if not self._not_run:
            return ran
        reasons = Counter(self._not_run.values()).most_common()
        why = "; ".join(reason if len(reasons) == 1 else f"{reason} ({count})" for reason, count in reasons)
        return f"{ran}, {len(self._not_run)} NOT RUN: {why}"


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
