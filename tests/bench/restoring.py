"""
The restore worker beside plain `pg_restore` of the same file, and what the worker holds in memory meanwhile.

Both restore from a local file into an empty database of one server (fsync on), one after the other in each round.
The worker is timed as a process, from its start to its end: it sums the file up twice, counts the rows and analyses
the tables, none of which the baseline does. Memory is the most that the process itself ever held.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kintsugi.model.restores import Restored
from kintsugi_restore.worker_log import decode
from tests.bench.figures import Figure, Round
from tests.bench.plan import LOAD, MEASURED, Plan
from tests.bench.process import durable_server, peak_memory
from tests.bench.revision import ROOT
from tests.harness.postgres import Postgres

_MEGABYTE = 1_000_000
# Bytes of dump a row: 992 that no compression makes smaller, and a little of everything else.
_ROW = 1_150
_SAMPLE = 0.05
_TABLE = """
CREATE TABLE events (id bigint, at timestamptz, kind text, payload bytea);
INSERT INTO events SELECT i, '2026-01-01'::timestamptz + i * interval '1 second', 'kind ' || i % 100,
    (SELECT string_agg(sha256((i * 31 + j)::text::bytea), '') FROM generate_series(1, 31) j)
    FROM generate_series(1, {rows}) i;
ALTER TABLE events ADD PRIMARY KEY (id);
CREATE INDEX ON events (at);
"""


@dataclass(frozen=True, kw_only=True)
class _Done:
    """One restore by the worker: seconds, and bytes of memory at most."""

    seconds: float
    memory: int


def measure(plan: Plan) -> Iterator[Figure]:
    """Restore a small and a large dump, and compare: with `pg_restore`, and with each other."""
    small, large = (10, 100) if plan.quick else (100, 1000)
    with _all_cores(), durable_server() as server:
        little, much = (_dump(server, size) for size in (small, large))
        least = [_by_worker(server, little) for _ in range(plan.rounds)]
        pairs = [(_plainly(server, much), _by_worker(server, much)) for _ in range(plan.rounds)]
        size = much.stat().st_size / _MEGABYTE
    yield Figure(
        name=f"restore of a dump of {size:,.0f} MB, MB/s",
        rounds=[Round(size / worker.seconds, size / plain) for plain, worker in pairs],
    )
    yield Figure(
        name=f"memory of its worker, beside {small} MB, MB",
        rounds=[
            Round(worker.memory / _MEGABYTE, other.memory / _MEGABYTE)
            for (_, worker), other in zip(pairs, least, strict=True)
        ],
    )


@contextmanager
def _all_cores() -> Iterator[None]:
    """Let the server's processes and pg_restore share all cores, as they do where a restore is done."""
    os.sched_setaffinity(0, {MEASURED, LOAD})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {LOAD})


def _dump(server: Postgres, megabytes: int) -> Path:
    """Make a dump of about that size."""
    name, file = f"events_{megabytes}", server.folder / f"{megabytes}.dump"
    server.psql(f"CREATE DATABASE {name}")
    for statement in _TABLE.format(rows=megabytes * _MEGABYTE // _ROW).split(";"):
        server.psql(statement, dsn=server.dsn(name))
    program = server.programs.program("pg_dump")
    subprocess.run([program, "-Fc", "--compress=1", "-f", str(file), server.dsn(name)], check=True)
    server.psql(f"DROP DATABASE {name}")
    return file


def _plainly(server: Postgres, dump: Path) -> float:
    """Restore as a person would; give the seconds."""
    _fresh(server)
    server.psql("CREATE DATABASE restored")
    program = server.programs.program("pg_restore")
    began = time.perf_counter()
    command = [program, "--exit-on-error", "--single-transaction", "-d", server.dsn("restored"), str(dump)]
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def _by_worker(server: Postgres, dump: Path) -> _Done:
    _fresh(server)
    where = ["--host", "127.0.0.1", "--port", str(server.port), "--database", "restored"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "daemon"), "KINTSUGI_PG_BIN": str(server.programs.bin)}
    command = [sys.executable, "-m", "kintsugi_restore.worker", "restore", str(dump), *where]
    said, memory = server.folder / "worker.log", 0
    began = time.perf_counter()
    with said.open("wb") as out, subprocess.Popen(command, env=environment, stdout=out) as process:
        while process.poll() is None:
            memory = max(memory, _peak(process.pid))
            time.sleep(_SAMPLE)
    seconds = time.perf_counter() - began
    last = decode(said.read_text().splitlines()[-1])
    if not isinstance(last, Restored):
        raise TypeError(f"the worker did not restore: {last}")
    return _Done(seconds=seconds, memory=memory)


def _fresh(server: Postgres) -> None:
    """Take the last restore away, and let the server write what it still holds of it."""
    server.psql("DROP DATABASE IF EXISTS restored")
    server.psql("CHECKPOINT")


def _peak(pid: int) -> int:
    """Return the most that a process has held; one that has just ended holds nothing."""
    try:
        return peak_memory(pid)
    except (OSError, IndexError):
        return 0
