"""The command `kintsugi import`: its options and its summary."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from kintsugi.catalog import Problem
from kintsugi.cli.errors import ExitCode, print_note
from kintsugi.cli.options import ChangeKinds, OutputFormat, spread
from kintsugi.cli.output import emit
from kintsugi.commands.kinds import allow_changes
from kintsugi.errors import UsageError
from kintsugi.model.runbooks import PAGE, PAGE_DIGEST
from kintsugi_import.document import runbooks
from kintsugi_import.draft import Procedure, procedures, shares
from kintsugi_import.files import learn_kinds, others, save, save_kinds, services_of, update_of
from kintsugi_import.page import read_page
from kintsugi_import.reading import Handling
from kintsugi_import.results import kinds_of
from kintsugi_import.stack import can_restore, recover_services, restore_by_runbook, restoring
from kubeobjects.lines import counted, printable


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A procedure of a page with its document, "" where it has no step; `problems` are those of other documents with it."""

    page: str
    procedure: Procedure
    text: str
    problems: Sequence[Problem] = ()


def import_pages(
    pages: Annotated[list[Path], typer.Argument(metavar="PAGE", help="Markdown files.")],
    *,
    folder: Annotated[
        Path | None,
        typer.Option("--directory", "-o", metavar="DIR", help="The folder that the runbooks are written into."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: print what would become of each command of the pages.")
    ] = False,
    kinds: ChangeKinds = None,
    output: Annotated[
        OutputFormat, typer.Option("--output", help="Write the summary as text for people or as JSON for programs.")
    ] = OutputFormat.TEXT,
) -> ExitCode:
    """
    Make runbooks of Markdown pages.

    What Kintsugi can do of a page becomes steps that it runs; each change asks a person first. The rest becomes steps for a person,
    with the exact commands. Nothing is run, and no cluster is asked. A second import of a page keeps the lines that you have written.

    The exit code is 1 when a file could not be written without losing your lines, or another document does not load with it.
    """
    if folder is None and not check:
        raise UsageError("give the folder for the runbooks with -o DIR, or --check to write nothing")
    allow_changes(kinds or ())
    imported = [each for page in pages for each in import_page(page, folder)]
    names = [each.procedure.name for each in imported]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"several procedures have the name {', '.join(twice)}: rename a page, or give it an ID")
    done = True if folder is None or check else _write(imported, folder)
    if output is OutputFormat.JSON:
        emit({"runbooks": [_as_json(each) for each in imported]})
    else:
        for each in imported:
            typer.echo("\n".join(map(printable, summary(each))))
    return ExitCode.DONE if done else ExitCode.FINDINGS


def import_page(page: Path, folder: Path | None = None) -> list[Imported]:
    """Import one page, for a catalog that has the documents of a folder. Raises UsageError, CatalogErrors."""
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{page} cannot be read: {error}") from error
    learn_kinds(folder)
    found = procedures(read_page(text), page.stem)
    names = {each.name for each in found}
    restores = any(map(restoring, found)) and can_restore(others(folder, names, shipped=True))
    for each in found:
        if restores:
            restore_by_runbook(each)
        recover_services(each, found)
    shipped = any(step.runbook for each in found for step in each.steps)
    beside = others(folder, names, shipped=shipped)
    annotations = {PAGE: str(page), PAGE_DIGEST: f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}
    texts, problems = runbooks(found, annotations, beside, services_of(beside))
    return [
        Imported(page=str(page), procedure=each, text=texts.get(each.name, ""), problems=problems) for each in found
    ]


def _write(imported: Sequence[Imported], folder: Path) -> bool:
    """Write the runbooks, and show what changes in files that exist. Return whether all could be written."""
    changes = [(update_of(folder, each.procedure.name, each.text), each.text) for each in imported if each.text]
    for change, text in changes:
        save(folder, change, text)
        for line in change.diff:
            typer.echo(printable(line))
        for note in change.notes:
            print_note("\n".join(map(printable, note.split("\n"))))
    runs = (step.reading for each in imported for step in each.procedure.steps if step.reading is not None)
    save_kinds(
        folder, (kind for reading in runs for run in (reading.finds, reading.run) if run for kind in kinds_of(run))
    )
    problems = sorted({problem for each in imported for problem in each.problems})
    for problem in problems:
        print_note(printable(f"with the imported runbooks: {problem}"))
    return not problems and all(change.is_merged for change, _ in changes)


def summary(imported: Imported) -> list[str]:
    """Return the lines that say what became of each command."""
    procedure = imported.procedure
    count = shares(procedure)
    if not imported.text:
        return [f"{imported.page}: {procedure.name}: no step, so no runbook"]
    kinds = f"{count[Handling.RUN]} run, {count[Handling.PERSON]} for a person, {count[Handling.LEFT_OUT]} left out"
    lines = [f"{imported.page}: {procedure.name}: {counted(sum(count.values()), 'command')}: {kinds}"]
    said = {Handling.PERSON: "for a person", Handling.LEFT_OUT: "left out"}
    lines += [
        f"  line {each.line}: {said[each.handling]}: {' '.join(each.text.split())} ({each.reason})"
        for each in procedure.commands
        if each.handling in said
    ]
    if missing := [name for name, each in procedure.parameters.items() if not each.default and not each.label]:
        lines.append(f"  values to give: {', '.join(missing)} (`parameters` of a service, or kintsugi recover --set)")
    return lines


def _as_json(imported: Imported) -> dict[str, object]:
    procedure = imported.procedure
    return {
        "page": imported.page,
        "name": procedure.name,
        "written": bool(imported.text),
        "counts": {str(handling): number for handling, number in shares(procedure).items()},
        "commands": [asdict(each) for each in procedure.commands],
    }


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(spread(import_pages))
