"""A copy of the tree, in which code may be changed and tests run."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = Path("daemon", "kintsugi")

_SOURCES = (
    "daemon",
    *(str(each.parent.relative_to(ROOT)) for each in sorted(ROOT.glob("daemon/*/pyproject.toml"))),
    ".",
)
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", ".hypothesis", "build")


def copy_tree(to: Path) -> Path:
    """Copy the tree as it stands to a folder that does not exist yet, and return it."""
    return shutil.copytree(ROOT, to, ignore=_LEFT_OUT, symlinks=True)


def environment(tree: Path) -> Mapping[str, str]:
    """Return the environment in which Python finds the packages of a copy before those that are installed."""
    paths = os.pathsep.join(str(tree / each) for each in _SOURCES)
    return {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "CI": ""}
