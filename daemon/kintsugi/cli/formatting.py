"""Writes files of rules and runbooks anew, evenly indented, or says which would change."""

from collections.abc import Sequence
from pathlib import Path

import typer

from kintsugi.catalog import CatalogErrors, files_in, read_sources
from kintsugi.catalog.rewrite import Rewritten, rewrite
from kintsugi.cli.exit_codes import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import emit
from kintsugi.cli.validation import print_errors
from kintsugi.errors import UsageError
from kubeobjects.lines import printable


def fmt(paths: Sequence[Path], output: OutputFormat, *, check: bool) -> ExitCode:
    """Rewrite files, or only say which would change (`check`). One that cannot be read leaves all as they are."""
    try:
        changed = _changed(_files(paths))
    except CatalogErrors as errors:
        print_errors(errors, output)
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
