"""Which error ends the command with which code."""

import pytest

from kintsugi.catalog import CatalogErrors, Problem
from kintsugi.cli.errors import ExitCode, Unreachable, exit_for, print_error
from kintsugi.errors import (
    Forbidden,
    KintsugiError,
    LedgerHeld,
    LedgerUnavailable,
    NotRecorded,
    Refused,
    ServerUnavailable,
    StaleEpoch,
    UsageError,
    WrongState,
)
from kintsugi.settings import SettingsError

PROBLEMS = (
    Problem(file="a.yaml", line=2, column=1, path="spec", message="first", suggestion="did you mean 'b'?"),
    Problem(file="a.yaml", line=9, column=1, path="", message="second"),
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CatalogErrors(PROBLEMS), 1),
        (NotRecorded("x"), 1),
        (StaleEpoch("x"), 1),
        (KintsugiError("x"), 1),
        (UsageError("x"), 2),
        (SettingsError(("x",)), 2),
        (Unreachable("x"), 3),
        (LedgerUnavailable("x"), 3),
        (ServerUnavailable("x"), 3),
        (Forbidden("x"), 3),
        (LedgerHeld("x"), 4),
        (Refused("x"), 4),
        (WrongState("x"), 4),
    ],
)
def test_each_kind_of_error_has_its_code(error: KintsugiError, code: int) -> None:
    assert exit_for(error) == ExitCode(code)


def test_every_problem_is_told_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(CatalogErrors(PROBLEMS))
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [
        "a.yaml:2:1: spec: first; did you mean 'b'?",
        "a.yaml:9:1: second",
        "error: 2 problems, see above",
    ]


def test_an_error_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(Refused("no\nand \x1b[2Jmore"))
    assert capsys.readouterr().err == "error: no and \\x1b[2Jmore\n"
