"""Prints services as they change: redrawn in place on a terminal, elsewhere printed again after each change."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from kintsugi.cli.client import DaemonClient, dial
from kintsugi.cli.exit_codes import ExitCode, Unreachable
from kintsugi.cli.options import Connection, OutputFormat
from kintsugi.cli.output import LiveTable, moment
from kintsugi.cli.stderr import print_note
from kintsugi.cli.summary_tables import SERVICES, daemon_line, service_rows
from kintsugi.errors import UsageError

COLUMNS = tuple("SINCE" if name == "FOR" else name for name in SERVICES)


async def services(connection: Connection, every: timedelta) -> ExitCode:
    """Show services until Ctrl-C; a daemon that is away after the first look is waited for. Raises UsageError for JSON."""
    if connection.output is OutputFormat.JSON:
        raise UsageError("--watch shows a table for people; in a program, poll kintsugi services -o json")
    async with dial(connection) as daemon:
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
