"""`kintsugi run` as its users start it, in a process of its own, on an API server and a ledger of the bench."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from tests.bench.process import ROOT, ListeningProcess
from tests.harness.waiting import HopelessError, wait_for

_SAYS = "Kintsugi takes webhooks on "
_HEALTH = "Health and metrics are on "
_START = 30.0
"""Seconds that a start may take: ten thousand rules are read in some of them."""

_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class BenchDaemon:
    """How one is started. `folder` is made for it: ledger, log and kubeconfig are there."""

    folder: Path
    api: str
    catalog: Path
    core: int | None = None
    mode: str = "observe"
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def ledger(self) -> Path:
        """Return the file of its ledger."""
        return self.folder / "ledger.db"

    @property
    def log(self) -> Path:
        """Return the file that it writes to."""
        return self.folder / "daemon.log"

    @contextmanager
    def running(self) -> Iterator[ListeningProcess]:
        """Start it and wait until its caches are synced; it is killed at the end."""
        self.folder.mkdir()
        with (
            self.log.open("wb") as out,
            subprocess.Popen(self._command(), env=self._environment(), stderr=out) as process,
        ):
            try:
                port = _port(process, self.log)
                _wait_ready(_address(_HEALTH, self.log), self.log)
                yield ListeningProcess(pid=process.pid, port=port)
            finally:
                process.kill()

    def _command(self) -> list[str]:
        pinned = ["taskset", "-c", str(self.core)] if self.core is not None else []
        return [
            *(*pinned, sys.executable, "-m", "kintsugi.cli", "run", "--mode", self.mode, "--insecure-no-token"),
            *("--host", "127.0.0.1", "--port", "0", "--health-port", "0", "--kubeconfig", str(self._kubeconfig())),
            *("--ledger", f"sqlite:///{self.ledger}", "--catalog-directory", str(self.catalog), "--log-format", "json"),
        ]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KINTSUGI_")}
        return {**kept, "PYTHONPATH": str(ROOT / "daemon"), **self.settings}

    def _kubeconfig(self) -> Path:
        context = {"name": "bench", "context": {"cluster": "bench", "user": "bench"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bench", "cluster": {"server": self.api}}],
            "users": [{"name": "bench", "user": {}}],
            "contexts": [context],
            "current-context": "bench",
        }
        path = self.folder / "kubeconfig"
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
