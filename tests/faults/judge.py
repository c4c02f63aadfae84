"""Whether a fault was named as its row says: cause, object and field, no surer than it may be, and never certain of another cause."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from kintsugi.model.records import Target
from kubediagnosis.causes import Cause, Confidence, Diagnosis
from tests.faults.page import NONE, Row
from tests.faults.perform import Performance
from tests.harness.waiting import WaitedTooLongError, wait_for

Named = tuple[str, str, str]
Ask = Callable[[Target], Diagnosis]
"""What diagnoses a workload on the spot."""
FALSELY_CERTAIN = "falsely certain of"


@dataclass(kw_only=True)
class Judgement:
    """What was said of a row: the last diagnosis, every cause that was called certain, and what is wrong about that."""

    row: Row
    expected: Named
    broken: str = ""
    beside: frozenset[tuple[str, str]] = frozenset()
    """Causes with their objects that are expected as well, of several faults at a time."""
    last: Diagnosis | None = None
    certain: set[Named] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @property
    def found(self) -> Named:
        """Return the first cause of the last diagnosis."""
        return named(next(iter(self.last.causes), None)) if self.last is not None else named(None)

    @property
    def falsely_certain(self) -> Sequence[Named]:
        """
        Return what was called certain and is another cause, or another object, than the row's.

        Of a pod that the row itself has broken, and that recovers by itself, something is wrong until it has.
        """
        recovers = self.broken if self.expected[0] == NONE else ""
        wanted = {self.expected[:2], *self.beside}
        others = (each for each in self.certain if each[:2] not in wanted and each[0] not in self.row.beside)
        return sorted(each for each in others if each[1] != recovers)

    @property
    def is_too_sure(self) -> bool:
        """Return whether the first cause is called certain, and likely is the most that may be said."""
        first = next(iter(self.last.causes), None) if self.last is not None else None
        return first is not None and first.confidence is Confidence.CERTAIN and self.row.confidence == "likely"

    @property
    def right(self) -> bool:
        """Return whether the row is right as far as its cause goes."""
        return not self.problems

    def __str__(self) -> str:
        """Return it in one line."""
        said = self.last.summary if self.last is not None else "nothing was read"
        return f"{self.row.id}: {'right' if self.right else '; '.join(self.problems)}: {said}"

    def conclude(self) -> None:
        """Write down what is wrong."""
        if self.found != self.expected:
            self.problems.append(
                f"named {' '.join(filter(None, self.found))} instead of {' '.join(filter(None, self.expected))}"
            )
        if self.is_too_sure:
            self.problems.append("called certain, and likely is the most that may be said")
        self.problems += [f"{FALSELY_CERTAIN} {' '.join(each)}" for each in self.falsely_certain]


def until_well(made: Performance, ask: Ask) -> None:
    """Wait until nothing is found wrong: before a fault its service is well, and its checks are met."""
    wait_for(lambda: not ask(target_of(made)).causes, within=60, every=1, describe=lambda: ask(target_of(made)))


def target_of(made: Performance) -> Target:
    """Return the workload of a row."""
    kind, _, name = made.workload.partition("/")
    return Target(kind=kind, namespace=made.namespace, name=name)


def expected_of(row: Row, pod: str = "") -> Named:
    """Return the cause, object and field that a row expects to be named first; `pod` is what POD stands for."""
    if row.cause == NONE:
        return named(None)
    about, field = ("" if each == NONE else each for each in (row.object, row.field))
    return row.cause, about.replace("POD", pod), field


def judge(
    ask: Ask,
    made: Performance,
    before: Mapping[str, object],
    *,
    beside: frozenset[tuple[str, str]] = frozenset(),
) -> Judgement:
    """Ask the diagnosis until the row's cause comes first, or, where none is expected, until all is well again; return what came of it."""
    row, broken = made.row, f"pod/{made.pod}" if made.pod else ""
    judgement = Judgement(row=row, expected=expected_of(row, made.pod), broken=broken, beside=beside)

    def is_seen() -> bool:
        # Whether all is well again is asked before the diagnosis that has to agree.
        over = row.cause != NONE or (made.application.complete() and made.application.fingerprint() != before)
        judgement.last = ask(target_of(made))
        judgement.certain |= {named(each) for each in judgement.last.causes if each.confidence is Confidence.CERTAIN}
        # What will break something once it has come into force may be certain before that, and is no fault then.
        return over and judgement.found == judgement.expected and not judgement.is_too_sure

    with suppress(WaitedTooLongError):
        wait_for(is_seen, within=made.patience, every=0.5, describe=lambda: judgement.last)
    judgement.conclude()
    return judgement


def named(cause: Cause | None) -> Named:
    """Return a cause by kind, object and field, NONE for none."""
    return (cause.kind, cause.object, cause.field) if cause is not None else (NONE, NONE, "")
