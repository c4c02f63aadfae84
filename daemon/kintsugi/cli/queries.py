"""Commands that only read: each asks the API once and prints the answer, for people or for programs."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import typer
from rich.text import Text

from kintsugi.cli.client import DaemonClient, dial, keep
from kintsugi.cli.errors import ExitCode, Unreachable, print_note
from kintsugi.cli.incident_follower import IncidentFollower
from kintsugi.cli.options import Connection, OutputFormat
from kintsugi.cli.output import LiveTable, emit, moment, plain, print_lines, table
from kintsugi.cli.story import diagnosis_lines
from kintsugi.cli.tables import (
    SERVICES,
    daemon_line,
    service_rows,
    show_dead_letters,
    show_incidents,
    show_pauses,
    show_services,
    show_signals,
)
from kintsugi.errors import UsageError
from kintsugi.model.api_types import Explanation
from kintsugi.model.services import WORKLOAD_FORMS, WorkloadRef
from kubeobjects.spelling import nearest

COLUMNS = tuple("SINCE" if name == "FOR" else name for name in SERVICES)

_MOST_ALERTS = 100

Item = TypeVar("Item")


async def incidents(connection: Connection, *, service: str, open_only: bool, limit: int) -> ExitCode:
    """List incidents, newest first."""
    found = await dial(connection).incidents(service=service, open_only=open_only, limit=limit)
    _print_list(
        connection, "incidents", found, partial(show_incidents, now=datetime.now(UTC)), empty="No such incidents."
    )
    return ExitCode.DONE


async def signals(connection: Connection, *, verdict: str, reason: str, before: str, limit: int) -> ExitCode:
    """List signals, newest first."""
    found = await dial(connection).signals(verdict=verdict, reason=reason, before=before, limit=limit)
    _print_list(connection, "signals", found, show_signals, empty="No such signals.")
    _print_next(connection, [each.signal.id for each in found], limit)
    return ExitCode.DONE


async def dead_letters(connection: Connection, *, before: str, limit: int) -> ExitCode:
    """List dead letters, newest first."""
    found = await dial(connection).dead_letters(before=before, limit=limit)
    _print_list(connection, "dead_letters", found, show_dead_letters, empty="No dead letters.")
    _print_next(connection, [each.id for each in found], limit)
    return ExitCode.DONE


async def incident(
    connection: Connection, incident: str, *, whole: bool, evidence: bool, follow: timedelta | None
) -> ExitCode:
    """Print an incident's summary, or its `whole` story, and with `follow` go on looking that often until it is closed."""
    daemon = dial(connection)
    follower = IncidentFollower(daemon, incident, form=connection.output, whole=whole)
    await follower.show()
    if follow is not None:
        await follower.follow(follow)
    follower.finish(evidence=evidence)
    return ExitCode.DONE if follow is None else follower.exit


async def services(connection: Connection) -> ExitCode:
    """Show the daemon and how services are; while the daemon does not see the cluster, the exit code is UNREACHABLE."""
    daemon = dial(connection)
    found = await daemon.services()
    if connection.output is OutputFormat.JSON:
        emit({"services": found.services, "stack": found.stack, "daemon": found.daemon})
    else:
        print_lines([plain(daemon_line(found.daemon))])
        if found.services:
            show_services(found, now=datetime.now(UTC))
        else:
            print_note("The rules in force declare no services.")
    return ExitCode.UNREACHABLE if found.daemon.stale else ExitCode.DONE


async def why(connection: Connection, service: str) -> ExitCode:
    """Show what happens with a service now, then its newest incident."""
    daemon = dial(connection)
    found = await daemon.services()
    own = tuple(each for each in found.services if each.name == service)
    if not own:
        known = [each.name for each in found.services]
        meant = nearest(service, known)
        raise UsageError(
            f"{service!r}: no such service; {f'did you mean {meant}' if meant else 'kintsugi services lists them'}"
        )
    newest = await daemon.incidents(service=service, open_only=False, limit=1)
    if connection.output is OutputFormat.JSON:
        emit({"service": own[0], "incident": newest[0] if newest else None})
        return ExitCode.DONE
    show_services(replace(found, services=own, stack=None), now=datetime.now(UTC))
    for each in newest:
        print_lines([Text()])
        await IncidentFollower(daemon, each.id, form=connection.output).show()
    if not newest:
        print_note("No incident of it is kept.")
    return ExitCode.DONE


async def pauses(connection: Connection) -> ExitCode:
    """List the pauses that hold."""
    found = await dial(connection).pauses()
    _print_list(connection, "pauses", found, show_pauses, empty="Nothing is paused.")
    return ExitCode.DONE


async def explain(connection: Connection, *, service: str, alert: Path | None, pod: str) -> ExitCode:
    """Explain a service, a pod, or every alert of a file."""
    if sum([bool(service), alert is not None, bool(pod)]) != 1:
        raise UsageError("explain: give one of SERVICE, --alert FILE and --pod NAMESPACE/NAME")
    if service:
        return await _explain_service(connection, service)
    daemon = dial(connection)
    found = await _of_pod(daemon, pod) if alert is None else await _of_alerts(daemon, alert)
    if connection.output is OutputFormat.JSON:
        explanations = (
            {"about": about, "verdict": each.verdict, "lines": each.lines, "diagnosis": each.diagnosis}
            for about, each in found
        )
        emit({"explanations": list(explanations)})
    else:
        print_lines(line for about, each in found for line in _lines(about, each))
    return ExitCode.DONE


async def _explain_service(connection: Connection, service: str) -> ExitCode:
    found = await dial(connection).explain_service(service)
    if connection.output is OutputFormat.JSON:
        emit(found)
    else:
        for key, listed in (("KEY", found.values), ("RULE", found.rules)):
            table((key, "VALUE", "FROM"), ((each.key, each.value, each.place or "derived") for each in listed))
    return ExitCode.DONE


async def login(connection: Connection) -> ExitCode:
    """Ask the daemon once, and remember it; what cannot be asked is not remembered."""
    if connection.server is None:
        raise UsageError("--server: missing; give the daemon's address, as in --server https://kintsugi.example.com")
    await dial(connection).services()
    print_note(f"{keep(connection, os.environ)}: every command asks {connection.server} from now on")
    return ExitCode.DONE


async def manifest(connection: Connection, service: str) -> ExitCode:
    """Print the workload of a service as it was last good."""
    found = await dial(connection).manifest(service)
    typer.echo(found)
    return ExitCode.DONE


async def diagnose(connection: Connection, workload: str, *, namespace: str) -> ExitCode:
    """Diagnose a workload; where something is wrong, or nothing is known, that is a finding."""
    kind, _, name = workload.partition("/")
    if WorkloadRef.parse(workload) is None or "/" in name:
        raise UsageError(f"{workload!r}: write one of {WORKLOAD_FORMS}")
    found = await dial(connection).diagnose(kind, name, namespace)
    if connection.output is OutputFormat.JSON:
        emit(found)
    else:
        print_lines(diagnosis_lines(found))
    return ExitCode.FINDINGS if found.causes else ExitCode.DONE


async def _of_pod(daemon: DaemonClient, pod: str) -> Sequence[tuple[str, Explanation]]:
    namespace, slash, name = pod.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise UsageError(f"--pod: {pod!r}: write NAMESPACE/NAME")
    return [(f"pod {pod}", await daemon.explain_pod(namespace, name))]


async def _of_alerts(daemon: DaemonClient, file: Path) -> Sequence[tuple[str, Explanation]]:
    alerts = _read_alerts(file)
    return [(str(alert), await daemon.explain_alert(alert.labels, alert.annotations)) for alert in alerts]


def _print_list(
    connection: Connection, key: str, found: Sequence[Item], show: Callable[[Sequence[Item]], None], *, empty: str
) -> None:
    """Write a list as JSON, or show its table; that it is empty is printed beside the result."""
    if connection.output is OutputFormat.JSON:
        emit({key: found})
    elif found:
        show(found)
    else:
        print_note(empty)


def _print_next(connection: Connection, ids: Sequence[str], limit: int) -> None:
    """Print how to see what comes after a full page."""
    if connection.output is OutputFormat.TEXT and len(ids) == limit:
        print_note(f"For the next page: --before {ids[-1]}")


def _lines(about: str, explanation: Explanation) -> Iterator[Text]:
    verdict = explanation.verdict
    until = f", until {verdict.until:%H:%M:%S} UTC" if verdict.until else ""
    rule = f" by rule {verdict.rule}" if verdict.rule else ""
    yield plain(about, "bold")
    yield plain(f"  verdict now: {verdict.kind}{rule} ({verdict.reason}{until}): {verdict.text}")
    for line in explanation.lines:
        yield plain(f"  - {line}")
    if explanation.diagnosis is not None:
        yield from (Text.assemble("  ", line) for line in diagnosis_lines(explanation.diagnosis))


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertInput:
    """The parts of an alert that `explain` needs."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        labels = ", ".join(f"{name}={value}" for name, value in sorted(self.labels.items()) if name != "alertname")
        return f"alert {self.labels.get('alertname', '?')}" + (f" ({labels})" if labels else "")


def _read_alerts(file: Path) -> tuple[AlertInput, ...]:
    """Read alerts from a file, or from stdin for `-`. Raises UsageError."""
    import yaml

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506  it makes texts, lists and mappings only
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--alert: {file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--alert: {file} is not valid YAML or JSON: {' '.join(str(error).split())}") from error
    alerts = tuple(_alerts(content, str(file)))
    if not 0 < len(alerts) <= _MOST_ALERTS:
        raise UsageError(f"--alert: {file} contains {len(alerts)} alerts; the file must contain 1 to {_MOST_ALERTS}")
    return alerts


def _alerts(content: object, where: str) -> Iterator[AlertInput]:
    match content:
        case {"alerts": list() as alerts} | (list() as alerts):
            for number, each in enumerate(alerts):
                yield from _alerts(each, f"{where}: alert {number + 1}")
        case {"labels": dict() as labels, "annotations": dict() as annotations}:
            yield AlertInput(labels=_texts(labels), annotations=_texts(annotations))
        case {"labels": dict() as labels}:
            yield AlertInput(labels=_texts(labels))
        case _:
            raise UsageError(
                f"--alert: {where} is not an alert: write `labels:` with the labels below it, or give a webhook's body"
            )


def _texts(values: Mapping[object, object]) -> dict[str, str]:
    """Take values as they were typed: the loader leaves `yes` and `8080` alone."""
    return {str(name): str(value) for name, value in values.items()}


async def watch_services(connection: Connection, every: timedelta) -> ExitCode:
    """Show services until Ctrl-C; a daemon that is away after the first look is waited for. Raises UsageError for JSON."""
    if connection.output is OutputFormat.JSON:
        raise UsageError("--watch shows a table for people; in a program, poll kintsugi services -o json")
    daemon = dial(connection)
    with (
        LiveTable() as screen,
        suppress(asyncio.CancelledError),
    ):  # Ctrl-C is how it ends: asyncio.run cancels us then
        await _watch(daemon, screen, every)
    return ExitCode.DONE


async def _watch(daemon: DaemonClient, screen: LiveTable, every: timedelta) -> None:
    is_away, has_shown = False, False
    while True:
        try:
            found = await daemon.services()
        except Unreachable as error:
            if not has_shown:
                raise
            if not is_away:
                print_note(f"{str(error).partition('. ')[0]}; trying again")
            is_away = True
        else:
            is_away, has_shown = False, True
            head = f"{moment(datetime.now(UTC))} UTC: {daemon_line(found.daemon)}"
            screen.show(COLUMNS, service_rows(found, now=None), head=head)
        await asyncio.sleep(every.total_seconds())
