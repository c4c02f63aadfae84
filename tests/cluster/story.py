"""
Stories as timelines: what was done when, what was expected within how long, and what was seen instead.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from tests.harness.cluster import Cluster
from tests.harness.daemon import Daemon
from tests.harness.waiting import wait_for

Json = dict[str, Any]
USER = "system:serviceaccount:default:kintsugi"
_DIRECT = build_opener(ProxyHandler({}))


@dataclass
class Story:
    """One story on one cluster with one daemon."""

    cluster: Cluster
    namespace: str
    daemon: Daemon
    app: str = "web-app"
    _began: float = field(default_factory=time.monotonic)
    _writes_before: int = 0
    _patience: float = 30

    def begin(self, *, good: str = "") -> "Story":
        """Start the clock, once the daemon has seen the service healthy for long enough to call its revision good."""
        if good:
            wait_for(lambda: self.service(good).get("healthy"), within=30, describe=lambda: self.state())
            wait_for(lambda: self.knows_good(), within=30, describe=lambda: self.state())
        self._began = time.monotonic()
        self._writes_before = len(self._deletes())
        return self

    def at(self, what: str, deed: Callable[[], object]) -> "Story":
        """Do something now, and say so."""
        print(f"{self._now():6.1f}s  {what}")
        deed()
        return self

    def within(self, seconds: float) -> "Story":
        """Say how long the next expectation may take."""
        self._patience = seconds
        return self

    def ends(self, state: str) -> Json:
        """Expect the newest incident to close in this state, and return it."""
        closed = wait_for(
            lambda: next((each for each in self.daemon.incidents()[:1] if each["closed"]), None),
            within=self._patience,
            describe=self.state,
        )
        print(f"{self._now():6.1f}s  {closed['state']}: {closed['reason'].splitlines()[0]}")
        assert closed["state"] == state, self.state()
        return closed

    def reaches(self, state: str) -> Json:
        """Expect the newest incident to be in this state now or soon, and return it."""
        found = wait_for(
            lambda: next((each for each in self.daemon.incidents()[:1] if each["state"] == state), None),
            within=self._patience,
            describe=self.state,
        )
        print(f"{self._now():6.1f}s  {state}")
        return found

    def verdict(self, kind: str, reason: str = "") -> Json:
        """Expect the daemon's log to tell of a verdict, and return its line."""
        line = wait_for(
            lambda: next(
                (
                    each
                    for each in self.verdicts()
                    if each["verdict"] == kind and (not reason or each["reason"] == reason)
                ),
                None,
            ),
            within=self._patience,
            describe=self.state,
        )
        print(f"{self._now():6.1f}s  {kind}: {line['text']}")
        return line

    def verdicts(self) -> list[Json]:
        """Return the verdicts that the daemon has logged."""
        return [each for each in log_lines(self.daemon) if each.get("event") == "signal judged"]

    def stays(self, condition: Callable[[], bool], seconds: float, describe: Callable[[], object] | str = "") -> None:
        """Expect something to stay true for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert condition(), describe() if callable(describe) else describe
            time.sleep(0.2)

    def pods(self) -> list[Json]:
        """Return the app's pods that are not on their way out, by name."""
        found = self.cluster.list("pod", self.namespace, selector=f"app={self.app}")
        alive = [each for each in found if not each["metadata"].get("deletionTimestamp")]
        return sorted(alive, key=lambda each: str(each["metadata"]["name"]))

    def uids(self) -> list[str]:
        """Return their uids."""
        return [each["metadata"]["uid"] for each in self.pods()]

    def deployment(self) -> Json:
        """Return the app's Deployment."""
        found: Json = self.cluster.get("deployment", f"{self.app}-deployment", self.namespace)
        return found

    def service(self, name: str) -> Json:
        """Return how the daemon sees a service."""
        status, answer = self.daemon.get("/api/v1/services")
        listed = answer["services"] if status == 200 else []
        return next((each for each in listed if each["name"] == name), {})

    def knows_good(self) -> bool:
        """Tell whether the daemon has noted a good revision of the Deployment."""
        uid = self.deployment()["metadata"]["uid"]
        return any(each.get("event") == "good revision" and each.get("workload") == uid for each in log_lines(self.daemon))

    def steps(self, incident: Json) -> list[Json]:
        """Return all steps of an incident's runs."""
        return [step for run in self.daemon.incident(incident["id"])["runs"] for step in run["steps"]]

    def evidence(self, incident: Json) -> list[Json]:
        """Return what was kept before changes."""
        return [kept for run in self.daemon.incident(incident["id"])["runs"] for kept in run["evidence"]]

    def deleted_by_daemon(self) -> list[str]:
        """Return the uids of the pods that the daemon has deleted since the story began, as the API server's audit says."""
        return self._deletes()[self._writes_before :]

    def answers(self, address: str) -> int:
        """Ask the service through its load balancer and return the status."""
        try:
            with _DIRECT.open(f"http://{address}/health", timeout=5) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except OSError:
            return 0

    def state(self) -> str:
        """Return what an assertion should show: incidents, pods, the daemon's last lines."""
        incidents = [f"{each['id']} {each['state']}: {each['reason']}" for each in self.daemon.incidents()]
        pods = [f"{each['metadata']['name']} {each['status'].get('phase')}" for each in self.pods()]
        return "\n".join(["incidents:", *incidents, "pods:", *pods, "log:", self.daemon.tail(30)])

    def _deletes(self) -> list[str]:
        return [each.uid for each in self.cluster.audit().where(verb="delete", resource="pods", user=USER, code=200)]

    def _now(self) -> float:
        return time.monotonic() - self._began


def log_lines(daemon: Daemon) -> Sequence[Json]:
    """Return the daemon's structured lines."""
    lines: list[Json] = []
    for line in daemon.log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            lines.append(json.loads(line))
    return lines
