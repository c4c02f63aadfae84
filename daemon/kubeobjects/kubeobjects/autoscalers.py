"""The autoscalers of a workload, and whether one may let it rest at 0 replicas: then only that one starts it."""

from collections.abc import Iterable, Sequence

from kubeobjects.kept import HorizontalPodAutoscaler
from kubeobjects.resources import Resource

SCALED_OBJECTS = Resource(
    kind="ScaledObject", plural="scaledobjects", singular="scaledobject", group="keda.sh", version="v1alpha1"
)
"""KEDA's: each has a HorizontalPodAutoscaler of its own, but while it is paused."""


def scalers_of(
    resource: Resource, name: str, autoscalers: Iterable[HorizontalPodAutoscaler]
) -> Sequence[HorizontalPodAutoscaler]:
    """List the autoscalers that scale a workload, of those in its namespace."""
    targets = ((each, each.spec.scale_target_ref) for each in autoscalers)
    return [each for each, target in targets if (target.kind, target.name) == (resource.kind, name)]


def rests(scalers: Iterable[HorizontalPodAutoscaler]) -> str:
    """Return which autoscaler may let its workload rest at 0, "" for none; one with at least 1 sleeps while it is there."""
    for each in scalers:
        owners = [owner.name for owner in each.metadata.owner_references if owner.kind == SCALED_OBJECTS.kind]
        if owners:
            return f"the ScaledObject {owners[0]} scales it, and may let it rest at 0"
        if each.spec.min_replicas < 1:
            return f"the HorizontalPodAutoscaler {each.metadata.name} may let it rest at 0 (minReplicas: 0)"
    return ""
