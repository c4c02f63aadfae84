"""Commands that only read: each asks the API once and prints the answer, for people or for programs."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from kintsugi.cli.alert_input import read_alerts
from kintsugi.cli.client import DaemonClient, dial
from kintsugi.cli.diagnosis_report import show_diagnosis
from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.explain_report import emit_explained, show_explained, show_service_explanation
from kintsugi.cli.incident_follower import IncidentFollower
from kintsugi.cli.login import keep
from kintsugi.cli.options import Connection, OutputFormat
from kintsugi.cli.output import emit, plain, print_lines
from kintsugi.cli.signal_tables import show_dead_letters, show_signals
from kintsugi.cli.stderr import print_note
from kintsugi.cli.summary_tables import daemon_line, show_incidents, show_pauses, show_services
from kintsugi.errors import UsageError
from kintsugi.server.operations import Explanation
from kubeobjects.resources import WORKLOADS, find


async def incidents(connection: Connection, *, service: str, open_only: bool, limit: int) -> ExitCode:
    """List incidents, newest first."""
    async with dial(connection) as daemon:
        found = await daemon.incidents(service=service, open_only=open_only, limit=limit)
    now = datetime.now(UTC)
    if connection.output is OutputFormat.JSON:
        emit({"incidents": found})
    else:
        _show(found, lambda: show_incidents(found, now=now), empty="No such incidents.")
    return ExitCode.DONE


async def signals(connection: Connection, *, verdict: str, reason: str, before: str, limit: int) -> ExitCode:
    """List signals, newest first."""
    async with dial(connection) as daemon:
        found = await daemon.signals(verdict=verdict, reason=reason, before=before, limit=limit)
    if connection.output is OutputFormat.JSON:
        emit({"signals": found})
        return ExitCode.DONE
    _show(found, lambda: show_signals(found), empty="No such signals.")
    _more(len(found), limit, lambda: found[-1].signal.id)
    return ExitCode.DONE


async def dead_letters(connection: Connection, *, before: str, limit: int) -> ExitCode:
    """List dead letters, newest first."""
    async with dial(connection) as daemon:
        found = await daemon.dead_letters(before=before, limit=limit)
    if connection.output is OutputFormat.JSON:
        emit({"dead_letters": found})
        return ExitCode.DONE
    _show(found, lambda: show_dead_letters(found), empty="No dead letters.")
    _more(len(found), limit, lambda: found[-1].id)
    return ExitCode.DONE


async def incident(
    connection: Connection, incident: str, *, whole: bool, evidence: bool, follow: timedelta | None
) -> ExitCode:
    """Print an incident's summary, or its `whole` story, and with `follow` go on looking that often until it is closed."""
    async with dial(connection) as daemon:
        follower = IncidentFollower(daemon, incident, form=connection.output, whole=whole)
        await follower.show()
        if follow is not None:
            await follower.follow(follow)
        follower.finish(evidence=evidence)
    return ExitCode.DONE if follow is None else follower.exit


async def services(connection: Connection) -> ExitCode:
    """Show the daemon and how services are; while the daemon does not see the cluster, the exit code is UNREACHABLE."""
    async with dial(connection) as daemon:
        found = await daemon.services()
    now = datetime.now(UTC)
    if connection.output is OutputFormat.JSON:
        emit({"services": found.services, "stack": found.stack, "daemon": found.daemon})
    else:
        print_lines([plain(daemon_line(found.daemon))])
        _show(found.services, lambda: show_services(found, now=now), empty="The rules in force declare no services.")
    return ExitCode.UNREACHABLE if found.daemon.stale else ExitCode.DONE


async def pauses(connection: Connection) -> ExitCode:
    """List the pauses that hold."""
    async with dial(connection) as daemon:
        found = await daemon.pauses()
    if connection.output is OutputFormat.JSON:
        emit({"pauses": found})
    else:
        _show(found, lambda: show_pauses(found), empty="Nothing is paused.")
    return ExitCode.DONE


async def explain(connection: Connection, *, service: str, alert: Path | None, pod: str) -> ExitCode:
    """Explain a service, a pod, or every alert of a file."""
    if sum([bool(service), alert is not None, bool(pod)]) != 1:
        raise UsageError("explain: give one of SERVICE, --alert FILE and --pod NAMESPACE/NAME")
    if service:
        return await _explain_service(connection, service)
    async with dial(connection) as daemon:
        found = await _of_pod(daemon, pod) if alert is None else await _of_alerts(daemon, alert)
    if connection.output is OutputFormat.JSON:
        emit_explained(found)
    else:
        show_explained(found)
    return ExitCode.DONE


async def _explain_service(connection: Connection, service: str) -> ExitCode:
    async with dial(connection) as daemon:
        found = await daemon.explain_service(service)
    if connection.output is OutputFormat.JSON:
        emit(found)
    else:
        show_service_explanation(found)
    return ExitCode.DONE


async def login(connection: Connection) -> ExitCode:
    """Ask the daemon once, and remember it; what cannot be asked is not remembered."""
    if connection.server is None:
        raise UsageError("--server: missing; give the daemon's address, as in --server https://kintsugi.example.com")
    async with dial(connection) as daemon:
        await daemon.services()
    print_note(f"{keep(connection, os.environ)}: every command asks {connection.server} from now on")
    return ExitCode.DONE


async def manifest(connection: Connection, service: str) -> ExitCode:
    """Print the workload of a service as it was last good."""
    async with dial(connection) as daemon:
        found = await daemon.manifest(service)
    typer.echo(found)
    return ExitCode.DONE


async def diagnose(connection: Connection, workload: str, *, namespace: str) -> ExitCode:
    """Diagnose a workload; where something is wrong, or nothing is known, that is a finding."""
    kind, _, name = workload.partition("/")
    if find(kind) not in WORKLOADS or not name or "/" in name:
        known = ", ".join(f"{each.singular}/NAME" for each in WORKLOADS)
        raise UsageError(f"{workload!r}: write one of {known}")
    async with dial(connection) as daemon:
        found = await daemon.diagnose(kind, name, namespace)
    if connection.output is OutputFormat.JSON:
        emit(found)
    else:
        show_diagnosis(found)
    return ExitCode.FINDINGS if found.causes else ExitCode.DONE


async def _of_pod(daemon: DaemonClient, pod: str) -> Sequence[tuple[str, Explanation]]:
    namespace, slash, name = pod.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise UsageError(f"--pod: {pod!r}: write NAMESPACE/NAME")
    return [(f"pod {pod}", await daemon.explain_pod(namespace, name))]


async def _of_alerts(daemon: DaemonClient, file: Path) -> Sequence[tuple[str, Explanation]]:
    alerts = read_alerts(file)
    return [(str(alert), await daemon.explain_alert(alert.labels, alert.annotations)) for alert in alerts]


def _show(found: Sequence[object], show: Callable[[], None], *, empty: str) -> None:
    """Show a table, or say beside the result that it is empty."""
    if found:
        show()
    else:
        print_note(empty)


def _more(found: int, limit: int, last: Callable[[], str]) -> None:
    """Return how to see what comes after a full page."""
    if found == limit:
        print_note(f"For the next page: --before {last()}")
