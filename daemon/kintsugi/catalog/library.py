"""
The documents of a catalog: own ones, and those of a library, which are taken where they fit or an own document names them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kintsugi.catalog.source import Plain, documents
from kintsugi.commands.registry import missing_extras

_RULES, _RUNBOOKS = "rules", "runbooks"
_OF_EVERY_SERVICE = "any-service.yaml"

_NAMES = "runbook"
"""The key under which a service, a rule and a step name a runbook."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogPaths:
    """
    The paths that a catalog is loaded from. Documents of the `library` that do not fit and that no own document names
    are left out: for instance a runbook for a service that is absent.
    """

    own: Sequence[Path] = ()
    library: Sequence[Path] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """
        Return the paths in the order in which they are read: of two documents of one name the own one is reported.
        """
        return (*self.library, *self.own)


def shipped_paths() -> list[Path]:
    """Return the folders of the shipped documents."""
    home = _home()
    return [home / folder for folder in (_RULES, _RUNBOOKS)]


def catalog_paths(directory: Path | None, additions: Sequence[Path] = (), *, example: bool = True) -> CatalogPaths:
    """
    Return what to load: a folder that replaces what is shipped, or that, and whatever is added.

    The services of the `example` and their rules are left out where it is off: then the rules that every service gets stay, and the
    shipped runbooks are a library. So it is where a package is not installed whose commands the example uses.
    """
    if directory is not None:
        return CatalogPaths(own=(directory, *additions))
    if example and not missing_extras():
        return CatalogPaths(own=(*shipped_paths(), *additions))
    return CatalogPaths(own=(_home() / _RULES / _OF_EVERY_SERVICE, *additions), library=(_home() / _RUNBOOKS,))


def _home() -> Path:
    package = Path(__file__).parents[1]
    wheel, checkout = package / "shipped", package.parents[1]
    return wheel if wheel.is_dir() else checkout


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file as it was read; `name` is what problems call it. One of a `library` is left out where it does not fit."""

    name: str
    content: bytes
    library: bool = False


def files_named(sources: Sequence[Source]) -> frozenset[str]:
    """Name the files of the library with a runbook that an own document names, or one of the library that is named itself."""
    values = {each.name: [found.value for found in documents(each.content, each.name)[0]] for each in sources}
    own = [each.name for each in sources if not each.library]
    taken = {_name(value) for name in own for value in values[name]}
    homes = {
        _name(value): each.name
        for each in sources
        if each.library
        for value in values[each.name]
        if _name(value) not in taken
    }
    found: set[str] = set()
    waiting = own
    while waiting:
        named = {runbook for value in values[waiting.pop()] for runbook in _named(value)}
        files = {homes[runbook] for runbook in named if runbook in homes} - found
        found |= files
        waiting.extend(files)
    return frozenset(found)


def _name(document: Plain) -> str:
    """Return the name of a runbook, "" for any other document."""
    if not isinstance(document, dict) or document.get("kind") != "Runbook":
        return ""
    metadata = document.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _named(value: Plain) -> Iterator[str]:
    """Name the runbooks that a document names, wherever in it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == _NAMES and isinstance(inner, str):
                yield inner
            else:
                yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)
