"""
The `kintsugi` command.

Nothing heavy is imported here or in the modules of the commands: each command imports what it needs when it is run, so
that help comes at once.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from kintsugi import __version__
from kintsugi.cli import author, daemon, operator
from kintsugi.cli.errors import ExitCode, exit_for, print_error
from kintsugi.cli.help_groups import GroupedCommands
from kintsugi.errors import KintsugiError

_COLLECT_AFTER = 100_000
"""New objects between two collections of garbage in a short command: most of them are its imports, and none is garbage."""

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


INSTALLED_APART = ("demo", "import")
"""The commands that are distributions of their own, with an extra of that name."""


def absent(name: str) -> Callable[[], ExitCode]:
    """Return the command that stands for one whose distribution is not installed."""

    def command() -> ExitCode:
        raise KintsugiError(f"`kintsugi {name}` is not installed: pip install 'kintsugi-daemon[{name}]'")

    command.__doc__ = f"This needs the package `kintsugi-{name}`, which is not installed."
    return command


def register_installed(app: typer.Typer, name: str) -> None:
    """Put a command of another distribution, found by its entry point, in the place of the one above."""
    from importlib.metadata import entry_points

    for each in entry_points(group="kintsugi.commands", name=name):
        each.load()(app)


daemon.register(app)
for _name in INSTALLED_APART:
    app.command(_name, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(absent(_name))
author.register(app)
operator.register(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] != ["run"]:
        gc.set_threshold(_COLLECT_AFTER)
    if words[:1] and words[0] in INSTALLED_APART:
        register_installed(app, words[0])
    try:
        app(args=words, prog_name="kintsugi")
    except KintsugiError as error:
        print_error(error)
        raise SystemExit(int(exit_for(error))) from error
