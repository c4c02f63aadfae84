"""The end of a step, as a value, and the early ends of an execution, as exceptions that only drivers catch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kintsugi.errors import KintsugiError, NotAdmitted
from kintsugi.model.records import StepRecord, StepState
from kintsugi.model.step_path import StepPath
from kintsugi.runner.journal import lost_in, recalled


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEnd:
    """
    The end of a step: its state, result and expectation.

    `ran` is whether it did anything, `met` whether its expectation held, `result` has its result names. `left_out`: it
    was not wanted, so that nothing follows from it. `text` is the command as it was run, where that is not known
    before. `lost` are the paths in `result` whose values were lost by a restart.
    """

    ran: bool
    met: bool
    state: StepState = StepState.DONE
    result: Mapping[str, object] = field(default_factory=dict)
    error: str = ""
    text: str = ""
    left_out: bool = False
    lost: frozenset[str] = frozenset()

    @classmethod
    def of(cls, record: StepRecord, *, from_ledger: bool) -> "StepEnd":
        """Read it from its record; `from_ledger`: the record was read from the ledger, not made by this process."""
        return cls(
            ran=record.facts.get("ran") is True,
            met=record.met is True,
            state=record.state,
            result=recalled(record.result),
            error=record.error,
            left_out=record.facts.get("left_out") is True,
            lost=lost_in(record.result) if from_ledger else frozenset(),
        )


NOT_NEEDED = StepEnd(ran=False, met=False, state=StepState.SKIPPED, error="not needed", left_out=True)


class ExecutionAborted(KintsugiError):
    """The steps were not all executed. `path` is the step, or the run itself; `why` a sentence."""

    def __init__(self, path: StepPath, why: str) -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.path = path
        self.why = why

    @property
    def summary(self) -> str:
        """Return a sentence that says where it stopped, and why."""
        return f"stopped at {self}" if self.path else f"stopped: {self}"


class ExecutionStopped(ExecutionAborted):
    """A step's expectation was not met: no further steps; the watchdog decides the rest."""


class ExpectationUndecided(ExecutionStopped):
    """A step's expectation could not be judged, through a fault of our own: no reason to go on, and none to go back."""


class RollbackRequested(ExecutionAborted):
    """A step's expectation was not met and its `onFailure: rollback` asks for the rollback now, or a person does: `who`."""

    def __init__(self, path: StepPath, why: str, *, who: str = "") -> None:
        super().__init__(path, why)
        self.who = who


class EffectFailed(ExecutionAborted):
    """A change failed for a reason that waiting does not change (a missing right, an invalid request)."""


class OutcomeAmbiguous(ExecutionAborted):
    """It cannot be determined whether a change was made: a person is needed."""


class HandoverRequested(ExecutionAborted):
    """A step's expectation was not met and its `onFailure: escalate` asks for a person, even if the service looks healthy."""


class TriggerResolved(ExecutionAborted, NotAdmitted):
    """The trigger of the run ended before anything was changed."""


class WritesForbidden(ExecutionAborted, NotAdmitted):
    """Nothing more may be written for this run: its changes stay as they are, for a person."""


class OpposingChange(ExecutionAborted, NotAdmitted):
    """Another rule has just made the opposite change: a person must decide between the two."""


class RollbackSuperseded(ExecutionAborted, NotAdmitted):
    """Somebody has changed or repaired the service since the rollback was decided: it is left as it is, for a person."""


class ApprovalExpired(ExecutionStopped, NotAdmitted):
    """A change that a person had to approve was rejected, or not approved in time."""


BY_SEVERITY = (
    WritesForbidden,
    OutcomeAmbiguous,
    HandoverRequested,
    OpposingChange,
    EffectFailed,
    RollbackRequested,
    ExecutionStopped,
    TriggerResolved,
)
"""The order of severity: of several ends the most severe counts, so that one that needs a person is not hidden."""

TOO_LATE = "the deadline was reached before all steps had finished"
"""The reason of an execution that takes too long."""


def requested(who: str) -> str:
    """Return a sentence that says that a person wants a run rolled back."""
    return f"rollback asked for by {who}"


def raise_most_severe(results: Iterable[object]) -> None:
    """Raise the most severe exception among the results; LedgerUnavailable and other errors of ours come first."""
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise min(failures, key=severity)


def severity(failure: BaseException) -> int:
    """Return a failure's rank, 0 for the most severe."""
    return next((place for place, kind in enumerate(BY_SEVERITY, 1) if isinstance(failure, kind)), 0)


def merge_results(results: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    """Merge results: lists are concatenated; of other values the last counts."""
    result: dict[str, object] = {}
    for each in results:
        for name, value in each.items():
            before = result.get(name)
            result[name] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value
    return result
