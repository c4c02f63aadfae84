"""
An incident for a person: a summary of about ten lines, and its whole story with each signal, step and undo command.

Built from the daemon's records alone, as lines; `output` writes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from rich.text import Text

from kintsugi.cli.output import cut, moment, plain, state, took
from kintsugi.cli.tables import first_line, lasted, signal_text
from kintsugi.decisions.answers import outcome, whom
from kintsugi.decisions.incident_summary import deadline_texts, in_cluster, summarize, undo_lines, visible_steps
from kintsugi.model.api_types import CoveredService, EvaluatedSignal, IncidentDetail, KeptText, RunDetail
from kintsugi.model.questions import Question
from kintsugi.model.records import (
    ENDED_WELL,
    Incident,
    KeptDiagnosis,
    Occasion,
    Phase,
    RunKind,
    SignalStatus,
    StepRecord,
    StepState,
)
from kintsugi.model.step_path import RUN, StepPath
from kubediagnosis.causes import Cause, Diagnosis, EvidenceItem
from kubediagnosis.headline import change_text, headline, latest, what_changed
from kubeobjects.lines import counted

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
    incident, shown = detail.incident, summarize(detail, now=now)
    took_text = f"opened {moment(incident.opened)} UTC, took {lasted(incident, now)}"
    names = (incident.id, in_cluster(detail.cluster_name, incident.service))
    yield Text.assemble(*(plain(f"{each}  ", "bold") for each in names), plain(took_text))
    if shown.cause:
        yield _labelled("Past cause" if incident.state in ENDED_WELL else "Cause", cut(shown.cause))
    if shown.changed_before:
        yield _labelled("Changed before", cut(shown.changed_before))
    if shown.affected:
        yield _labelled("Also affected", cut(", ".join(shown.affected)))
    yield Text.assemble(plain("Changes:", "bold"), plain("" if shown.changes else " none"))
    yield from (plain(f"  {line}") for line in shown.changes[:MOST_CHANGES])
    if len(shown.changes) > MOST_CHANGES:
        yield plain(f"  … and {len(shown.changes) - MOST_CHANGES} more", "dim")
    yield from (_labelled("Undone", cut(each)) for each in shown.undone[:MOST_CHANGES])
    yield Text.assemble(plain("Outcome: ", "bold"), state(incident.state), plain(f": {cut(incident.reason)}"))
    yield from _read_by_page(incident)
    yield from map(plain, shown.deadlines)
    if shown.question is not None:
        yield from _question(shown.question)
    if not shown.step:
        yield from (_labelled("Next", each) for each in shown.next)
        return
    yield _labelled("Next", shown.step)
    yield from (plain(f"  $ {each}") for each in shown.next)
    yield _labelled("Where to look", "; ".join(shown.probes))
    yield _labelled("Stop", shown.stop)


def _read_by_page(incident: Incident) -> Iterator[Text]:
    """Yield the report of a page's run below its first line: nothing else shows the steps that it leaves to a person."""
    if incident.kind is RunKind.PAGE:
        yield from map(plain, incident.reason.splitlines()[1:])


def _labelled(label: str, text: str) -> Text:
    return Text.assemble(plain(f"{label}: ", "bold"), plain(text))


def _question(asked: Question) -> Iterator[Text]:
    first, *rest = asked.text.splitlines() or [""]
    yield _labelled("Question", f"{cut(first)} (until {asked.expires:%H:%M:%S})")
    command = [f"$ {asked.command}"] if asked.command else []
    yield from (plain(f"  {cut(line)}") for line in (*rest[:MOST_CHANGES], *command))
    if who := whom(asked.approvers):
        yield _labelled("Asked", f"{who}{f'; {heard}' if (heard := outcome(asked)) else ''}")


def story(detail: IncidentDetail, *, now: datetime) -> Iterator[Text]:
    """Yield the lines of an incident from its first signal to its present state."""
    yield from _head(detail, now)
    yield from section("Signals", [*(line for each in detail.signals for line in _signal(each)), *_more(detail)])
    yield from section("Diagnosis", [line for each in detail.diagnoses for line in _diagnosed(each)])
    for run in detail.runs:
        yield from _run(run, now)
    yield from section("Covered services", [line for each in detail.covers for line in _covered(each)])
    yield from section("Questions", [line for each in detail.questions for line in _answered(each)])
    aborts = [detail.abort] if detail.abort else []
    yield from section("Abort", [plain(f"{each.requested:%H:%M:%S}  {each.reason}") for each in aborts])
    taken = [detail.taken] if detail.taken else []
    yield from section("Taken", [plain(f"{each.since:%H:%M:%S}  {each.why}") for each in taken])
    resumed = [detail.resumed] if detail.resumed else []
    yield from section("Resumed", [plain(f"{each.since:%H:%M:%S}  by {each.who}: {each.why}") for each in resumed])
    yield from section("Evidence", [_evidence(each) for run in detail.runs for each in run.evidence])
    yield from section("Undo commands, newest first", undo_commands(detail))


def _head(detail: IncidentDetail, now: datetime) -> Iterator[Text]:
    incident = detail.incident
    service = in_cluster(detail.cluster_name, incident.service)
    yield Text.assemble(plain(incident.id, "bold"), "  ", plain(service, "bold"), "  ", state(incident.state))
    if (known := latest([each.diagnosis for each in detail.diagnoses])) is not None:
        wrong = "Past problem" if incident.state in ENDED_WELL else "Problem"
        yield _labelled(wrong, headline(known))
        if changed := what_changed(known):
            yield _labelled("Earlier change", changed)
    if detail.affected:
        yield _labelled("Also affected", ", ".join(detail.affected))
    yield plain(first_line(incident.reason))
    yield from _read_by_page(incident)
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
    yield from section("Deadline", [plain(text) for text in deadline_texts(run, now)])


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


def _answered(asked: Question) -> Iterator[Text]:
    about = f" about {asked.path}" if asked.path else ""
    if asked.answered is not None:
        heard = f"{outcome(asked)} at {asked.answered:%H:%M:%S}"
    else:
        who = f", asked: {names}" if (names := whom(asked.approvers)) else ""
        heard = f"{outcome(asked) or 'no answer'}, open until {asked.expires:%H:%M:%S}{who}"
    yield plain(f"{asked.asked:%H:%M:%S}  plan {asked.plan}{about}: {heard}")
    yield from (plain(f"          {line}", "dim") for line in asked.text.splitlines())


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
    shown = [*undo_lines(detail)]
    lines = [plain(line, "bold" if line.startswith("$ ") else "dim") for line in shown]
    if any(line.startswith("$ ") for line in shown):
        rollback = f"kintsugi rollback {detail.incident.id}"
        lines.append(plain(f"{rollback} runs these commands and checks whether the service recovers", "dim"))
    return lines


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
