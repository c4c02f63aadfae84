"""Checks a catalog and tells every mistake; writes the schemas of its documents."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from kintsugi.catalog import CatalogErrors, CatalogPaths, catalog_paths, load, schemas
from kintsugi.catalog import schema as schema_of_all
from kintsugi.catalog.alert_rules import never_starts
from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import emit
from kintsugi.cli.stderr import print_note, printable
from kintsugi.errors import UsageError
from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import RuleSource
from kintsugi.model.services import AllServices
from kintsugi.settings.settings import CLUSTER_NAMESPACES


def validate(paths: Sequence[Path], output: OutputFormat, *, alone: bool = False) -> ExitCode:
    """
    Load some files and folders as one catalog, or the shipped ones, and say what is wrong or how much there is.

    The shipped runbooks that fit and the rules that every service gets are added, unless the paths are all there is (`alone`).
    """
    chosen = CatalogPaths(own=paths) if paths and alone else catalog_paths(None, paths, example=not paths)
    try:
        catalog = load(chosen)
    except CatalogErrors as errors:
        tell(errors, output)
        return ExitCode.FINDINGS
    warnings = [*_never_starting(catalog), *_about_everything(catalog), *_out_of_reach(catalog)]
    counts = {"services": len(catalog.services), "rules": len(catalog.rules), "runbooks": len(catalog.runbooks)}
    if output is OutputFormat.JSON:
        emit({"ok": True, "problems": [], "warnings": warnings, **counts, "digest": catalog.digest})
    else:
        said = ", ".join(_many(count, what.removesuffix("s")) for what, count in counts.items())
        for each in warnings:
            print_note(printable(f"warning: {each}"))
        typer.echo(f"OK: {said} (digest {catalog.digest})")
    return ExitCode.DONE


def _never_starting(catalog: Catalog) -> list[str]:
    """Name the rules on alerts that no alert could ever start, with where they stand."""
    found = [(rule, catalog.services.get(rule.service)) for rule in catalog.rules.values() if rule.matchers]
    return [
        f"{rule.place}: rule {rule.name} can never start: {why}"
        for rule, service in found
        if service is not None and (why := never_starts(rule, service))
    ]


def _about_everything(catalog: Catalog) -> list[str]:
    """Name the rules on alerts that have no service, with where they stand."""
    return [
        f"{rule.place}: rule {rule.name} names no service: one of its alerts starts {rule.runbook} for all services"
        for rule in catalog.rules.values()
        if rule.on is RuleSource.ALERT and isinstance(catalog.subject_of(rule), AllServices)
    ]


def _out_of_reach(catalog: Catalog) -> list[str]:
    """Name the services in which nothing is ever changed, because the cluster lives on their namespace."""
    return [
        f"service {each.name} is in {each.namespace}, a namespace that the cluster lives on: nothing is ever changed there"
        for each in catalog.services.values()
        if each.namespace in CLUSTER_NAMESPACES
    ]


def tell(errors: CatalogErrors, output: OutputFormat) -> None:
    """Print every mistake."""
    if output is OutputFormat.JSON:
        emit({"ok": False, "problems": [asdict(each) for each in errors.problems]})
        return
    for each in errors.problems:
        typer.echo(printable(str(each)))
    files = len({each.file for each in errors.problems})
    print_note(f"error: {_many(len(errors.problems), 'problem')} in {_many(files, 'file')}")


def schema(kind: str) -> ExitCode:
    """Write the schema of one kind of document, or the one for all, to stdout. Raises UsageError."""
    emit(_known(kind)[kind] if kind else schema_of_all())
    return ExitCode.DONE


def write_schemas(kind: str, folder: Path, output: OutputFormat) -> ExitCode:
    """Write schemas as files, `rule.schema.json` and so on. Raises UsageError."""
    chosen = {kind: _known(kind)[kind]} if kind else {**schemas(), "kintsugi": schema_of_all()}
    written = [_write(folder / f"{name.lower()}.schema.json", content) for name, content in chosen.items()]
    if output is OutputFormat.JSON:
        emit({"written": written})
    else:
        typer.echo("\n".join(written))
    return ExitCode.DONE


def _known(kind: str) -> dict[str, dict[str, object]]:
    known = dict(schemas())
    if kind not in known:
        raise UsageError(f"--kind: {kind!r}: one of {', '.join(known)}")
    return known


def _write(file: Path, content: object) -> str:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--write: {file} cannot be written: {error.strerror}") from error
    return str(file)


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
