"""What an author of rules and runbooks needs: the commands as they are typed. Their work is in `validation` and `formatting`."""

from pathlib import Path
from typing import Annotated

import typer

from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.options import Output, OutputFormat, spread


def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files and folders that make one catalog; the shipped ones unless given."),
    ] = None,
    *,
    with_shipped: Annotated[
        bool,
        typer.Option(
            "--with-shipped", help="As `catalog.additions`: together with the shipped runbooks that apply to them."
        ),
    ] = False,
    verbs: Annotated[
        list[str] | None,
        typer.Option("--verb", metavar="NAME", help="A verb of another distribution, as in `catalog.verbs`."),
    ] = None,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """Check rules and runbooks, and tell every mistake with its place and what would be right."""
    from kintsugi.cli import validation
    from kintsugi.commands import enable

    enable(verbs or ())
    return validation.validate(paths or [], output, with_shipped=with_shipped)


async def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that the files are written into.")],
    workloads: Annotated[
        list[str],
        typer.Argument(metavar="TYPE/NAME", help="Workloads, as in deployment/web, statefulset/db, daemonset/agent."),
    ],
    *,
    namespace: Annotated[str, typer.Option("--namespace", "-n", metavar="NS", help="Their namespace.")] = "default",
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            envvar=["KINTSUGI_KUBE__KUBECONFIG", "KUBECONFIG"],
            metavar="FILE",
            help="How to reach the cluster; the pod's own service account unless given.",
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(envvar="KINTSUGI_KUBE__CONTEXT", metavar="NAME", help="The kubeconfig's context to use."),
    ] = None,
    output: Output = OutputFormat.TEXT,
) -> ExitCode:
    """
    Write a first catalog for workloads of the cluster: a service each, and rules that only report.

    The cluster is only read. No file is overwritten, and none is written where something is in the way of one.
    """
    from kintsugi.cli import scaffolding
    from kintsugi.settings import KubeSettings

    settings = KubeSettings(kubeconfig=kubeconfig, context=context)
    return await scaffolding.init(folder, workloads, settings, namespace=namespace, output=output)


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
    """Write rules and runbooks anew, evenly indented; comments stay."""
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
