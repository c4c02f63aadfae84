"""
The `kintsugi` command.

Nothing heavy is imported here or in the modules of the commands: each command imports what it needs when it is run, so
that help comes at once.
"""

from collections.abc import Sequence
from typing import Annotated

import typer

from kintsugi import __version__
from kintsugi.cli import author, daemon, demo, operator, restore_commands
from kintsugi.cli.exit_codes import exit_for
from kintsugi.cli.help_groups import GroupedCommands
from kintsugi.cli.stderr import print_error
from kintsugi.errors import KintsugiError

app = typer.Typer(
    name="kintsugi",
    cls=GroupedCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kintsugi {__version__}")
        raise typer.Exit


@app.callback()
def kintsugi(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """
    Recover services in a Kubernetes cluster by running their runbooks.

    Exit codes: 0 done, 1 findings or a bad outcome, 2 usage, 3 unreachable, 4 refused.
    """


daemon.register(app)
demo.register(app)
author.register(app)
operator.register(app)
restore_commands.register(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="kintsugi")
    except KintsugiError as error:
        print_error(error)
        raise SystemExit(int(exit_for(error))) from error
