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

TIMEOUT = 240.0
"""Seconds that a command may take: ten times what a start takes on a busy machine."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


def command(*words: str | Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run `kintsugi WORDS…` as a person does, of whose own settings there are none; nobody can be asked."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KINTSUGI_")}
    done = subprocess.run(
        [sys.executable, "-m", "kintsugi.cli", *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env={**kept, "PYTHONPATH": str(ROOT / "daemon"), **(environment or {})},
    )
    return Ended(done.returncode, done.stdout, done.stderr)


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
    _begins: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = self.ledger or f"sqlite:///{self.folder / 'ledger.db'}"
        (self.folder / "webhook").write_text(TOKEN + "\n")
        self.people.write_text(f"tester:{OPERATOR}\n")

    @property
    def log(self) -> Path:
        """Return the file that the daemon's lines go to, of all its starts."""
        return self.folder / "daemon.log"

    @property
    def people(self) -> Path:
        """Return the file with the operator's token."""
        return self.folder / "operators"

    def start(self, environment: Mapping[str, str] | None = None, *, within: float = 90) -> "DaemonProcess":
        """Start the process and wait until it takes webhooks."""
        self.launch(environment)

        def has_begun() -> bool:
            ended = None if self.process is None else self.process.poll()
            # One that dies by the test's wish may have died by now, and yet have taken webhooks.
            if not self.listens() and ended is not None:
                raise HopelessError(f"the daemon ended with {ended}:\n{self.tail()}")
            return bool(self.url)

        wait_for(has_begun, within=within, describe=self.tail)
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def launch(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the process, and wait for nothing."""
        self._begins, self.url = self.log.stat().st_size if self.log.exists() else 0, ""
        arguments, given = self._arguments(), {**self._environment(), **(environment or {})}
        if self.from_scratch:
            words = [sys.executable, "-m", "kintsugi.cli", *arguments]
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(words, env=given, stdout=log, stderr=log, cwd=self.folder)
        else:
            birth = ProcessStart(
                arguments=arguments, environment=given, folder=self.folder, out=self.log, errors=self.log
            )
            self.process = forked.start(birth)

    def listens(self) -> bool:
        """Return whether it takes webhooks, or has taken them since it was started."""
        text = self.said()
        self.url, self.health_url = _told(_SAYS, text) or "", _told(_HEALTH, text) or ""
        return bool(self.url)

    def refuses(self, environment: Mapping[str, str] | None = None) -> Ended:
        """Start the process, which is to end by itself, and return how it did."""
        self.launch(environment)
        return Ended(self.wait(within=TIMEOUT), "", self.said())

    def said(self) -> str:
        """Return what it has written since it was started last."""
        return self.log.read_bytes()[self._begins :].decode(errors="replace") if self.log.exists() else ""

    def says(self, words: str) -> str:
        """Wait for a line with these words, and return it."""

        def line() -> str | None:
            return next((each for each in self.said().splitlines() if words in each), None)

        return wait_for(line, within=TIMEOUT, describe=self.tail)

    def command(self, *words: str | Path) -> Ended:
        """Run a command as the operator."""
        asked = {"KINTSUGI_SERVER": self.url, "KINTSUGI_TOKEN_FILE": str(self.people)}
        return command(*words, environment=asked)

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
        arguments += ["--operator-tokens", str(self.people), "--log-format", "json"]
        return arguments + (["--catalog-directory", str(self.catalog)] if self.catalog is not None else [])

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KINTSUGI_")}
        set_here = {"PYTHONPATH": str(ROOT / "daemon"), "KINTSUGI_DEADLINES": str(self.deadlines)}
        return {**kept, **set_here, **SOON_GOOD, **self.environment}


def _told(says: str, text: str) -> str | None:
    """Return the address that stands after these words in a log, once it is whole."""
    return next((line.split(says)[1].split()[0] for line in text.splitlines() if line.startswith(says)), None)
