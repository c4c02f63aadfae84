"""
The summary of an incident for a person: the cause, what was changed, what is asked, what to run next, and how to stop it.

Pure: it is made from the records of the incident. The command line and messages show it, each in its own form.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from kintsugi.commands import decode
from kintsugi.commands.registry import makes_new_pods
from kintsugi.decisions.next_command import next_command, rollback_command, show_command, stop_command
from kintsugi.decisions.reconciliation import open_questions
from kintsugi.model.api_types import IncidentDetail
from kintsugi.model.history import UNRESOLVED_OUTCOMES
from kintsugi.model.questions import Question, QuestionKind
from kintsugi.model.records import (
    NEEDLESS,
    NOT_MADE,
    Incident,
    IncidentState,
    Phase,
    RunKind,
    RunRecord,
    StepRecord,
    StepState,
)
from kubediagnosis.causes import Diagnosis
from kubediagnosis.headline import change_text, headline, latest
from kubediagnosis.next_steps import NO_CAUSE, NextStep, next_step
from kubeobjects.lines import command as command_line

_HINDSIGHT = "  # needless in hindsight: the same fault stood ten minutes later"
_LATE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentSummary:
    """
    What a person reads of an incident. A text is "" and a list empty where there is nothing to say.

    `name` is that of the incident, with its service and cluster.
    `changes` are the commands that were run, in order, and the child runs, `undone` those that undid some. `deadlines` say when
    a run is judged. `question` is the open question that was asked last. `next` are the commands that a person runs next. Of an
    incident that was handed over, `step` is a sentence about them, or why there are none, and `probes` are commands that only read.
    """

    incident: Incident
    name: str
    cause: str
    changed_before: str
    affected: tuple[str, ...]
    changes: tuple[str, ...]
    undone: tuple[str, ...]
    deadlines: tuple[str, ...]
    question: Question | None
    step: str
    next: tuple[str, ...]
    probes: tuple[str, ...]
    stop: str


def summarize(detail: IncidentDetail, *, now: datetime) -> IncidentSummary:
    """Return the summary of an incident at `now`."""
    incident = detail.incident
    known = latest([each.diagnosis for each in detail.diagnoses])
    asks = incident.state is IncidentState.AWAITING_APPROVAL
    changed = any(line.startswith("$ ") for line in undo_lines(detail))
    question = next(reversed(open_questions(detail.questions)), None) if asks else None
    kind = question.kind if question is not None else QuestionKind.APPROVAL
    taken = detail.taken is not None
    if incident.state in UNRESOLVED_OUTCOMES and not taken:
        step = _next_step(incident.id, known, changed=changed, restarted=_has_restarted(detail))
    elif asks and question is None and detail.questions:
        step = NextStep(text="Nothing: the question is answered, and Kintsugi goes on by the answer.")
    else:
        command = next_command(incident.state, incident.id, incident.service, changed=changed, asked=kind, taken=taken)
        step = NextStep(text="", commands=(command,))
    return IncidentSummary(
        incident=incident,
        name=in_cluster(detail.cluster_name, f"{incident.service} {incident.id}"),
        cause=headline(known) if known is not None else "",
        changed_before="; ".join(change_text(each) for each in known.changes[:-3:-1]) if known is not None else "",
        affected=detail.affected,
        changes=tuple(_made(detail)),
        undone=tuple(_undone(detail)),
        deadlines=tuple(text for run in detail.runs for text in deadline_texts(run.run, now)),
        question=question,
        step=step.text,
        next=step.commands,
        probes=(step.probe, show_command(incident.id)) if step.probe else (),
        stop=stop_command(incident.service) if step.probe or not incident.state.is_final else "",
    )


def in_cluster(cluster: str, text: str) -> str:
    """Return a text with the name of the cluster before it, if it has one."""
    return f"[{cluster}] {text}" if cluster else text


def _next_step(incident: str, known: Diagnosis | None, *, changed: bool, restarted: bool) -> NextStep:
    """Return what a person does about an incident that was handed over: undo its changes, then repair the cause."""
    step = (
        NextStep(text=NO_CAUSE, probe="kintsugi services") if known is None else next_step(known, restarted=restarted)
    )
    if not changed:
        return step
    commands = () if step.undoes else step.commands
    text = f"Undo the changes of Kintsugi, unless they help.{'' if step.undoes else f' {step.text}'}"
    return replace(step, text=text, commands=(rollback_command(incident), *commands))


def _has_restarted(detail: IncidentDetail) -> bool:
    """Return whether a run of the incident has made new pods, which did not help: the incident was handed over."""
    made = (step for run in detail.runs for step in run.steps if step.changes and step.state is StepState.DONE)
    return any(step.command is not None and makes_new_pods(decode(step.command)) for step in made)


def _made(detail: IncidentDetail) -> Iterator[str]:
    """Yield the commands of the changes that were made or may have been, in order, and the child runs; none that undid another."""
    phases = (Phase.FORWARD, Phase.ROLLBACK)
    for step in (step for run in detail.runs for phase in phases for step in visible_steps(run.steps, phase)):
        if step.changes and step.state not in NOT_MADE:
            state = "" if step.state is StepState.DONE else f" ({step.state})"
            yield f"$ {step.text}{state}{_HINDSIGHT if step.facts.get(NEEDLESS) else ''}"
    for service in detail.covers:
        for child in service.children:
            yield f"{child.state} {child.runbook} on {service.name} (kintsugi incident {child.incident})"


def _undone(detail: IncidentDetail) -> Iterator[str]:
    """Yield the commands that undid changes, in order."""
    steps = (step for run in detail.runs for step in visible_steps(run.steps, Phase.UNDO))
    return (f"$ {step.text}" for step in steps if step.state is StepState.DONE)


def deadline_texts(run: RunRecord, now: datetime) -> Iterator[str]:
    """Yield when a run under way is judged, and what follows."""
    if run.finished is None and run.kind is not RunKind.RECOVERY:
        yield (
            f"The {run.kind} ends by {run.deadline:%H:%M:%S} at the latest. Then Kintsugi undoes everything that it has changed."
        )
    elif run.finished is None:
        left = f"The watchdog checks at {run.deadline:%H:%M:%S}" if run.deadline > now else "The watchdog is due"
        yield f"{left}: if {run.service} is not healthy then, the change is rolled back or a person is notified."


def visible_steps(steps: Sequence[StepRecord], phase: Phase) -> list[StepRecord]:
    """Choose the steps that mean something to people, in the order in which they began; bookkeeping is left out."""
    shown = (step for step in steps if step.phase is phase)
    kept = (step for step in shown if not (step.step_path.note or step.step_path.is_listing))
    return sorted(kept, key=lambda step: (step.started or step.finished or _LATE, step.path))


def undo_lines(detail: IncidentDetail) -> Iterator[str]:
    """Yield the commands that undo what is still changed, each after `$ `; a change that needs none says why."""
    for each in reversed(detail.runs):
        if each.run.state is not IncidentState.ROLLED_BACK:
            yield from _undo(each.steps)


def _undo(steps: Sequence[StepRecord]) -> Iterator[str]:
    gone = {step.step_path.undone for step in steps if step.phase is Phase.UNDO and step.state is StepState.DONE}
    for step in reversed(visible_steps(steps, Phase.FORWARD)):
        never_made = not step.changes or step.state in (StepState.FAILED, StepState.SKIPPED)
        if never_made or step.undo is None or step.step_path in gone:
            continue
        yield from (f"$ {command_line(text)}" for text in step.undo.texts)
        if not step.undo.texts:
            yield f"{step.text}: {step.undo.note}"
