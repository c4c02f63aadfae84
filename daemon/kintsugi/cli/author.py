"""What an author of rules and runbooks needs: the commands as they are typed. Their work is in `validation` and `formatting`."""

from pathlib import Path
from typing import Annotated

import typer

from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.options import ClusterAccess, Output, OutputFormat, spread
from kintsugi.errors import UsageError


def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files and folders that make one catalog; the shipped ones unless given."),
    ] = None,
    *,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="As `catalog.directory`: without the shipped runbooks and the rules that every service gets.",
        ),
    ] = False,
    verbs: Annotated[
        list[str] | None,
        typer.Option("--verb", metavar="NAME", help="A verb of another distribution, as in `catalog.verbs`."),
    ] = None,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """Check rules and runbooks, and report every mistake with its place and its correction."""
    from kintsugi.cli import validation
    from kintsugi.commands import enable

    enable(verbs or ())
    return validation.validate(paths or [], output, alone=alone)


async def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that the files are written into.")],
    workloads: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TYPE/NAME",
            help="Workloads, as in deployment/web, statefulset/db, daemonset/agent; all that there are unless given.",
        ),
    ] = None,
    *,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", metavar="NS", help="Their namespace; every one, or of workloads named here default."
        ),
    ] = None,
    selector: Annotated[
        str, typer.Option("--selector", "-l", metavar="LABELS", help="Only workloads that have these labels.")
    ] = "",
    cluster: ClusterAccess,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """
    Write a first catalog for workloads of the cluster: a file each, with a Service of three lines.

    The cluster is only read. No file is overwritten. Left out are, unless they are named, what an operator or a hook of Helm
    has made and what is in a namespace that the cluster lives on. Nothing is written where a workload that is named is not there.
    """
    from kintsugi.cli import scaffolding
    from kintsugi.settings import KubeSettings

    if workloads and selector:
        raise UsageError("--selector is for all workloads: name them or select them")
    settings = KubeSettings(kubeconfig=cluster.kubeconfig, context=cluster.context)
    wanted = scaffolding.Wanted(workloads=workloads or (), namespace=namespace, selector=selector)
    return await scaffolding.init(folder, wanted, settings, output)


def fmt(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files and folders of rules and runbooks.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: list the files that would change, and exit with 1.")
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Rewrite keys and values of the earlier spelling to the current one.")
    ] = False,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """Format rules and runbooks; comments stay."""
    from kintsugi.cli import formatting

    return formatting.fmt(paths, output, check=check, upgrade=upgrade)


def schema(
    *,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="Only of Service, Rule, Runbook or Patterns; one for all unless given.")
    ] = "",
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write one file a kind, and one for all, into this folder.")
    ] = None,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """Print the JSON Schema of rules and runbooks, for editors."""
    from kintsugi.cli import validation

    return validation.schema(kind) if write is None else validation.write_schemas(kind, write, output)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("init")(spread(init))
    app.command("validate")(spread(validate))
    app.command("fmt")(spread(fmt))
    app.command("schema")(spread(schema))
