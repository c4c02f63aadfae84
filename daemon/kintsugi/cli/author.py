"""The commands for authors of rules and runbooks, as they are typed. Their work is in `documents` and `scaffolding`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import (
    ChangeKinds,
    ClusterAccess,
    Output,
    OutputFormat,
    is_in_pod,
    kubeconfig_of_kubectl,
    spread,
)
from kintsugi.errors import UsageError


def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Files and folders that form one catalog. Default: those of the settings file, or the shipped ones.",
        ),
    ] = None,
    *,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="Leave out the shipped runbooks and rule templates, as the setting `catalog.directory` does.",
        ),
    ] = False,
    verbs: Annotated[
        list[str] | None,
        typer.Option(
            "--verb",
            metavar="NAME",
            help="A verb that another distribution provides, as in `catalog.verbs`; may be repeated.",
        ),
    ] = None,
    kinds: ChangeKinds = None,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """Check rules and runbooks, and report every mistake with its place and its correction."""
    from kintsugi.cli import documents
    from kintsugi.commands import enable
    from kintsugi.commands.kinds import allow_changes

    enable(verbs or ())
    allow_changes(kinds or ())
    return documents.validate(paths or [], output, alone=alone)


async def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that the files are written into.")],
    workloads: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TYPE/NAME",
            help="Workloads, as in deployment/web, statefulset/db, daemonset/agent. Default: all workloads.",
        ),
    ] = None,
    *,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            metavar="NS",
            help="The workloads' namespace. Default: all namespaces; for named workloads: default.",
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

    The command only reads the cluster and overwrites no file but `kinds.yaml`, where it writes the types of objects that the
    cluster has and that are not built in: steps may name them. It leaves out workloads that an operator or a Helm hook manages,
    and workloads in namespaces of the cluster itself, unless they are named. If a named workload does not exist, no file is
    written.
    """
    from kintsugi.cli import scaffolding
    from kintsugi.settings import KubeSettings

    if workloads and selector:
        raise UsageError("--selector selects among all workloads: give either --selector or names of workloads")
    kubeconfig = cluster.kubeconfig or (None if is_in_pod(os.environ) else kubeconfig_of_kubectl(os.environ))
    settings = KubeSettings(kubeconfig=kubeconfig, context=cluster.context)
    wanted = scaffolding.WorkloadSelection(workloads=workloads or (), namespace=namespace, selector=selector)
    return await scaffolding.init(folder, wanted, settings, output)


def fmt(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files and folders of rules and runbooks.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: list the files that would change, and exit with 1.")
    ] = False,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """Format rules and runbooks; comments stay."""
    from kintsugi.cli import documents

    return documents.fmt(paths, output, check=check)


def schema(
    *,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="The kind of document, as in Rule or Runbook. Default: one schema for all kinds."
        ),
    ] = "",
    write: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write one file for each kind, and one for all kinds, into this folder."),
    ] = None,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """Print the JSON Schema of rules and runbooks, for editors."""
    from kintsugi.cli import documents

    return documents.schema(kind) if write is None else documents.write_schemas(kind, write, output)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("init")(spread(init))
    app.command("validate")(spread(validate))
    app.command("fmt")(spread(fmt))
    app.command("schema")(spread(schema))
