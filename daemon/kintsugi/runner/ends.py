"""
How a step ends, as a value; and how a walk ends early, as exceptions that only `carrier` catches.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kintsugi.errors import KintsugiError, NotAdmitted
from kintsugi.model.records import StepRecord, StepState
from kintsugi.runner.storage import recalled


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """
    What a step came to.

    `ran` whether it did anything, `met` whether its expectation held, `own` its result names. `left_out`: it was not
    wanted, so that nothing follows from it. `text` is the command as it was run, when that is not known before.
    """

    ran: bool
    met: bool
    state: StepState = StepState.DONE
    own: Mapping[str, object] = field(default_factory=dict)
    error: str = ""
    text: str = ""
    left_out: bool = False

    @classmethod
    def of(cls, record: StepRecord) -> "Ended":
        """Read it back from the ledger."""
        return cls(
            ran=record.facts.get("ran") is True,
            met=record.met is True,
            state=record.state,
            own=recalled(record.result),
            error=record.error,
            left_out=record.facts.get("left_out") is True,
        )


class WalkEnded(KintsugiError):
    """A walk that did not reach its end. `path` is the step, `why` a sentence."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.path = path
        self.why = why


class Stopped(WalkEnded):
    """A step's expectation was not met: no further steps; the watchdog decides the rest."""


class Unanswered(Stopped):
    """A step's expectation could not be judged, through a fault of our own: no reason to go on, and none to go back."""


class RollbackWanted(WalkEnded):
    """A step's expectation was not met and its `unmet: rollback` asks for the rollback now."""


class Broken(WalkEnded):
    """A change failed for a reason that waiting will not cure (a right that is missing, an invalid request)."""


class Puzzled(WalkEnded):
    """Nobody can tell whether a change was made: a person is needed."""


class Cleared(WalkEnded, NotAdmitted):
    """What started the run has ended before anything was changed."""


class Parked(WalkEnded, NotAdmitted):
    """Nothing more may be written for this run: what it has done stays as it is, for a person."""


class Unapproved(Stopped, NotAdmitted):
    """A change that a person had to approve was not approved in time."""


GRAVITY = (Parked, Puzzled, Broken, RollbackWanted, Stopped, Cleared)
"""Of several ends at once the gravest counts: what a person must hear is not hidden by what merely stopped."""


def raise_gravest(results: Iterable[object]) -> None:
    """Raise the gravest of the exceptions among results; what is no end of a walk (the ledger is away) comes first."""
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise min(failures, key=gravity)


def gravity(failure: BaseException) -> int:
    """Give a failure's place, 0 for the gravest."""
    return next((place for place, kind in enumerate(GRAVITY, 1) if isinstance(failure, kind)), 0)
