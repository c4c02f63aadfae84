"""
Options that several commands share, and the decorator that spreads them into a command's signature.

A parameter whose type is a dataclass is replaced by its fields: each becomes an option of the command.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kintsugi.cli.errors import ExitCode

DEFAULT_SERVER = "http://127.0.0.1:8080"

Work = Callable[..., ExitCode | Coroutine[Any, Any, ExitCode]]


class OutputFormat(StrEnum):
    """The format of results."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[
    OutputFormat, typer.Option("--output", "-o", help="Write the result as text for people or as JSON for programs.")
]
ChangeKinds = Annotated[
    list[str] | None,
    typer.Option(
        "--change-kind",
        metavar="PLURAL.GROUP",
        help="A type that is not built in and that steps may change, as in `guards.changeKinds`; may be repeated.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason; it is recorded.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """The connection to a daemon, the person's name, and the format of answers."""

    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            envvar="KINTSUGI_SERVER",
            metavar="URL",
            help=f"The address of the daemon's API. Default: as in `kintsugi login`, or {DEFAULT_SERVER}.",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            envvar="KINTSUGI_TOKEN_FILE",
            metavar="FILE",
            help="The file with your operator's token. The variable KINTSUGI_TOKEN can contain the token itself.",
        ),
    ] = None
    ca_file: Annotated[
        Path | None,
        typer.Option(
            "--ca-file",
            envvar="KINTSUGI_CA_FILE",
            metavar="FILE",
            help="The certificate authority of the daemon's certificate, in PEM. Default: the system's authorities.",
        ),
    ] = None
    who: Annotated[str, typer.Option("--as", metavar="NAME", help="Your name, if your token has no name.")] = ""
    output: Output = OutputFormat.TEXT


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterAccess:
    """The access to the cluster for a command that needs no daemon."""

    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            "--kubeconfig",
            envvar=["KINTSUGI_KUBE__KUBECONFIG", "KUBECONFIG"],
            metavar="FILE",
            help="The kubeconfig for the cluster. Default: as kubectl; in a pod, its own service account.",
        ),
    ] = None
    context: Annotated[
        str | None,
        typer.Option(
            "--context", envvar="KINTSUGI_KUBE__CONTEXT", metavar="NAME", help="The kubeconfig's context to use."
        ),
    ] = None


def kubeconfig_of_kubectl(environ: Mapping[str, str]) -> Path:
    """Return where kubectl looks for its kubeconfig; several files stay one text, as in KUBECONFIG."""
    return Path(environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")


def is_in_pod(environ: Mapping[str, str]) -> bool:
    """Return whether this process runs in a pod, by the variable that each container of one has."""
    return "KUBERNETES_SERVICE_HOST" in environ


@dataclass(frozen=True, kw_only=True, slots=True)
class Only:
    """The scope of a pause; everything when nothing is named."""

    namespace: Annotated[str, typer.Option(metavar="NS", help="Pause only changes in this namespace.")] = ""
    service: Annotated[str, typer.Option(metavar="NAME", help="Pause only changes of this service.")] = ""
    rule: Annotated[str, typer.Option(metavar="NAME", help="Pause only runs that this rule starts.")] = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manually:
    """The options of a manual start: the service, the parameters' values, and the overridden guards."""

    service: Annotated[str, typer.Option(metavar="NAME", help="The service, if the runbook does not name one.")] = ""
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A value for a parameter; may be repeated."),
    ] = None
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--override", metavar="NAME", help="Overrule cooldown, failures or handed-over; the override is recorded."
        ),
    ] = None


def spread(work: Work) -> Callable[..., None]:
    """
    Make a Typer command of a function: dataclass parameters become options, a coroutine is run, its Exit is the code.

    The function gives an Exit, or is a coroutine function that does.
    """
    groups: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(work).parameters.values():
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            parameters += inspect.signature(parameter.annotation).parameters.values()
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def command(**given: object) -> None:
        for name, group in groups.items():
            given[name] = group(**{each.name: given.pop(each.name) for each in fields(group)})
        ended = work(**given)
        raise typer.Exit(ended if isinstance(ended, ExitCode) else asyncio.run(ended))

    command.__name__, command.__doc__ = work.__name__, work.__doc__
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(command)["__signature__"] = inspect.Signature(parameters)
    return command
