"""
What a person on call asks the daemon and tells it: the commands as they are typed.

Their work is in `looking` and `deeds`, which are imported when a command is run.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from kintsugi.cli.exits import Exit
from kintsugi.cli.options import Connection, Only, Why, Yes, spread

IncidentId = Annotated[str, typer.Argument(metavar="ID", help="The incident, as `kintsugi incidents` lists it.")]


async def incidents(
    *,
    service: Annotated[str, typer.Option(metavar="NAME", help="Only of this service.")] = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not closed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="As many at most.")] = 50,
    connection: Connection,
) -> Exit:
    """List incidents, newest first."""
    from kintsugi.cli import looking

    return await looking.incidents(connection, service=service, open_only=open_only, limit=limit)


async def incident(
    incident: IncidentId,
    *,
    evidence: Annotated[bool, typer.Option("--evidence", help="Print the evidence that was kept, too.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it is closed.")] = False,
    every: Annotated[float, typer.Option(min=0.05, metavar="SECONDS", help="How often --follow looks.")] = 2.0,
    connection: Connection,
) -> Exit:
    """
    Tell the whole story of an incident.

    With --follow the exit code is 1 when it ends badly.
    """
    from kintsugi.cli import looking

    looks = timedelta(seconds=every) if follow else None
    return await looking.incident(connection, incident, evidence=evidence, follow=looks)


async def signals(
    *,
    verdict: Annotated[
        str, typer.Option(metavar="VERDICT", help="Only with this one: refused, observed, no-rule, held, started, …")
    ] = "",
    reason: Annotated[str, typer.Option(metavar="REASON", help="Only for this one: cooldown, budget, paused, …")] = "",
    before: Annotated[str, typer.Option(metavar="ID", help="Only older than this signal: the next page.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="As many at most.")] = 50,
    connection: Connection,
) -> Exit:
    """List what came in and what became of it, newest first."""
    from kintsugi.cli import looking

    return await looking.signals(connection, verdict=verdict, reason=reason, before=before, limit=limit)


async def dead_letters(
    *,
    before: Annotated[str, typer.Option(metavar="ID", help="Only older than this letter: the next page.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="As many at most.")] = 50,
    connection: Connection,
) -> Exit:
    """List what came in and could not be understood, newest first."""
    from kintsugi.cli import looking

    return await looking.dead_letters(connection, before=before, limit=limit)


async def resend(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The letter, as `kintsugi dead-letters` lists it.")],
    *,
    yes: Yes = False,
    connection: Connection,
) -> Exit:
    """Send a dead letter in again, as after an upgrade that understands it; it is judged as if it came in now."""
    from kintsugi.cli import deeds

    return await deeds.resend(connection, letter, yes=yes)


async def explain(
    *,
    alert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An alert as YAML or JSON, or a whole webhook; - is stdin.")
    ] = None,
    pod: Annotated[str, typer.Option(metavar="NAMESPACE/NAME", help="A pod, as it is now.")] = "",
    connection: Connection,
) -> Exit:
    """Tell rule by rule what would become of an alert or a pod now. Nothing is done or kept."""
    from kintsugi.cli import looking

    return await looking.explain(connection, alert=alert, pod=pod)


async def services(*, connection: Connection) -> Exit:
    """Show how each service is, the most important first."""
    from kintsugi.cli import looking

    return await looking.services(connection)


async def pauses(*, connection: Connection) -> Exit:
    """List the pauses that hold."""
    from kintsugi.cli import looking

    return await looking.pauses(connection)


async def pause(
    *,
    why: Why,
    only: Only,
    freeze: Annotated[bool, typer.Option("--freeze", help="Stop rollbacks, too, and hand over.")] = False,
    lasts: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="As in 90s or 1h30m; until it is resumed unless said.")
    ] = "",
    connection: Connection,
) -> Exit:
    """
    Stop new changes: everywhere, in a namespace, of a service, or of a rule.

    Rollbacks go on, unless --freeze: then nothing more is written, and what is half done is handed over to a person.
    """
    from kintsugi.cli import deeds

    wish = deeds.pause_wish(only, why=why, freeze=freeze, lasts=lasts)
    return await deeds.pause(connection, wish)


async def resume(
    pause: Annotated[str, typer.Argument(metavar="ID", help="The pause, as `kintsugi pauses` lists it.")],
    *,
    why: Why,
    connection: Connection,
) -> Exit:
    """Lift a pause; what it held back is judged again."""
    from kintsugi.cli import deeds

    return await deeds.resume(connection, pause, why=why)


async def approve(
    incident: IncidentId,
    *,
    path: Annotated[str | None, typer.Option(metavar="PATH", help="The step that asks, where several do.")] = None,
    yes: Yes = False,
    connection: Connection,
) -> Exit:
    """Show the plan that waits for a person, ask, and say yes to exactly that plan."""
    from kintsugi.cli import deeds

    return await deeds.approve(connection, incident, path=path, yes=yes)


async def rollback(incident: IncidentId, *, yes: Yes = False, connection: Connection) -> Exit:
    """Show what taking a run back would do and lose, ask, and do it."""
    from kintsugi.cli import deeds

    return await deeds.roll_back(connection, incident, yes=yes)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    looks = (incidents, incident, signals, dead_letters, explain, services, pauses)
    for command in (*looks, pause, resume, approve, rollback, resend):
        app.command(command.__name__.replace("_", "-"))(spread(command))
