"""What stands around the workload of `workload`, as a test has it broken: claims, nodes, policies, upstreams, checks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from kubediagnosis.facts import (
    CheckFacts,
    ClaimFacts,
    ConfigurationFacts,
    ConfigurationType,
    FieldChange,
    NodeFacts,
    WorkloadFacts,
)
from kubeobjects.cluster import NodeSpec, NodeStatus, Taint
from kubeobjects.metadata import Condition, Metadata
from kubeobjects.network import KubeService, NetworkPolicy, ServicePort, ServiceSpec
from kubeobjects.storage import ClaimSpec, ClaimStatus
from kubeobjects.workloads import HorizontalPodAutoscaler, PodDisruptionBudget
from tests.unit.diagnosis.workload import Workload, ago, iso

POD_LABELS = {"app": "depot"}
AT_ZERO: dict[str, Any] = {"pods": False, "desired": 0, "scaled": FieldChange(manager="kubectl", at=ago(60))}
"""How an upstream is that somebody has scaled to 0."""


def check(*, met: bool = False, answer: str = "HTTP 502", seconds: float = 60) -> CheckFacts:
    """Return a check as it was answered last."""
    return CheckFacts(name="answers", met=met, answer="" if met else answer, since=ago(seconds))


def unmet(web: Workload | None = None, *, answer: str = "HTTP 502", seconds: float = 60, **facts: Any) -> Workload:
    """Let a check not be met, of a workload whose pods are ready unless it is another one."""
    return (web or Workload()).also(checks=(check(answer=answer, seconds=seconds),), **facts)


def met(web: Workload | None = None, **facts: Any) -> Workload:
    """Let every check be met."""
    return (web or Workload()).also(checks=(check(met=True),), **facts)


def bare_node(
    name: str = "node-1",
    *,
    cordoned: bool = False,
    taints: Sequence[str] = (),
    conditions: tuple[Condition, ...] = (),
    created: datetime | None = None,
) -> NodeFacts:
    """Return a node; without conditions its kubelet has not reported."""
    marks = tuple(Taint(key=each, effect="NoSchedule") for each in taints)
    return NodeFacts(
        metadata=Metadata(name=name, creation_timestamp=created),
        spec=NodeSpec(unschedulable=cordoned, taints=marks),
        status=NodeStatus(conditions=conditions),
    )


def node(
    name: str = "node-1",
    *,
    cordoned: bool = False,
    taints: Sequence[str] = (),
    others: tuple[int, int] = (0, 0),
    **conditions: str,
) -> NodeFacts:
    """Return a node with what its kubelet reports; of `others` the second number is ready."""
    reported = {"Ready": "True", **conditions}
    found = tuple(Condition(type=key, status=value, reason=f"Kubelet{key}") for key, value in reported.items())
    bare = bare_node(name, cordoned=cordoned, taints=taints, conditions=found)
    return msgspec.structs.replace(bare, others=others[0], others_ready=others[1])


def claim(
    phase: str = "Bound", *, volume: str = "pv-1", storage_class: str = "", seconds: float = 0, **more: Any
) -> ClaimFacts:
    """Return the claim of the pods; with `seconds` it is being deleted since then."""
    return ClaimFacts(
        metadata=Metadata(name="data", deletion_timestamp=ago(seconds) if seconds else None),
        spec=ClaimSpec(volume_name=volume, storage_class_name=storage_class),
        status=ClaimStatus(phase=phase, capacity={"storage": "1Gi"}),
        **more,
    )


def mounting_claim() -> Workload:
    """Return a workload whose template mounts the claim."""
    web = Workload()
    web.template["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})
    web.template["spec"]["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    return web


def service(name: str = "depot", target: int | str = 8080, **selector: str) -> KubeService:
    """Return a Service."""
    ports = (ServicePort(name="main", port=80, target_port=target),)
    return KubeService(metadata=Metadata(name=name), spec=ServiceSpec(selector=selector or POD_LABELS, ports=ports))


def depot(*, pods: bool = True, **more: Any) -> WorkloadFacts:
    """Return an upstream, well unless told otherwise: a StatefulSet behind a Service of its own name."""
    other = Workload(reference="statefulset/depot")
    if not pods:
        other.pods = []
    labels = {"labels": POD_LABELS, "selector": POD_LABELS, "services": (service(),), "governing": "depot"}
    other.more |= {**labels, "checks": (check(met=True),), "service": "depot", **more}
    return other.facts()


def policy(name: str, selector: dict[str, str], seconds: float = 60, **spec: Any) -> NetworkPolicy:
    """Return a NetworkPolicy of the namespace."""
    body = {
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": iso(ago(seconds))},
        "spec": {"podSelector": {"matchLabels": selector}, **spec},
    }
    return msgspec.convert(body, NetworkPolicy)


def budget(
    *, allowed: int = 0, healthy: int = 2, desired: int = 2, generation: int = 1, **spec: Any
) -> PodDisruptionBudget:
    """Return a PodDisruptionBudget of the two pods."""
    body = {
        "metadata": {"name": "web", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **(spec or {"minAvailable": 2})},
        "status": {
            "observedGeneration": generation,
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": 2,
        },
    }
    return msgspec.convert(body, PodDisruptionBudget)


def autoscaler(
    kind: str, status: str, reason: str, message: str = "", *, seconds: float = 300, target: str = "web"
) -> HorizontalPodAutoscaler:
    """Return an autoscaler that measures processor time by a share of what is requested."""
    condition = {"type": kind, "status": status, "reason": reason, "message": message}
    body = {
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": target},
            "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}],
        },
        "status": {"conditions": [{**condition, "lastTransitionTime": iso(ago(seconds))}]},
    }
    return msgspec.convert(body, HorizontalPodAutoscaler)


def written(
    name: str, key: str, seconds: float, *, kind: ConfigurationType = ConfigurationType.SECRET, made: float = 10**6
) -> ConfigurationFacts:
    """Return a Secret or ConfigMap of which a key was written so long ago."""
    return ConfigurationFacts(
        type=kind,
        name=name,
        exists=True,
        keys=frozenset({key}),
        changed=ago(seconds),
        changed_by="kubectl-patch",
        changed_keys=(key,),
        created=ago(made),
    )
