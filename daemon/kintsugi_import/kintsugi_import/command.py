"""The command `kintsugi import`: its options, the files that it writes, and its summary."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Annotated

import typer

from kintsugi.catalog import CatalogErrors, Source, catalog_paths, load_sources, read_sources
from kintsugi.catalog.scaffold import KINDS_FILE, kinds_document
from kintsugi.catalog.source import documents
from kintsugi.cli.documents import write
from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import OutputFormat, spread
from kintsugi.cli.output import emit
from kintsugi.errors import UsageError
from kintsugi_import.document import DIGEST, PAGE, runbook
from kintsugi_import.draft import Procedure, procedures, shares
from kintsugi_import.page import read_page
from kintsugi_import.reading import Verdict
from kubeobjects import discovery
from kubeobjects.lines import counted, printable
from kubeobjects.resources import RESOURCES

KINDS = Path(__file__).with_name("kinds.yaml")
_NAMED = """\
# The types of objects that imported runbooks name besides those that are built in, as their projects declare them. `kintsugi init`
# writes those of your cluster instead.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A procedure of a page, and its document; "" where it has no step."""

    page: str
    procedure: Procedure
    text: str


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
    output: Annotated[
        OutputFormat, typer.Option("--output", help="Write the summary as text for people or as JSON for programs.")
    ] = OutputFormat.TEXT,
) -> ExitCode:
    """
    Make runbooks of Markdown pages.

    What Kintsugi can do of a page becomes steps that it runs; each change asks a person first. The rest becomes steps for a person,
    with the exact commands. Nothing is run, and no cluster is asked.
    """
    if folder is None and not check:
        raise UsageError("give the folder for the runbooks with -o DIR, or --check to write nothing")
    imported = [each for page in pages for each in import_page(page, folder)]
    if folder is not None and not check:
        _write(imported, folder)
    if output is OutputFormat.JSON:
        emit({"runbooks": [_as_json(each) for each in imported]})
    else:
        for each in imported:
            typer.echo("\n".join(map(printable, summary(each))))
    return ExitCode.DONE


def import_page(page: Path, folder: Path | None = None) -> list[Imported]:
    """Import one page, for a catalog that has the documents of a folder. Raises UsageError, CatalogErrors."""
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{page} cannot be read: {error}") from error
    learn_kinds(folder)
    found = procedures(read_page(text), page.stem)
    annotations = {PAGE: str(page), DIGEST: f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}
    others = _others(folder, {each.name for each in found})
    services = frozenset(load_sources(others).services) if others else frozenset[str]()
    return [
        Imported(page=str(page), procedure=each, text=runbook(each, annotations, others, services)) for each in found
    ]


def learn_kinds(folder: Path | None) -> None:
    """Let looks name the kinds that a folder's `kinds.yaml` lists, or else those of widely used operators and platforms."""
    own = folder / KINDS_FILE if folder is not None else None
    file = own if own is not None and own.exists() else KINDS
    found, problems = documents(file.read_bytes(), str(file))
    if problems:
        raise CatalogErrors(problems)
    discovery.forget()
    discovery.add_filed(discovery.kinds_in([each.value for each in found if isinstance(each.value, dict)]))


def _others(folder: Path | None, names: set[str]) -> list[Source]:
    """Read the documents that the runbooks will load with, without those that they replace."""
    if folder is None or not folder.exists():
        return []
    files = {str(folder / f"{name}.yaml") for name in names}
    sources = read_sources(catalog_paths(None, [folder], example=False))
    own = [each for each in sources if not each.library]
    if all(each.name in files for each in own):
        return []
    return [each for each in sources if each.name not in files and not (each.library and Path(each.name).stem in names)]


def _write(imported: Sequence[Imported], folder: Path) -> None:
    """Write the runbooks; of a file that is there already, show what changes."""
    for each in imported:
        file = folder / f"{each.procedure.name}.yaml"
        if not each.text:
            continue
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        if before and before != each.text:
            lines = unified_diff(
                before.splitlines(), each.text.splitlines(), str(file), f"{file} (imported)", lineterm=""
            )
            typer.echo("\n".join(map(printable, lines)))
        if before != each.text:
            write(file, each.text)
    _write_kinds([each.text for each in imported], folder / KINDS_FILE)


def _write_kinds(texts: Sequence[str], file: Path) -> None:
    """Write the kinds that steps name and that are not built in, where no file has those of the cluster."""
    if file.exists() and not file.read_text(encoding="utf-8").startswith(_NAMED):
        return
    words = {word for text in texts for word in re.split(r"[\s,/\"']+", text)}
    kinds = [each for each in map(discovery.find_any, sorted(words)) if each is not None and each not in RESOURCES]
    if kinds:
        write(file, kinds_document(list(dict.fromkeys(kinds)), _NAMED))


def summary(imported: Imported) -> list[str]:
    """Return the lines that say what became of each command."""
    procedure = imported.procedure
    count = shares(procedure)
    if not imported.text:
        return [f"{imported.page}: {procedure.name}: no step, so no runbook"]
    kinds = f"{count[Verdict.RUN]} run, {count[Verdict.PERSON]} for a person, {count[Verdict.LEFT_OUT]} left out"
    lines = [f"{imported.page}: {procedure.name}: {counted(sum(count.values()), 'command')}: {kinds}"]
    said = {Verdict.PERSON: "for a person", Verdict.LEFT_OUT: "left out"}
    lines += [
        f"  line {each.line}: {said[each.verdict]}: {' '.join(each.text.split())} ({each.reason})"
        for each in procedure.commands
        if each.verdict in said
    ]
    open_values = [name for name, each in procedure.parameters.items() if not each.label and not each.default]
    if open_values:
        lines.append(f"  to be set: {', '.join(open_values)} (spec.parameters of a service, or kintsugi recover --set)")
    return lines


def _as_json(imported: Imported) -> dict[str, object]:
    procedure = imported.procedure
    return {
        "page": imported.page,
        "name": procedure.name,
        "written": bool(imported.text),
        "counts": {str(verdict): number for verdict, number in shares(procedure).items()},
        "commands": [asdict(each) for each in procedure.commands],
    }


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(spread(import_pages))
