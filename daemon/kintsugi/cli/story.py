"""
An incident for a person: a summary of about ten lines, and its whole story with each signal, step and undo command.

Built from the daemon's records alone, as lines; `output` writes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from rich.text import Text

from kintsugi.cli.output import cut, moment, plain, state, took
from kintsugi.cli.tables import first_line, lasted, signal_text
from kintsugi.decisions.next_command import next_command
from kintsugi.decisions.reconciliation import open_questions
from kintsugi.model.api_types import CoveredService, EvaluatedSignal, IncidentDetail, KeptText, RunDetail
from kintsugi.model.records import (
    ENDED_WELL,
    NOT_MADE,
    Approval,
    IncidentState,
    KeptDiagnosis,
    Occasion,
    Phase,
    RunKind,
    RunRecord,
    SignalStatus,
    StepRecord,
    StepState,
)
from kintsugi.model.step_path import RUN, StepPath
from kubediagnosis.causes import Cause, Diagnosis, EvidenceItem
from kubediagnosis.headline import change_text, headline, latest, what_changed
from kubeobjects.lines import command, counted

_PHASES = {Phase.FORWARD: "Steps", Phase.ROLLBACK: "Rollback", Phase.UNDO: "Undone"}
OCCASIONS = {
    Occasion.OPENED: "before any change",
    Occasion.ROLLBACK: "before the rollback",
    Occasion.HAND_OVER: "at the hand-over",
}
_LATE = datetime.max.replace(tzinfo=UTC)

_MOST_NAMES = 5
_LONGEST_VALUE = 80
_TAGS = ("@time", "@seconds")
"""The keys of times and durations in a kept result."""

MOST_CHANGES = 4
"""Changes, child runs or lines of a question that a summary shows."""


def summary(detail: IncidentDetail, *, now: datetime) -> Iterator[Text]:
    """Yield an incident in about ten lines: its cause, what was changed, the outcome, and the next command."""
    incident = detail.incident
    took_text = f"opened {moment(incident.opened)} UTC, took {lasted(incident, now)}"
    known = latest([each.diagnosis for each in detail.diagnoses])
    yield Text.assemble(*(plain(f"{each}  ", "bold") for each in (incident.id, incident.service)), plain(took_text))
    if known is not None:
        yield _labelled("Past cause" if incident.state in ENDED_WELL else "Cause", cut(headline(known)))
        if known.changes:
            yield _labelled("Changed before", cut("; ".join(change_text(each) for each in known.changes[:-3:-1])))
    if detail.affected:
        yield _labelled("Also affected", cut(", ".join(detail.affected)))
    yield from _made(detail)
    yield Text.assemble(plain("Outcome: ", "bold"), state(incident.state), plain(f": {cut(incident.reason)}"))
    for run in detail.runs:
        yield from _deadline(run.run, now)
    if incident.state is IncidentState.AWAITING_APPROVAL:
        yield from _question(detail.approvals)
    changed = any(line.plain.startswith("$ ") for line in undo_commands(detail))
    yield _labelled("Next", next_command(incident.state, incident.id, incident.service, changed=changed))


def _labelled(label: str, text: str) -> Text:
    return Text.assemble(plain(f"{label}: ", "bold"), plain(text))


def _made(detail: IncidentDetail) -> Iterator[Text]:
    """Yield the commands of the changes that were made or may have been, in order, and the child runs."""
    steps = (step for run in detail.runs for phase in Phase for step in visible_steps(run.steps, phase))
    made = [step for step in steps if step.changes and step.state not in NOT_MADE]
    lines = [f"$ {step.text}{'' if step.state is StepState.DONE else f' ({step.state})'}" for step in made]
    lines += [
        f"{child.state} {child.runbook} on {service.name} (kintsugi incident {child.incident})"
        for service in detail.covers
        for child in service.children
    ]
    yield Text.assemble(plain("Changes:", "bold"), plain("" if lines else " none"))
    yield from (plain(f"  {line}") for line in lines[:MOST_CHANGES])
    if len(lines) > MOST_CHANGES:
        yield plain(f"  … and {len(lines) - MOST_CHANGES} more", "dim")


def _question(approvals: Sequence[Approval]) -> Iterator[Text]:
    """Yield the open question that was asked last."""
    asked = next(reversed(open_questions(approvals)), None)
    if asked is not None:
        first, *rest = asked.question.splitlines() or [""]
        yield _labelled("Question", f"{cut(first)} (until {asked.expires:%H:%M:%S})")
        yield from (plain(f"  {cut(line)}") for line in rest[:MOST_CHANGES])


def story(detail: IncidentDetail, *, now: datetime) -> Iterator[Text]:
    """Yield the lines of an incident from its first signal to its present state."""
    yield from _head(detail, now)
    yield from section("Signals", [*(line for each in detail.signals for line in _signal(each)), *_more(detail)])
    yield from section("Diagnosis", [line for each in detail.diagnoses for line in _diagnosed(each)])
    for run in detail.runs:
        yield from _run(run, now)
    yield from section("Covered services", [line for each in detail.covers for line in _covered(each)])
    yield from section("Approvals", [line for each in detail.approvals for line in _approval(each)])
    aborts = [detail.abort] if detail.abort else []
    yield from section("Abort", [plain(f"{each.requested:%H:%M:%S}  {each.reason}") for each in aborts])
    resumed = [detail.resumed] if detail.resumed else []
    yield from section("Resumed", [plain(f"{each.since:%H:%M:%S}  by {each.who}: {each.why}") for each in resumed])
    yield from section("Evidence", [_evidence(each) for run in detail.runs for each in run.evidence])
    yield from section("Undo commands, newest first", undo_commands(detail))


def _head(detail: IncidentDetail, now: datetime) -> Iterator[Text]:
    incident = detail.incident
    yield Text.assemble(plain(incident.id, "bold"), "  ", plain(incident.service, "bold"), "  ", state(incident.state))
    if (known := latest([each.diagnosis for each in detail.diagnoses])) is not None:
        wrong = "Past problem" if incident.state in ENDED_WELL else "Problem"
        yield _labelled(wrong, headline(known))
        if changed := what_changed(known):
            yield _labelled("Earlier change", changed)
    if detail.affected:
        yield _labelled("Also affected", ", ".join(detail.affected))
    yield plain(first_line(incident.reason))
    yield Text()
    runbook = f", runbook {incident.runbook}" if incident.runbook else ""
    rule = f"rule {incident.rule}{runbook}, " if incident.rule else ""
    yield plain(f"{rule}mode {incident.mode}")
    closed = f", closed {moment(incident.closed)}" if incident.closed else ""
    yield plain(f"opened {moment(incident.opened)} UTC{closed}, took {lasted(incident, now)}")


def section(title: str, lines: Sequence[Text]) -> Iterator[Text]:
    """Yield a part under its title; nothing when there is nothing in it."""
    if lines:
        yield Text()
        yield Text(title, style="bold")
        yield from (Text.assemble("  ", line) for line in lines)


def _signal(evaluated: EvaluatedSignal) -> Iterator[Text]:
    signal, verdict = evaluated.signal, evaluated.verdict
    how = "presumed over" if signal.status is SignalStatus.STALE else "ended"
    ended = f", {how} {signal.ended:%H:%M:%S}" if signal.status is not SignalStatus.FIRING and signal.ended else ""
    yield plain(f"{signal.began:%H:%M:%S}  {signal_text(signal)} ({signal.source}{ended})")
    if verdict is None:
        yield plain("          no verdict yet", "yellow")
        return
    until = f" until {verdict.until:%H:%M:%S}" if verdict.until else ""
    rule = f" by {verdict.rule}" if verdict.rule else ""
    yield plain(f"          {verdict.kind}{rule} ({verdict.reason}{until}): {verdict.text}", "dim")


def _diagnosed(kept: KeptDiagnosis) -> Iterator[Text]:
    """Yield what was found wrong at one time, with its evidence."""
    yield plain(f"{kept.diagnosis.at:%H:%M:%S}  {OCCASIONS[kept.occasion]}")
    yield from (Text.assemble("          ", line) for line in diagnosis_lines(kept.diagnosis))


def _covered(service: CoveredService) -> Iterator[Text]:
    """Yield the lines that say how a service is now, and what was started for it."""
    health = {True: "healthy", False: "not healthy", None: "health unknown"}[service.healthy]
    yield plain(f"{service.name}: {health}{', serving' if service.serving else ''}")
    for each in service.children:
        yield Text.assemble("  ", state(each.state), plain(f" {each.runbook} (kintsugi incident {each.incident})"))


def _more(detail: IncidentDetail) -> Iterator[Text]:
    """Return how many signals are not shown."""
    left = detail.signals_total - len(detail.signals)
    if detail.signals and left > 0:
        yield plain(f"… and {left} more", "dim")


def _run(detail: RunDetail, now: datetime) -> Iterator[Text]:
    run = detail.run
    for phase in Phase:
        steps = visible_steps(detail.steps, phase)
        if steps:
            parents = parents_of(steps)
            title = f"{_PHASES[phase]} (run {run.id})"
            yield from section(title, [line for step in steps for line in step_lines(step, parents)])
    yield from section("Deadline", [*_deadline(run, now)])


def _deadline(run: RunRecord, now: datetime) -> Iterator[Text]:
    """Yield when a run under way is judged, and what follows."""
    if run.finished is None and run.kind is not RunKind.RECOVERY:
        yield plain(
            f"The {run.kind} ends by {run.deadline:%H:%M:%S} at the latest. Then Kintsugi undoes everything that it has changed."
        )
    elif run.finished is None:
        left = f"The watchdog checks at {run.deadline:%H:%M:%S}" if run.deadline > now else "The watchdog is due"
        yield plain(f"{left}: if {run.service} is not healthy then, the change is rolled back or a person is notified.")


def visible_steps(steps: Sequence[StepRecord], phase: Phase) -> list[StepRecord]:
    """Choose the steps that mean something to people, in the order in which they began; bookkeeping is left out."""
    shown = (step for step in steps if step.phase is phase)
    kept = (step for step in shown if not (step.step_path.note or step.step_path.is_listing))
    return sorted(kept, key=lambda step: (step.started or step.finished or _LATE, step.path))


def parents_of(steps: Sequence[StepRecord]) -> frozenset[StepPath]:
    """Return the steps whose commands are shown with their effects, where their values are filled in."""
    return frozenset(step.step_path.owner for step in steps) - {RUN}


def step_lines(step: StepRecord, parents: frozenset[StepPath]) -> Iterator[Text]:
    """Yield the lines of one step: when, how it ended, what it is called; its command; what was found or stood in the way."""
    path = step.step_path
    indent = "  " * (max(len(path.steps) - 1, 0) + bool(path.owner))
    began = f"{step.started:%H:%M:%S}" if step.started else "        "
    effect = path.owner and step.phase is not Phase.UNDO
    name = step.path if effect else step.name or step.path
    yield Text.assemble(plain(f"{began}  {indent}"), state(step.state), plain(f"  {name}{_mark(step)}{_takes(step)}"))
    margin = f"            {indent}"
    if step.text and path not in parents:
        yield Text.assemble(margin, plain(f"$ {step.text}", "bold"))
    if step.why and step.changes:
        yield plain(f"{margin}because {first_line(step.why)}", "dim")
    if step.error:
        yield plain(f"{margin}{step.error}", "yellow")
    what = found(step.result or {}, empty=not (step.changes or path in parents))
    if what:
        yield plain(f"{margin}found {what}", "dim")


def _takes(step: StepRecord) -> str:
    """Return how long it took, where it took any time."""
    if step.started is None or step.finished is None or step.finished == step.started:
        return ""
    return f" {took(step.finished - step.started)}"


def _mark(step: StepRecord) -> str:
    if step.met is False and step.state is StepState.DONE:
        return ", not met"
    return ", changed" if step.changes and step.state is StepState.DONE else ""


def _approval(approval: Approval) -> Iterator[Text]:
    about = f" about {approval.path}" if approval.path else ""
    answer = f"no answer, open until {approval.expires:%H:%M:%S}"
    if approval.rejected is not None:
        answer = f"no, by {approval.who} at {approval.rejected:%H:%M:%S}: {approval.why}"
    elif approval.answered is not None:
        answer = f"yes, by {approval.who} at {approval.answered:%H:%M:%S}"
    yield plain(f"{approval.asked:%H:%M:%S}  plan {approval.plan}{about}: {answer}")
    yield from (plain(f"          {line}", "dim") for line in approval.question.splitlines())


def _evidence(kept: KeptText) -> Text:
    return plain(f"{kept.path}: {kept.kind} ({counted(len(kept.text.splitlines()), 'line')})")


def evidence_texts(detail: IncidentDetail) -> Iterator[Text]:
    """Yield the evidence itself, each text under its name."""
    for each in (kept for run in detail.runs for kept in run.evidence):
        yield Text()
        yield plain(f"--- {each.path}: {each.kind}", "bold")
        yield from (plain(line) for line in each.text.splitlines())


def undo_commands(detail: IncidentDetail) -> list[Text]:
    """List the commands that undo what is still changed; a change that needs none says why."""
    changed = (each for each in reversed(detail.runs) if each.run.state is not IncidentState.ROLLED_BACK)
    lines = [line for each in changed for line in _undo(each.steps)]
    if any(line.plain.startswith("$ ") for line in lines):
        rollback = f"kintsugi rollback {detail.incident.id}"
        lines.append(plain(f"{rollback} runs these commands and checks whether the service recovers", "dim"))
    return lines


def _undo(steps: Sequence[StepRecord]) -> Iterator[Text]:
    gone = {step.step_path.undone for step in steps if step.phase is Phase.UNDO and step.state is StepState.DONE}
    for step in reversed(visible_steps(steps, Phase.FORWARD)):
        never_made = not step.changes or step.state in (StepState.FAILED, StepState.SKIPPED)
        if never_made or step.undo is None or step.step_path in gone:
            continue
        yield from (plain(f"$ {command(text)}", "bold") for text in step.undo.texts)
        if not step.undo.texts:
            yield plain(f"{step.text}: {step.undo.note}", "dim")


def diagnosis_lines(found: Diagnosis) -> Iterator[Text]:
    """Yield its lines, the likeliest cause first."""
    yield plain(found.summary, "bold")
    for number, cause in enumerate(found.causes):
        if number:
            yield plain(f"and {cause.text}")
        yield plain(f"  {_named(cause)}")
        for each in cause.evidence:
            yield plain(f"    {_seen(each)}")
    for change in reversed(found.changes):
        yield plain(f"earlier change: {change_text(change)}")
    for what in found.unknown:
        yield plain(f"not known: {what}")


def _named(cause: Cause) -> str:
    where = " ".join(part for part in (cause.object or "-", cause.field) if part)
    return f"{cause.kind} ({cause.confidence}): {where}"


def _seen(item: EvidenceItem) -> str:
    at = f"{moment(item.at)}  " if item.at is not None else ""
    where = f"{item.object} {item.field}".rstrip()
    return f"{at}{item.source} {where}: {item.text}"


def found(result: Mapping[str, object], *, empty: bool) -> str:
    """Summarise a step's result; what says nothing in a line is left out, and without `empty` empty lists are, too."""
    parts = ((name, _short(value)) for name, value in result.items() if empty or value != [])
    return ", ".join(f"{name} {text}" for name, text in parts if text)


def _short(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case str():
            line = " ".join(value.split())
            return line if len(line) <= _LONGEST_VALUE else f"{line[:_LONGEST_VALUE]}…"
        case Mapping():
            return _name(value)
        case list() | tuple():
            return _listed(value)
        case _:
            return ""


def _listed(values: Sequence[object]) -> str:
    """Count what is in a list, and name a few where they have names."""
    names = [name for each in values if isinstance(each, Mapping | str) and (name := _short(each))]
    if not values:
        return "none"
    if len(names) < len(values):
        return str(len(values))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{len(values)} ({', '.join(names[:_MOST_NAMES])}{more})"


def _name(value: Mapping[str, object]) -> str:
    """Name an object of the cluster, a time or a duration; "" for any other mapping."""
    metadata = value.get("metadata")
    if isinstance(metadata, Mapping):
        return str(metadata.get("name", ""))
    if len(value) == 1 and (tag := next(iter(value))) in _TAGS:
        return str(value[tag]) + ("s" if tag == "@seconds" else "")
    return str(value.get("name", ""))
