"""Commands that only look: each asks the API once and shows what it answers, for people or for programs."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kintsugi.cli.alerts import read_alerts
from kintsugi.cli.client import Client, dial
from kintsugi.cli.complaint import note
from kintsugi.cli.exits import Exit
from kintsugi.cli.explained import emit_explained, show_explained
from kintsugi.cli.following import Following
from kintsugi.cli.options import Connection, Form
from kintsugi.cli.output import emit
from kintsugi.cli.signals import show_dead_letters, show_signals
from kintsugi.cli.tables import show_incidents, show_pauses, show_services
from kintsugi.errors import UsageError
from kintsugi.server.operations import Explanation


async def incidents(connection: Connection, *, service: str, open_only: bool, limit: int) -> Exit:
    """List incidents, newest first."""
    async with dial(connection) as daemon:
        found = await daemon.incidents(service=service, open_only=open_only, limit=limit)
    now = datetime.now(UTC)
    if connection.output is Form.JSON:
        emit({"incidents": found})
    else:
        _show(found, lambda: show_incidents(found, now=now), nothing="There are no such incidents.")
    return Exit.DONE


async def signals(connection: Connection, *, verdict: str, reason: str, before: str, limit: int) -> Exit:
    """List signals, newest first."""
    async with dial(connection) as daemon:
        found = await daemon.signals(verdict=verdict, reason=reason, before=before, limit=limit)
    if connection.output is Form.JSON:
        emit({"signals": found})
        return Exit.DONE
    _show(found, lambda: show_signals(found), nothing="There are no such signals.")
    _more(len(found), limit, lambda: found[-1].signal.id)
    return Exit.DONE


async def dead_letters(connection: Connection, *, before: str, limit: int) -> Exit:
    """List dead letters, newest first."""
    async with dial(connection) as daemon:
        found = await daemon.dead_letters(before=before, limit=limit)
    if connection.output is Form.JSON:
        emit({"dead_letters": found})
        return Exit.DONE
    _show(found, lambda: show_dead_letters(found), nothing="There are no dead letters.")
    _more(len(found), limit, lambda: found[-1].id)
    return Exit.DONE


async def incident(connection: Connection, incident: str, *, evidence: bool, follow: timedelta | None) -> Exit:
    """Tell an incident's story, and with `follow` go on looking that often until it is closed."""
    async with dial(connection) as daemon:
        told = Following(daemon, incident, form=connection.output)
        await told.tell()
        if follow is not None:
            await told.follow(follow)
        told.finish(evidence=evidence)
    return Exit.DONE if follow is None else told.exit


async def services(connection: Connection) -> Exit:
    """Show how services are."""
    async with dial(connection) as daemon:
        found = await daemon.services()
    now = datetime.now(UTC)
    if connection.output is Form.JSON:
        emit({"services": found})
    else:
        _show(found, lambda: show_services(found, now=now), nothing="The rules in force declare no services.")
    return Exit.DONE


async def pauses(connection: Connection) -> Exit:
    """List the pauses that hold."""
    async with dial(connection) as daemon:
        found = await daemon.pauses()
    if connection.output is Form.JSON:
        emit({"pauses": found})
    else:
        _show(found, lambda: show_pauses(found), nothing="Nothing is paused.")
    return Exit.DONE


async def explain(connection: Connection, *, alert: Path | None, pod: str) -> Exit:
    """Explain a pod, or every alert of a file."""
    if (alert is None) == (not pod):
        raise UsageError("explain: say what: either --alert FILE or --pod NAMESPACE/NAME")
    async with dial(connection) as daemon:
        found = await _of_pod(daemon, pod) if alert is None else await _of_alerts(daemon, alert)
    if connection.output is Form.JSON:
        emit_explained(found)
    else:
        show_explained(found)
    return Exit.DONE


async def _of_pod(daemon: Client, pod: str) -> Sequence[tuple[str, Explanation]]:
    namespace, slash, name = pod.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise UsageError(f"--pod: {pod!r}: write NAMESPACE/NAME")
    return [(f"pod {pod}", await daemon.explain_pod(namespace, name))]


async def _of_alerts(daemon: Client, file: Path) -> Sequence[tuple[str, Explanation]]:
    alerts = read_alerts(file)
    return [(str(alert), await daemon.explain_alert(alert.labels, alert.annotations)) for alert in alerts]


def _show(found: Sequence[object], show: Callable[[], None], *, nothing: str) -> None:
    """Show a table, or say beside the result that it is empty."""
    if found:
        show()
    else:
        note(nothing)


def _more(found: int, limit: int, last: Callable[[], str]) -> None:
    """Return how to see what comes after a full page."""
    if found == limit:
        note(f"There may be more: --before {last()}")
