"""
The commands for a person on call, as they are typed.

Their work is in `queries` and `mutations`, which are imported when a command is run.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import Connection, Manually, Only, Why, Yes, spread

OfStep = Annotated[str | None, typer.Option("--path", metavar="PATH", help="The step to answer, if several steps ask.")]
IncidentId = Annotated[str, typer.Argument(metavar="ID", help="The incident, as `kintsugi incidents` lists it.")]


async def incidents(
    *,
    service: Annotated[str, typer.Option(metavar="NAME", help="Only incidents of this service.")] = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only incidents that are not closed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most this many.")] = 50,
    connection: Connection,
) -> ExitCode:
    """List incidents, newest first."""
    from kintsugi.cli import queries

    return await queries.incidents(connection, service=service, open_only=open_only, limit=limit)


async def incident(
    incident: IncidentId,
    *,
    whole: Annotated[
        bool, typer.Option("--all", help="Print every signal, diagnosis and step, and undo commands.")
    ] = False,
    evidence: Annotated[bool, typer.Option("--evidence", help="Print the recorded evidence, too.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the incident until it is closed.")] = False,
    every: Annotated[float, typer.Option(min=0.05, metavar="SECONDS", help="How often --follow refreshes.")] = 2.0,
    connection: Connection,
) -> ExitCode:
    """
    Show an incident in about ten lines: its cause, its changes, its outcome, and the next command.

    With --follow, the exit code is 1 if the incident ends badly.
    """
    from kintsugi.cli import queries

    interval = timedelta(seconds=every) if follow else None
    return await queries.incident(connection, incident, whole=whole, evidence=evidence, follow=interval)


async def signals(
    *,
    verdict: Annotated[
        str,
        typer.Option(
            metavar="VERDICT", help="Only signals with this verdict: refused, observed, no-rule, held, started, …"
        ),
    ] = "",
    reason: Annotated[
        str, typer.Option(metavar="REASON", help="Only signals with this reason: cooldown, budget, paused, …")
    ] = "",
    before: Annotated[str, typer.Option(metavar="ID", help="Only signals older than this one (the next page).")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most this many.")] = 50,
    connection: Connection,
) -> ExitCode:
    """List signals with their verdicts, newest first."""
    from kintsugi.cli import queries

    return await queries.signals(connection, verdict=verdict, reason=reason, before=before, limit=limit)


async def dead_letters(
    *,
    before: Annotated[str, typer.Option(metavar="ID", help="Only letters older than this one (the next page).")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most this many.")] = 50,
    connection: Connection,
) -> ExitCode:
    """List dead letters, newest first: input that could not be understood."""
    from kintsugi.cli import queries

    return await queries.dead_letters(connection, before=before, limit=limit)


async def resend(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The letter, as `kintsugi dead-letters` lists it.")],
    *,
    yes: Yes = False,
    connection: Connection,
) -> ExitCode:
    """Send a dead letter in again, for example after an upgrade that understands it. Kintsugi judges it as a new signal."""
    from kintsugi.cli import mutations

    return await mutations.resend(connection, letter, yes=yes)


async def why(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service, as `kintsugi services` lists it.")],
    *,
    connection: Connection,
) -> ExitCode:
    """Show what happens with a service now, what comes next, and its newest incident with the reasons."""
    from kintsugi.cli import queries

    return await queries.why(connection, service)


async def explain(
    service: Annotated[
        str,
        typer.Argument(metavar="[SERVICE]", help="The service to explain: its values, and the source of each value."),
    ] = "",
    *,
    alert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An alert as YAML or JSON, or a whole webhook; - is stdin.")
    ] = None,
    pod: Annotated[str, typer.Option(metavar="NAMESPACE/NAME", help="A pod in its current state.")] = "",
    connection: Connection,
) -> ExitCode:
    """Show a service's values, or how each rule would judge an alert or a pod now. Nothing is changed or stored."""
    from kintsugi.cli import queries

    return await queries.explain(connection, service=service, alert=alert, pod=pod)


async def diagnose(
    workload: Annotated[
        str,
        typer.Argument(metavar="TYPE/NAME", help="A workload, as in deployment/web, statefulset/db, daemonset/agent."),
    ],
    *,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", metavar="NS", help="The workload's namespace.")
    ] = "default",
    connection: Connection,
) -> ExitCode:
    """
    Diagnose a workload now: show the likeliest cause first, its evidence, and the unknown facts.

    The daemon only reads. If it finds a cause, the exit code is 1.
    """
    from kintsugi.cli import queries

    return await queries.diagnose(connection, workload, namespace=namespace)


async def manifest(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service whose workload is printed.")],
    *,
    connection: Connection,
) -> ExitCode:
    """
    Print the workload of a service as it was last good, for `kubectl apply -f -`.

    The values are not masked. A value that may be a secret is kept only with ledger.encryptionKeyFile.
    """
    from kintsugi.cli import queries

    return await queries.manifest(connection, service)


async def login(*, connection: Connection) -> ExitCode:
    """
    Ask a daemon with your token, and remember its address, the file of the token and the authority for all commands.

    An address that is given to a command, or in KINTSUGI_SERVER, counts instead of all three.
    """
    from kintsugi.cli import queries

    return await queries.login(connection)


async def canary(
    *,
    webhook_token: Annotated[
        Path, typer.Option("--webhook-token-file", metavar="FILE", help="The token that Alertmanager sends.")
    ],
    within: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long to wait for the verdict.")] = 60,
    connection: Connection,
) -> ExitCode:
    """Send an alert that starts no run to the webhook, and read its verdict back. Without a verdict, the exit code is 1."""
    from kintsugi.cli import canary as canaries

    return await canaries.canary(connection, webhook_token, timedelta(seconds=within))


async def services(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show changes until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.05, metavar="SECONDS", help="How often --watch refreshes.")] = 2.0,
    connection: Connection,
) -> ExitCode:
    """
    Show the daemon in one line, then each service by priority with its state and its current activity.

    While the daemon does not see the cluster, the exit code is 3.
    """
    from kintsugi.cli import queries

    if watch:
        return await queries.watch_services(connection, timedelta(seconds=every))
    return await queries.services(connection)


async def pauses(*, connection: Connection) -> ExitCode:
    """List the active pauses."""
    from kintsugi.cli import queries

    return await queries.pauses(connection)


async def pause(
    *,
    why: Why,
    only: Only,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Also stop rollbacks, and hand unfinished work over to a person.")
    ] = False,
    lasts: Annotated[
        str,
        typer.Option(
            "--for", metavar="DURATION", help="The duration of the pause, as in 90s or 1h30m. Default: until resumed."
        ),
    ] = "",
    yes: Yes = False,
    connection: Connection,
) -> ExitCode:
    """
    Stop new changes: everywhere, in a namespace, of a service, or of a rule.

    Rollbacks continue. With --freeze, Kintsugi writes nothing more and hands unfinished work over to a person.
    """
    from kintsugi.cli import mutations

    request = mutations.pause_request(only, why=why, freeze=freeze, lasts=lasts)
    return await mutations.pause(connection, request, yes=yes)


async def resume(
    of: Annotated[str, typer.Argument(metavar="ID", help="The pause, as `kintsugi pauses` lists it, or the incident.")],
    *,
    why: Why,
    connection: Connection,
) -> ExitCode:
    """
    Lift a pause, give back an incident, or end the rest of a service after an incident was handed over to a person.

    Kintsugi then re-evaluates the blocked signals.
    """
    from kintsugi.cli import mutations

    return await mutations.resume(connection, of, why=why)


async def approve(
    incident: IncidentId,
    *,
    path: OfStep = None,
    yes: Yes = False,
    connection: Connection,
) -> ExitCode:
    """Show the plan that waits for approval, ask, and approve exactly that plan."""
    from kintsugi.cli import mutations

    return await mutations.approve(connection, incident, path=path, yes=yes)


async def reject(
    incident: IncidentId,
    *,
    why: Why,
    path: OfStep = None,
    connection: Connection,
) -> ExitCode:
    """
    Reject the plan that waits for approval.

    An incident without a run is cancelled. A run executes no further step, and ends as if the approval had expired.
    """
    from kintsugi.cli import mutations

    return await mutations.answer(connection, incident, "no", path=path, why=why)


async def answer(
    incident: IncidentId,
    how: Annotated[str, typer.Argument(metavar="ANSWER", help="done, does-not-apply or failed; no, to reject a plan.")],
    *,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason. Only the answer done needs none.")] = "",
    path: OfStep = None,
    connection: Connection,
) -> ExitCode:
    """
    Answer a manual step: done, does-not-apply, or failed.

    After done, Kintsugi continues. After does-not-apply, it continues without the step. After failed, the step's `onFailure` applies.
    """
    from kintsugi.cli import mutations

    return await mutations.answer(connection, incident, how, path=path, why=why)


async def abort(incident: IncidentId, *, why: Why, connection: Connection) -> ExitCode:
    """
    End an incident: its run takes no further step, and nothing is undone.

    The incident ends as needs-operator if the run has changed anything, else as cancelled. A rollback is not aborted.
    """
    from kintsugi.cli import mutations

    return await mutations.abort(connection, incident, why=why)


async def take(
    incident: IncidentId,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="What you do; it is recorded.")] = "",
    connection: Connection,
) -> ExitCode:
    """
    Take an incident: its run takes no further step, and no run starts on its service until you give it back.

    Nothing is undone. A rollback under way goes on to its end. To give it back: kintsugi resume ID.
    """
    from kintsugi.cli import mutations

    return await mutations.take(connection, incident, why=why)


async def notify_test(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="The notice route, by its name.")],
    *,
    connection: Connection,
) -> ExitCode:
    """
    Send a test to each destination of a notice route.

    The exit code is 1 if a destination did not take it. A pager opens a page; resolve it there.
    """
    from kintsugi.cli import mutations

    return await mutations.test_route(connection, route)


async def recover(
    runbook: Annotated[str, typer.Argument(metavar="RUNBOOK", help="The runbook to start, by its name.")],
    *,
    why: Why,
    manually: Manually,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    connection: Connection,
) -> ExitCode:
    """
    Show the plan of a runbook and the guards that refuse it, ask, and start exactly this plan.

    Your yes approves the plan. In mode observe, the plan is only shown, and the exit code is 4.
    """
    from kintsugi.cli import mutations

    request = mutations.request_of(runbook, manually, why=why)
    return await mutations.recover(connection, request, yes=yes, dry_run=dry_run)


async def rollback(incident: IncidentId, *, yes: Yes = False, connection: Connection) -> ExitCode:
    """Show the commands and the data loss of a rollback, ask, and roll the run back."""
    from kintsugi.cli import mutations

    return await mutations.roll_back(connection, incident, yes=yes)


async def drill(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service, as `kintsugi services` lists it.")],
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the report, or return immediately.")] = True,
    every: Annotated[float, typer.Option(min=0.05, metavar="SECONDS", help="How often --wait checks the drill.")] = 2.0,
    connection: Connection,
) -> ExitCode:
    """
    Restore the newest backup into a server of its own, check it, and report.

    The drill changes nothing live. The exit code is 0 if the drill passed, 1 if it failed, and 4 if it may not begin now.
    """
    from kintsugi.cli import mutations

    return await mutations.drill(connection, service, every=timedelta(seconds=every) if wait else None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    looks = (
        why,
        incidents,
        incident,
        signals,
        dead_letters,
        explain,
        diagnose,
        manifest,
        login,
        canary,
        services,
        pauses,
    )
    for command in (*looks, pause, resume, approve, reject, answer, abort, take, recover, rollback, resend):
        app.command(command.__name__.replace("_", "-"))(spread(command))
    restore = typer.Typer(
        no_args_is_help=True,
        help="Test whether backups can be restored.",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    restore.command(drill.__name__)(spread(drill))
    app.add_typer(restore, name="restore")
    notify = typer.Typer(
        no_args_is_help=True,
        help="Test the ways to people.",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    notify.command("test")(spread(notify_test))
    app.add_typer(notify, name="notify")
