"""One workload as it may be read: two revisions, pods of both, Events; each test breaks it in one way."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec

from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.diagnose import diagnose
from kubediagnosis.facts import DeclaredFacts, PodFacts, TemplateRevision, WorkloadFacts
from kubediagnosis.templates import template_fields
from kubeobjects.cluster import Event
from kubeobjects.metadata import Condition, ObjectReference
from kubeobjects.specified import SpecifiedPod

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
GOOD, NEW = "7d9f", "5c4b"
APP = ("spec", "containers", 0)
NONE = "0/1 nodes are available: "
UNREADY = "Readiness probe failed: HTTP probe failed with statuscode: 503"
CERTAIN, LIKELY = Confidence.CERTAIN, Confidence.LIKELY

Json = dict[str, Any]

_DECLARED = frozenset(
    {"service", "checks", "observer", "serving", "lost_service", "missing_since", "recreate", "start_up"}
)
"""What is handed in `Workload.more` and is a fact of DeclaredFacts."""

TEMPLATE: Json = {
    "metadata": {"labels": {"app": "web", "part-of": "shop"}},
    "spec": {
        "serviceAccountName": "web",
        "imagePullSecrets": [{"name": "registry"}],
        "initContainers": [{"name": "migrate", "image": "shop:1"}],
        "containers": [
            {
                "name": "app",
                "image": "shop:1",
                "command": ["/bin/shop"],
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": [
                    {"name": "UPSTREAM", "value": "http://db"},
                    {"name": "CURRENCY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "currency"}}},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}},
                ],
                "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}},
                "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
                "startupProbe": {"httpGet": {"path": "/ready", "port": 8080}},
                "volumeMounts": [{"name": "routes", "mountPath": "/etc/routes"}],
            },
            {"name": "metrics", "image": "metrics:1", "env": [{"name": "PORT", "value": "9102"}]},
        ],
        "volumes": [{"name": "routes", "configMap": {"name": "routes", "items": [{"key": "routes", "path": "r"}]}}],
    },
}


def ago(seconds: float) -> datetime:
    """Return a moment before now."""
    return NOW - timedelta(seconds=seconds)


def iso(moment: datetime) -> str:
    """Write a moment as the API does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def waits(reason: str, message: str = "", *, restarts: int = 0, ended: Json | None = None) -> Json:
    """Describe a container that waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {
        "ready": False,
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": ended} if ended else {},
    }


def ends(code: int, reason: str = "Error", message: str = "", *, seconds: float = 30, ran: float = 2) -> Json:
    """Describe an end of a container that had run for so long, a while ago."""
    times = {"startedAt": iso(ago(seconds + ran)), "finishedAt": iso(ago(seconds))}
    return {"exitCode": code, "reason": reason, "message": message, **times}


def crashes(code: int, reason: str = "Error", message: str = "") -> Json:
    """Describe a container in a crash loop."""
    return waits("CrashLoopBackOff", "back-off", restarts=4, ended=ends(code, reason, message))


def runs(
    *, ready: bool = True, seconds: float = 600, restarts: int = 0, started: bool = True, ended: Json | None = None
) -> Json:
    """Describe a container that runs."""
    return {
        "ready": ready,
        "started": started,
        "restartCount": restarts,
        "state": {"running": {"startedAt": iso(ago(seconds))}},
        "lastState": {"terminated": ended} if ended else {},
    }


@dataclass
class Workload:
    """
    A Deployment of two pods that serve, in its first revision; `roll_out` makes a second one with one pod that is not ready.

    `more` is what WorkloadFacts and their DeclaredFacts have besides.
    """

    template: Json = field(default_factory=lambda: deepcopy(TEMPLATE))
    reference: str = "deployment/web"
    revisions: list[TemplateRevision] = field(default_factory=list)
    pods: list[Json] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    conditions: list[tuple[str, Condition]] = field(default_factory=list)
    more: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._revision(GOOD, ago(86400))
        self.pods = [self.pod("web-good-1", GOOD), self.pod("web-good-2", GOOD)]

    def also(self, **facts: Any) -> Self:
        """Let this be known besides."""
        self.more |= facts
        return self

    def change(self, path: Sequence[str | int], value: object) -> Self:
        """Set a field of the template; None removes it."""
        at: Any = self.template
        for key in path[:-1]:
            at = at.setdefault(key, {}) if isinstance(at, dict) else at[key]
        if value is None:
            del at[path[-1]]
        else:
            at[path[-1]] = value
        return self

    def roll_out(self, container: Json | None = None, **more: Any) -> Self:
        """Put the changed template in force, with one new pod; `container` is how its container `app` is."""
        self._revision(NEW, ago(120))
        app = container or waits("ContainerCreating")
        self.pods.append(self.pod("web-new-1", NEW, created=ago(119), app=app, **more))
        return self

    def replace_pod(self, container: Json, **more: Any) -> Self:
        """Let one of the good template's pods be made anew now, and be like this."""
        self.pods[0] = self.pod("web-good-3", GOOD, created=ago(60), app=container, **more)
        return self

    def pod(
        self,
        name: str,
        template_hash: str,
        *,
        created: datetime = NOW - timedelta(days=1),
        scheduling: str = "",
        **containers: Json,
    ) -> Json:
        """Describe a pod of the template as it is now; containers that are not named run and are ready."""
        states = {each["name"]: containers.get(each["name"], runs()) for each in self.template["spec"]["containers"]}
        first = {"ready": True, "state": {"terminated": ends(0, "Completed")}, "restartCount": 0}
        inits = {each["name"]: containers.get(each["name"], first) for each in self.template["spec"]["initContainers"]}
        ready = all(each["ready"] for each in states.values()) and not scheduling
        conditions = [
            {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": iso(created)},
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": iso(created)},
        ]
        if scheduling:
            conditions[1] |= {"status": "False", "reason": "Unschedulable", "message": scheduling}
        return {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": name,
                "creationTimestamp": iso(created),
                "labels": {"app": "web", "pod-template-hash": template_hash},
            },
            "spec": {**deepcopy(self.template["spec"]), "nodeName": "" if scheduling else "node-1"},
            "status": {
                "phase": "Pending" if scheduling else "Running",
                "conditions": conditions,
                "containerStatuses": [] if scheduling else [{"name": key, **each} for key, each in states.items()],
                "initContainerStatuses": [] if scheduling else [{"name": key, **each} for key, each in inits.items()],
            },
        }

    def event(
        self, about: str, reason: str, message: str, *, count: int = 1, container: str = "", seconds: float = 20
    ) -> Self:
        """Let somebody say something of an object."""
        path = f"spec.containers{{{container}}}" if container else ""
        kind, _, name = about.partition("/")
        involved = ObjectReference(kind=kind, name=name, field_path=path)
        at = ago(seconds)
        said = Event(involved_object=involved, reason=reason, message=message, count=count, last_timestamp=at)
        self.events.append(said)
        return self

    def unhealthy(self, *pods: str, count: int = 9) -> Self:
        """Let the kubelet say so often that the pods' container fails its readiness probe."""
        for pod in pods:
            self.event(f"pod/{pod}", "Unhealthy", UNREADY, count=count, container="app")
        return self

    def condition(self, holder: str, message: str) -> Self:
        """Let the controller say that it cannot make pods."""
        said = Condition(type="ReplicaFailure", status="True", reason="FailedCreate", message=message)
        self.conditions.append((holder, said))
        return self

    def facts(self) -> WorkloadFacts:
        """Return it as a diagnosis has it."""
        known: Mapping[str, Any] = {
            "reference": self.reference,
            "namespace": "shop",
            "now": NOW,
            "created": ago(2 * 86400),
            "desired": 2,
            "labels": self.template["metadata"]["labels"],
            "selector": {"app": "web"},
            "template": msgspec.convert(self.template["spec"], SpecifiedPod),
            "revisions": tuple(sorted(self.revisions, key=lambda each: each.number, reverse=True)),
            "pods": tuple(msgspec.convert(each, PodFacts) for each in self.pods),
            "events": tuple(self.events),
            "conditions": tuple(self.conditions),
        }
        declared = DeclaredFacts(**{key: each for key, each in self.more.items() if key in _DECLARED})
        more = {key: each for key, each in self.more.items() if key not in _DECLARED}
        return WorkloadFacts(**{**known, "declared": declared, **more})

    def causes(self) -> tuple[Cause, ...]:
        """Return what is found wrong."""
        return diagnose(self.facts()).causes

    def _revision(self, template_hash: str, created: datetime) -> None:
        fields = template_fields(self.template)
        number = len(self.revisions) + 1
        self.revisions.append(TemplateRevision(number=number, hash=template_hash, created=created, fields=fields))


def new(path: Sequence[str | int], value: object, container: Json | None = None, **more: Any) -> Workload:
    """Roll out a template with one other field, whose first pod is like this."""
    return Workload().change(path, value).roll_out(container, **more)


def old(container: Json, **more: Any) -> Workload:
    """Let one pod of the good template be made anew, like this."""
    return Workload().replace_pod(container, **more)


def rolled_out(path: Sequence[str | int], value: object) -> Workload:
    """Let the rollout of a template with one other field have ended well."""
    web = new(path, value, runs())
    web.pods = [web.pod(name, NEW, created=ago(119)) for name in ("web-new-1", "web-new-2")]
    return web


def unready(*pods: str, reference: str = "deployment/web") -> Workload:
    """Let all pods fail their readiness probe."""
    web = Workload(reference=reference)
    web.pods = [web.pod(pod, GOOD, app=runs(ready=False, seconds=300)) for pod in pods]
    return web.unhealthy(*pods)


def unplaced(why: str, web: Workload | None = None, **facts: Any) -> Workload:
    """Let one pod of the good template be made anew, for which the scheduler finds no node."""
    return (web or Workload()).replace_pod(waits(""), scheduling=NONE + why).also(**facts)


Row = tuple[CauseKind, str, str, Confidence]


def row(cause: Cause) -> Row:
    """Return what a row of docs/faults.md says of a cause."""
    return cause.kind, cause.object, cause.field, cause.confidence
