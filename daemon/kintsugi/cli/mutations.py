"""Commands that change or start something: they show the change first, and ask the person."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import typer
from rich.text import Text

from kintsugi.cli.client import dial, retry_while_unreachable
from kintsugi.cli.errors import ExitCode, print_note
from kintsugi.cli.incident_follower import IncidentFollower
from kintsugi.cli.options import Connection, Manually, Only, OutputFormat
from kintsugi.cli.output import emit, moment, plain, print_lines, state, took
from kintsugi.cli.story import section
from kintsugi.cli.tables import pause_scope_text
from kintsugi.decisions.answers import outcome, whom
from kintsugi.decisions.drills import report_of
from kintsugi.decisions.reconciliation import open_questions
from kintsugi.durations import parse_duration
from kintsugi.errors import Refused, UsageError
from kintsugi.model.api_types import (
    AnswerRequest,
    GuardResult,
    IncidentDetail,
    PauseRequest,
    RecoverPreview,
    RollbackPreview,
)
from kintsugi.model.drills import DrillCheck, DrillReport
from kintsugi.model.identity import new_id
from kintsugi.model.manual import Override, RecoverRequest
from kintsugi.model.questions import Answer, Question, QuestionKind
from kintsugi.model.records import IncidentState, PauseScope
from kintsugi.model.restores import Backup, Restored
from kubediagnosis.headline import headline, latest
from kubeobjects.lines import counted

AGAIN = timedelta(seconds=1)


async def pause(connection: Connection, request: PauseRequest, *, yes: bool) -> ExitCode:
    """Begin a pause; of a namespace without a service of the catalog, a person is asked first: its name may be wrong."""
    daemon = dial(connection)
    if request.scope is PauseScope.NAMESPACE and not yes:
        known = sorted({each.namespace for each in (await daemon.services()).services})
        question = f"No service is in the namespace {request.name} (there are {', '.join(known) or 'none'}). Pause it?"
        if request.name not in known and not agreed(question, yes=False):
            return ExitCode.REFUSED
    begun = await daemon.pause(request)
    until = f" until {moment(begun.until)} UTC" if begun.until else ""
    text = f"Paused: {pause_scope_text(begun)}{until}. To end it: kintsugi resume {begun.id} --why TEXT"
    return _done(connection, begun, text)


async def resume(connection: Connection, of: str, *, why: str) -> ExitCode:
    """Lift a pause, or end the rest after an incident's hand-over."""
    lifted = await dial(connection).resume(of, why=why)
    return _done(connection, lifted, f"Resumed: {pause_scope_text(lifted)}. Kintsugi re-evaluates the blocked signals.")


async def approve(connection: Connection, incident: str, *, path: str | None, yes: bool) -> ExitCode:
    """Show the question, ask, and say yes to the very plan that was shown."""
    daemon = dial(connection)
    detail = await daemon.incident(incident)
    question = waiting(detail, path)
    if question.kind is QuestionKind.MANUAL:
        raise UsageError(f"this is a manual step, not a plan: kintsugi answer {incident} done")
    if (found := latest([each.diagnosis for each in detail.diagnoses])) is not None:
        print_note(f"Problem: {headline(found)}")
    _show_question(question)
    if not agreed("Approve this plan?", yes=yes):
        raise Refused(f"nothing was approved: the approval stays open until {question.expires:%H:%M:%S} UTC")
    return await _answer(connection, question, Answer.YES)


async def answer(connection: Connection, incident: str, how: str, *, path: str | None, why: str) -> ExitCode:
    """
    Show the question, and answer it about the very plan that was shown.

    Raises UsageError for what is no answer, and for a yes: that is what `approve` asks for.
    """
    if how not in set(Answer):
        raise UsageError(f"{how!r} is no answer: write {', '.join(each for each in Answer if each is not Answer.YES)}")
    given = Answer(how)
    if given is Answer.YES:
        raise UsageError(f"to read a plan and approve it: kintsugi approve {incident}")
    if given.needs_reason and not why.strip():
        raise UsageError(f"--why: the answer {given} needs a reason")
    question = waiting(await dial(connection).incident(incident), path)
    _show_question(question)
    return await _answer(connection, question, given, why)


async def _answer(connection: Connection, asked: Question, given: Answer, why: str = "") -> ExitCode:
    request = AnswerRequest(path=asked.path, plan=asked.plan, answer=given, why=why)
    kept = await dial(connection).answer(asked.incident, request)
    missing = "" if kept.answer is not None else f" Asked: {whom(kept.approvers)}."
    said = outcome(kept)
    return _done(connection, kept, f"{said[:1].upper()}{said[1:]}.{missing} {_see(asked.incident)}")


async def abort(connection: Connection, incident: str, *, why: str) -> ExitCode:
    """End an incident without a further step, and offer the rollback of what was changed."""
    done = await dial(connection).abort(incident, why=why)
    undo = f" To undo its changes: kintsugi rollback {incident}." if done.changed else ""
    return _done(connection, done, f"Incident {incident} is {done.reason}: {done.text}.{undo} {_see(incident)}")


async def take(connection: Connection, incident: str, *, why: str) -> ExitCode:
    """Take an incident."""
    done = await dial(connection).take(incident, why=why)
    return _done(connection, done, f"Incident {incident} is with {done.who}: {done.text}. {_see(incident)}")


async def test_route(connection: Connection, route: str) -> ExitCode:
    """Send a test to each destination of a notice route, and print which of them took it."""
    tested = await dial(connection).test_route(route)
    _done(
        connection, tested, "\n".join(f"{each.destination}: {each.problem or 'sent'}" for each in tested.destinations)
    )
    return ExitCode.FINDINGS if any(each.problem for each in tested.destinations) else ExitCode.DONE


async def roll_back(connection: Connection, incident: str, *, yes: bool) -> ExitCode:
    """Show what would be done and lost, ask, and begin exactly that."""
    daemon = dial(connection)
    shown = await daemon.roll_back(incident)
    _show_rollback(shown)
    if not agreed("Roll it back?", yes=yes):
        raise Refused("nothing was rolled back")
    begun = await daemon.roll_back(incident, confirmed=shown.digest)
    return _done(connection, begun, f"Started: {begun.text}. {_see(incident)}")


async def resend(connection: Connection, letter: str, *, yes: bool) -> ExitCode:
    """Ask, and send a dead letter in again."""
    daemon = dial(connection)
    question = f"Resend {letter}? Kintsugi accepts the alerts that are still current."
    if not agreed(question, yes=yes):
        raise Refused("nothing was resent")
    sent = await daemon.resend(letter)
    left = f", {sent.dead_letters} still cannot be understood" if sent.dead_letters else ""
    left += f", {sent.stale} left out as too old (Alertmanager resends alerts that still fire)" if sent.stale else ""
    see = "To follow it: kintsugi signals"
    return _done(connection, sent, f"Resent: {counted(sent.accepted, 'alert')} accepted{left}. {see}")


def pause_request(only: Only, *, why: str, freeze: bool, lasts: str) -> PauseRequest:
    """Make a pause of the options. Raises UsageError."""
    names = {PauseScope.NAMESPACE: only.namespace, PauseScope.SERVICE: only.service, PauseScope.RULE: only.rule}
    given = [(scope, name) for scope, name in names.items() if name]
    if len(given) > 1:
        raise UsageError(
            "pause: give one of --namespace NS, --service NAME and --rule NAME, or none to pause everything"
        )
    scope, name = given[0] if given else (PauseScope.GLOBAL, "")
    return PauseRequest(scope=scope, name=name, why=why, freeze=freeze, lasts=_duration(lasts))


def _duration(text: str) -> timedelta | None:
    """Read how long a pause lasts, None when nothing was said. Raises UsageError."""
    if not text:
        return None
    try:
        lasts = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error
    if lasts <= timedelta(0):
        raise UsageError("--for: the duration must be longer than 0s; without --for, the pause has no end")
    return lasts


def _done(connection: Connection, value: object, text: str) -> ExitCode:
    """Write what came of a deed."""
    if connection.output is OutputFormat.JSON:
        emit(value)
    else:
        typer.echo(text)
    return ExitCode.DONE


def _see(incident: str) -> str:
    return f"To follow it: kintsugi incident {incident} --follow"


async def recover(connection: Connection, request: RecoverRequest, *, yes: bool, dry_run: bool) -> ExitCode:
    """Show the plan, ask, and start exactly that, once; in a dry run only show it."""
    daemon = dial(connection)
    shown = await daemon.recover(request)
    _show_plan(shown)
    if not shown.allowed:
        raise Refused(f"{shown.text}{_override_hint(shown.answers)}")
    if dry_run:
        return _done(connection, shown, "Nothing was started.")
    if not agreed("Start it?", yes=yes):
        raise Refused("nothing was started")
    # While no answer comes, the same is asked for again, which starts nothing twice.
    begun = await retry_while_unreachable(lambda: daemon.recover(request, digest=shown.digest), every=AGAIN)
    return _done(connection, begun, f"Started: {begun.text}. {_see(begun.incident)}")


def request_of(runbook: str, manually: Manually, *, why: str) -> RecoverRequest:
    """Make a wish of the options; its key is new. Raises UsageError."""
    if not why.strip():
        raise UsageError("--why: empty; give the reason for the run")
    parameters: dict[str, str] = {}
    for each in manually.values or ():
        name, sign, text = each.partition("=")
        if not (name and sign):
            raise UsageError(f"--set: {each!r}: write NAME=VALUE")
        if name in parameters:
            raise UsageError(f"--set: {name} is set twice")
        parameters[name] = text
    overrides = manually.overrides or ()
    for name in overrides:
        if name not in set(Override):
            raise UsageError(f"--override: {name!r} cannot be overruled; choose from: {', '.join(Override)}")
    return RecoverRequest(
        runbook=runbook,
        service=manually.service,
        parameters=parameters,
        why=why,
        overrides=frozenset(map(Override, overrides)),
        key=new_id("wish", datetime.now(UTC)),
    )


def _show_plan(shown: RecoverPreview) -> None:
    """Show a plan, and all that the guards say of it."""
    place = f"{shown.service} (namespace {shown.namespace})" if shown.namespace else "all services together"
    print_note(f"{shown.runbook} on {place}")
    for name, value in shown.parameters.items():
        print_note(f"  {name} = {value}")
    for step in shown.steps:
        print_note(f"  {step}")
    print_note(f"Plan {shown.digest}; its watchdog would check at {shown.deadline:%H:%M:%S} UTC")
    for each in shown.answers:
        print_note(f"{'Overruled' if each.overruled else 'Refused'} ({each.reason}): {each.text}")


def _override_hint(answers: Sequence[GuardResult]) -> str:
    """Return the options that override all objections; "" where one of them cannot be overridden."""
    refusals = [each for each in answers if not each.overruled]
    if not refusals or not all(each.override for each in refusals):
        return ""
    return f" (to start it anyway: {' '.join(f'--override {each.override}' for each in refusals)})"


def agreed(question: str, *, yes: bool) -> bool:
    """Ask, unless `yes` is set. Raises UsageError where no one can answer."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("this is not a terminal, so Kintsugi cannot ask: give --yes to continue")
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def waiting(detail: IncidentDetail, path: str | None) -> Question:
    """
    Choose the question that can be answered: the newest of its step, if it has no answer yet.

    Raises Refused when nothing is asked, UsageError when several steps ask and `path` names none of them.
    """
    unanswered = {each.path: each for each in open_questions(detail.questions)}
    incident = detail.incident
    if incident.state.is_final or not unanswered:
        raise Refused(f"incident {incident.id} is {incident.state} and asks nothing{_answers(detail.questions)}")
    names = ", ".join(repr(each) for each in unanswered)
    if path is not None and path not in unanswered:
        raise UsageError(f"--path: {path!r} asks nothing; these steps do: {names}")
    if path is None and len(unanswered) > 1:
        raise UsageError(f"several steps ask: choose one with --path: {names}")
    return unanswered[path] if path is not None else next(iter(unanswered.values()))


def _answers(questions: Iterable[Question]) -> str:
    """Return who has answered the newest question of each step."""
    newest = {each.path: each for each in questions}
    said = [
        f"{each.path or 'the plan'} was {outcome(each)} at {each.answered:%H:%M:%S}"
        for each in newest.values()
        if each.answered is not None
    ]
    return f": {'; '.join(said)}" if said else ""


def _show_question(asked: Question) -> None:
    """Show the plan as it was put to people."""
    for line in asked.text.splitlines():
        print_note(f"  {line}")
    if asked.command:
        print_note(f"  $ {asked.command}")
    about = f" of {asked.path}" if asked.path else ""
    print_note(f"Plan {asked.plan}{about}, asked at {asked.asked:%H:%M:%S}, open until {asked.expires:%H:%M:%S} UTC")
    if who := whom(asked.approvers):
        print_note(f"Asked: {who}")


def _show_rollback(answer: RollbackPreview) -> None:
    """Show what is wrong, what a rollback would do, as commands, what it would change, and what would be lost."""
    print_note(answer.text)
    if answer.wrong:
        print_note(f"  problem: {answer.wrong}")
    if answer.changes:
        print_note(f"  the rollback reverts: {answer.changes}")
    for command in answer.commands:
        print_note(f"  $ {command}" if not command.startswith("#") else f"  {command}")
    for loss in answer.losses:
        print_note(f"  lost: {loss}")


async def drill(connection: Connection, service: str, *, every: timedelta | None) -> ExitCode:
    """Begin a drill; with `every` follow it, looking that often, and report."""
    daemon = dial(connection)
    begun = await daemon.drill(service)
    if every is None:
        return _done(connection, begun, f"Started: {begun.runbook} of {begun.service}. {_see(begun.id)}")
    follower = IncidentFollower(daemon, begun.id, form=connection.output)
    await follower.show()
    await follower.follow(every)
    last = follower.detail.runs[-1]
    report = report_of(last.run, last.steps, now=datetime.now(UTC))
    if connection.output is OutputFormat.JSON:
        emit(report)
    else:
        print_lines([Text(), Text("Report", style="bold"), *_report_lines(report)])
    return ExitCode.DONE if report.state is IncidentState.PASSED else ExitCode.FINDINGS


def _report_lines(report: DrillReport) -> Iterator[Text]:
    """Yield the lines of a report."""
    yield Text.assemble("  ", state(report.state), plain(f": {report.reason}"))
    stages = ", ".join(f"{name} {_took(seconds)}" for name, seconds in report.stages)
    yield plain(
        f"  The drill took {_took(report.seconds)}{f' ({stages})' if stages else ''}. A real restore takes at least as long."
    )
    if report.backup is not None:
        yield from section("Backup", list(_backup(report.backup, report.started)))
    if report.restored is not None:
        yield from section("Restored", list(_restored(report.restored)))
    yield from section(
        "Checks",
        [
            *map(_check, report.checks),
            *(plain(f"not run  {name}: this check does not test the backup") for name in report.left_out),
        ],
    )
    yield from section("Notes", [plain(note) for note in report.notes])


def _backup(backup: Backup, now: datetime) -> Iterator[Text]:
    yield plain(backup.url, "bold")
    yield plain(f"taken {moment(backup.taken)} UTC, {took(now - backup.taken)} before the drill; {backup.size:,} bytes")
    yield plain("its recorded checksum matches") if backup.proven else plain("its checksum was not recorded", "yellow")
    yield from (plain(f"skipped {each.url}: {each.reason}", "yellow") for each in backup.skipped)


def _restored(restored: Restored) -> Iterator[Text]:
    yield plain(f"{len(restored.tables)} tables in {_took(restored.seconds)}, from {restored.bytes:,} bytes")
    yield from (plain(f"{table.name}  {table.rows:,} rows") for table in restored.tables)


def _check(check: DrillCheck) -> Text:
    mark = plain("passed", "green") if check.met else plain("failed", "bold red")
    return Text.assemble(
        mark, plain(f"  {check.name} ({_took(check.seconds)}){f': {check.error}' if check.error else ''}")
    )


def _took(seconds: float) -> str:
    return took(timedelta(seconds=seconds))
