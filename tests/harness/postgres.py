"""A real PostgreSQL server for the tests: one a run, a database a test, started and stopped by process id."""

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.harness.certificates import KeyPair
from tests.harness.postgres_programs import PostgresPrograms
from tests.harness.processes import Program, free_port
from tests.harness.waiting import wait_for

# The server refuses to run as root. This is `nobody`, who owns nothing.
_UID = 65534
_USER = "postgres"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Postgres:
    """A server on a loopback port; its first user is `postgres`, trusted from loopback."""

    programs: PostgresPrograms
    folder: Path
    port: int
    server: Program

    @classmethod
    def prepare(cls, folder: Path, *, major: int = 16, durable: bool = False, tls: KeyPair | None = None) -> "Postgres":
        """
        Make an empty server in a folder; nothing runs yet. `durable` keeps fsync on, for tests of crashes.

        With a certificate for `tls` it is Debian's, of whatever major version, and asks everyone but `postgres` for
        TLS and a password.
        """
        uid = _UID if os.geteuid() == 0 else None
        programs = PostgresPrograms.of_debian() if tls else PostgresPrograms.find(major=major)
        if uid is not None:
            programs = _reachable(programs, folder)
        data = folder / "data"
        data.mkdir()
        if uid is not None:
            os.chown(data, uid, uid)
        _initialise(programs, data, uid)
        port = free_port()
        settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"]
        if tls:
            settings += _secured(data, tls, uid)
        if not durable:
            settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        arguments = [programs.program("postgres"), "-D", str(data), *(w for each in settings for w in ("-c", each))]
        server = Program(name="postgres", arguments=arguments, log=folder / "postgres.log", uid=uid)
        return cls(programs=programs, folder=folder, port=port, server=server)

    def standby(self, folder: Path, *, port: int = 0) -> "Postgres":
        """Make a standby by `pg_basebackup`, with a slot of its own; nothing runs yet, and `port` may be ours once we are gone."""
        uid, port = self.server.uid, port or free_port()
        folder.mkdir()
        if uid is not None:
            os.chown(folder, uid, uid)
        command = [self.programs.program("pg_basebackup"), "-h", "127.0.0.1", "-p", str(self.port), "-U", _USER]
        command += ["-D", str(folder / "data"), "-R", "-C", "-S", "standby_1", "--checkpoint=fast", "--no-sync"]
        subprocess.run(command, check=True, user=uid, group=uid, extra_groups=None if uid is None else [], cwd="/")
        words = [each.replace(f"port={self.port}", f"port={port}") for each in self.server.arguments]
        words[words.index("-D") + 1] = str(folder / "data")
        server = Program(name="standby", arguments=words, log=folder / "postgres.log", uid=uid)
        return replace(self, folder=folder, port=port, server=server)

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        self.server.start()
        ready = [self.programs.program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_for(
            lambda: subprocess.run(ready, check=False).returncode == 0, within=30, describe=self.server.tail, every=0.05
        )

    def stop(self) -> None:
        """Stop the server at once, connections or not; what was committed stays."""
        self.server.stop(signal.SIGQUIT)

    def kill(self) -> None:
        """Kill the server without a word, as a machine that loses its power."""
        self.server.stop()

    def freeze(self) -> None:
        """Let the whole server hang, connections included, until `thaw`."""
        self._signal_session(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal_session(signal.SIGCONT)

    def dsn(self, database: str = _USER) -> str:
        """Return the URL of a database."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, prefix: str = "test", *, like: str | None = None) -> str:
        """Make a database, empty or like the one that has this URL and that nobody is connected to; return its URL."""
        name = f"{prefix}_{next(_NUMBERS)}"
        template = f' TEMPLATE "{_database_of(like)}"' if like else ""
        self.psql(f'CREATE DATABASE "{name}"{template}')
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self.psql(f'DROP DATABASE IF EXISTS "{_database_of(dsn)}" WITH (FORCE)')

    def psql(self, statement: str, *, dsn: str | None = None) -> str:
        """Run one statement with psql and return its unaligned output."""
        command = [self.programs.program("psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement]
        done = subprocess.run([*command, dsn or self.dsn()], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"psql exited {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _signal_session(self, number: signal.Signals) -> None:
        """Signal the server and all its backends; each backend leads a process group of its own."""
        leader = self.server.pid
        if leader is None:
            raise ProcessLookupError("postgres does not run")
        for pid in [leader, *_children(leader)]:
            # A backend may have ended since we looked.
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _database_of(dsn: str) -> str:
    return dsn.rpartition("/")[2]


def _initialise(programs: PostgresPrograms, data: Path, uid: int | None) -> None:
    command = [programs.program("initdb"), "-D", str(data), "-U", _USER, "--auth=trust", "--no-sync", "-E", "UTF8"]
    done = subprocess.run(
        [*command, "--locale=C"],
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb exited {done.returncode}: {done.stdout}{done.stderr}")


def _secured(data: Path, tls: KeyPair, uid: int | None) -> Sequence[str]:
    """Let a server take users over TLS with a password only, and return its settings: the key must be its own."""
    (data / "pg_hba.conf").write_text(
        "host all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
    )
    key = Path(shutil.copy(tls.key, data / "server.key"))
    key.chmod(0o600)
    if uid is not None:
        os.chown(key, uid, uid)
    shutil.copy(tls.certificate, data / "server.crt")
    return "ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key"


def _reachable(programs: PostgresPrograms, folder: Path) -> PostgresPrograms:
    """Return programs that another user can run: these, or a copy where a folder above them is closed to others."""
    if all(parent.stat().st_mode & 0o001 for parent in programs.bin.parents):
        return programs
    for name, source in programs.files().items():
        target = folder / "programs" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    site = folder / "programs"
    return PostgresPrograms(site=site, installed=site / programs.installed.relative_to(programs.site))


def _children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
