"""`kintsugi restore …`: the commands for backups before they are needed."""

from datetime import timedelta
from typing import Annotated

import typer

from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.options import Connection, spread


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
    from kintsugi.cli import drill_command

    return await drill_command.drill(connection, service, every=timedelta(seconds=every) if wait else None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    restore = typer.Typer(
        no_args_is_help=True,
        help="Test whether backups can be restored.",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    restore.command(drill.__name__)(spread(drill))
    app.add_typer(restore, name="restore")
