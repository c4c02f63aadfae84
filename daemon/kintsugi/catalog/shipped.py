"""The paths of the shipped rules and runbooks: in the wheel, or in a source checkout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_RULES, _RUNBOOKS = "rules", "runbooks"
_OF_EVERY_SERVICE = "any-service.yaml"


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
    shipped runbooks are a library.
    """
    if directory is not None:
        return CatalogPaths(own=(directory, *additions))
    if example:
        return CatalogPaths(own=(*shipped_paths(), *additions))
    return CatalogPaths(own=(_home() / _RULES / _OF_EVERY_SERVICE, *additions), library=(_home() / _RUNBOOKS,))


def _home() -> Path:
    package = Path(__file__).parents[1]
    wheel, checkout = package / "shipped", package.parents[1]
    return wheel if wheel.is_dir() else checkout
