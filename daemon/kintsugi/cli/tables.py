"""The tables that people see: incidents, services, pauses."""

from collections.abc import Iterable
from datetime import datetime

from rich.text import Text

from kintsugi.cli.output import moment, plain, state, table, took
from kintsugi.model.records import Incident, Pause
from kintsugi.server.operations import ServiceSummary

_HEALTH = {True: Text("yes", style="green"), False: Text("no", style="bold red"), None: Text("unknown", style="yellow")}


def show_incidents(incidents: Iterable[Incident], *, now: datetime) -> None:
    """Show incidents in the order in which they come: of a reason its first line."""
    table(
        ("ID", "SERVICE", "STATE", "REASON", "OPENED (UTC)", "TOOK"),
        (
            (
                plain(each.id),
                plain(each.service),
                state(each.state),
                plain(first_line(each.reason)),
                plain(moment(each.opened)),
                plain(lasted(each.opened, each.closed, now)),
            )
            for each in incidents
        ),
    )


def show_services(services: Iterable[ServiceSummary], *, now: datetime) -> None:
    """Show how services are: `FOR` is how long they have been so."""
    table(
        ("PRIORITY", "SERVICE", "NAMESPACE", "HEALTHY", "READY", "FOR", "INCIDENT", "DEPENDS ON"),
        (
            (
                plain(each.priority),
                plain(each.name),
                plain(each.namespace),
                _HEALTH[each.healthy],
                plain(f"{each.ready}/{each.desired}"),
                plain(took(now - each.since) if each.since else "-"),
                plain(each.incident or "-"),
                plain(", ".join(each.depends_on) or "-"),
            )
            for each in services
        ),
    )


def show_pauses(pauses: Iterable[Pause]) -> None:
    """Show the pauses that hold."""
    table(
        ("ID", "HOLDS BACK", "WHO", "WHY", "SINCE (UTC)", "UNTIL (UTC)"),
        (
            (
                plain(each.id),
                plain(held_back(each)),
                plain(each.who),
                plain(each.why),
                plain(moment(each.since)),
                plain(moment(each.until) if each.until else "it is resumed"),
            )
            for each in pauses
        ),
    )


def held_back(pause: Pause) -> str:
    """Say what a pause holds back."""
    what = f"{pause.scope} {pause.name}" if pause.name else "everything"
    return f"{what}, rollbacks too" if pause.freeze else what


def first_line(text: str) -> str:
    """Give what comes before the details."""
    return text.partition("\n")[0]


def lasted(began: datetime, ended: datetime | None, now: datetime) -> str:
    """Say how long something took, or takes so far."""
    return took(ended - began) if ended is not None else f"{took(now - began)} so far"
