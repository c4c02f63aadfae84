"""
The report of a run for people: changes, unmade steps, undo commands, data loss, child runs.

It also names restored data, their possible loss, and conditions that were not watched. Pure: it is made from the steps'
records in the journal.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

from kintsugi.commands.registry import definitions_by_verb
from kintsugi.durations import format_seconds
from kintsugi.model.records import IncidentState, Phase, RunRecord, StepRecord, StepState
from kintsugi.model.remedies import RemedyKind
from kintsugi.runner.journal import ENDED, recalled
from kintsugi.telemetry import SECRETS
from kubeobjects.lines import Line, Lines, command, line, lines

UNCERTAIN = frozenset({StepState.INTENT, StepState.UNKNOWN, StepState.NEEDS_OPERATOR})
"""The states of a change of which it is not known whether it was made."""


def hand_over(reason: str, steps: Iterable[StepRecord], rollback_command: str = "") -> Lines:
    """
    Write the message: the reason, what was done in order, what is open, and how to undo it, newest first.

    `rollback_command` is the command that rolls the workload back, "" for none.
    """
    known = list(steps)
    ordered = [step for step in known if step.text]
    changes = [step for step in ordered if step.changes]
    failed = {(step.phase, step.step_path) for step in ordered if step.state is StepState.FAILED}

    def has_failed(change: StepRecord) -> bool:
        """Return whether what a change was made for has failed: a Job."""
        return (change.phase, change.step_path.step) in failed

    why = reason_for(RemedyKind.HAND_OVER, ordered)
    parts = (
        (line(SECRETS.text(reason)),),
        section("Not repaired", [why] if why else []),
        section("To roll the workload back", [command(rollback_command)] if rollback_command else []),
        section("Done", [f"{step.text}" for step in changes if step.state is StepState.DONE and not has_failed(step)]),
        section("Still running", [f"{step.text} (its Job)" for step in changes if _works_on(step, known)]),
        section("Uncertain", [f"{step.text} ({step.error})" for step in changes if step.state in UNCERTAIN]),
        section("Not done", [f"{step.text} ({step.error})" for step in ordered if was_not_applied(step)]),
        undo_section("Undo commands, newest first", changes),
    )
    return lines(chain.from_iterable(parts))


def section(title: str, texts: Iterable[str]) -> Sequence[Line]:
    """Write one part, of one line for each text, or nothing when there is nothing in it."""
    shown = [line(f"  {SECRETS.text(text)}") for text in texts]
    return [line(f"{title}:"), *shown] if shown else []


def undo_section(title: str, changes: list[StepRecord]) -> Sequence[Line]:
    """Write the part with the commands that take changes back, each of which a shell takes as it is."""
    return section(title, [command(SECRETS.text(text)) for text in undo_texts(changes)])


def reason_for(remedy: RemedyKind, steps: Iterable[StepRecord]) -> str:
    """Return why the last diagnosis that a run's own steps made chose a remedy, "" where it chose another one, or none was made."""
    found = [recalled(step.result) for step in _done(steps) if _diagnoses(step)]
    return str(found[-1].get("reason") or "") if found and found[-1].get("remedy") == remedy else ""


def _done(steps: Iterable[StepRecord]) -> Iterator[StepRecord]:
    """Yield the run's own steps that are done."""
    return (step for step in steps if step.phase is Phase.FORWARD and step.state is StepState.DONE)


def _diagnoses(step: StepRecord) -> bool:
    verb = definitions_by_verb().get(step.verb)
    return verb is not None and verb.diagnoses


def rollback_summary(steps: Iterable[StepRecord]) -> str:
    """
    Return which workloads a run's own steps have taken back, from what to what and why; "" for none.

    Why is what the last diagnosis before it has found.
    """
    cause, parts = "", []
    for step in _done(steps):
        verb = definitions_by_verb().get(step.verb)
        if _diagnoses(step):
            cause = str(recalled(step.result).get("text") or "")
        elif verb is not None and verb.rolls_back and step.changes and step.facts.get("to"):
            parts.append(": ".join(part for part in (f"rolled back {between(step)}", cause) if part))
    return "; ".join(parts)


def left_changed(steps: Iterable[StepRecord]) -> str:
    """Return what a run has changed that stays so though the run is over, and which command takes it back; "" for nothing."""
    made = [step for step in steps if step.changes and step.state is StepState.DONE]
    undone, done = [step for step in made if step.phase is Phase.UNDO], {step.text for step in made}
    parts = []
    for step in made:
        verb = definitions_by_verb().get(step.verb)
        if verb is None or not verb.outlasts_run or step.undo is None or not step.undo.texts:
            continue
        if left := [text for text in undo_texts([step, *undone]) if text not in done]:
            parts.append(f"{step.text} stays in force until a person runs {'; '.join(left)}")
    return "; ".join(parts)


def memory_raise_summary(steps: Iterable[StepRecord]) -> str:
    """Return what a run's own steps have raised in place, in how many pods, and what makes it last; "" for nothing."""
    why, counts = "", dict[str, int]()
    for step in _done(steps):
        if _diagnoses(step):
            found = recalled(step.result)
            why = str(found.get("reason") or "") if found.get("remedy") == RemedyKind.RAISE_MEMORY else ""
        elif why and step.changes and step.facts.get("written"):
            counts[why] = counts.get(why, 0) + 1
    return "; ".join(f"temporary, in {count} pod{'s' if count > 1 else ''}: {why}" for why, count in counts.items())


def between(step: StepRecord) -> str:
    """Return from which revision to which a workload was taken back, and what their templates differ in."""
    had, gets = (f" ({words})" if (words := step.facts.get(name)) else "" for name in ("had", "gets"))
    kept = step.facts.get("kept") is True
    to = f"its last good template{gets} from the ledger" if kept else f"{step.facts.get('to')}{gets}"
    return f"from revision {step.facts.get('revision')}{had} to {to}"


def _works_on(change: StepRecord, steps: Iterable[StepRecord]) -> bool:
    """Return whether the Job that a change has created was not seen to end."""
    verb = definitions_by_verb().get(change.verb)
    if verb is None or not verb.makes_job or change.state is not StepState.DONE:
        return False
    place = change.phase, change.step_path.step
    return not any(step.state in ENDED for step in steps if (step.phase, step.step_path) == place)


def was_not_applied(step: StepRecord) -> bool:
    """Return whether a step was refused, overtaken, failed or not made; one that was not wanted is not reported."""
    wanted = step.facts.get("left_out") is not True
    return wanted and step.state in (StepState.PLANNED, StepState.FAILED, StepState.SKIPPED) and bool(step.error)


def refused_undos(steps: Iterable[StepRecord]) -> list[StepRecord]:
    """Return the undos that were refused or failed, and that no later try has made."""
    undos = [step for step in steps if step.phase is Phase.UNDO]
    done = {step.step_path.first_try for step in undos if step.state is StepState.DONE}
    return [step for step in undos if was_not_applied(step) and step.step_path.first_try not in done]


def undo_texts(changes: list[StepRecord]) -> list[str]:
    """List the exact commands that take the changes back and were not done yet; a change that needs none says why."""
    undone = [step for step in changes if step.phase is Phase.UNDO and step.state is StepState.DONE]
    done = {step.step_path.first_try for step in undone}
    lines: list[str] = []
    for step in reversed(changes):
        if step.phase is not Phase.FORWARD or step.undo is None or step.state in (StepState.FAILED, StepState.SKIPPED):
            continue
        left = [text for index, text in enumerate(step.undo.texts) if step.step_path.undone_by(index) not in done]
        lines.extend(left if step.undo.texts else (f"# {step.text}: {step.undo.note}",))
    return lines


MOST_TABLES = 20


def restore_summary(steps: Iterable[StepRecord], failed: datetime) -> str:
    """Return what a run has restored, "" when it has not; `failed` is when the problem began."""
    backup: Mapping[str, object] = {}
    restored: Mapping[str, object] = {}
    for step in steps:
        if step.state is StepState.DONE and not step.changes:
            result = recalled(step.result)
            backup, restored = _mapping(result, "backup") or backup, _mapping(result, "restored") or restored
    if not restored:
        return ""
    parts = [_moment(backup.get("taken") or restored.get("taken"), failed), _tables(restored), _skipped(backup)]
    return "; ".join(part for part in parts if part)


def not_watched(steps: Iterable[StepRecord], prometheus: str) -> str:
    """Return which metrics a run would have watched if a Prometheus were known, "" where one is, or none was asked."""
    if prometheus:
        return ""
    of_prometheus = {words for words, verb in definitions_by_verb().items() if verb.asks_prometheus}
    names = [
        step.name
        for step in steps
        if step.phase is Phase.FORWARD and step.state is StepState.SKIPPED and step.verb in of_prometheus
    ]
    return f"not watched: {', '.join(names)}" if names else ""


def _moment(taken: object, failed: datetime) -> str:
    if not isinstance(taken, datetime):
        return "restored to an unknown time: its dump does not record it"
    lost = failed - taken
    where = "before" if lost >= timedelta(0) else "after"
    return f"restored to {taken.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {format_seconds(abs(lost))} {where} the failure"


def _tables(restored: Mapping[str, object]) -> str:
    tables = [each for each in _list(restored, "tables") if isinstance(each, Mapping)]
    shown = [f"{each.get('name')} {each.get('rows')} rows" for each in tables[:MOST_TABLES]]
    more = [f"and {len(tables) - MOST_TABLES} more tables"] if len(tables) > MOST_TABLES else []
    return ", ".join([*shown, *more]) or "no tables"


def _skipped(backup: Mapping[str, object]) -> str:
    skipped = [each for each in _list(backup, "skipped") if isinstance(each, Mapping)]
    return "skipped " + ", ".join(f"{each.get('url')} ({each.get('reason')})" for each in skipped) if skipped else ""


def _mapping(result: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = result.get(name)
    return value if isinstance(value, Mapping) else {}


def _list(result: Mapping[str, object], name: str) -> list[object]:
    value = result.get(name)
    return value if isinstance(value, list) else []


def child_summary(child: RunRecord) -> str:
    """Write in one line what became of a child."""
    return f"{child.runbook} on {child.service}: {child.state} (incident {child.incident})"


def asking(children: Sequence[RunRecord]) -> str:
    """Return which children wait for a person, and how that person answers; "" when none does."""
    waiting = [each for each in children if each.state is IncidentState.AWAITING_APPROVAL]
    asks = [f"{child_summary(each)}, kintsugi approve {each.incident}" for each in waiting]
    return f"waits for a person: {'; '.join(asks)}" if asks else ""
