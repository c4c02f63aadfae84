"""A revision of the daemon that is measured: its files, and an environment with what its own locks name."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.harness import parts

ROOT = Path(__file__).parents[2]
_UNSET = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "MAKEFLAGS")


@dataclass(frozen=True, kw_only=True)
class Revision:
    """The folder with its files, and the folder with the programs of its environment."""

    name: str
    folder: Path
    programs: Path

    @property
    def kintsugi(self) -> str:
        """Return the program's path."""
        return str(self.programs / "kintsugi")

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables under which its programs find its own modules first; compiled modules are kept."""
        folders = [self.folder / "daemon", *(each.parent for each in self.folder.glob("daemon/*/pyproject.toml"))]
        return {**_clean(), "PYTHONPATH": ":".join(map(str, folders))}


WORKING_TREE = Revision(name="working tree", folder=ROOT, programs=Path(sys.executable).parent)


def checked_out(name: str) -> Revision:
    """Return a revision in a worktree of its own in the cache. It is made at the first use, which takes a minute."""
    commit = _git("rev-parse", "--verify", f"{name}^{{commit}}")
    folder = parts.home().with_name("bench") / commit[:12]
    if not folder.exists():
        _git("worktree", "add", "--force", "--detach", str(folder), commit)
    # The revision's own Makefile knows its distributions and its locks.
    command = ["make", "--silent", "-C", str(folder), ".venv/ready", f"PYTHON={sys.executable}"]
    subprocess.run(command, check=True, env=_clean())
    return Revision(name=name, folder=folder, programs=folder / ".venv" / "bin")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def _clean() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith("KINTSUGI_") and name not in _UNSET
    }
