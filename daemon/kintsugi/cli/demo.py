"""The command `kintsugi demo` of the distribution `kintsugi-demo`; where that is not installed, one that says so."""

from importlib.metadata import entry_points

import typer

from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.options import spread
from kintsugi.errors import KintsugiError


async def demo() -> ExitCode:
    """Break services in embedded clusters: this needs the package `kintsugi-demo`, which is not installed."""
    raise KintsugiError("the demonstration is not installed: pip install 'kintsugi-daemon[demo]'")


def register(app: typer.Typer) -> None:
    """Add the command, by the entry point `demo` in `kintsugi.commands`."""
    for each in entry_points(group="kintsugi.commands", name="demo"):
        each.load()(app)
        return
    app.command("demo", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(spread(demo))
