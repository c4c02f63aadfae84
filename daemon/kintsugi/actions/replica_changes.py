"""Checks whether the replicas of a workload may be changed: by autoscalers, schedulable pods and the phase of the run."""

from collections.abc import Mapping, Sequence

from kintsugi.actions import api_objects, preconditions
from kintsugi.actions.loaded_target import LoadedTarget
from kintsugi.commands.selectors import selector_of
from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.records import Phase
from kubeobjects import unstructured
from kubeobjects.autoscalers import SCALED_OBJECTS, scalers_of
from kubeobjects.kept import HorizontalPodAutoscaler, LabelSelector, Pod
from kubeobjects.predicates import unschedulable
from kubeobjects.resources import HPAS, PODS
from kubeobjects.unstructured import Unstructured


async def check_replicas(
    kube: KubeClient, loaded: LoadedTarget, present: int, wanted: int, *, expected: int | None = None
) -> tuple[Mapping[str, object], ...]:
    """
    Raise Refused when this workload's replicas may not be changed so; `expected` is what the command says that it has.

    Return the autoscalers that sleep while it is at zero, with their bounds, for the intent.
    """
    asked, context = loaded.asked, loaded.context
    preconditions.check(preconditions.scales_down(asked, present, wanted, context, loaded.namespace))
    found = [each async for each in kube.iter_objects(HPAS, HorizontalPodAutoscaler, loaded.namespace)]
    scalers = scalers_of(asked.resource, asked.name, found)
    may_rest = context.stops(asked, loaded.namespace) or context.phase is not Phase.FORWARD
    starts = present == 0 and not may_rest
    if starts:
        preconditions.check(
            preconditions.left_at_zero(asked, expected),
            preconditions.another_s_workload(asked, context, loaded.namespace),
            preconditions.autoscaler_inactive(asked, scalers, await _scaled_objects(kube, loaded.namespace)),
        )
    asleep = (may_rest or starts) and 0 in (present, wanted)
    preconditions.check(preconditions.autoscaled(asked, scalers, context, asleep=asleep))
    if wanted > present and context.phase is Phase.FORWARD:
        preconditions.check(preconditions.unschedulable_pods(asked, await _pods(kube, loaded)))
    return tuple(
        {"name": each.metadata.name, "min": each.spec.min_replicas, "max": each.spec.max_replicas} for each in scalers
    )


async def _scaled_objects(kube: KubeClient, namespace: str) -> Sequence[Unstructured]:
    """Read KEDA's objects; none where the cluster does not know the kind."""
    try:
        return (await kube.list(SCALED_OBJECTS, namespace)).items
    except NotFound:
        return ()


async def _pods(kube: KubeClient, loaded: LoadedTarget) -> list[Pod]:
    """Read the pods of the workload that find no node."""
    selector = selector_of(api_objects.convert(unstructured.nested_map(loaded.obj, "spec", "selector"), LabelSelector))
    every = kube.iter_objects(PODS, Pod, loaded.namespace, labels=str(selector))
    return [each async for each in every if unschedulable(each)]
