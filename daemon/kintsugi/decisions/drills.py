"""
Decisions about rehearsals, which undo all that they have changed: whether a runbook can be one, and whether one may burden its
service now. Of drills, the rehearsals of a restore, also when one begins, the checks of the scratch database, and the report.

Pure: facts, history and `now` are arguments.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec
from cronsim import CronSim, CronSimError

from kintsugi.commands.registry import definition_of, definitions_by_verb
from kintsugi.decisions.guards import Limits, covers
from kintsugi.durations import format_seconds
from kintsugi.errors import CommandError
from kintsugi.expressions import from_json
from kintsugi.model.command import Command, Psql
from kintsugi.model.drills import DrillCheck, DrillReport
from kintsugi.model.history import History
from kintsugi.model.records import Phase, Reason, RunRecord, StepRecord, StepState, Verdict, VerdictKind
from kintsugi.model.restores import DRILL, OWN_SERVER, Backup, Restored, Table
from kintsugi.model.rules import Mode
from kintsugi.model.runbooks import (
    CommandTemplate,
    InOrder,
    Manual,
    Parallel,
    Run,
    Runbook,
    RunRunbook,
    Step,
    UndoPolicy,
)
from kintsugi.model.services import Service
from kintsugi.model.source_position import SourcePosition
from kintsugi.model.step_path import StepPath
from kintsugi.model.views import ServiceView
from kubeobjects.lines import counted

OUTCOME = StepPath.noted("outcome")
"""The path of a rehearsal's note of its steps' outcome, kept while its changes are undone."""

RULE = "drill"
"""The name of the rule of drills; a pause may name it."""

_MOST_MISSED = 1000
"""The number of missed moments that are looked through; of more the last of these is due."""

SCRATCH = f"{DRILL}${{incident.id}}"
"""The name of the scratch database in a drill's runbook."""

DATABASE = "database"
"""The parameter that names the database whose backups are tried."""

INTEGRITY = "integrity"
"""The list of checks of a service that says whether its data is whole."""

LEFT_OUT = StepPath.noted("left-out")
"""The path of a drill's note of the checks that it could not run."""

MOST_TABLES = 20
"""Tables that are named in a reason; the report names all."""

Found = TypeVar("Found")


def objection(service: str, view: ServiceView | None, incident: str = "") -> tuple[Reason, str] | None:
    """Return why nothing may be rehearsed on a service now, also what has begun; None when it is well."""
    if incident:
        return Reason.ACTIVE_RUN, f"{service} has the open incident {incident}; a recovery has priority"
    if view is None or view.healthy is None:
        return Reason.STALE, f"the health of {service} is unknown"
    if not view.healthy:
        return Reason.LOCKED, f"{service} is not healthy"
    return None


def unfit_for_rehearsal(runbook: Runbook) -> Iterator[tuple[SourcePosition, str]]:
    """Yield the places of what a rehearsal must not have, with what is wrong there."""
    if runbook.complete_once_begun:
        yield runbook.place, "a rehearsal undoes what it has begun: leave out `completeOnceBegun` or `rehearsal`"
    for step in inner_steps(runbook.steps):
        if isinstance(step.do, RunRunbook):
            yield step.place, "a rehearsal runs no other runbook: write its steps out"
        if step.undo is UndoPolicy.KEEP:
            yield step.place, "a rehearsal undoes all that it has changed: leave out `undo: keep`"
        if isinstance(step.do, Run) and step.do.command.changes and step.undo is UndoPolicy.INVERSE:
            verb = step.do.command.verb
            if not definitions_by_verb()[verb].has_undo:
                yield step.place, f"{verb} has no undo: write the steps that undo it under `undo`, or `undo: none`"


def inner_steps(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps, those inside them, and those that undo them."""
    for step in steps:
        yield step
        yield from inner_steps(step.inner)
        if isinstance(step.undo, tuple):
            yield from inner_steps(step.undo)


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillGuardInput:
    """
    One drill to be decided. `scheduled`: the clock asks, and no person. `stale_reason` says why nothing can be trusted
    now; `paused_by_annotation` and `holds_ledger` are objections against the service.
    """

    service: Service
    view: ServiceView | None
    mode: Mode
    scheduled: bool
    stale_reason: str = ""
    paused_by_annotation: str = ""
    holds_ledger: str = ""


def may_drill(inputs: DrillGuardInput, history: History, limits: Limits, *, now: datetime) -> Verdict:
    """Answer with STARTED, or REFUSED with the reason; a refusal that will end has the moment of the next look."""
    service = inputs.service
    if service.drill is None:
        return _refused(Reason.NO_TARGET, f"{service.name} has no `drill` in its document: name a runbook there")
    if service.namespace in limits.protected:
        return _refused(
            Reason.PROTECTED, f"namespace {service.namespace} is protected; Kintsugi creates no database there"
        )
    if inputs.holds_ledger:
        return _refused(Reason.PROTECTED, inputs.holds_ledger)
    passing = _for_now(inputs, history)
    if passing is not None:
        reason, text = passing
        return _refused(reason, text, until=now + limits.recheck_after)
    return Verdict(kind=VerdictKind.STARTED, reason=Reason.MATCHED, text=f"{service.drill.runbook} starts", rule=RULE)


def _for_now(inputs: DrillGuardInput, history: History) -> tuple[Reason, str] | None:
    """Return the first objection that holds now and will end."""
    service, view = inputs.service, inputs.view
    if inputs.scheduled and inputs.mode is Mode.OBSERVE:
        return Reason.MODE, "mode is observe: nothing is started on a schedule"
    if inputs.paused_by_annotation:
        return Reason.PAUSED, inputs.paused_by_annotation
    for pause in history.pauses:
        if covers(pause, namespace=service.namespace, rule=RULE, service=service.name):
            return Reason.PAUSED, f"paused by {pause.who}: {pause.why}"
    if inputs.stale_reason:
        return Reason.STALE, inputs.stale_reason
    return objection(service.name, view, history.incident)


def _refused(reason: Reason, text: str, *, until: datetime | None = None) -> Verdict:
    return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, until=until, rule=RULE)


def read_schedule(text: str) -> str:
    """Return an expression back, its blanks made one. Raises ValueError with what would be right."""
    words = text.split()
    if len(words) != 5:
        raise ValueError(
            f"{text!r} is not a schedule: write minute, hour, day of the month, month and day of the week, in UTC, "
            "as in 0 4 * * 0 for Sundays at four"
        )
    try:
        next(_after(" ".join(words), datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"{text!r} is not a schedule: {str(error).lower()} (as in 0 4 * * 0)") from error
    except StopIteration as error:
        raise ValueError(f"{text!r} is a schedule without an occurrence: this day does not exist") from error
    return " ".join(words)


def due(schedule: str, slot: datetime, now: datetime) -> datetime | None:
    """Return the last moment of a schedule after `slot` that has come; None when none has."""
    last = None
    for count, moment in enumerate(_after(schedule, slot)):
        if moment > now or count > _MOST_MISSED:
            break
        last = moment
    return last


def _after(schedule: str, moment: datetime) -> Iterator[datetime]:
    found: Iterator[datetime] = CronSim(schedule, moment.astimezone(UTC))
    return found


def unfit_steps(runbook: Runbook) -> Iterator[tuple[Step, str]]:
    """Yield each step that a drill must not have, with what is wrong with it."""
    for step in inner_steps((*runbook.steps, *runbook.rollback.steps)):
        if isinstance(step.do, RunRunbook):
            yield step, "a drill runs no other runbook: write its steps out"
        if step.approve is not None:
            yield step, "a drill never asks for approval: report the finding instead"
        if isinstance(step.do, Manual):
            yield step, "a drill waits for no person: report the finding instead"
        if isinstance(step.do, Run) and step.do.command.changes:
            yield from ((step, what) for what in _about(step.do))


def _about(do: Run) -> Iterator[str]:
    allowed = {verb for verb, definition in definitions_by_verb().items() if definition.allowed_in_drill}
    command = do.command.sample()
    if do.command.verb not in allowed:
        yield f"a drill changes nothing live: only {', '.join(sorted(allowed))} may be used here"
    elif (restored := definition_of(command).restore(command)) is not None:
        if SCRATCH not in do.command.source or not restored.database.startswith(DRILL):
            yield f"a drill restores into a scratch database of its own: write -d {SCRATCH}"
        elif not restored.on_own_server:
            yield f"a drill restores into a server of its own, which ends with its Job: write -h {OWN_SERVER}"


def retargeted(steps: Iterable[Step], database: str, scratch: str) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Return the checks of the scratch database, and the names of those that cannot be asked of it."""
    kept: list[Step] = []
    left_out: list[str] = []
    for step in steps:
        match step.do:
            case InOrder(steps=inner) | Parallel(steps=inner):
                below, missing = retargeted(inner, database, scratch)
                left_out += missing
                if below:
                    kept.append(replace(step, do=replace(step.do, steps=below)))
            case Run(command=command) if asks(command, database):
                about = partial(_about_scratch, written=command.source, database=database, scratch=scratch)
                kept.append(replace(step, do=Run(command=command.then(about))))
            case _:
                left_out.append(step.name or step.id)
    return tuple(kept), tuple(left_out)


def _about_scratch(command: Command, *, written: str, database: str, scratch: str) -> Command:
    """Ask the scratch database what a command, as it was written, asks the other one. Raises CommandError."""
    asked = question_of(command)
    if asked is None or asked.database != database:
        raise CommandError(f"{written!r} no longer asks {database}")
    return definition_of(command).asking(command, replace(asked, database=scratch))


def asks(command: CommandTemplate, database: str) -> bool:
    """Return whether a command is a question to this database, by what it says with `-d`."""
    try:
        asked = question_of(command.sample())
    except CommandError:
        return False
    return asked is not None and asked.database == database


def question_of(command: Command) -> Psql | None:
    """Return the question that a command puts to a database, None when it puts none."""
    return definition_of(command).question(command)


def report_of(run: RunRecord, steps: Sequence[StepRecord], *, now: datetime) -> DrillReport:
    """Put the report together, of a drill that is over or still goes on."""
    forward = [step for step in steps if step.phase is Phase.FORWARD]
    ends = [step for step in forward if not step.changes and step.state is StepState.DONE]
    restored = _last(ends, "restored", Restored)
    checked = [step for step in forward if _is_inner(step) and not step.changes and not step.step_path.listing]
    over = next((step.finished for step in forward if step.step_path == OUTCOME), None)
    return DrillReport(
        incident=run.incident,
        run=run.id,
        service=run.service,
        state=run.state,
        reason=run.reason,
        started=run.started,
        seconds=((over or run.finished or now) - run.started).total_seconds(),
        backup=_last(ends, "backup", Backup),
        restored=restored,
        checks=tuple(_check(step) for step in checked if step.finished is not None),
        left_out=_texts(next((step for step in forward if step.step_path == LEFT_OUT), None), "checks"),
        notes=tuple(dict.fromkeys(note for step in ends for note in _texts(step, "notes"))),
        stages=tuple((step.name, _seconds(step)) for step in ends if not _is_inner(step) and not step.step_path.note),
    )


def summary_of(report: DrillReport) -> str:
    """Return in one sentence what a good drill has shown."""
    backup, restored = report.backup, report.restored
    if backup is None or restored is None:
        return "nothing was restored"
    age = format_seconds(report.started - backup.taken)
    parts = [
        f"{backup.url}, taken {backup.taken.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({age} before the drill)",
        f"{_tables(restored.tables)} restored",
        f"{counted(len(report.checks), 'check')} passed",
        f"in {format_seconds(timedelta(seconds=report.seconds))}",
    ]
    parts += [f"{counted(len(backup.skipped), 'newer backup')} unusable"] if backup.skipped else []
    parts += [] if backup.proven else ["its checksum was not recorded"]
    parts += [f"not run: {', '.join(report.left_out)}"] if report.left_out else []
    return "; ".join(parts)


def _tables(tables: Sequence[Table]) -> str:
    """Name the tables with their rows, as the account of a real restore does; many of them are counted."""
    shown = [f"{table.name} {counted(table.rows, 'row')}" for table in tables[:MOST_TABLES]]
    more = [f"and {counted(len(tables) - MOST_TABLES, 'more table')}"] if len(tables) > MOST_TABLES else []
    return ", ".join([*shown, *more]) or "no table"


def _check(step: StepRecord) -> DrillCheck:
    return DrillCheck(name=step.name or step.path, met=step.met is True, error=step.error, seconds=_seconds(step))


def _is_inner(step: StepRecord) -> bool:
    """Return whether it is about a step inside another one."""
    return len(step.step_path.steps) > 1


def _seconds(step: StepRecord) -> float:
    if step.started is None or step.finished is None:
        return 0.0
    return round((step.finished - step.started).total_seconds(), 3)


def _last(steps: Iterable[StepRecord], name: str, kind: type[Found]) -> Found | None:
    """Read a worker's result from the last step that has one."""
    found = [own[name] for own in map(_own, steps) if name in own]
    try:
        return msgspec.convert(found[-1], kind) if found else None
    except msgspec.ValidationError:
        return None  # written by another version


def _texts(step: StepRecord | None, name: str) -> tuple[str, ...]:
    values = _own(step).get(name) if step is not None else None
    return tuple(map(str, values)) if isinstance(values, list | tuple) else ()


def _own(step: StepRecord) -> Mapping[str, object]:
    own = from_json(step.result) if step.result is not None else {}
    return own if isinstance(own, dict) else {}
