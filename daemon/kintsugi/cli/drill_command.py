"""A drill as a person sees it: begun, followed to its end, and its report."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import typer
from rich.text import Text

from kintsugi.cli.client import dial
from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.incident_follower import IncidentFollower
from kintsugi.cli.options import Connection, OutputFormat
from kintsugi.cli.output import emit, moment, plain, print_lines, state, took
from kintsugi.cli.story import section
from kintsugi.decisions.drills import report_of
from kintsugi.model.drills import DrillCheck, DrillReport
from kintsugi.model.records import Incident, IncidentState
from kintsugi.model.worker_results import Backup, Restored
from kintsugi.server.operations import IncidentDetail


async def drill(connection: Connection, service: str, *, every: timedelta | None) -> ExitCode:
    """Begin a drill; with `every` follow it, looking that often, and report."""
    async with dial(connection) as daemon:
        begun = await daemon.drill(service)
        if every is None:
            _show_begun(begun, connection.output)
            return ExitCode.DONE
        follower = IncidentFollower(daemon, begun.id, form=connection.output)
        await follower.show()
        await follower.follow(every)
    report = report_in(follower.detail)
    if connection.output is OutputFormat.JSON:
        emit(report)
    else:
        print_lines([Text(), Text("Report", style="bold"), *report_lines(report)])
    return ExitCode.DONE if report.state is IncidentState.PASSED else ExitCode.FINDINGS


def report_in(detail: IncidentDetail) -> DrillReport:
    """Read the report of a drill in its incident."""
    last = detail.runs[-1]
    return report_of(last.run, last.steps, now=datetime.now(UTC))


def report_lines(report: DrillReport) -> Iterator[Text]:
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


def _show_begun(begun: Incident, form: OutputFormat) -> None:
    if form is OutputFormat.JSON:
        emit(begun)
    else:
        typer.echo(f"Started: {begun.runbook} of {begun.service}. To follow it: kintsugi incident {begun.id} --follow")
