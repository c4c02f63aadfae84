"""The daemon as its users run it: a process of its own, with a kubeconfig of least rights and its ledger on disk."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import yaml

from tests.harness import forked
from tests.harness.cluster import RealCluster
from tests.harness.forked import ProcessStart, RunningProcess
from tests.harness.waiting import HopelessError, wait_for

ROOT = Path(__file__).parents[2]
RIGHTS = ROOT / "docs" / "least-rights.yaml"
TOKEN, OPERATOR = "webhook-of-the-tests", "operator-of-the-tests"
_DIRECT = build_opener(ProxyHandler({}))
_SAYS = "Kintsugi takes webhooks on "
_HEALTH = "Health and metrics are on "
_ON_HEALTH = ("/healthz", "/readyz", "/metrics")

SOON_GOOD = {"KINTSUGI_WATCHDOG__GOOD_AFTER": "2m"}
"""Many stories begin once a revision is known to be good: it is so after a fifth of the time that it takes users'."""

Json = dict[str, Any]


def rights() -> list[Json]:
    """Return the rules of the manifest that the documentation gives to users."""
    documents = [each for each in yaml.safe_load_all(RIGHTS.read_text()) if each]
    return [rule for each in documents if each["kind"] in ("ClusterRole", "Role") for rule in each["rules"]]


def kubeconfig(
    cluster: RealCluster, namespace: str, *, account: str = "kintsugi", rules: Sequence[Json] | None = None
) -> Path:
    """Write the kubeconfig of a service account with least rights, everywhere in the cluster."""
    return cluster.kubeconfig_for(account, rules or rights(), namespace=namespace, everywhere=True)


@dataclass(kw_only=True)
class DaemonProcess:
    """
    One `kintsugi run`, started, killed and started again on the same ledger and port.

    `durations` scales every duration of the shipped files, and `deadlines` those once more that end a wait: a cluster is not
    scaled, and on a busy machine a pod takes its time. `environment` holds further settings. It is forked from a process
    that has imported everything, unless `from_scratch` asks for the interpreter's whole start.
    """

    kubeconfig: Path
    folder: Path
    durations: float = 0.03
    deadlines: float = 1.0
    mode: str = "auto"
    ledger: str = ""
    port: int = 0
    catalog: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    from_scratch: bool = False
    url: str = ""
    health_url: str = ""
    process: RunningProcess | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = self.ledger or f"sqlite:///{self.folder / 'ledger.db'}"
        (self.folder / "webhook").write_text(TOKEN + "\n")
        (self.folder / "operators").write_text(f"tester:{OPERATOR}\n")

    @property
    def log(self) -> Path:
        """Return the file that the daemon's lines go to, of all its starts."""
        return self.folder / "daemon.log"

    def start(self, environment: Mapping[str, str] | None = None, *, within: float = 90) -> "DaemonProcess":
        """Start the process and wait until it takes webhooks."""
        before = self.log.stat().st_size if self.log.exists() else 0
        arguments, given = self._arguments(), {**self._environment(), **(environment or {})}
        if self.from_scratch:
            command = [sys.executable, "-m", "kintsugi.cli", *arguments]
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(command, env=given, stdout=log, stderr=log, cwd=self.folder)
        else:
            birth = ProcessStart(
                arguments=arguments, environment=given, folder=self.folder, out=self.log, errors=self.log
            )
            self.process = forked.start(birth)

        def said() -> str | None:
            ended = None if self.process is None else self.process.poll()
            text = self.log.read_bytes()[before:].decode(errors="replace")
            told = _told(_SAYS, text)
            self.health_url = _told(_HEALTH, text) or ""  # is told before
            # One that dies by the test's wish may have died by now, and yet have taken webhooks.
            if told is None and ended is not None:
                raise HopelessError(f"the daemon ended with {ended}:\n{self.tail()}")
            return told

        self.url = wait_for(said, within=within, describe=self.tail)
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def wait_ready(self, *, within: float = 60) -> "DaemonProcess":
        """Wait until its caches are synced."""
        wait_for(
            lambda: self.get("/readyz")[0] == 200,
            within=within,
            describe=lambda: f"{self.get('/readyz')}\n{self.tail()}",
        )
        return self

    def kill(self) -> None:
        """Kill it as the kernel does, in the middle of whatever it does."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self, *, within: float = 30) -> int:
        """Stop it as Kubernetes does, and return its exit code."""
        ended = 0 if self.process is None else self.process.poll()
        if ended is not None:
            return ended
        self.signal(signal.SIGTERM)
        try:
            return self.wait(within=within)
        except subprocess.TimeoutExpired as error:
            self.signal(signal.SIGUSR1)  # a forked one says what it does, any other ends
            wait_for(
                lambda: forked.SAID in self.tail(200) or self.process is None or self.process.poll() is not None,
                within=10,
                describe=self.tail,
            )
            raise AssertionError(f"the daemon does not stop:\n{self.tail(200)}") from error

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, *, within: float = 30) -> int:
        """Wait for its end and return its exit code."""
        assert self.process is not None
        return self.process.wait(within)

    def get(self, path: str) -> tuple[int, Any]:
        """Ask with the operator's token, at the port that has the path; return status and answer (0 when there is none)."""
        url = self.health_url if path in _ON_HEALTH else self.url
        return self._ask(Request(f"{url}{path}", headers={"Authorization": f"Bearer {OPERATOR}"}))

    def post(self, path: str, body: object, *, token: str = OPERATOR) -> tuple[int, Any]:
        """Post JSON; return the status and the answer."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self._ask(Request(f"{self.url}{path}", data=json.dumps(body).encode(), headers=headers))

    def delete(self, path: str) -> tuple[int, Any]:
        """Delete what has a path; return the status and the answer."""
        headers = {"Authorization": f"Bearer {OPERATOR}", "Content-Type": "application/json"}
        return self._ask(Request(f"{self.url}{path}", data=b"{}", headers=headers, method="DELETE"))

    def incidents(self) -> list[Json]:
        """Return the incidents, newest first."""
        status, answer = self.get("/api/v1/incidents?limit=50")
        return list(answer["incidents"]) if status == 200 else []

    def incident(self, incident: str) -> Json:
        """Return everything about one incident."""
        status, answer = self.get(f"/api/v1/incidents/{incident}")
        assert status == 200, answer
        found: Json = answer
        return found

    def notices(self) -> list[tuple[str, str]]:
        """Return what a person was called for, in which state and with which words: without an address it waits in the ledger."""
        return self.rows("SELECT kind, text FROM notices ORDER BY id")

    def rows(self, query: str) -> list[Any]:
        """Ask its ledger."""
        with closing(sqlite3.connect(self.ledger.removeprefix("sqlite:///"))) as ledger:
            return list(ledger.execute(query))

    def told_of(self, incident: str) -> list[str]:
        """Return the words that a person was called with about one incident."""
        with closing(sqlite3.connect(self.ledger.removeprefix("sqlite:///"))) as ledger:
            found = ledger.execute("SELECT text FROM notices WHERE incident = ? ORDER BY id", (incident,))
            return [text for (text,) in found]

    def tail(self, lines: int = 40) -> str:
        """Return the last lines of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _ask(self, request: Request) -> tuple[int, Any]:
        try:
            with _DIRECT.open(request, timeout=60) as answer:
                raw = answer.read()
                status = answer.status
        except HTTPError as error:
            raw, status = error.read(), error.code
        except (OSError, HTTPException) as error:
            return 0, str(error)
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode(errors="replace")

    def _arguments(self) -> list[str]:
        arguments = ["run", "--mode", self.mode, "--host", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--health-port", "0"]
        arguments += ["--kubeconfig", str(self.kubeconfig), "--ledger", self.ledger]
        arguments += ["--durations", str(self.durations), "--webhook-tokens", str(self.folder / "webhook")]
        arguments += ["--operator-tokens", str(self.folder / "operators"), "--log-format", "json"]
        return arguments + (["--catalog-directory", str(self.catalog)] if self.catalog is not None else [])

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KINTSUGI_")}
        set_here = {"PYTHONPATH": str(ROOT / "daemon"), "KINTSUGI_DEADLINES": str(self.deadlines)}
        return {**kept, **set_here, **SOON_GOOD, **self.environment}


def _told(says: str, text: str) -> str | None:
    """Return the address that stands after these words in a log, once it is whole."""
    return next((line.split(says)[1].split()[0] for line in text.splitlines() if line.startswith(says)), None)
