"""
Claims and their volumes: a claim is deleted only when its volume is kept, comes back empty, and is bound again in an undo.

A claim that a StatefulSet makes for its pods comes back with the next pod. One of people's own is nobody's to make: it is
made anew as it was, but for the volume that it had.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from kintsugi.actions import live, refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.evidence import of_claim
from kintsugi.actions.judged import Judged, judge_as_read
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import MARK, CreateWrite, DeleteWrite, Prepared
from kintsugi.actions.undo import NOTHING_CHANGED, not_undone, undone_by
from kintsugi.commands import encode
from kintsugi.errors import NotFound, NotYet, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Create, Delete, ObjectName, Patch
from kintsugi.model.records import UndoRecord
from kintsugi.objects import facts
from kintsugi.objects.kept import Pod, StatefulSet
from kintsugi.objects.resources import PODS, PVCS, PVS, STATEFULSETS
from kintsugi.telemetry.secret_places import LAST_APPLIED

# What a cluster writes about the volume that a claim got: a claim without it is a new one.
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


async def prepare_undo(kube: KubeClient, command: Delete, circumstances: Circumstances) -> Prepared:
    """
    Judge the deletion of a claim that has taken another's name since; one that is gone already is deleted by no write.

    It is read once: its StatefulSet may delete it at any moment. Raises NotYet while it is going.
    """
    asked = command.objects[0]
    refusals.check(refusals.protected(command.namespace, circumstances))
    try:
        obj = await kube.get(PVCS, asked.name, command.namespace)
    except NotFound:
        return Prepared(command=command, facts={"uid": "", "already": True}, undo=NOTHING_CHANGED)
    if refusals.terminating(asked, obj):
        raise NotYet(f"{asked} is still being deleted")
    judged = judge_as_read(asked, obj, command.namespace, circumstances)
    return await prepare_delete(kube, replace(command, objects=(judged.asked,)), judged)


async def prepare_delete(kube: KubeClient, command: Delete, judged: Judged) -> Prepared:
    """Judge the deletion of a claim. Raises NotYet while the pods that use it are ending."""
    asked = judged.asked
    volume = await _volume(kube, live.text(judged.obj, "spec", "volumeName"))
    refusals.check(refusals.unretained(asked, volume))
    _check_users(asked, [live.kept(each, Pod) for each in (await kube.list(PODS, judged.namespace)).items])
    anew = () if await _has_maker(kube, judged) else (_create(judged.obj, command.namespace),)
    return Prepared(
        command=command,
        facts={
            **judged.identity,
            "volume": live.name(volume) if volume else "",
            "then": [encode(each) for each in anew],
        },
        undo=_bind_again(command, judged.obj, volume),
        evidence=tuple([await of_claim(each) for each in (judged.obj, volume) if each]),
        write=DeleteWrite(grace=command.grace),
    )


async def prepare_create(kube: KubeClient, command: Create, circumstances: Circumstances) -> Prepared:
    """
    Judge the making of a claim. Raises Refused when another one has the name, NotYet while the one before it is going.

    A claim of that name which nobody is deleting will do, where no certain volume is asked for.
    """
    asked, manifest = command.object, _manifest_of(command)
    refusals.check(refusals.protected(command.namespace, circumstances))
    wanted = live.text(manifest, "spec", "volumeName")
    present = await _present(kube, command)
    if present is not None:
        has = live.text(present, "spec", "volumeName")
        if wanted and has != wanted:
            raise Refused(
                f"{asked} is bound to {has or 'no volume'}: its name is taken, {wanted} cannot be bound to it"
            )
        return Prepared(command=command, facts={"uid": live.uid(present), "already": True}, undo=NOTHING_CHANGED)
    mark = circumstances.mark
    marked = live.put(manifest, "metadata", "annotations", MARK, value=mark)
    return Prepared(
        command=command,
        facts={"uid": "", "mark": mark},
        undo=not_undone("it goes, and the one before it comes back, when the deletion before it is taken back"),
        write=CreateWrite(manifest=marked),
    )


def _manifest_of(command: Create) -> Live:
    content = orjson.loads(command.manifest)
    if not isinstance(content, Mapping) or command.object.resource != PVCS:
        raise Refused(f"{command.object} is not made: only claims are")
    return content


async def _present(kube: KubeClient, command: Create) -> Live | None:
    try:
        obj = await kube.get(PVCS, command.object.name, command.namespace)
    except NotFound:
        return None
    if refusals.terminating(command.object, obj):
        raise NotYet(f"the {command.object} before it is still being deleted")
    return obj


def _check_users(asked: ObjectName, pods: Sequence[Pod]) -> None:
    """Raise Refused while pods use a claim, NotYet while the last of them are ending."""
    users = [pod for pod in pods if asked.name in facts.claim_names(pod) and not facts.finished(pod)]
    refusals.check(refusals.shared_claim(asked, [pod for pod in users if not facts.terminating(pod)]))
    if users:
        raise NotYet(f"{asked} is in use by {users[0].metadata.name}, which is ending")


async def _volume(kube: KubeClient, name: str) -> Live | None:
    if not name:
        return None
    try:
        return await kube.get(PVS, name)
    except NotFound:
        return None


async def _has_maker(kube: KubeClient, judged: Judged) -> bool:
    """Tell whether a StatefulSet makes this claim, when it makes the pod that uses it."""
    sets = [live.kept(each, StatefulSet) for each in (await kube.list(STATEFULSETS, judged.namespace)).items]
    starts = [
        f"{template.metadata.name}-{each.metadata.name}-"
        for each in sets
        for template in each.spec.volume_claim_templates
    ]
    return any(judged.asked.name.removeprefix(start).isdecimal() for start in starts)


def _create(claim: Live, namespace: str, volume: str = "") -> Create:
    """Make the command that brings a claim back: as it was, with no volume or a certain one."""
    asked = live.named(PVCS, claim)
    return Create(
        object=replace(asked, uid=""),
        namespace=namespace,
        manifest=orjson.dumps(_anew(claim, volume), option=orjson.OPT_SORT_KEYS).decode(),
    )


def _anew(claim: Live, volume: str) -> Live:
    """
    Write down a claim without what the cluster has made of it, nor a source to fill its volume from.

    What `kubectl apply` has left on it is a secret's place, and goes: the next `apply` writes it anew.
    """
    annotations = {
        key: value
        for key, value in live.mapping(claim, "metadata", "annotations").items()
        if key not in _OF_THE_VOLUME and key not in (MARK, LAST_APPLIED)
    }
    labels = live.labels(claim)
    spec = {
        key: value
        for key, value in live.mapping(claim, "spec").items()
        if key not in {"volumeName", "dataSource", "dataSourceRef"}
    }
    return {
        "apiVersion": "v1",
        "kind": PVCS.kind,
        "metadata": {
            "name": live.name(claim),
            "namespace": live.text(claim, "metadata", "namespace"),
            **({"labels": labels} if labels else {}),
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {**spec, **({"volumeName": volume} if volume else {})},
    }


def _bind_again(command: Delete, claim: Live, volume: Live | None) -> UndoRecord:
    """
    Bind the old volume to the name again.

    The claim that has taken the name since goes (its own volume must be kept, too), the old volume forgets the claim that
    is no more, and a claim that asks for this very volume is made.
    """
    if volume is None:
        return not_undone("the claim had no volume: there is nothing to bind again")
    asked = replace(command.objects[0], uid="")
    name = live.name(volume)
    return undone_by(
        replace(command, objects=(asked,), grace=None),
        Patch(object=live.named(PVS, volume), namespace="", patch=_FREE, kind="merge"),
        _create(claim, command.namespace, name),
        note=f"the old volume {name} is kept and bound again",
    )
