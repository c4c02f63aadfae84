"""What stands around the workload of `workload`, as a test has it broken: claims, nodes, policies, upstreams, checks."""

from typing import Any

import msgspec

from kintsugi.decisions.diagnosis.facts import (
    ConfigurationFacts,
    ConfigurationType,
    NodeFacts,
    RoutingSpec,
    ServiceFacts,
    TargetPort,
    WorkloadFacts,
)
from kintsugi.decisions.diagnosis.network_policies import PolicyFacts
from kintsugi.decisions.diagnosis.related_objects import AutoscalerFacts, BudgetFacts, CheckFacts, ClaimFacts
from kintsugi.objects.metadata import Condition, Metadata
from tests.unit.diagnosis.workload import Workload, ago, iso

POD_LABELS = {"app": "depot"}


def check(*, met: bool = False, answer: str = "HTTP 502", seconds: float = 60) -> CheckFacts:
    """Return a check as it was answered last."""
    return CheckFacts(name="answers", met=met, answer="" if met else answer, since=ago(seconds))


def node(
    name: str = "node-1", *, cordoned: bool = False, others: tuple[int, int] = (0, 0), **conditions: str
) -> NodeFacts:
    """Return a node with what its kubelet reports; of `others` the second number is ready."""
    found = {"Ready": "True", **conditions}
    return NodeFacts(
        name=name,
        cordoned=cordoned,
        taints=(),
        conditions=tuple(Condition(type=key, status=value, reason=f"Kubelet{key}") for key, value in found.items()),
        others=others[0],
        others_ready=others[1],
    )


def claim(phase: str = "Bound", **more: Any) -> ClaimFacts:
    """Return the claim of the pods."""
    return ClaimFacts(name="data", **{"phase": phase, "volume": "pv-1", "capacity": "1Gi", **more})


def mounting_claim(web: Workload) -> Workload:
    """Let the template mount the claim."""
    web.template["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})
    web.template["spec"]["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    return web


def service(name: str = "depot", target: int | str = 8080, **selector: str) -> ServiceFacts:
    """Return a Service."""
    ports = (TargetPort(name="main", port=80, target_port=target),)
    return ServiceFacts(metadata=Metadata(name=name), spec=RoutingSpec(selector=selector or POD_LABELS, ports=ports))


def depot(*, pods: bool = True, **more: Any) -> WorkloadFacts:
    """Return an upstream, well unless told otherwise: a StatefulSet behind a Service of its own name."""
    other = Workload(reference="statefulset/depot")
    if not pods:
        other.pods = []
    labels = {"labels": POD_LABELS, "selector": POD_LABELS, "services": (service(),), "governing": "depot"}
    other.more |= {**labels, "checks": (check(met=True),), "service": "depot", **more}
    return other.facts()


def policy(name: str, selector: dict[str, str], seconds: float = 60, **spec: Any) -> PolicyFacts:
    """Return a NetworkPolicy of the namespace."""
    body = {
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": iso(ago(seconds))},
        "spec": {"podSelector": {"matchLabels": selector}, **spec},
    }
    return msgspec.convert(body, PolicyFacts)


def budget(*, allowed: int = 0, healthy: int = 2, desired: int = 2, generation: int = 1, **spec: Any) -> BudgetFacts:
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
    return msgspec.convert(body, BudgetFacts)


def autoscaler(
    kind: str, status: str, reason: str, message: str = "", *, seconds: float = 300, target: str = "web"
) -> AutoscalerFacts:
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
    return msgspec.convert(body, AutoscalerFacts)


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
        changed_keys=(key,),
        created=ago(made),
    )
