"""Checks and formats files of rules and runbooks, and writes the schemas of these documents."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from kintsugi.catalog import CatalogErrors, CatalogPaths, catalog_paths, files_in, load, read_sources, schemas
from kintsugi.catalog import schema as schema_of_all
from kintsugi.catalog.lint import lint
from kintsugi.catalog.rewrite import Rewritten, rewrite
from kintsugi.cli.errors import ExitCode, print_note
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import emit
from kintsugi.errors import UsageError
from kubeobjects.lines import counted, printable


def validate(paths: Sequence[Path], output: OutputFormat, *, alone: bool = False) -> ExitCode:
    """
    Load some files and folders as one catalog, or the shipped ones, and say what is wrong or how much there is.

    The shipped runbooks that fit and the rules that every service gets are added, unless the paths are all there is (`alone`).
    """
    chosen = CatalogPaths(own=paths) if paths and alone else catalog_paths(None, paths, example=not paths)
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
    written = [_write_schema(folder / f"{name.lower()}.schema.json", content) for name, content in chosen.items()]
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


def _write_schema(file: Path, content: object) -> str:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--write: {file} cannot be written: {error.strerror}") from error
    return str(file)


def fmt(paths: Sequence[Path], output: OutputFormat, *, check: bool) -> ExitCode:
    """Rewrite files, or only say which would change (`check`). One that cannot be read leaves all as they are."""
    try:
        changed = _changed(_files(paths))
    except CatalogErrors as errors:
        _print_errors(errors, output)
        return ExitCode.FINDINGS
    if not check:
        for each in changed:
            _write(Path(each.file), each.text)
    if output is OutputFormat.JSON:
        emit({"changed": [{"file": each.file} for each in changed]})
    else:
        for each in changed:
            typer.echo(printable(f"{each.file}: {'would be rewritten' if check else 'rewritten'}"))
    return ExitCode.FINDINGS if check and changed else ExitCode.DONE


def _files(paths: Sequence[Path]) -> list[Path]:
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UsageError(f"{missing[0]}: there is no such file or folder")
    return list(dict.fromkeys(file for path in paths for file in files_in(path)))


def _changed(files: Sequence[Path]) -> list[Rewritten]:
    """Return the files that would be written differently. Raises CatalogErrors with what is wrong with any of them."""
    sources = read_sources(files)
    return [new for source, new in zip(sources, rewrite(sources), strict=True) if new.text.encode() != source.content]


def _write(file: Path, text: str) -> None:
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
