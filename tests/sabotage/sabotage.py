"""What a sabotage is, and whether a run of tests has noticed it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from xml.etree import ElementTree as ET

_ASSERTED = ("assert ", "AssertionError", "Failed: DID NOT RAISE")
"""How pytest begins the message of a test that failed because what it claims is not so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sabotage:
    """
    One behaviour that is taken out of the code by a few lines, so that the package can still be imported.

    `takes_out` names the behaviour, `shows` its numbers in docs/reliability.md. In `file`, below daemon/kintsugi, `old`
    stands once. `red` are the tests of the file `tests`, below tests/, that must fail by assertion; of a test with
    cases, one of them at least.
    """

    takes_out: str
    shows: tuple[str, ...] = ()
    file: str
    old: str
    new: str
    tests: str
    red: tuple[str, ...]


class SabotageError(Exception):
    """A sabotage cannot be done: the code has changed since it was written."""


class Outcome(StrEnum):
    """How one test ended."""

    PASSED = "passed"
    SKIPPED = "was skipped"
    ASSERTED = "failed by assertion"
    BROKEN = "failed otherwise"


def replaced(text: str, sabotage: Sabotage) -> str:
    """Return the text of its file with a sabotage done. Raises SabotageError when its old text does not stand there once."""
    if (count := text.count(sabotage.old)) != 1:
        raise SabotageError(f"{sabotage.file}: this stands there {count} times, not once:\n{sabotage.old}")
    return text.replace(sabotage.old, sabotage.new)


def outcomes(report: Path) -> Mapping[str, Outcome]:
    """Return the outcomes by test, NAME or NAME[CASE], of a report of pytest in JUnit's format."""
    found: dict[str, Outcome] = {}
    for case in ET.parse(report).iter("testcase"):
        name, outcome = case.get("name", ""), _outcome(case)
        found[name] = outcome if found.get(name) is not Outcome.BROKEN else Outcome.BROKEN
    return found


def _outcome(case: Iterable[ET.Element]) -> Outcome:
    ended = {each.tag: each.get("message", "") for each in case}
    if "error" in ended:
        return Outcome.BROKEN
    if "failure" in ended:
        return Outcome.ASSERTED if ended["failure"].startswith(_ASSERTED) else Outcome.BROKEN
    return Outcome.SKIPPED if "skipped" in ended else Outcome.PASSED


def objections(sabotage: Sabotage, ended: Mapping[str, Outcome]) -> list[str]:
    """Return why a run of the file of tests has not shown the behaviour. Empty: the named tests, and no others, are red."""
    asserted = {_function(test) for test, outcome in ended.items() if outcome is Outcome.ASSERTED}
    wrong = [f"{name} did not fail by assertion" for name in sabotage.red if name not in asserted]
    wrong += [f"{name} failed, and is not named" for name in sorted(asserted - set(sabotage.red))]
    return wrong + [f"{test} {outcome}" for test, outcome in ended.items() if outcome is Outcome.BROKEN]


def _function(test: str) -> str:
    return test.partition("[")[0]
