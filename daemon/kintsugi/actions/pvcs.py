"""
Claims and their volumes: a claim is deleted only when its volume is kept, comes back empty, and is bound again in an undo.
A claim grows only within the ceiling of its service. No pod is ended whose claim is being deleted.

A claim that a StatefulSet makes for its pods comes back with the next pod. No controller recreates another claim: it is
recreated as it was, without its former volume.
"""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from kintsugi.actions import api_objects, preconditions
from kintsugi.actions.api_objects import found
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.description import evidence_of_claim
from kintsugi.actions.effect_plan import (
    NOTHING_CHANGED,
    RUN_ANNOTATION,
    CreateWrite,
    DeleteIntent,
    DeleteWrite,
    EffectPlan,
    PatchWrite,
    record_without_undo,
    undone_by,
)
from kintsugi.actions.loaded_target import LoadedTarget, check_loaded
from kintsugi.actions.pods import made_by
from kintsugi.commands import encode
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.errors import NotFound, NotYet, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Create, Delete, ObjectName, Patch
from kintsugi.model.records import UndoRecord
from kintsugi.telemetry.redaction import is_manifest
from kubeobjects import predicates, unstructured
from kubeobjects.kept import Pod, StatefulSet
from kubeobjects.quantities import quantity
from kubeobjects.resources import PODS, PVCS, PVS, STATEFULSETS
from kubeobjects.unstructured import Unstructured

# Annotations that the cluster writes about a claim's volume: a claim without them is a new one.
_OF_THE_VOLUME = frozenset(
    {
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
        "volume.kubernetes.io/selected-node",
        "volume.kubernetes.io/storage-provisioner",
        "volume.beta.kubernetes.io/storage-provisioner",
        "volume.kubernetes.io/storage-resizer",
    }
)
_FREE = '{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}'


async def plan_undo(kube: KubeClient, command: Delete, context: ChangeContext) -> EffectPlan:
    """
    Judge the deletion of a claim that has taken another's name since; one that is gone already is deleted by no write.

    It is read once: its StatefulSet may delete it at any moment. Raises NotYet while it is going.
    """
    asked = command.objects[0]
    preconditions.check(preconditions.protected(command.namespace, context))
    try:
        obj = await kube.get(PVCS, asked.name, command.namespace)
    except NotFound:
        return EffectPlan(command=command, intent=DeleteIntent(uid="", already=True), undo=NOTHING_CHANGED)
    if preconditions.terminating(asked, obj):
        raise NotYet(f"{asked} is still being deleted")
    loaded = check_loaded(asked, obj, command.namespace, context)
    return await plan_delete(kube, replace(command, objects=(loaded.asked,)), loaded)


async def plan_delete(kube: KubeClient, command: Delete, loaded: LoadedTarget) -> EffectPlan:
    """Judge the deletion of a claim. Raises NotYet while the pods that use it are ending."""
    asked = loaded.asked
    bound = unstructured.nested_string(loaded.obj, "spec", "volumeName")
    volume = await found(kube, PVS, bound) if bound else None
    preconditions.check(_unretained(asked, volume))
    _check_users(asked, [each async for each in kube.iter_objects(PODS, Pod, loaded.namespace) if _uses(each, asked)])
    anew = () if await _has_maker(kube, loaded) else (_create(loaded.obj, command.namespace),)
    return EffectPlan(
        command=command,
        intent=loaded.identified(
            DeleteIntent(
                uid=loaded.uid,
                volume=unstructured.name(volume) if volume else "",
                then=tuple(encode(each) for each in anew),
            )
        ),
        undo=_bind_again(command, loaded.obj, volume),
        evidence=tuple([await evidence_of_claim(each) for each in (loaded.obj, volume) if each]),
        write=DeleteWrite(grace=command.grace),
    )


async def check_claims_stay(kube: KubeClient, plan: EffectPlan, asked: ObjectName, namespace: str) -> None:
    """
    Judge whether a planned change of `asked` ends a pod whose claim is being deleted. Raises Refused for one that does; KubeError.

    Such a claim stays only as long as a pod uses it, and its volume may go with it (kubernetes.io, Persistent Volumes, "Storage
    Object in Use Protection").
    """
    read: dict[str, Unstructured | None] = {}
    for pod in await _ended_by(kube, plan, asked, namespace):
        for name in predicates.claim_names(pod):
            if name not in read:
                read[name] = await found(kube, PVCS, name, namespace)
            since = unstructured.nested_string(read[name], "metadata", "deletionTimestamp")
            if since and not predicates.finished(pod):
                raise Refused(
                    f"persistentvolumeclaim/{name} is being deleted (since {since}) and would be gone once"
                    f" pod/{pod.metadata.name} ends, perhaps with its volume: keep the data first"
                )


async def _ended_by(kube: KubeClient, plan: EffectPlan, asked: ObjectName, namespace: str) -> Sequence[Pod]:
    """Read the pods that a planned write ends: the one that it deletes or evicts, or those of the workload that it changes."""
    if asked.resource == PODS and (
        isinstance(plan.write, DeleteWrite)
        or (isinstance(plan.write, CreateWrite) and plan.write.subresource == "eviction")
    ):
        return [api_objects.convert(await kube.get(PODS, asked.name, namespace), Pod)]
    if not isinstance(plan.write, PatchWrite) or asked.resource not in ROLLED_OUT:
        return ()
    paths = {str(each["path"]): each.get("value") for each in plan.write.operations if each["op"] != "test"}
    template, replicas = any(path.startswith("/spec/template") for path in paths), paths.get("/spec/replicas")
    if not template and not isinstance(replicas, int):
        return ()
    workload = await kube.get(asked.resource, asked.name, namespace)
    ends = template or (isinstance(replicas, int) and replicas < unstructured.replicas(workload))
    return await made_by(kube, asked, workload) if ends else ()


def _unretained(asked: ObjectName, volume: Unstructured | None) -> str:
    """Refuse a claim whose volume would go with it."""
    policy = unstructured.nested_string(volume, "spec", "persistentVolumeReclaimPolicy")
    if volume is None or policy == "Retain":
        return ""
    return (
        f"the volume {unstructured.name(volume)} of {asked} would be deleted with it ({policy}): set it to Retain first"
    )


def _uses(pod: Pod, asked: ObjectName) -> bool:
    return asked.name in predicates.claim_names(pod) and not predicates.finished(pod)


def _check_users(asked: ObjectName, users: Sequence[Pod]) -> None:
    """Raise Refused while pods use a claim, NotYet while the last of them are ending."""
    staying = sorted(pod.metadata.name for pod in users if not predicates.terminating(pod))
    if staying:
        raise Refused(f"{asked} is in use by {', '.join(staying)}: stop them first")
    if users:
        raise NotYet(f"{asked} is in use by {users[0].metadata.name}, which is ending")


async def _has_maker(kube: KubeClient, loaded: LoadedTarget) -> bool:
    """Return whether a StatefulSet makes this claim, when it makes the pod that uses it."""
    starts = [
        f"{template.metadata.name}-{each.metadata.name}-"
        async for each in kube.iter_objects(STATEFULSETS, StatefulSet, loaded.namespace)
        for template in each.spec.volume_claim_templates
    ]
    return any(loaded.asked.name.removeprefix(start).isdecimal() for start in starts)


def _create(claim: Unstructured, namespace: str, volume: str = "") -> Create:
    """Make the command that brings a claim back: as it was, with no volume or a certain one."""
    asked = api_objects.named(PVCS, claim)
    return Create(
        object=replace(asked, uid=""),
        namespace=namespace,
        manifest=orjson.dumps(_anew(claim, volume), option=orjson.OPT_SORT_KEYS).decode(),
    )


def _anew(claim: Unstructured, volume: str) -> Unstructured:
    """
    Return the manifest of a claim without the cluster's additions, and without a source to fill its volume from.

    An annotation with a manifest may hold a secret, and is removed: the next apply writes it again.
    """
    annotations = {
        key: value
        for key, value in unstructured.nested_map(claim, "metadata", "annotations").items()
        if key not in _OF_THE_VOLUME and key != RUN_ANNOTATION and not is_manifest(key, value)
    }
    labels = unstructured.labels(claim)
    spec = {
        key: value
        for key, value in unstructured.nested_map(claim, "spec").items()
        if key not in {"volumeName", "dataSource", "dataSourceRef"}
    }
    return {
        "apiVersion": "v1",
        "kind": PVCS.kind,
        "metadata": {
            "name": unstructured.name(claim),
            "namespace": unstructured.nested_string(claim, "metadata", "namespace"),
            **({"labels": labels} if labels else {}),
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {**spec, **({"volumeName": volume} if volume else {})},
    }


def _bind_again(command: Delete, claim: Unstructured, volume: Unstructured | None) -> UndoRecord:
    """
    Bind the old volume to the name again.

    The claim that has taken the name since goes (its own volume must be kept, too), the old volume forgets the claim that
    is no more, and a claim that asks for this very volume is made.
    """
    if volume is None:
        return record_without_undo("the claim had no volume: there is nothing to bind again")
    asked = replace(command.objects[0], uid="")
    name = unstructured.name(volume)
    return undone_by(
        replace(command, objects=(asked,), grace=None),
        Patch(object=api_objects.named(PVS, volume), namespace="", patch=_FREE, kind="merge"),
        _create(claim, command.namespace, name),
        note=f"the old volume {name} is kept and bound again",
    )


def check_growth(loaded: LoadedTarget, after: Unstructured) -> UndoRecord | None:
    """
    Return what is noted of a claim that grows in place of a way back; None for any other change.

    Raises Refused for one that would grow beyond what its service allows, and for one that would shrink.
    """
    had, gets = _request(loaded.obj), _request(after)
    if loaded.asked.resource != PVCS or had == gets:
        return None
    ceiling, service = loaded.context.max_allowed.storage, loaded.context.service or "its service"
    preconditions.check(
        f"{loaded.asked} cannot be made smaller (from {had} to {gets})" if _less(gets, had) else "",
        "" if ceiling else f"{loaded.asked} does not grow: {service} declares no maxAllowed.storage",
        f"{loaded.asked} does not grow to {gets}: maxAllowed.storage of {service} is {ceiling}"
        if ceiling and _less(ceiling, gets)
        else "",
    )
    return record_without_undo(f"a claim cannot be made smaller: it asked for {had} before")


def _request(claim: Unstructured) -> str:
    return str(unstructured.nested_field(claim, "spec", "resources", "requests", "storage") or "")


def _less(one: str, other: str) -> bool:
    return quantity(one or None) < quantity(other or None)
