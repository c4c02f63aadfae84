"""`kintsugi run` as its users start it, in a process of its own, on an API server and a ledger of the bench."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import ProxyHandler, build_opener

from tests.bench import catalogs
from tests.bench.api_process import api_process
from tests.bench.plan import MEASURED
from tests.bench.process import ListeningProcess, pinned
from tests.bench.revision import Revision
from tests.harness.postgres import Postgres
from tests.harness.waiting import HopelessError, wait_for

_SAYS = "Kintsugi takes webhooks on "
_HEALTH = "Health and metrics are on "
_START = 30.0
"""Seconds that a start may take: ten thousand rules are read in some of them."""

_SETTLED = 30.0
"""Seconds until each signal must have its verdict."""

TOKEN = "the-token-of-the-operator-of-the-bench"
_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class BenchDaemon(ListeningProcess):
    """One that runs. Its catalog, kubeconfig and log are in `folder`; the ledger is there or on a `server`."""

    folder: Path
    ledger: str
    server: Postgres | None

    @property
    def log(self) -> str:
        """Return the end of what it has written."""
        return _end_of(self.folder / "daemon.log")

    def count(self, query: str) -> int:
        """Ask its ledger for a number."""
        if self.server is not None:
            return int(self.server.psql(query, dsn=self.ledger))
        with closing(sqlite3.connect(f"file:{self.folder / 'ledger.db'}?mode=ro", uri=True)) as connection:
            return int(connection.execute(query).fetchone()[0])

    def wait_judged(self) -> None:
        """Wait until each signal has a verdict."""

        def unjudged() -> int:
            return self.count("SELECT count(*) FROM signals WHERE verdict IS NULL")

        wait_for(
            lambda: not unjudged(), within=_SETTLED, every=0.05, describe=lambda: f"{unjudged()} without a verdict"
        )


@contextmanager
def running(
    revision: Revision,
    api: str,
    documents: Sequence[str],
    *,
    mode: str = "observe",
    settings: Mapping[str, str] | None = None,
    server: Postgres | None = None,
) -> Iterator[BenchDaemon]:
    """Start one with a catalog and a new ledger, and wait until its caches are synced; it is killed at the end."""
    with TemporaryDirectory(prefix="kintsugi-bench-") as name:
        folder = Path(name)
        catalog = catalogs.write(folder / "catalog", documents, revision)
        (folder / "tokens").write_text(f"bench:{TOKEN}\n", encoding="utf-8")
        (folder / "tokens").chmod(0o600)
        ledger = server.create_database("bench") if server else f"sqlite:///{folder / 'ledger.db'}"
        command = [
            *(*pinned(MEASURED), revision.kintsugi, "run", "--mode", mode, "--insecure-no-token"),
            *("--host", "127.0.0.1", "--port", "0", "--health-port", "0", "--kubeconfig", str(kubeconfig(folder, api))),
            *("--ledger", ledger, "--catalog-directory", str(catalog), "--log-format", "json"),
            *("--operator-tokens", str(folder / "tokens")),
        ]
        environment, log = {**revision.environment, **(settings or {})}, folder / "daemon.log"
        with log.open("wb") as out, subprocess.Popen(command, env=environment, stderr=out) as process:
            try:
                port = _port(process, log)
                _wait_ready(_address(_HEALTH, log), log)
                yield BenchDaemon(pid=process.pid, port=port, folder=folder, ledger=ledger, server=server)
            finally:
                process.kill()


@contextmanager
def watching(
    revision: Revision, documents: Sequence[str], *, services: int, pods: int, server: Postgres | None = None
) -> Iterator[tuple[ListeningProcess, BenchDaemon]]:
    """Start an API server with pods of some services, and a daemon that watches them."""
    with api_process(services, pods) as api, running(revision, api.url, documents, server=server) as daemon:
        yield api, daemon


def kubeconfig(folder: Path, api: str) -> Path:
    """Write how an API server is reached."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": {"server": api}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    def listens() -> bool:
        if process.poll() is not None:
            raise HopelessError(f"the daemon ended with {process.returncode}:\n{_end_of(log)}")
        return _SAYS in log.read_text(encoding="utf-8", errors="replace")

    wait_for(listens, within=_START, describe=lambda: _end_of(log), every=0.05)
    return int(_address(_SAYS, log).rpartition(":")[2])


def _address(says: str, log: Path) -> str:
    """Return the address that the daemon has told; the one for health comes first."""
    return log.read_text(encoding="utf-8", errors="replace").partition(says)[2].split()[0]


def _wait_ready(health: str, log: Path) -> None:
    def is_ready() -> bool:
        with _direct.open(f"{health}/readyz", timeout=5):
            return True

    wait_for(is_ready, within=_START, describe=lambda: _end_of(log), every=0.05)


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:]
