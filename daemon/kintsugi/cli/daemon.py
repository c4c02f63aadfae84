"""`kintsugi run` and `kintsugi demo`: the daemon itself, in this process, until it is told to stop."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kintsugi.cli.complaint import note
from kintsugi.cli.exits import Exit
from kintsugi.cli.options import Form, Output, spread
from kintsugi.cli.stopping import until_told


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFlags:
    """
    Settings that are often given by hand; each is also a key of the file and a variable of the environment.

    The longer name of a flag is its setting's name: that is how mistakes in settings name it.
    """

    config: Annotated[
        Path | None,
        typer.Option(
            envvar="KINTSUGI_CONFIG",
            metavar="FILE",
            help="The settings file; /etc/kintsugi/kintsugi.yaml where there is one.",
        ),
    ] = None
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE", help="observe (only say), approve (ask first) or auto (act); observe unless said."
        ),
    ] = None
    catalog: Annotated[
        Path | None,
        typer.Option(
            "--catalog",
            "--catalog-directory",
            metavar="DIR",
            help="Rules and runbooks that replace the shipped ones.",
        ),
    ] = None
    ledger: Annotated[
        str | None,
        typer.Option("--ledger", "--ledger-url", metavar="URL", help="sqlite:///PATH or postgresql://USER@HOST/NAME."),
    ] = None
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            "--kubeconfig",
            "--kube-kubeconfig",
            metavar="FILE",
            help="How to reach the cluster; the pod's own service account unless given.",
        ),
    ] = None
    context: Annotated[
        str | None,
        typer.Option("--context", "--kube-context", metavar="NAME", help="The kubeconfig's context to use."),
    ] = None
    host: Annotated[
        str | None, typer.Option("--host", "--server-host", metavar="ADDRESS", help="Address to listen on.")
    ] = None
    port: Annotated[
        int | None, typer.Option("--port", "--server-port", help="Port to listen on; 0 takes any free one.")
    ] = None
    health_port: Annotated[
        int | None,
        typer.Option("--health-port", help="Port for health and metrics, 8081 unless said; 0 takes any free one."),
    ] = None
    webhook_tokens: Annotated[
        Path | None,
        typer.Option(
            "--webhook-tokens",
            "--alertmanager-token-files",
            metavar="FILE",
            help="Tokens that Alertmanager may send, a line each.",
        ),
    ] = None
    operator_tokens: Annotated[
        Path | None,
        typer.Option(
            "--operator-tokens",
            "--server-operator-token-files",
            metavar="FILE",
            help="Tokens of people, a line each: NAME:TOKEN.",
        ),
    ] = None
    insecure_no_token: Annotated[
        bool,
        typer.Option(
            "--insecure-no-token",
            "--server-insecure-no-token",
            help="Take webhooks from anyone. Whoever reaches the port may then start runbooks.",
        ),
    ] = False
    durations: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", help="Scale every duration; for rehearsals and tests."),
    ] = None
    log_level: Annotated[
        str | None,
        typer.Option("--log-level", "--telemetry-log-level", metavar="LEVEL", help="debug, info, warning or error."),
    ] = None
    log_format: Annotated[
        str | None,
        typer.Option("--log-format", "--telemetry-log-format", metavar="FORMAT", help="auto, json or console."),
    ] = None

    def settings(self) -> Mapping[str, object]:
        """Give what was said by dotted setting; None was not said."""
        return {
            "mode": self.mode,
            "catalog.directory": self.catalog,
            "ledger.url": self.ledger,
            "kube.kubeconfig": self.kubeconfig,
            "kube.context": self.context,
            "server.host": self.host,
            "server.port": self.port,
            "health.port": self.health_port,
            "server.operator_token_files": None if self.operator_tokens is None else (self.operator_tokens,),
            "server.insecure_no_token": self.insecure_no_token or None,
            "alertmanager.token_files": None if self.webhook_tokens is None else (self.webhook_tokens,),
            "durations": self.durations,
            "telemetry.log_level": self.log_level,
            "telemetry.log_format": self.log_format,
        }


async def run(flags: RunFlags) -> Exit:
    """
    Run the daemon until SIGTERM or SIGINT.

    A flag counts more than KINTSUGI_SECTION__KEY, and that more than the file.
    """
    from kintsugi.settings import load

    settings = load(flags=flags.settings(), environ=os.environ, file=flags.config)
    from kintsugi.app import run as run_daemon
    from kintsugi.app.intake import ListenAddresses
    from kintsugi.telemetry import configure_logging

    def ready(addresses: ListenAddresses) -> None:
        note(f"Health and metrics are on {addresses.health}")
        note(f"Kintsugi takes webhooks on {addresses.server}")

    configure_logging(level=settings.telemetry.log_level, format=settings.telemetry.log_format)
    return await until_told(run_daemon(settings, ready=ready))


async def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the ledger of the demonstration, and say where.")] = False,
    catalog: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Rules and runbooks that replace the shipped ones.")
    ] = None,
    output: Output = Form.TEXT,
) -> Exit:
    """Watch Kintsugi mend an embedded cluster; nothing outside this process is touched."""
    from kintsugi.cli import showing

    return await showing.demo(keep=keep, catalog=catalog, output=output)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("run")(spread(run))
    app.command("demo")(spread(demo))
