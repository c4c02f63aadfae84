"""Where the rules and runbooks that come with the product are: in the wheel, or in a source checkout."""

from pathlib import Path

_FOLDERS = ("rules", "runbooks")


def shipped_paths() -> list[Path]:
    """Give the folders of the shipped documents."""
    package = Path(__file__).parents[1]
    wheel, checkout = package / "shipped", package.parents[1]
    home = wheel if wheel.is_dir() else checkout
    return [home / folder for folder in _FOLDERS]


def catalog_paths(directory: Path | None) -> list[Path]:
    """Give what to load: a folder of the user's own, which replaces the shipped documents, or else those."""
    return shipped_paths() if directory is None else [directory]
