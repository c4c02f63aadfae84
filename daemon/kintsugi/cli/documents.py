"""Checks and formats files of rules and runbooks, and writes the schemas of these documents."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from kintsugi.catalog import CatalogErrors, CatalogPaths, catalog_paths, files_in, load, read_sources, schemas
from kintsugi.catalog import schema as schema_of_all
from kintsugi.catalog.lint import lint
from kintsugi.cli.errors import ExitCode, print_note
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import emit
from kintsugi.commands import enable
from kintsugi.errors import UsageError
from kintsugi.settings import load as load_settings
from kintsugi.settings.load import DEFAULT_FILE
from kubeobjects.lines import counted, printable

_MARKDOWN = frozenset({".md", ".markdown"})


def validate(paths: Sequence[Path], output: OutputFormat, *, alone: bool = False) -> ExitCode:
    """
    Load some files and folders as one catalog and say what is wrong or how much there is.

    Without paths it is the catalog of the settings file, as in a pod of the daemon; without that file what is shipped. The shipped runbooks that fit and the rules that every service gets are added, unless the paths are all there is (`alone`).
    Raises UsageError for a Markdown page, which is no document.
    """
    if page := next((path for path in paths if path.suffix.lower() in _MARKDOWN and path.is_file()), None):
        raise UsageError(
            f"{page} is a page: `kintsugi import {page} -o DIR` makes runbooks of it, which validate checks"
        )
    file = Path(os.environ.get("KINTSUGI_CONFIG", DEFAULT_FILE))
    if paths:
        chosen = CatalogPaths(own=paths) if alone else catalog_paths(None, paths, example=False)
    elif file.exists():
        of_daemon = load_settings(environ=os.environ, file=file).catalog
        enable(of_daemon.verbs)
        chosen = catalog_paths(of_daemon.directory, of_daemon.additions, example=of_daemon.example)
    else:
        chosen = catalog_paths(None)
    try:
        catalog = load(chosen)
    except CatalogErrors as errors:
        _print_errors(errors, output)
        return ExitCode.FINDINGS
    warnings = lint(catalog)
    counts = {"services": len(catalog.services), "rules": len(catalog.rules), "runbooks": len(catalog.runbooks)}
    if output is OutputFormat.JSON:
        emit({"ok": True, "problems": [], "warnings": warnings, **counts, "digest": catalog.digest})
    else:
        said = ", ".join(counted(count, what.removesuffix("s")) for what, count in counts.items())
        for each in warnings:
            print_note(printable(f"warning: {each}"))
        typer.echo(f"OK: {said} (digest {catalog.digest})")
    return ExitCode.DONE


def _print_errors(errors: CatalogErrors, output: OutputFormat) -> None:
    """Print every mistake."""
    if output is OutputFormat.JSON:
        emit({"ok": False, "problems": [asdict(each) for each in errors.problems]})
        return
    for each in errors.problems:
        typer.echo(printable(str(each)))
    files = len({each.file for each in errors.problems})
    print_note(f"error: {counted(len(errors.problems), 'problem')} in {counted(files, 'file')}")


def schema(kind: str) -> ExitCode:
    """Write the schema of one kind of document, or the one for all, to stdout. Raises UsageError."""
    emit(_known(kind)[kind] if kind else schema_of_all())
    return ExitCode.DONE


def write_schemas(kind: str, folder: Path, output: OutputFormat) -> ExitCode:
    """Write schemas as files, `rule.schema.json` and so on. Raises UsageError."""
    chosen = {kind: _known(kind)[kind]} if kind else {**schemas(), "kintsugi": schema_of_all()}
    files = {str(folder / f"{name.lower()}.schema.json"): content for name, content in chosen.items()}
    for file, content in files.items():
        write(Path(file), json.dumps(content, indent=2) + "\n", option="--write: ")
    if output is OutputFormat.JSON:
        emit({"written": list(files)})
    else:
        typer.echo("\n".join(files))
    return ExitCode.DONE


def _known(kind: str) -> dict[str, dict[str, object]]:
    known = dict(schemas())
    if kind not in known:
        raise UsageError(f"--kind: {kind!r} is unknown; choose from: {', '.join(known)}")
    return known


def fmt(paths: Sequence[Path], output: OutputFormat, *, check: bool) -> ExitCode:
    """Rewrite files, or only say which would change (`check`). One that cannot be read leaves all as they are."""
    from kintsugi.catalog.rewrite import rewrite

    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UsageError(f"{missing[0]}: there is no such file or folder")
    files = list(dict.fromkeys(file for path in paths for file in files_in(path)))
    try:
        changed = rewrite(read_sources(files))
    except CatalogErrors as errors:
        _print_errors(errors, output)
        return ExitCode.FINDINGS
    if not check:
        for file, text in changed.items():
            write(Path(file), text)
    if output is OutputFormat.JSON:
        emit({"changed": [{"file": file} for file in changed]})
    else:
        for file in changed:
            typer.echo(printable(f"{file}: {'would be rewritten' if check else 'rewritten'}"))
    return ExitCode.FINDINGS if check and changed else ExitCode.DONE


def write(file: Path, text: str, *, mode: str = "w", option: str = "") -> None:
    """Write a file, with the folders above it. Raises UsageError, which names the option that asked for the file."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open(mode, encoding="utf-8", newline="") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(f"{option}{file} cannot be written: {error.strerror}") from error
