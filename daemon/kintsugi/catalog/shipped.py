"""Where the rules and runbooks that come with the product are: in the wheel, or in a source checkout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_RULES, _RUNBOOKS = "rules", "runbooks"
_OF_EVERY_SERVICE = "any-service.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogPaths:
    """
    What a catalog is loaded from. Documents of the `library` that do not fit what is there, and that nobody names, are left
    out: a runbook for a service that is not there.
    """

    own: Sequence[Path] = ()
    library: Sequence[Path] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """List them in the order in which they are read: of two documents of one name the own one is told of."""
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
