"""`kintsugi run`: the daemon itself, in this process, until it is stopped."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from kintsugi.cli.errors import ExitCode, print_note
from kintsugi.cli.options import is_in_pod, kubeconfig_of_kubectl, spread
from kintsugi.cli.shutdown import run_until_signal
from kintsugi.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFlags:
    """
    Settings that are often given by hand; each is also a key of the file and a variable of the environment.

    The longer name of a flag is its setting's name.
    """

    config: Annotated[
        Path | None,
        typer.Option(
            envvar="KINTSUGI_CONFIG",
            metavar="FILE",
            help="The settings file. Default: /etc/kintsugi/kintsugi.yaml, if it exists.",
        ),
    ] = None
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE", help="observe (report only), approve (ask first) or auto (act). Default: observe."
        ),
    ] = None
    catalog: Annotated[
        Path | None,
        typer.Option(
            "--catalog",
            "--catalog-additions",
            metavar="DIR",
            help="Your own services and rules, in addition to the shipped runbooks and rule templates.",
        ),
    ] = None
    catalog_directory: Annotated[
        Path | None,
        typer.Option(
            "--catalog-directory", metavar="DIR", help="Services, rules and runbooks that replace all shipped ones."
        ),
    ] = None
    pages: Annotated[
        Path | None,
        typer.Option(
            "--pages",
            "--pages-directory",
            metavar="DIR",
            help="Markdown pages about alerts: for an alert that no rule matches, Kintsugi reads what its page reads.",
        ),
    ] = None
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger",
            "--ledger-url",
            metavar="URL",
            help="The ledger's database: sqlite:///PATH or postgresql://USER@HOST/NAME.",
        ),
    ] = None
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            "--kubeconfig",
            "--kube-kubeconfig",
            metavar="FILE",
            help="The kubeconfig for the cluster. Default: the pod's own service account.",
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
        int | None,
        typer.Option("--port", "--server-port", help="Port to listen on; 0 selects any free port. Default: 8080."),
    ] = None
    health_port: Annotated[
        int | None,
        typer.Option("--health-port", help="Port for health and metrics; 0 selects any free port. Default: 8081."),
    ] = None
    webhook_tokens: Annotated[
        Path | None,
        typer.Option(
            "--webhook-tokens",
            "--alertmanager-token-files",
            metavar="FILE",
            help="Tokens that Alertmanager may send, one per line.",
        ),
    ] = None
    operator_tokens: Annotated[
        Path | None,
        typer.Option(
            "--operator-tokens",
            "--server-operator-token-files",
            metavar="FILE",
            help="Operators' tokens, one per line: NAME:TOKEN.",
        ),
    ] = None
    insecure_no_token: Annotated[
        bool,
        typer.Option(
            "--insecure-no-token",
            "--server-insecure-no-token",
            help="Accept webhooks without a token. Anyone who reaches the port can then start runbooks.",
        ),
    ] = False
    notifications_url: Annotated[
        str | None,
        typer.Option(
            "--notifications-url",
            metavar="URL",
            help="The URL that receives notices for people. Without a URL, no notice is sent.",
        ),
    ] = None
    durations: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", help="Multiply every duration by this factor; for demonstrations and tests."),
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
        """Return what was said by dotted setting; None was not said."""
        return {
            "mode": self.mode,
            "catalog.additions": None if self.catalog is None else (self.catalog,),
            "catalog.example": None if self.catalog is None else False,
            "catalog.directory": self.catalog_directory,
            "pages.directory": self.pages,
            "ledger.url": self.ledger,
            "kube.kubeconfig": self.kubeconfig,
            "kube.context": self.context,
            "server.host": self.host,
            "server.port": self.port,
            "health.port": self.health_port,
            "server.operatorTokenFiles": None if self.operator_tokens is None else (self.operator_tokens,),
            "server.insecureNoToken": self.insecure_no_token or None,
            "alertmanager.tokenFiles": None if self.webhook_tokens is None else (self.webhook_tokens,),
            "notifications.url": self.notifications_url,
            "durations": self.durations,
            "telemetry.logLevel": self.log_level,
            "telemetry.logFormat": self.log_format,
        }


SPELLINGS = {
    "catalog.additions": "--catalog",
    "pages.directory": "--pages",
    "ledger.url": "--ledger",
    "kube.kubeconfig": "--kubeconfig",
    "kube.context": "--context",
    "server.host": "--host",
    "server.port": "--port",
    "server.operatorTokenFiles": "--operator-tokens",
    "server.insecureNoToken": "--insecure-no-token",
    "alertmanager.tokenFiles": "--webhook-tokens",
    "telemetry.logLevel": "--log-level",
    "telemetry.logFormat": "--log-format",
}
"""The short flags of settings: mistakes in settings name them so."""


async def run(flags: RunFlags) -> ExitCode:
    """
    Run the daemon until SIGTERM or SIGINT.

    A flag overrides the variable KINTSUGI_SECTION__KEY. The variable overrides the settings file.
    """
    from kintsugi.commands import enable
    from kintsugi.settings import load

    settings = load(flags=flags.settings(), spellings=SPELLINGS, environ=os.environ, file=flags.config)
    kube = settings.kube
    if kube.kubeconfig is None and not is_in_pod(os.environ):
        if kube.context is None:
            raise UsageError("outside a pod the cluster must be named: --kubeconfig FILE or --context NAME")
        settings = replace(settings, kube=replace(kube, kubeconfig=kubeconfig_of_kubectl(os.environ)))
    enable(settings.catalog.verbs)
    from kintsugi.app import run as run_daemon
    from kintsugi.app.serving import ListenAddresses
    from kintsugi.telemetry import configure_logging

    def ready(addresses: ListenAddresses) -> None:
        print_note(f"Health and metrics are on {addresses.health}")
        print_note(f"Kintsugi takes webhooks on {addresses.server}")

    configure_logging(level=settings.telemetry.log_level, format=settings.telemetry.log_format)
    return await run_until_signal(run_daemon(settings, ready=ready))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(spread(run))
