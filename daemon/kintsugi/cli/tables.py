"""The tables that people see: incidents, services, pauses, signals with their verdicts, dead letters."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.text import Text

from kintsugi.cli.output import Cell, moment, plain, state, table, took
from kintsugi.decisions.revision_checks import standing_text
from kintsugi.model.api_types import (
    ActivityKind,
    DaemonStatus,
    DeadLetterSummary,
    EvaluatedSignal,
    ServiceActivity,
    ServiceSummary,
    ServiceTree,
)
from kintsugi.model.records import Incident, Pause, Signal
from kintsugi.model.rules import RuleSource
from kintsugi.model.services import STACK

_HEALTH = {True: Text("yes", style="green"), False: Text("no", style="bold red"), None: Text("unknown", style="yellow")}


_ACTIVITIES = {
    ActivityKind.STALE: "bold yellow",
    ActivityKind.FROZEN: "yellow",
    ActivityKind.PAUSED: "yellow",
    ActivityKind.HANDED_OVER: "bold red",
    ActivityKind.AWAITING_APPROVAL: "bold yellow",
    ActivityKind.HELD: "yellow",
    ActivityKind.RUN: "cyan",
    ActivityKind.WARNING: "yellow",
}


def show_incidents(incidents: Iterable[Incident], *, now: datetime) -> None:
    """Show incidents in the order in which they come: of a reason its first line."""
    table(
        ("ID", "SERVICE", "STATE", "REASON", "OPENED (UTC)", "TOOK"),
        (
            (each.id, each.service, state(each.state), first_line(each.reason), moment(each.opened), lasted(each, now))
            for each in incidents
        ),
    )


SERVICES = (
    "PRIORITY",
    "SERVICE",
    "NAMESPACE",
    "SERVING",
    "HEALTHY",
    "READY",
    "FOR",
    "DEPENDS ON",
    "REVISION",
    "INCIDENT",
    "NOW",
)


def show_services(services: ServiceTree, *, now: datetime) -> None:
    """
    Show how services are: each as far in as it has others beneath it that it depends on.

    `FOR` is how long they have been as healthy as they are, `NOW` what is being done or waited for.
    """
    table(SERVICES, service_rows(services, now=now))


def daemon_line(daemon: DaemonStatus) -> str:
    """Return the state of the daemon in one line: mode, pauses, since when it runs, and whether it sees cluster and ledger."""
    pauses = [*map(_pause_text, daemon.pauses), *daemon.annotations]
    parts = [f"mode {daemon.mode}", "; ".join(pauses) or "no pauses", f"running since {moment(daemon.since)} UTC"]
    cluster = f"the cluster at {daemon.cluster}"
    if daemon.stale:
        since = f"since {moment(daemon.seen)} UTC" if daemon.seen is not None else "since the start"
        parts.append(f"{cluster} is not seen {since}: {daemon.doubt}")
    else:
        parts.append(f"{cluster} is seen")
        parts += [f"nothing is changed: {daemon.doubt}"] if daemon.doubt else []
    if daemon.unresolved:
        parts.append(f"checks by the cluster's names are unknown: {daemon.unresolved}")
    if daemon.unnotified:
        unhealthy = f"{daemon.unnotified} {'service is' if daemon.unnotified == 1 else 'services are'} not healthy"
        why = "" if daemon.notifies else " (notifications.url is not set)"
        parts.append(f"{unhealthy}, and no person was notified{why}")
    return "; ".join([*parts, "the ledger answers"])


def _pause_text(pause: Pause) -> str:
    until = f"until {moment(pause.until)} UTC" if pause.until is not None else "until resumed"
    what = f"{pause.scope} {pause.name}" if pause.name else "everything"
    return f"{'frozen' if pause.freeze else 'paused'}: {what} by {pause.who} {until} ({pause.why})"


def service_rows(tree: ServiceTree, *, now: datetime | None) -> Iterator[Sequence[Cell]]:
    """
    Make a row of each service; without `now` it says since when it has been so, which stays the same while it is.

    What is open about all of them together comes first.
    """
    if tree.stack is not None:
        activity = _activity(tree.stack.activity) if tree.stack.activity.text else state(tree.stack.state)
        yield ("-", STACK, *"-------", tree.stack.incident, activity)
    levels = _levels(tree.services)
    for each in tree.services:
        since = "-" if each.since is None else took(now - each.since) if now is not None else f"{each.since:%H:%M:%S}"
        yield (
            each.priority,
            f"{'  ' * levels[each.name]}{each.name}",
            each.namespace,
            _HEALTH[each.serving],
            _HEALTH[each.healthy],
            f"{each.ready}/{each.desired}",
            since,
            ", ".join(each.depends_on) or "-",
            standing_text(each.revision, now) if each.revision is not None else "-",
            each.incident or "-",
            _activity(each.activity),
        )


def _levels(services: Iterable[ServiceSummary]) -> dict[str, int]:
    """Return the depth of each service in the tree of dependencies: 0 for a service without dependencies."""
    needs = {each.name: each.depends_on for each in services}
    levels: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in levels:
            levels[name] = 0  # a ring is refused when documents are loaded; here it must only end
            levels[name] = 1 + max((level(need) for need in needs[name] if need in needs), default=-1)
        return levels[name]

    for name in needs:
        level(name)
    return levels


def _activity(activity: ServiceActivity) -> Text:
    return plain(activity.text or "-", _ACTIVITIES.get(activity.kind, ""))


def show_pauses(pauses: Iterable[Pause]) -> None:
    """Show the pauses that hold."""
    table(
        ("ID", "BLOCKS", "WHO", "WHY", "SINCE (UTC)", "UNTIL (UTC)"),
        (
            (each.id, pause_scope_text(each), each.who, each.why, moment(each.since), until)
            for each in pauses
            for until in [moment(each.until) if each.until else "resumed"]
        ),
    )


def pause_scope_text(pause: Pause) -> str:
    """Return what a pause holds back."""
    what = f"{pause.scope} {pause.name}" if pause.name else "everything"
    return f"{what}, including rollbacks" if pause.freeze else what


def first_line(text: str) -> str:
    """Return what comes before the details."""
    return text.partition("\n")[0]


def lasted(incident: Incident, now: datetime) -> str:
    """Return how long an incident took, or takes so far."""
    so_far = "" if incident.closed is not None else " so far"
    return f"{took((incident.closed or now) - incident.opened)}{so_far}"


_SHOWN_LABELS = (
    "namespace",
    "pod",
    "deployment",
    "statefulset",
    "daemonset",
    "persistentvolumeclaim",
    "job_name",
    "node",
    "severity",
)
"""Labels that are shown beside the name of an alert; the others would only fill the line."""

_EXCERPT = 60
"""Characters of a dead letter that fit into its line; JSON has all that is shown."""


def show_signals(signals: Iterable[EvaluatedSignal]) -> None:
    """Show signals in the order in which they come, each with what became of it."""
    table(
        ("ID", "RECEIVED (UTC)", "SIGNAL", "FIRES", "VERDICT", "REASON", "WHY"),
        (
            (
                each.signal.id,
                moment(each.signal.received),
                signal_text(each.signal),
                _fires(each),
                each.verdict.kind if each.verdict else "-",
                each.verdict.reason if each.verdict else "-",
                first_line(each.verdict.text) if each.verdict else "no verdict yet",
            )
            for each in signals
        ),
    )


def show_dead_letters(letters: Iterable[DeadLetterSummary]) -> None:
    """Show what could not be understood, and whether it can be sent in again."""
    table(
        ("ID", "RECEIVED (UTC)", "FROM", "RESEND", "REASON", "EXCERPT"),
        (
            (each.id, moment(each.received), each.source, resendable, each.reason, each.excerpt[:_EXCERPT])
            for each in letters
            for resendable in ["yes" if each.resendable else "no"]
        ),
    )


def _fires(evaluated: EvaluatedSignal) -> str:
    """Return whether a signal fires."""
    if evaluated.signal.ended is None:
        return "again" if evaluated.continues else "yes"
    return "no" if evaluated.refired is None else f"perhaps firing again since {evaluated.refired:%H:%M:%S}"


def signal_text(signal: Signal) -> str:
    """Name what was observed; a watched object has labels, too, but is known by its name."""
    if signal.kind is RuleSource.ALERT:
        shown = [f"{name}={signal.labels[name]}" for name in _SHOWN_LABELS if name in signal.labels]
        return " ".join([f"alert {signal.labels.get('alertname', signal.key)}", *shown])
    return f"{signal.target or signal.kind}: {signal.rule or signal.key}"
