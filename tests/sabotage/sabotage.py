"""What a sabotage is, and whether a run of tests has noticed it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.sabotage.weaknesses import Weakness


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One piece of text that is replaced. `file` is below daemon/kintsugi; `old` stands there once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sabotage:
    """
    One behaviour that is taken out of the code by a few lines, so that the package can still be imported and is typed.

    `takes_out` names the behaviour in words, `red_at` the revision at which it was last seen red, `shows` its numbers in docs/reliability.md, `against` what would go wrong
    without it. `red` are the tests of the file `tests`, a path below tests/, that must fail by assertion; of a test with
    cases, one of them at least.
    """

    takes_out: str
    red_at: str = ""
    shows: tuple[str, ...] = ()
    against: tuple[Weakness, ...] = ()
    edits: tuple[Edit, ...]
    tests: str
    red: tuple[str, ...]


class Outcome(StrEnum):
    """How one test ended."""

    PASSED = "passed"
    SKIPPED = "skipped"
    ASSERTED = "failed by assertion"
    BROKEN = "failed otherwise"


def objections(sabotage: Sabotage, outcomes: Mapping[str, Outcome]) -> list[str]:
    """Return why a run of the file of tests has not shown the behaviour. Empty: the named tests, and no others, are red."""
    wrong = []
    for name in sabotage.red:
        ended = {outcome for test, outcome in outcomes.items() if is_case(test, name)} - {Outcome.SKIPPED}
        if Outcome.ASSERTED not in ended:
            wrong.append(f"{name} {'passed' if ended == {Outcome.PASSED} else 'was not run' if not ended else 'broke'}")
    for test, outcome in outcomes.items():
        named = any(is_case(test, name) for name in sabotage.red)
        if outcome is Outcome.BROKEN or (outcome is Outcome.ASSERTED and not named):
            wrong.append(f"{test}{'' if named else ', which is not named,'} {outcome}")
    return wrong


def is_case(test: str, name: str) -> bool:
    """Return whether a test, FILE::NAME or FILE::NAME[CASE], is this one or one of its cases."""
    return test.partition("::")[2].partition("[")[0] == name
