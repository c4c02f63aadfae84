"""
Ends a Job of the run before its time: it is deleted, and with it its pods and the claim that was made for it.

Its programs are asked to stop, and have their grace period to clean up.
"""

from dataclasses import replace

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import RUN
from kintsugi.actions.delete_intent import DeleteIntent
from kintsugi.actions.effect_plan import DeleteWrite, EffectPlan, Evidence, record_without_undo
from kintsugi.actions.evidence import of_pod
from kintsugi.actions.loaded_target import LoadedTarget
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Delete
from kubeobjects import unstructured
from kubeobjects.resources import PODS
from kubeobjects.unstructured import Unstructured

JOB_NAME = "batch.kubernetes.io/job-name"
"""The label by which the pods of a Job are found."""

_NOT_UNDONE = "a Job that was ended is not started again: run its step again"


async def plan_effect(kube: KubeClient, command: Delete, loaded: LoadedTarget) -> EffectPlan:
    """Judge the end of a Job of this very run; what its pods said is kept. Raises Refused for any other Job."""
    ours = unstructured.labels(loaded.obj).get(RUN) == loaded.context.run
    preconditions.check("" if ours else f"{loaded.asked} is not of this run: it is left alone")
    kept: list[Evidence] = []
    for pod in await pods_of(kube, loaded.obj):
        kept += await of_pod(kube, pod)
    return EffectPlan(
        command=replace(command, objects=(loaded.asked,)),
        intent=loaded.identified(DeleteIntent(uid=loaded.uid)),
        undo=record_without_undo(_NOT_UNDONE),
        evidence=tuple(kept),
        write=DeleteWrite(grace=command.grace),
    )


async def pods_of(kube: KubeClient, job: Unstructured) -> list[Unstructured]:
    """List the pods of one Job, the oldest first; a namesake's before it are not its own."""
    namespace = unstructured.nested_string(job, "metadata", "namespace")
    found = (await kube.list(PODS, namespace, labels=f"{JOB_NAME}={unstructured.name(job)}")).items
    own = [pod for pod in found if any(owner.get("uid") == unstructured.uid(job) for owner in _owners(pod))]
    return sorted(own, key=lambda pod: unstructured.nested_string(pod, "metadata", "creationTimestamp"))


def _owners(pod: Unstructured) -> tuple[Unstructured, ...]:
    return unstructured.nested_maps(pod, "metadata", "ownerReferences")
