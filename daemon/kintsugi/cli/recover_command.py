"""A manual start: the plan and its objections, the question, and the start of exactly that plan."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import typer

from kintsugi.cli.client import DaemonClient, dial
from kintsugi.cli.exit_codes import ExitCode, Unreachable
from kintsugi.cli.options import Connection, Manually, OutputFormat
from kintsugi.cli.output import emit
from kintsugi.cli.prompts import agreed
from kintsugi.cli.stderr import print_note
from kintsugi.errors import Refused, UsageError
from kintsugi.model.identity import new_id
from kintsugi.retries import Waits, retry
from kintsugi.server.operations import GuardResult, Override, RecoverPreview, RecoverRequest

TIMEOUT = timedelta(minutes=1)
"""The time for which a start whose answer was lost is retried: a daemon that was killed is back by then."""

AGAIN = timedelta(seconds=1)


async def recover(connection: Connection, request: RecoverRequest, *, yes: bool) -> ExitCode:
    """Show the plan, ask, and start exactly that, once."""
    async with dial(connection) as daemon:
        shown = await daemon.recover(request)
        show_plan(shown)
        if not shown.allowed:
            raise Refused(f"{shown.text}{_override_hint(shown.answers)}")
        if not agreed("Start it?", yes=yes):
            raise Refused("nothing was started")
        begun = await _start(daemon, request, shown.digest)
    if connection.output is OutputFormat.JSON:
        emit(begun)
    else:
        typer.echo(f"Started: {begun.text}. To follow it: kintsugi incident {begun.incident} --follow")
    return ExitCode.DONE


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


def show_plan(shown: RecoverPreview) -> None:
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


async def _start(daemon: DaemonClient, request: RecoverRequest, digest: str) -> RecoverPreview:
    """Start it; while no answer comes ask again for the same, which starts nothing twice."""
    loop = asyncio.get_running_loop()
    until = loop.time() + TIMEOUT.total_seconds()

    def again(error: Exception) -> bool:
        if not isinstance(error, Unreachable) or loop.time() >= until:
            return False
        print_note(f"{str(error).partition('. ')[0]}; trying again")
        return True

    return await retry(lambda: daemon.recover(request, digest=digest), again, Waits.of(AGAIN))
