"""
The files of imported runbooks in a folder: what they load with, how they are written, and how a changed page is merged.

`.imported/` has each runbook as it was imported, so that a later import knows which lines a person has written.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from functools import cache
from pathlib import Path

from kintsugi.catalog import CatalogErrors, Source, catalog_paths, read_sources, shipped_paths
from kintsugi.catalog.scaffold import KINDS_FILE, kinds_document
from kintsugi.catalog.source import documents
from kintsugi.cli.documents import write
from kintsugi.model.runbooks import PAGE
from kintsugi_import.merge import merge
from kubeobjects import discovery
from kubeobjects.resources import RESOURCES, Resource
from kubeobjects.unstructured import Unstructured

KINDS = Path(__file__).with_name("kinds.txt")
BASES = ".imported"
_NAMED = """\
# The types of objects that imported runbooks name besides those that are built in, as their projects declare them. `kintsugi init`
# writes those of your cluster instead.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileUpdate:
    """
    What an import does to a file: the new text, the lines that differ, and what a person must know.

    Where it is not merged the file stays as it is.
    """

    file: Path
    text: str
    diff: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_merged: bool = True


def learn_kinds(folder: Path | None) -> None:
    """
    Let looks name the kinds that a folder's `kinds.yaml` has of its cluster, or else those of widely used operators and platforms.

    Raises CatalogErrors.
    """
    own = folder / KINDS_FILE if folder is not None else None
    kinds = _kinds(own) if own is not None and own.exists() and not _is_ours(own) else _known()
    discovery.forget()
    discovery.add_filed(kinds)


def others(folder: Path | None, names: set[str], *, shipped: bool) -> list[Source]:
    """
    Read the documents that runbooks of these names will load with: the folder's own, and the shipped ones.

    Where the folder has no others, the shipped ones are read only if a runbook needs them (`shipped`).
    """
    sources = read_sources(
        catalog_paths(None, [folder] if folder is not None and folder.exists() else [], example=False)
    )
    library = {str(each) for path in shipped_paths() for each in path.rglob("*.yaml")}
    replaced = {f"{name}.yaml" for name in names} | {KINDS_FILE}
    kept = [each for each in sources if Path(each.name).name not in replaced]
    return kept if shipped or any(each.name not in library for each in kept) else []


def services_of(sources: Sequence[Source]) -> frozenset[str]:
    """Name the services of some documents, whether or not these load."""
    values = [each.value for source in sources for each in documents(source.content, source.name)[0]]
    services = [value for value in values if isinstance(value, dict) and value.get("kind") == "Service"]
    metadata = [service.get("metadata") for service in services]
    return frozenset(str(each.get("name")) for each in metadata if isinstance(each, dict))


def update_of(folder: Path, name: str, text: str) -> FileUpdate:
    """Return what an import of `text` does to the file of a runbook. Lines that a person has written stay."""
    file, base = folder / f"{name}.yaml", folder / BASES / f"{name}.yaml"
    if not file.exists():
        return FileUpdate(file=file, text=text)
    before = file.read_text(encoding="utf-8")
    if _page(before) != _page(text):
        return FileUpdate(
            file=file, text=before, notes=(f"{file} is not of this page: rename it, or the page",), is_merged=False
        )
    if not base.exists():
        note = f"{base} is missing, so your lines are not known: {file} stays as it is"
        if before == text:
            return FileUpdate(file=file, text=text)
        return FileUpdate(file=file, text=before, diff=_diff(file, before, text), notes=(note,), is_merged=False)
    merged = merge(base.read_text(encoding="utf-8"), before, text)
    kept = tuple(f"{file}: your lines stay, where the page now has:\n{each.rstrip()}" for each in merged.conflicts)
    return FileUpdate(file=file, text=merged.text, diff=_diff(file, before, merged.text), notes=kept)


def save(folder: Path, change: FileUpdate, imported: str) -> None:
    """Write a runbook, and what was imported beside it. Raises UsageError."""
    if change.is_merged:
        write(change.file, change.text)
        write(folder / BASES / change.file.name, imported)


def save_kinds(folder: Path, named: Iterable[Resource]) -> None:
    """Write the kinds that runbooks name and that are not built in, if no file has those of the cluster."""
    file = folder / KINDS_FILE
    if file.exists() and not _is_ours(file):
        return
    before = _kinds(file) if file.exists() else ()
    if kinds := sorted({*before, *named} - {*RESOURCES}, key=lambda each: (each.group, each.plural)):
        write(file, kinds_document(kinds, _NAMED))


@cache
def _known() -> Sequence[Resource]:
    """Return the kinds of widely used operators and platforms, from the lines that `kubectl api-resources` would print of them."""
    lines = (line.split() for line in KINDS.read_text(encoding="utf-8").split("\n") if line and line[0] != "#")
    return discovery.kinds_in([{"items": [_group(*line) for line in lines]}])


def _group(plural: str, *columns: str) -> Unstructured:
    *short, api_version, namespaced, kind = columns
    group, _, version = api_version.rpartition("/")
    resource = {
        "resource": plural,
        "shortNames": short[0].split(",") if short else [],
        "scope": "Namespaced" if namespaced == "true" else "Cluster",
        "responseKind": {"kind": kind},
        "verbs": ["get", "list"],
    }
    return {"metadata": {"name": group}, "versions": [{"version": version, "resources": [resource]}]}


def _kinds(file: Path) -> Sequence[Resource]:
    """Read the kinds of a file. Raises CatalogErrors."""
    found, problems = documents(file.read_bytes(), str(file))
    if problems:
        raise CatalogErrors(problems)
    return discovery.kinds_in([each.value for each in found if isinstance(each.value, dict)])


def _is_ours(file: Path) -> bool:
    return file.read_text(encoding="utf-8").startswith(_NAMED)


def _page(text: str) -> str:
    found = re.search(rf"^\s*{re.escape(PAGE)}: (.*)$", text, re.MULTILINE)
    return found[1].strip("'\"").rpartition("/")[2] if found else ""


def _diff(file: Path, before: str, after: str) -> tuple[str, ...]:
    return tuple(unified_diff(before.splitlines(), after.splitlines(), str(file), f"{file} (imported)", lineterm=""))
