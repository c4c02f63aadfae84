"""Backups of a real shop in a real S3, a live database that nothing may touch, and the worker that fetches."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kintsugi.model.restores import Backup
from kintsugi_restore.worker.fetch import fetch
from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker.options import FetchOptions, read
from kintsugi_restore.worker_log import Note, WorkLine
from kintsugi_restore.worker_results import Failed, WorkFailure, WorkPhase, WorkProgress
from tests.harness.fixtures import scratch
from tests.harness.postgres import Postgres
from tests.harness.s3 import S3Server
from tests.harness.waiting import HopelessError, wait_for
from tests.integration.restore_stage import TIMEOUT, Worker, failure, with_programs

URL = "s3://backup-bucket/database/"
HOUR = 3600
DAY = 24 * HOUR
_ROWS = (
    "INSERT INTO orders (note) SELECT md5(i::text) || md5((i + 1000000)::text) || md5((i + 2000000)::text)"
    " FROM generate_series({from_}, {to}) i"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backups:
    """Files as `pg_dump` wrote them, all of database `shop` but `other`; what each is stands in `made`."""

    yesterday: Path
    good: Path
    stored: Path
    tar: Path
    plain: Path
    extension: Path
    role: Path
    shrunk: Path
    other: Path
    newer: Path


@contextmanager
def made() -> Iterator[Backups]:
    """Dump a shop at several moments of its life, on servers that are gone when the dumps are used."""
    with scratch("backups-") as folder:
        yield Backups(**_dumped(folder), newer=_newer(folder))


def _dumped(folder: Path) -> Mapping[str, Path]:
    (folder / "16").mkdir(mode=0o755)
    server = Postgres.prepare(folder / "16")
    server.start()
    try:
        server.psql("CREATE DATABASE shop")
        server.psql("CREATE DATABASE crm")
        shop = server.dsn("shop")
        server.psql("CREATE TABLE orders (id bigserial PRIMARY KEY, note text)", dsn=shop)
        server.psql(_ROWS.format(from_=1, to=18000), dsn=shop)
        files = {"yesterday": dumped(server, "shop", folder / "yesterday.dump")}
        server.psql(_ROWS.format(from_=18001, to=20000), dsn=shop)
        files["good"] = dumped(server, "shop", folder / "good.dump")
        files["stored"] = dumped(server, "shop", folder / "stored.dump", "-Z0")
        files["tar"] = dumped(server, "shop", folder / "good.tar", "-Ft")
        files["plain"] = dumped(server, "shop", folder / "good.sql", "-Fp")
        server.psql("CREATE EXTENSION vector", dsn=shop)
        files["extension"] = dumped(server, "shop", folder / "extension.dump")
        server.psql("DROP EXTENSION vector", dsn=shop)
        server.psql("CREATE ROLE auditor", dsn=shop)
        server.psql("GRANT SELECT ON orders TO auditor", dsn=shop)
        files["role"] = dumped(server, "shop", folder / "role.dump")
        server.psql("DROP OWNED BY auditor", dsn=shop)
        server.psql("DELETE FROM orders WHERE id > 8000", dsn=shop)
        files["shrunk"] = dumped(server, "shop", folder / "shrunk.dump")
        files["other"] = dumped(server, "crm", folder / "other.dump")
        return files
    finally:
        server.stop()


def _newer(folder: Path) -> Path:
    (folder / "18").mkdir(mode=0o755)
    server = Postgres.prepare(folder / "18", major=18)
    server.start()
    try:
        server.psql("CREATE DATABASE shop")
        server.psql(
            "CREATE TABLE orders AS SELECT i, md5(i::text) FROM generate_series(1, 60000) i", dsn=server.dsn("shop")
        )
        return dumped(server, "shop", folder / "newer.dump")
    finally:
        server.stop()


def dumped(server: Postgres, database: str, file: Path, *flags: str) -> Path:
    """Dump a database with its server's own program, in the custom format unless a flag says else."""
    program = server.programs.program("pg_dump")
    subprocess.run([program, "-Fc", *flags, "-f", str(file), server.dsn(database)], check=True, capture_output=True)
    return file


@contextmanager
def live_shop() -> Iterator[Postgres]:
    """Have a server with a shop in use, whose programs do not bring the extension `vector`."""
    with scratch("live-") as folder:
        server = with_programs(Postgres.prepare(folder), without=["vector"])
        server.start()
        try:
            server.psql("CREATE DATABASE shop")
            server.psql(
                "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 5000) i",
                dsn=server.dsn("shop"),
            )
            yield server
        finally:
            server.kill()


def everything(live: Postgres) -> str:
    """Sum up all that is on the live server: its databases and roles, and every row of the shop."""
    return live.psql(
        "SELECT md5(concat("
        "(SELECT string_agg(oid || datname, ',' ORDER BY oid) FROM pg_database),"
        "(SELECT string_agg(oid || rolname, ',' ORDER BY oid) FROM pg_authid),"
        "(SELECT string_agg(oid || relname, ',' ORDER BY oid) FROM pg_class),"
        "(SELECT string_agg(orders::text, ',' ORDER BY id) FROM orders)))",
        dsn=live.dsn("shop"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A fetch that was done in the test's own process, and all that it said."""

    lines: tuple[WorkLine, ...]

    @property
    def notes(self) -> str:
        """Return its notes, one a line."""
        return "\n".join(line.text for line in self.lines if isinstance(line, Note))

    def ends(self) -> WorkLine | None:
        """Return its last line."""
        return self.lines[-1]


@contextmanager
def served() -> Iterator[S3Server]:
    """Have an S3 server."""
    with scratch("s3-") as folder:
        server = S3Server(folder=folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@dataclass(kw_only=True, slots=True)
class BackupStage:
    """An S3 server, a room to fetch into, and the live server that is asked what it has."""

    s3: S3Server
    live: Postgres
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    _workers: int = 0

    @classmethod
    @contextmanager
    def set(cls, s3: S3Server, live: Postgres, backups: "Backups") -> Iterator["BackupStage"]:
        """Have yesterday's backup, which is good, in an S3 that holds nothing else; what is live must stay as it is."""
        before = everything(live)
        s3.empty()
        with scratch("stage-") as folder:
            stage = cls(s3=s3, live=live, folder=folder)
            stage.room.mkdir()
            stage.put("1.dump", backups.yesterday, age=DAY)
            yield stage
        assert everything(live) == before

    @property
    def room(self) -> Path:
        """Return the folder that backups are fetched into."""
        return self.folder / "room"

    def put(self, name: str, body: bytes | Path, *, age: float = 0, sidecar: bool = True) -> None:
        """Put a backup whose upload ended `age` seconds ago, and its checksum beside it."""
        content = body.read_bytes() if isinstance(body, Path) else body
        self.s3.put(f"database/{name}", content)
        if age:
            self.s3.age(f"database/{name}", age)
        if sidecar:
            self.record(name, hashlib.sha256(content).hexdigest())

    def record(self, name: str, sha256: str) -> None:
        """Record a checksum as `sha256sum` writes it."""
        self.s3.put(f"database/{name}.sha256", f"{sha256}  {name}\n".encode())

    def fetch(self, *more: str, url: str = URL, server: bool = True) -> Worker:
        """Start a worker that fetches a backup of the shop, of at most 26 hours unless a flag says else."""
        self._workers += 1
        log = self.folder / f"worker-{self._workers}.log"
        return Worker(self._arguments(url, more, server=server), log, self._variables)

    def fetch_here(self, *more: str, url: str = URL, server: bool = True) -> Done:
        """Fetch as `fetch` does, without the start of a process, which takes most of the time."""
        lines: list[WorkLine] = []
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._variables.items():
                patch.setenv(name, value)
            options = read(self._arguments(url, more, server=server), os.environ)
            assert isinstance(options, FetchOptions)
            try:
                lines.append(asyncio.run(fetch(options, lines.append)))
            except WorkFailed as failed:
                lines.append(Failed(kind=failed.kind, reason=str(failed)))
        return Done(lines=tuple(lines))

    def taken(self, worker: Worker | Done) -> Backup:
        """Wait for a worker that must find a good backup; it is in the room, whole, and nothing else is."""
        last = worker.ends()
        assert isinstance(last, Backup), last
        file = Path(last.file)
        assert list(self.room.iterdir()) == [file]
        assert (file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest()) == (last.size, last.sha256)
        return last

    def failed(self, worker: Worker | Done, kind: WorkFailure) -> Failed:
        """Wait for a worker that must fail in this way, with one sentence; nothing is left in the room."""
        last = failure(worker.ends(), kind)
        assert list(self.room.iterdir()) == []
        return last

    @property
    def _variables(self) -> Mapping[str, str]:
        return {"KINTSUGI_PG_BIN": str(self.live.programs.bin), **self.s3.environment, **self.environment}

    def _arguments(self, url: str, more: Sequence[str], *, server: bool) -> Sequence[str]:
        asked = ["--server", f"127.0.0.1:{self.live.port}"] if server else []
        usual = ["--into", str(self.room), "--database", "shop", "--max-age", str(26 * HOUR)]
        return ["fetch", url, *usual, *asked, *more]


def comes_to(worker: Worker, phase: WorkPhase, *, least: int = 0) -> None:
    """Wait until a worker is in a phase and has done so many bytes of it."""
    wait_for(lambda: _is_at(worker, phase, least), within=TIMEOUT, describe=lambda: worker.lines)


def _is_at(worker: Worker, phase: WorkPhase, least: int) -> bool:
    if worker.over:
        raise HopelessError(f"the worker has ended: {worker.lines}")
    return any(at.phase is phase and at.bytes >= least for at in progress(worker.lines))


def progress(lines: tuple[WorkLine, ...]) -> list[WorkProgress]:
    """Pick out how far it said it was."""
    return [line for line in lines if isinstance(line, WorkProgress)]
