"""
The entry point of the PostgreSQL image: initialises an empty data folder as a database, and becomes the server.

    python -I postgres_entry.py PROGRAMS [OPTION OF postgres]...
    python -I postgres_entry.py PROGRAMS alone initdb|postgres [OPTION]...

The environment configures it: PGDATA, PGHOST (the folder of the socket), POD_ADDRESS (the address to listen on),
POSTGRES_PASSWORD. As root it takes another user on first, as the server demands; `alone` does nothing else before it
becomes the program. Run by itself, hence alone.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ALONE = "alone"
"""The word before a program that is run as it is."""

_NOBODY = 65534
_FROM_ELSEWHERE = "host all all all scram-sha-256\n"


def main(programs: Path, options: Sequence[str]) -> None:
    """Prepare what the server needs, and become it."""
    data, sockets = Path(os.environ["PGDATA"]), Path(os.environ["PGHOST"])
    for folder in (data, sockets):
        folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        programs = _unprivileged(programs, data, sockets)
    if options[:1] == [ALONE]:
        os.execv(f"{programs}/{options[1]}", [f"{programs}/{options[1]}", *options[2:]])  # noqa: S606 - no shell is the point
    data.chmod(0o700)
    if not (data / "PG_VERSION").exists():
        _initialise(programs, data, secret=sockets / ".password")
    settings = {
        "listen_addresses": os.environ["POD_ADDRESS"],
        "unix_socket_directories": str(sockets),
        # What dies here is a process, never the machine: nothing is lost that was handed to the kernel.
        "fsync": "off",
    }
    words = [f"{programs}/postgres", "-D", str(data)]
    words += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    os.execv(words[0], [*words, *(each for each in options if each != "postgres")])  # noqa: S606 - no shell is the point


def _unprivileged(programs: Path, data: Path, sockets: Path) -> Path:
    """Become another user, who can reach programs and folders; give where the programs are for that one."""
    programs = _reachable(programs, sockets)
    _own(data, sockets)
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    return programs


def _own(*folders: Path) -> None:
    for top in folders:
        for path in (top, *top.rglob("*")):
            os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)


def _reachable(programs: Path, own: Path) -> Path:
    """Return programs that another user can run: these, or a copy where a folder above them is closed to others."""
    if all(parent.stat().st_mode & 0o001 for parent in (programs, *programs.parents)):
        return programs
    package = programs.parents[1]
    copied = own / "programs"
    for source in (programs.parent, *package.parent.glob(f"{package.name}.libs")):
        shutil.copytree(source, copied / source.relative_to(package.parent), dirs_exist_ok=True)
    return copied / programs.relative_to(package.parent)


def _initialise(programs: Path, data: Path, *, secret: Path) -> None:
    secret.write_text(os.environ.get("POSTGRES_PASSWORD") or "postgres")
    words = [f"{programs}/initdb", "-D", str(data), "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"]
    words += ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"]
    try:
        subprocess.run(words, check=True)  # noqa: S603 - words of our own
    finally:
        secret.unlink()
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write(_FROM_ELSEWHERE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
