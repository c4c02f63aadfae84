"""
Stories as timelines: what was done when, what was expected within how long, and what was seen instead.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

from tests.harness.audit import AuditEvent
from tests.harness.cluster import RealCluster
from tests.harness.daemon import TOKEN, DaemonProcess
from tests.harness.waiting import wait_for

Json = dict[str, Any]
USER = "system:serviceaccount:default:kintsugi"
OF_WEB = {"namespace": "production", "deployment": "web-app-deployment", "severity": "warning"}
"""The labels of an alert about the web service's Deployment."""

OF_WEB_BY_EXPORTER = {**OF_WEB, "job": "kube-state-metrics", "pod": "kube-state-metrics-6f8b7c9d5-x2x4q"}
"""The same with the pod of the exporter that it was scraped from, as with kube-state-metrics: the Deployment counts."""

_DIRECT = build_opener(ProxyHandler({}))


@dataclass
class ClusterStory:
    """One story on one cluster with one daemon."""

    cluster: RealCluster
    namespace: str
    daemon: DaemonProcess
    app: str = "web-app"
    user: str = USER
    _began: float = field(default_factory=time.monotonic)
    _writes_before: int = 0
    _patience: float = 30
    _alerts: dict[str, str] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)

    def begin(self, *, good: str = "") -> "ClusterStory":
        """Start the clock, once the daemon has seen the service healthy for long enough to call its revision good."""
        if good:
            wait_for(lambda: self.service(good).get("healthy"), within=30, describe=self.state)
            wait_for(self.knows_good, within=60, describe=self.state)
        self._began = time.monotonic()
        self._writes_before = len(self._writes())
        return self

    def at(self, what: str, deed: Callable[[], object]) -> "ClusterStory":
        """Do something now, and say so."""
        print(f"{self._now():6.1f}s  {what}")
        deed()
        return self

    def alert(self, status: str, labels: Mapping[str, str]) -> None:
        """Send an alert to the webhook, as Alertmanager would: again after a 503. Its episode begins with the story."""
        began = self._alerts.setdefault(json.dumps(dict(labels), sort_keys=True), moment())
        ended = moment() if status == "resolved" else "0001-01-01T00:00:00Z"
        one = {"status": status, "labels": dict(labels), "annotations": {}, "startsAt": began, "endsAt": ended}
        answers: list[tuple[int, Json]] = []

        def sent() -> bool:
            answers.append(self.daemon.post("/alertmanager", {"version": "4", "alerts": [one]}, token=TOKEN))
            return answers[-1][0] != 503

        wait_for(sent, within=20, every=0.5, describe=lambda: answers[-1])
        assert answers[-1][0] == 200, answers[-1]

    def within(self, seconds: float) -> "ClusterStory":
        """Return how long the next expectation may take."""
        self._patience = seconds
        return self

    def ends(self, state: str, *, service: str = "") -> Json:
        """
        Expect the newest incident (of a service) to close in this state, and return it.

        An alert that goes on firing begins another one at once, which may be over before anybody has looked: then the one
        before it counts, unless it was returned before.
        """
        closed = self.closes(service=service)
        if closed["state"] != state:
            of_it = [each for each in self._incidents(service) if each["closed"] and each["state"] == state]
            left = [each for each in of_it if each["id"] not in self._ended]
            assert left, self.state()
            closed = left[0]
        self._ended.add(closed["id"])
        return closed

    def reaches(self, state: str, *, service: str = "") -> Json:
        """
        Expect the newest incident (of a service) to be in this state now or soon, and return it.

        One that awaits an approval is returned once its question can be read, which is committed after its state.
        """

        def has() -> Json | None:
            found = [each for each in self._newest(service) if each["state"] == state]
            if state == "awaiting-approval":
                found = [each for each in found if self.daemon.incident(each["id"])["questions"]]
            return next(iter(found), None)

        found = wait_for(has, within=self._patience, describe=self.state)
        print(f"{self._now():6.1f}s  {state}")
        return found

    def refuses(self, words: str) -> Json:
        """Expect a change of the newest incident to be refused for a reason with these words, and return the step."""
        step = wait_for(
            lambda: next((each for each in self._refused() if words in each["error"]), None),
            within=self._patience,
            describe=self.state,
        )
        print(f"{self._now():6.1f}s  refused: {step['text']}: {step['error']}")
        return step

    def closes(self, *, service: str = "") -> Json:
        """Expect the newest incident (of a service) to close, in whatever state, and return it."""
        closed = wait_for(
            lambda: next((each for each in self._newest(service) if each["closed"]), None),
            within=self._patience,
            describe=self.state,
        )
        print(f"{self._now():6.1f}s  {closed['state']}: {closed['reason'].splitlines()[0]}")
        return closed

    def ready(self, pods: int) -> "ClusterStory":
        """Expect so many pods of the app to be ready."""
        return self.sees(f"{pods} ready", lambda: self.deployment()["status"].get("readyReplicas", 0) == pods)

    def is_held_back(self, pod: Json, *, restarts: int = 0) -> bool:
        """Return whether the kubelet waits before it starts a container of this pod once more, after so many restarts."""
        now = next(each for each in self.pods() if each["metadata"]["uid"] == pod["metadata"]["uid"])
        return any(
            each["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff" and each["restartCount"] >= restarts
            for each in now["status"]["containerStatuses"]
        )

    def verdict(self, kind: str, reason: str = "", *, rule: str = "", after: Json | None = None) -> Json:
        """Expect the daemon's log to tell of a verdict (later than another one), and return its line."""

        def told() -> Json | None:
            lines = self.verdicts()
            return next(
                (
                    each
                    for each in lines[lines.index(after) + 1 if after else 0 :]
                    if each["verdict"] == kind and reason in ("", each["reason"]) and rule in ("", each["rule"])
                ),
                None,
            )

        line = wait_for(told, within=self._patience, describe=self.state)
        print(f"{self._now():6.1f}s  {kind}: {line['text']}")
        return line

    def sees(self, what: str, condition: Callable[[], bool]) -> "ClusterStory":
        """Expect something of the cluster."""
        wait_for(condition, within=self._patience, describe=lambda: f"{what}\n{self.state()}")
        print(f"{self._now():6.1f}s  {what}")
        return self

    def rolls(self, revision: int) -> "ClusterStory":
        """Expect the Deployment's controller to have begun with a revision."""

        def has_begun() -> bool:
            annotations = self.deployment()["metadata"]["annotations"]
            return bool(annotations.get("deployment.kubernetes.io/revision") == str(revision))

        return self.sees(f"revision {revision} is rolled out", has_begun)

    def verdicts(self) -> list[Json]:
        """Return the verdicts that the daemon has logged."""
        return [each for each in log_lines(self.daemon) if each.get("event") == "signal evaluated"]

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

    def ready_of_node(self, name: str) -> str:
        """Return what is known of whether a node is ready: True, False, Unknown."""
        conditions = self.cluster.get("node", name)["status"]["conditions"]
        return next(str(each["status"]) for each in conditions if each["type"] == "Ready")

    def deployment(self) -> Json:
        """Return the app's Deployment."""
        found: Json = self.cluster.get("deployment", f"{self.app}-deployment", self.namespace)
        return found

    def container(self) -> Json:
        """Return the one container that the app's Deployment asks for."""
        (container,) = self.deployment()["spec"]["template"]["spec"]["containers"]
        return dict(container)

    def patch(self, change: Json) -> Json:
        """Change the app's Deployment as a person would."""
        changed: Json = self.cluster.api.patch("deployment", f"{self.app}-deployment", change, self.namespace)
        return changed

    def scale(self, replicas: int) -> Json:
        """Set its replicas as a person would."""
        return self.patch({"spec": {"replicas": replicas}})

    def set_variable(self, assignment: str) -> None:
        """Set a variable of its containers, as a person would: a new revision of the same image."""
        self.cluster.kubectl("set", "env", f"deployment/{self.app}-deployment", assignment, "-n", self.namespace)

    def service(self, name: str) -> Json:
        """Return how the daemon sees a service."""
        status, answer = self.daemon.get("/api/v1/services")
        listed = answer["services"] if status == 200 else []
        return next((each for each in listed if each["name"] == name), {})

    def knows_good(self) -> bool:
        """Return whether the daemon has noted a good revision of the Deployment."""
        uid = self.deployment()["metadata"]["uid"]
        return any(
            each.get("event") == "good revision noted" and each.get("workload") == uid
            for each in log_lines(self.daemon)
        )

    def approve(self, incident: Json) -> None:
        """Approve what an incident asks."""
        (question,) = self.daemon.incident(incident["id"])["questions"]
        wish = {"plan": question["plan"], "path": question["path"], "answer": "yes"}
        answer = self.daemon.post(f"/api/v1/incidents/{incident['id']}/answer", wish)
        assert answer[0] == 200, answer

    def take_back(self, incident: Json) -> Json:
        """Have what was done in an incident taken back, or say no to what it asks, and return what that loses."""
        path = f"/api/v1/incidents/{incident['id']}/rollback"
        status, shown = self.daemon.post(path, {})
        assert (status, shown.get("begun")) == (200, False), shown
        status, begun = self.daemon.post(path, {"confirm": True, "digest": shown["digest"]})
        assert (status, begun.get("begun")) == (202, True), begun
        told: Json = shown
        return told

    def why(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Ask what would become of an alert, and return what each rule says."""
        status, answer = self.daemon.post("/api/v1/explain", {"labels": dict(labels)})
        assert status == 200, answer
        return dict(line.split(": ", 1) for line in answer["lines"])

    def signals(self, incident: Json, source: str) -> list[Json]:
        """Return the signals of an incident that came from one source."""
        found = self.daemon.incident(incident["id"])["signals"]
        return [each["signal"] for each in found if each["signal"]["source"] == source]

    def steps(self, incident: Json) -> list[Json]:
        """Return all steps of an incident's runs."""
        return [step for run in self.daemon.incident(incident["id"])["runs"] for step in run["steps"]]

    def evidence(self, incident: Json) -> list[Json]:
        """Return what was kept before changes."""
        return [kept for run in self.daemon.incident(incident["id"])["runs"] for kept in run["evidence"]]

    def written_by_daemon(self, resource: str) -> list[AuditEvent]:
        """Return the changes of one kind that the daemon made since the story began, as the API server's audit says."""
        return [each for each in self.writes() if each.resource == resource]

    def writes(self) -> list[AuditEvent]:
        """Return all changes that the daemon made since the story began, but the Events that only tell of it."""
        return self._writes()[self._writes_before :]

    def deleted_by_daemon(self) -> list[str]:
        """Return the uids of the pods that it deleted."""
        return [each.uid for each in self.written_by_daemon("pods") if each.verb == "delete"]

    def counted(self, metric: str, **labels: str) -> float:
        """Return what one of the daemon's counters or gauges says, over all labels that are not named."""
        status, text = self.daemon.get("/metrics")
        assert status == 200, text
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        return sum(each.value for each in samples if each.name == metric and labels.items() <= each.labels.items())

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
        """Return what an assertion should show: incidents with the steps of those that did not end well, pods, the daemon's last lines."""
        incidents = [line for each in self.daemon.incidents() for line in self._told(each)]
        pods = [f"{each['metadata']['name']} {each['status'].get('phase')}" for each in self.pods()]
        return "\n".join(["incidents:", *incidents, "pods:", *pods, "log:", self.daemon.tail(30)])

    def _told(self, incident: Json) -> list[str]:
        lines = [f"{incident['id']} {incident['state']}: {incident['reason']}"]
        if incident["state"] not in ("recovered", "held", "no-action"):
            for each in self.steps(incident):
                what = each["error"] or each["text"]
                lines.append(f"  {each['started']} {each['path']} {each['state']} met={each['met']}: {what}")
        return lines

    def _newest(self, service: str = "") -> list[Json]:
        return self._incidents(service)[:1]

    def _incidents(self, service: str) -> list[Json]:
        return [each for each in self.daemon.incidents() if service in ("", each["service"])]

    def _refused(self) -> list[Json]:
        return [
            step for each in self._newest() for step in self.steps(each) if step["state"] == "skipped" and step["text"]
        ]

    def _writes(self) -> list[AuditEvent]:
        done = self.cluster.audit().writes().where(user=self.user)
        return [each for each in done if each.code < 300 and each.resource != "events"]

    def _now(self) -> float:
        return time.monotonic() - self._began


def moment() -> str:
    """Return the present moment as Alertmanager writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def log_lines(daemon: DaemonProcess) -> Sequence[Json]:
    """Return the daemon's structured lines."""
    return [json.loads(line) for line in daemon.log.read_text(errors="replace").splitlines() if line.startswith("{")]
