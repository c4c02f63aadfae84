"""
All that the demonstration prints: a line for each fact about services and incidents, and the result of each scene.

Facts are what the daemon's API answers. On a terminal and elsewhere the lines are the same.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kintsugi.cli.output import plain, state, table, took
from kintsugi.cli.tables import first_line
from kintsugi.model.api_types import IncidentDetail, RunDetail, ServiceSummary
from kintsugi.model.records import IncidentState, Phase, StepRecord, StepState
from kintsugi_demo import SceneName

Writer = Callable[[str], None]

MARKS = {
    StepState.DONE: "✓",
    StepState.FAILED: "✗",
    StepState.SKIPPED: "·",
    StepState.UNKNOWN: "?",
    StepState.NEEDS_OPERATOR: "!",
}
_HEALTH = {True: "yes", False: "no", None: "unknown"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A line with its time; facts with the same `key` are one."""

    at: datetime
    key: str
    text: str


@dataclass(kw_only=True)
class Narrator:
    """Prints each fact once, in the order of their times. `began` is the zero of the times that are shown."""

    write: Writer
    began: datetime
    _shown: set[str] = field(default_factory=set)
    _states: dict[str, str] = field(default_factory=dict)

    def show(self, services: Iterable[ServiceSummary], incidents: Iterable[IncidentDetail]) -> None:
        """Print what has come since the last look."""
        now = datetime.now(UTC)
        facts = [*self._changed(services, now), *(fact for each in incidents for fact in facts_of(each, now))]
        for fact in sorted(facts, key=lambda each: each.at):
            if fact.key not in self._shown:
                self._shown.add(fact.key)
                seconds = max((fact.at - self.began).total_seconds(), 0.0)
                self.write(f"{seconds:5.1f}s  {fact.text}")

    def _changed(self, services: Iterable[ServiceSummary], now: datetime) -> Iterator[Fact]:
        """Yield how services are, where that has changed; a service that is well from the start is not mentioned."""
        for each in services:
            ready = f"{each.ready}/{each.desired} ready"
            current = f"{ready}, serving {_HEALTH[each.serving]}, healthy {_HEALTH[each.healthy]}"
            known = self._states.get(each.name, current if each.healthy else "")
            self._states[each.name] = current
            if current != known:
                yield Fact(at=now, key=f"{each.name} {now}", text=f"{each.name}: {current}")


def facts_of(detail: IncidentDetail, now: datetime) -> Iterator[Fact]:
    """Yield what is known about an incident: its signals with their verdicts, its causes, its runs."""
    service = detail.incident.service
    for each in detail.signals:
        if each.verdict is not None:
            seen = each.signal.target or each.signal.key
            text = f"{service}: signal: {seen}: {each.verdict.kind}, {each.verdict.text}"
            yield Fact(at=each.signal.received, key=each.signal.id, text=text)
    for kept in detail.diagnoses:
        if kept.diagnosis.causes:
            first = kept.diagnosis.causes[0]
            text = f"{service}: cause: {first.kind} ({first.confidence}): {kept.diagnosis.summary}"
            yield Fact(at=kept.diagnosis.at, key=f"{detail.incident.id} {kept.occasion}", text=text)
    for run in detail.runs:
        yield from _of_run(run, now)


def _of_run(detail: RunDetail, now: datetime) -> Iterator[Fact]:
    """Yield the state of a run, and those of its steps that have ended."""
    run = detail.run
    undone = (each.started for each in detail.steps if each.phase is not Phase.FORWARD)
    began = {IncidentState.RUNNING: run.started, IncidentState.ROLLING_BACK: min(filter(None, undone), default=None)}
    at = run.finished or began.get(run.state) or now
    text = f"{run.service}: → {run.state}: {first_line(run.reason)}"
    yield Fact(at=at, key=f"{run.id} {run.state}", text=text)
    for step in detail.steps:
        if is_shown(step):
            failed = f" — {first_line(step.error)}" if step.met is False else ""
            phase = "" if step.phase is Phase.FORWARD else f"[{step.phase}] "
            name = step.text if step.text and "${" not in step.text else step.name
            text = f"{run.service}: {MARKS[step.state]} {phase}{name}{failed}"
            yield Fact(
                at=step.finished or step.started or now,
                key=f"{step.run} {step.phase} {step.path} {step.state}",
                text=text,
            )


def is_shown(step: StepRecord) -> bool:
    """Return whether a step has ended and means something to a person; bookkeeping does not."""
    path = step.step_path
    left_out = step.state is StepState.SKIPPED and not path.is_of_change
    return step.state in MARKS and not (path.note or path.is_listing or left_out)


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneOutcome:
    """The expected and the actual end of a scene; no `state` when no incident ended in time."""

    name: SceneName
    wanted: IncidentState
    state: IncidentState | None
    reason: str
    seconds: float
    wrong: str = ""

    @property
    def as_wanted(self) -> bool:
        """Return whether it went as it should."""
        return self.state is self.wanted and not self.wrong

    @property
    def problem(self) -> str:
        """Return what is not as it should be; "" for none."""
        return "" if self.as_wanted else self.wrong or f"{self.wanted} was expected"


def summary(outcome: SceneOutcome) -> str:
    """Return in a line how a scene ended."""
    judgement = f"Not as expected ({outcome.problem})" if outcome.problem else "As expected"
    return f"  {judgement}: {outcome.state or 'no incident ended'} after {outcome.seconds:.1f}s."


def print_table(outcomes: Iterable[SceneOutcome]) -> None:
    """Print how the scenes ended."""
    table(
        ("SCENE", "ENDED", "EXPECTED", "TOOK", "REASON"),
        (
            (
                each.name,
                state(each.state) if each.state is not None else plain("no incident", "red"),
                f"no, {each.problem}" if each.problem else "yes",
                took(timedelta(seconds=each.seconds)),
                each.reason,
            )
            for each in outcomes
        ),
    )
