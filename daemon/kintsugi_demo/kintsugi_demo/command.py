"""
The command `kintsugi demo`: its options.

What needs the embedded cluster is imported only when scenes are played.
"""

from pathlib import Path
from typing import Annotated

import typer

from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import Output, OutputFormat, spread
from kintsugi_demo import SHOWS, SceneName


async def demo(
    *,
    scene: Annotated[SceneName | None, typer.Option(help="Play only this scene; --list describes the scenes.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the scenes without playing them.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the ledgers of the demonstration, and print where they are.")
    ] = False,
    catalog: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Rules and runbooks that replace the shipped ones.")
    ] = None,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """
    Break services in embedded clusters and show how they recover, scene by scene.

    The demonstration changes nothing outside its own process.

    The exit code is 0 when every scene ended as expected, else 1.
    """
    if listed:
        width = max(map(len, SceneName))
        typer.echo("\n".join(f"{name:{width}}  {SHOWS[name]}" for name in SceneName))
        return ExitCode.DONE
    from kintsugi_demo.play import demonstrate

    wanted = (scene,) if scene is not None else tuple(SceneName)
    return await demonstrate(wanted, keep=keep, catalog=catalog, output=output)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(spread(demo))
