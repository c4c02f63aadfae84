"""
An incident as a person reads it at 3 am: what fired, what was decided, what was done and found, and the way back.

Built from the daemon's records alone, as lines; `output` writes them.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.text import Text

from kintsugi.cli.found import found
from kintsugi.cli.output import moment, plain, state, took
from kintsugi.cli.tables import first_line, lasted
from kintsugi.model.documents import RuleSource
from kintsugi.model.records import (
    Approval,
    Incident,
    IncidentState,
    Phase,
    RunKind,
    Signal,
    SignalStatus,
    StepRecord,
    StepState,
)
from kintsugi.server.operations import IncidentDetail, JudgedSignal, KeptText, RunDetail

_PHASES = {Phase.FORWARD: "What was done", Phase.ROLLBACK: "Rollback", Phase.UNDO: "Taken back"}
_LATE = datetime.max.replace(tzinfo=UTC)
_TELLING = ("alertname", "namespace", "pod", "deployment", "statefulset", "persistentvolumeclaim", "severity")
"""Labels by which an alert is known; the others would only fill the line."""


def story(detail: IncidentDetail, *, now: datetime) -> Iterator[Text]:
    """Tell an incident from its first signal to where it stands."""
    yield from _head(detail.incident, now)
    yield from section("What fired", [*(line for each in detail.signals for line in _signal(each)), *_more(detail)])
    for run in detail.runs:
        yield from _run(run, now)
    yield from section("Asked of people", [line for each in detail.approvals for line in _approval(each)])
    yield from section("Evidence kept", [line for run in detail.runs for line in _evidence(run.evidence)])
    yield from section("To take it back, newest first", way_back(detail))


def _head(incident: Incident, now: datetime) -> Iterator[Text]:
    yield Text.assemble(plain(incident.id, "bold"), "  ", plain(incident.service, "bold"), "  ", state(incident.state))
    yield plain(first_line(incident.reason))
    yield Text()
    runbook = f", runbook {incident.runbook}" if incident.runbook else ""
    yield plain(f"rule {incident.rule}{runbook}, mode {incident.mode}")
    closed = f", closed {moment(incident.closed)}" if incident.closed else ""
    yield plain(f"opened {moment(incident.opened)} UTC{closed}, took {lasted(incident.opened, incident.closed, now)}")


def section(title: str, lines: Sequence[Text]) -> Iterator[Text]:
    """Give a part under its title; nothing when there is nothing in it."""
    if lines:
        yield Text()
        yield Text(title, style="bold")
        yield from (Text.assemble("  ", line) for line in lines)


def _signal(judged: JudgedSignal) -> Iterator[Text]:
    signal, verdict = judged.signal, judged.verdict
    how = "taken to be over" if signal.status is SignalStatus.STALE else "ended"
    ended = f", {how} {signal.ended:%H:%M:%S}" if signal.status is not SignalStatus.FIRING and signal.ended else ""
    yield plain(f"{signal.began:%H:%M:%S}  {what(signal)} ({signal.source}{ended})")
    if verdict is None:
        yield plain("          not judged yet", "yellow")
        return
    until = f" until {verdict.until:%H:%M:%S}" if verdict.until else ""
    rule = f" by {verdict.rule}" if verdict.rule else ""
    yield plain(f"          {verdict.kind}{rule} ({verdict.reason}{until}): {verdict.text}", "dim")


def _more(detail: IncidentDetail) -> Iterator[Text]:
    """Return how many signals are not shown."""
    left = detail.signals_total - len(detail.signals)
    if detail.signals and left > 0:
        yield plain(f"… and {left} more", "dim")


def what(signal: Signal) -> str:
    """Name what was observed; a watched object has labels, too, but is known by its name."""
    if signal.kind is RuleSource.ALERT:
        shown = [f"{name}={signal.labels[name]}" for name in _TELLING[1:] if name in signal.labels]
        return " ".join([f"alert {signal.labels.get('alertname', signal.key)}", *shown])
    return f"{signal.target or signal.kind}: {signal.rule or signal.key}"


def _run(detail: RunDetail, now: datetime) -> Iterator[Text]:
    run = detail.run
    for phase in Phase:
        steps = shown(detail.steps, phase)
        if steps:
            parents = parents_of(steps)
            title = f"{_PHASES[phase]} (run {run.id})"
            yield from section(title, [line for step in steps for line in step_lines(step, parents)])
    if run.finished is None and run.kind is RunKind.DRILL:
        yield Text()
        yield plain(f"It ends by {run.deadline:%H:%M:%S} at the latest; then all that it made is taken back.")
    elif run.finished is None:
        left = f"The watchdog looks at {run.deadline:%H:%M:%S}" if run.deadline > now else "The watchdog is due"
        yield Text()
        yield plain(f"{left}: if {run.service} is not healthy then, the change is rolled back or a person is called.")


def shown(steps: Sequence[StepRecord], phase: Phase) -> list[StepRecord]:
    """Choose the steps that mean something to people, in the order in which they began; bookkeeping is left out."""
    kept = [step for step in steps if step.phase is phase and not step.path.startswith("@")]
    kept = [step for step in kept if not step.path.endswith(("[]", "#"))]
    return sorted(kept, key=lambda step: (step.started or step.finished or _LATE, step.path))


def parents_of(steps: Sequence[StepRecord]) -> frozenset[str]:
    """Name the steps whose commands are told with their effects, where their values are filled in."""
    return frozenset(_parent(step.path) for step in steps) - {""}


def step_lines(step: StepRecord, parents: frozenset[str]) -> Iterator[Text]:
    """Tell one step: when, how it ended, what it is called; its command; what was found or stood in the way."""
    indent = "  " * (step.path.count("/") + (1 if _parent(step.path) else 0))
    began = f"{step.started:%H:%M:%S}" if step.started else "        "
    effect = _parent(step.path) and step.phase is not Phase.UNDO
    name = step.path if effect else step.name or step.path
    yield Text.assemble(plain(f"{began}  {indent}"), state(step.state), plain(f"  {name}{_mark(step)}{_takes(step)}"))
    margin = f"            {indent}"
    if step.text and step.path not in parents:
        yield Text.assemble(margin, plain(f"$ {step.text}", "bold"))
    if step.why and step.changes:
        yield plain(f"{margin}because {first_line(step.why)}", "dim")
    if step.error:
        yield plain(f"{margin}{step.error}", "yellow")
    what = found(step.result or {}, empty=not (step.changes or step.path in parents))
    if what:
        yield plain(f"{margin}found {what}", "dim")


def _parent(path: str) -> str:
    """Give the step that an effect belongs to, "" for what is a step itself: `a/restart[0]#1` is of `a/restart`."""
    above, slash, last = path.rpartition("/")
    step = re.split(r"[\[#~]", last, maxsplit=1)[0]
    return f"{above}{slash}{step}" if step != last else ""


def _takes(step: StepRecord) -> str:
    """Say how long it took, where it took any time."""
    if step.started is None or step.finished is None or step.finished == step.started:
        return ""
    return f" {took(step.finished - step.started)}"


def _mark(step: StepRecord) -> str:
    if step.met is False and step.state is StepState.DONE:
        return ", not met"
    return ", changed" if step.changes and step.state is StepState.DONE else ""


def _approval(approval: Approval) -> Iterator[Text]:
    about = f" about {approval.path}" if approval.path else ""
    answer = f"yes, by {approval.who} at {approval.answered:%H:%M:%S}" if approval.answered else "no answer"
    until = "" if approval.answered else f", open until {approval.expires:%H:%M:%S}"
    yield plain(f"{approval.asked:%H:%M:%S}  plan {approval.plan}{about}: {answer}{until}")
    yield from (plain(f"          {line}", "dim") for line in approval.question.splitlines())


def _evidence(evidence: Sequence[KeptText]) -> Iterator[Text]:
    for each in evidence:
        lines = len(each.text.splitlines())
        yield plain(f"{each.path}: {each.kind} ({lines} line{'' if lines == 1 else 's'})")


def evidence_texts(detail: IncidentDetail) -> Iterator[Text]:
    """Give the evidence itself, each text under its name."""
    for each in (kept for run in detail.runs for kept in run.evidence):
        yield Text()
        yield plain(f"--- {each.path}: {each.kind}", "bold")
        yield from (plain(line) for line in each.text.splitlines())


def way_back(detail: IncidentDetail) -> list[Text]:
    """List the commands that undo what is still changed; a change that needs none says why."""
    lines: list[Text] = []
    for each in reversed(detail.runs):
        if each.run.state is not IncidentState.ROLLED_BACK:
            lines += _undo(each.steps)
    if any(line.plain.startswith("$ ") for line in lines):
        lines.append(plain(f"kintsugi rollback {detail.incident.id} does it, and looks whether it helped", "dim"))
    return lines


def _undo(steps: Sequence[StepRecord]) -> Iterator[Text]:
    gone = {step.path.rpartition("~")[0] for step in steps if step.phase is Phase.UNDO and step.state is StepState.DONE}
    for step in reversed(shown(steps, Phase.FORWARD)):
        if not step.changes or step.undo is None or step.state in (StepState.FAILED, StepState.SKIPPED):
            continue
        if step.path in gone:
            continue
        yield from (plain(f"$ {text}", "bold") for text in step.undo.texts)
        if not step.undo.texts:
            yield plain(f"{step.text}: {step.undo.note}", "dim")
