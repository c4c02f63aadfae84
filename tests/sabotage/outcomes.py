"""A plugin of pytest that writes down how each test ended, and leaves out what needs a database server.

`pytest -p tests.sabotage.outcomes` writes to the file that KINTSUGI_OUTCOMES names, as JSON: outcomes by test. What is shown
on an SQLite file need not be shown again on PostgreSQL.
"""

import importlib
import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.sabotage.sabotage import Outcome

FILE = "KINTSUGI_OUTCOMES"
PACKAGE = "package"
"""The key under which it is written where the package was imported from."""

_NOTHING_RAISED = ("DID NOT RAISE", "DID NOT WARN")
_OUTCOMES = pytest.StashKey[dict[str, Outcome]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing."""
    config.stash[_OUTCOMES] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases on PostgreSQL."""
    left_out = [item for item in items if "postgres" in getattr(getattr(item, "callspec", None), "params", {}).values()]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the worst that was said of a test in its set-up, its body and its end."""
    report = yield
    noted = item.config.stash[_OUTCOMES]
    test = item.nodeid.removeprefix("tests/")
    noted.setdefault(test, Outcome.PASSED)
    if report.skipped:
        noted[test] = Outcome.SKIPPED
    elif report.failed:
        asserted = report.when == "call" and call.excinfo is not None and is_assertion(call.excinfo.value)
        noted[test] = Outcome.ASSERTED if asserted else Outcome.BROKEN
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write it down, unless the package as a whole cannot be imported."""
    for name in ("kintsugi.app.daemon", "kintsugi.cli", "kintsugi.worker"):
        importlib.import_module(name)
    [package] = importlib.import_module("kintsugi").__path__
    noted: dict[str, Outcome] = session.config.stash[_OUTCOMES]
    Path(os.environ[FILE]).write_text(json.dumps({PACKAGE: package, **noted}))


def is_assertion(error: BaseException) -> bool:
    """Return whether a test failed because what it claims is not so."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_assertion, error.exceptions))
    if isinstance(error, pytest.fail.Exception):
        return str(error.msg).startswith(_NOTHING_RAISED)
    return isinstance(error, AssertionError)
