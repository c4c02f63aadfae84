"""Commands that change something: they show the change first, and ask the person."""

from datetime import timedelta

import typer

from kintsugi.cli.client import dial
from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.options import Connection, Only, OutputFormat
from kintsugi.cli.output import emit, moment
from kintsugi.cli.prompts import agreed, show_latest_diagnosis, show_question, show_rollback, waiting
from kintsugi.cli.summary_tables import pause_scope_text
from kintsugi.durations import parse_duration
from kintsugi.errors import Refused, UsageError
from kintsugi.model.records import PauseScope
from kintsugi.server.operations import PauseRequest, RejectRequest


async def pause(connection: Connection, request: PauseRequest, *, yes: bool) -> ExitCode:
    """Begin a pause; of a namespace without a service of the catalog, a person is asked first: its name may be wrong."""
    async with dial(connection) as daemon:
        if request.scope is PauseScope.NAMESPACE and not yes:
            known = sorted({each.namespace for each in (await daemon.services()).services})
            question = (
                f"No service is in the namespace {request.name} (there are {', '.join(known) or 'none'}). Pause it?"
            )
            if request.name not in known and not agreed(question, yes=False):
                return ExitCode.REFUSED
        begun = await daemon.pause(request)
    until = f" until {moment(begun.until)} UTC" if begun.until else ""
    text = f"Paused: {pause_scope_text(begun)}{until}. To end it: kintsugi resume {begun.id} --why TEXT"
    return _done(connection, begun, text)


async def resume(connection: Connection, of: str, *, why: str) -> ExitCode:
    """Lift a pause, or end the rest after an incident's hand-over."""
    async with dial(connection) as daemon:
        lifted = await daemon.resume(of, why=why)
    return _done(connection, lifted, f"Resumed: {pause_scope_text(lifted)}. Kintsugi re-evaluates the blocked signals.")


async def approve(connection: Connection, incident: str, *, path: str | None, yes: bool) -> ExitCode:
    """Show the question, ask, and say yes to the very plan that was shown."""
    async with dial(connection) as daemon:
        detail = await daemon.incident(incident)
        question = waiting(detail, path)
        show_latest_diagnosis(detail)
        show_question(question)
        if not agreed("Approve this plan?", yes=yes):
            raise Refused(f"nothing was approved: the approval stays open until {question.expires:%H:%M:%S} UTC")
        given = await daemon.approve(incident, path=question.path, plan=question.plan)
    return _done(connection, given, f"Approved by {given.who}. {_see(incident)}")


async def reject(connection: Connection, incident: str, *, path: str | None, why: str) -> ExitCode:
    """Show the question, and say no to the very plan that was shown."""
    async with dial(connection) as daemon:
        question = waiting(await daemon.incident(incident), path)
        show_question(question)
        given = await daemon.reject(incident, RejectRequest(path=question.path, plan=question.plan, why=why))
    return _done(connection, given, f"Rejected by {given.who}. {_see(incident)}")


async def abort(connection: Connection, incident: str, *, why: str) -> ExitCode:
    """End an incident without a further step, and offer the rollback of what was changed."""
    async with dial(connection) as daemon:
        done = await daemon.abort(incident, why=why)
    undo = f" To undo its changes: kintsugi rollback {incident}." if done.changed else ""
    return _done(connection, done, f"Incident {incident} is {done.reason}: {done.text}.{undo} {_see(incident)}")


async def roll_back(connection: Connection, incident: str, *, yes: bool) -> ExitCode:
    """Show what would be done and lost, ask, and begin exactly that."""
    async with dial(connection) as daemon:
        shown = await daemon.roll_back(incident)
        show_rollback(shown)
        if not agreed("Roll it back?", yes=yes):
            raise Refused("nothing was rolled back")
        begun = await daemon.roll_back(incident, confirmed=shown.digest)
    return _done(connection, begun, f"Started: {begun.text}. {_see(incident)}")


async def resend(connection: Connection, letter: str, *, yes: bool) -> ExitCode:
    """Ask, and send a dead letter in again."""
    async with dial(connection) as daemon:
        question = f"Resend {letter}? Kintsugi accepts the alerts that are still current."
        if not agreed(question, yes=yes):
            raise Refused("nothing was resent")
        sent = await daemon.resend(letter)
    left = f", {sent.dead_letters} still cannot be understood" if sent.dead_letters else ""
    left += f", {sent.stale} left out as too old (Alertmanager resends alerts that still fire)" if sent.stale else ""
    see = "To follow it: kintsugi signals"
    return _done(connection, sent, f"Resent: {sent.accepted} {_alerts(sent.accepted)} accepted{left}. {see}")


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


def _alerts(number: int) -> str:
    return "alert" if number == 1 else "alerts"


def _see(incident: str) -> str:
    return f"To follow it: kintsugi incident {incident} --follow"
