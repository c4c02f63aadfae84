"""Checks a catalog and prints every mistake; writes the schemas of its documents."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from kintsugi.catalog import CatalogErrors, CatalogPaths, catalog_paths, load, schemas
from kintsugi.catalog import schema as schema_of_all
from kintsugi.catalog.lint import lint
from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import emit
from kintsugi.cli.stderr import print_note
from kintsugi.errors import UsageError
from kubeobjects.lines import printable


def validate(paths: Sequence[Path], output: OutputFormat, *, alone: bool = False) -> ExitCode:
    """
    Load some files and folders as one catalog, or the shipped ones, and say what is wrong or how much there is.

    The shipped runbooks that fit and the rules that every service gets are added, unless the paths are all there is (`alone`).
    """
    chosen = CatalogPaths(own=paths) if paths and alone else catalog_paths(None, paths, example=not paths)
    try:
        catalog = load(chosen)
    except CatalogErrors as errors:
        print_errors(errors, output)
        return ExitCode.FINDINGS
    warnings = lint(catalog)
    counts = {"services": len(catalog.services), "rules": len(catalog.rules), "runbooks": len(catalog.runbooks)}
    if output is OutputFormat.JSON:
        emit({"ok": True, "problems": [], "warnings": warnings, **counts, "digest": catalog.digest})
    else:
        said = ", ".join(_many(count, what.removesuffix("s")) for what, count in counts.items())
        for each in warnings:
            print_note(printable(f"warning: {each}"))
        typer.echo(f"OK: {said} (digest {catalog.digest})")
    return ExitCode.DONE


def print_errors(errors: CatalogErrors, output: OutputFormat) -> None:
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
        raise UsageError(f"--kind: {kind!r} is unknown; choose from: {', '.join(known)}")
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
