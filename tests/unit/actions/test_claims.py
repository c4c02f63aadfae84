"""A claim goes only when its volume stays, comes back empty, and is bound to its old volume again."""

import json
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import RUN_ANNOTATION, EffectPlan, EffectStatus
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode, encode, render
from kintsugi.errors import Conflict, NotFound, NotYet, OutcomeUnknown, Refused
from kintsugi.model.command import Command, Create, Delete, ObjectName
from kintsugi.model.records import Phase
from kubeobjects.resources import DEPLOYMENTS, PODS, PVCS, PVS, STATEFULSETS, Resource
from tests.unit.actions.cluster_of_dicts import NOW, ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, change_context, healthy_pod

CLAIM = ObjectName(resource=PVCS, name="data-db-0")
DELETE = Delete(objects=(CLAIM,), namespace=NAMESPACE)
UNDO = change_context(phase=Phase.UNDO)


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


def volume(policy: str = "Retain") -> dict[str, Any]:
    """Make the volume that the claim is bound to."""
    reference = {"name": CLAIM.name, "namespace": NAMESPACE, "uid": "uid-claim", "resourceVersion": "3"}
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": "pv-1", "uid": "uid-pv"},
        "spec": {"persistentVolumeReclaimPolicy": policy, "claimRef": reference},
    }


def claim(**spec: object) -> dict[str, Any]:
    """Make the claim of that volume, as a cluster has bound it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": CLAIM.name,
            "namespace": NAMESPACE,
            "uid": "uid-claim",
            "resourceVersion": "9",
            "labels": {"app": "db", "app.kubernetes.io/managed-by": "Helm"},
            "annotations": {
                "team": "data",
                RUN_ANNOTATION: "r-0/forward/x",
                "pv.kubernetes.io/bind-completed": "yes",
                "volume.kubernetes.io/selected-node": "node-1",
            },
            "finalizers": ["kubernetes.io/pvc-protection"],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "fast",
            "volumeName": "pv-1",
            **spec,
        },
        "status": {"phase": "Bound"},
    }


def user(*, ending: bool = False) -> dict[str, Any]:
    """Make a pod that mounts the claim."""
    made = healthy_pod()
    made["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": CLAIM.name}}]
    if ending:
        made["metadata"]["deletionTimestamp"] = NOW.isoformat()
    return made


def maker() -> dict[str, Any]:
    """Make a StatefulSet that makes such claims."""
    template = {"metadata": {"name": "data"}, "spec": {}}
    return {"metadata": {"name": "db", "namespace": NAMESPACE}, "spec": {"volumeClaimTemplates": [template]}}


def collect(kube: ClusterOfDicts) -> None:
    """Let the claim that is going be gone, as its protection ends."""
    gone = kube.objects.pop((PVCS, NAMESPACE, CLAIM.name))
    assert "deletionTimestamp" in gone["metadata"]


async def do(kube: ClusterOfDicts, command: Command, phase: Phase = Phase.FORWARD) -> EffectPlan:
    """Judge a change and make it."""
    prepared = await actions(kube).plan_effect(command, change_context(phase=phase))
    await actions(kube).apply(prepared)
    return prepared


async def test_a_claim_is_deleted_only_when_its_volume_is_kept() -> None:
    """Else the data would go with it."""
    kube = ClusterOfDicts((PVCS, claim()), (PVS, volume("Delete")))
    with pytest.raises(Refused, match="set it to Retain first"):
        await actions(kube).plan_effect(DELETE, change_context())


async def test_a_claim_in_use_is_not_deleted_and_waits_for_a_pod_that_is_ending() -> None:
    """It would stay Terminating."""
    kube = ClusterOfDicts((PVCS, claim()), (PVS, volume()), (PODS, user()))
    with pytest.raises(Refused, match="in use by web-1") as refused:
        await actions(kube).plan_effect(DELETE, change_context())
    assert not isinstance(refused.value, NotYet)
    kube.put(PODS, user(ending=True))
    with pytest.raises(NotYet, match="web-1, which is ending"):
        await actions(kube).plan_effect(DELETE, change_context())


async def test_a_claim_that_a_stateful_set_makes_is_left_to_it() -> None:
    """Its next pod brings it."""
    kube = ClusterOfDicts((PVCS, claim()), (PVS, volume()), (STATEFULSETS, maker()))
    assert (await do(kube, DELETE)).facts["then"] == []


async def test_a_claim_of_ones_own_is_made_anew_as_it_was_but_for_its_volume() -> None:
    """What the cluster wrote about the volume stays behind, and nothing fills the new one."""
    kube = ClusterOfDicts((PVCS, claim(dataSource={"kind": "VolumeSnapshot", "name": "old"})), (PVS, volume()))
    prepared = await do(kube, DELETE)
    then = prepared.facts["then"]
    assert isinstance(then, list)
    (follows,) = then
    with pytest.raises(NotYet, match="still being deleted"):
        await actions(kube).plan_effect(decode(follows), change_context())
    collect(kube)
    await do(kube, decode(follows))
    made = kube.at(PVCS, CLAIM.name)
    assert made["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
    }
    assert made["metadata"]["labels"] == {"app": "db", "app.kubernetes.io/managed-by": "Helm"}
    assert made["metadata"]["annotations"] == {"team": "data", RUN_ANNOTATION: change_context().mark}


async def test_the_undo_binds_the_old_volume_to_its_name_again() -> None:
    """The claim that took the name goes, the old volume is freed, and a claim asks for this very volume."""
    kube = ClusterOfDicts((PVCS, claim()), (PVS, volume()))
    prepared = await do(kube, DELETE)
    assert [each.kind for each in prepared.evidence] == [
        "describe PersistentVolumeClaim data-db-0",
        "describe PersistentVolume pv-1",
    ]
    collect(kube)
    then = prepared.facts["then"]
    assert isinstance(then, list)
    await do(kube, decode(then[0]))
    remove, free, bind = map(decode, prepared.undo.commands)
    await do(kube, remove, Phase.UNDO)
    with pytest.raises(NotYet, match="still being deleted"):
        await actions(kube).plan_effect(bind, UNDO)
    collect(kube)
    await do(kube, free, Phase.UNDO)
    await do(kube, bind, Phase.UNDO)
    assert kube.at(PVS, "pv-1")["spec"]["claimRef"] == {"name": CLAIM.name, "namespace": NAMESPACE}
    assert kube.at(PVCS, CLAIM.name)["spec"]["volumeName"] == "pv-1"


async def test_the_undo_goes_on_where_no_claim_took_the_name() -> None:
    """And waits for one that is going."""
    kube = ClusterOfDicts((PVCS, claim()), (PVS, volume()))
    prepared = await do(kube, DELETE)
    remove = decode(prepared.undo.commands[0])
    with pytest.raises(NotYet, match="still being deleted"):
        await actions(kube).plan_effect(remove, UNDO)
    collect(kube)
    assert (await do(kube, remove, Phase.UNDO)).already


async def test_the_undo_goes_on_where_the_stateful_set_deletes_its_claim_meanwhile() -> None:
    """With `whenScaled: Delete` the claim may go at any moment: what is judged was read once."""
    kube = ClusterOfDicts((PVCS, claim()), (PVS, volume()))
    read, seen = kube.get, []

    async def read_once(resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        found = await read(resource, name, namespace)
        if resource == PVCS:
            seen.append(kube.objects.pop((PVCS, NAMESPACE, CLAIM.name)))
        return found

    kube.get = read_once  # type: ignore[method-assign]
    prepared = await actions(kube).plan_effect(DELETE, UNDO)
    assert len(seen) == 1
    with pytest.raises(NotFound):
        await actions(kube).apply(prepared)
    assert await actions(kube).probe(prepared) is EffectStatus.DONE


async def test_the_new_volume_is_kept_too_when_the_old_one_is_bound_again() -> None:
    """What was restored and written since may be wanted yet."""
    later = volume("Delete")
    later["metadata"] = {"name": "pv-2", "uid": "uid-pv-2"}
    kube = ClusterOfDicts((PVCS, claim(volumeName="pv-2")), (PVS, volume()), (PVS, later))
    with pytest.raises(Refused, match=r"the volume pv-2 .* would be deleted with it"):
        await actions(kube).plan_effect(DELETE, UNDO)


def create(name: str = "", resource: Resource = PVCS) -> Create:
    """Make the command that a claim comes back by."""
    spec = {"volumeName": name} if name else {}
    manifest = json.dumps({"metadata": {"name": CLAIM.name, "namespace": NAMESPACE}, "spec": spec})
    return Create(
        object=ObjectName(resource=resource, name=CLAIM.name),
        namespace=NAMESPACE,
        manifest=manifest,
    )


async def test_a_claim_that_is_there_already_will_do_unless_a_certain_volume_is_asked_for() -> None:
    """Somebody else's tools may have made it first."""
    kube = ClusterOfDicts((PVCS, claim(volumeName="pv-2")))
    assert (await actions(kube).plan_effect(create(), change_context())).already
    assert (await actions(kube).plan_effect(create("pv-2"), UNDO)).already
    with pytest.raises(Refused, match="bound to pv-2: its name is taken"):
        await actions(kube).plan_effect(create("pv-1"), UNDO)


async def test_only_claims_are_made() -> None:
    """Whatever a journal may say."""
    with pytest.raises(Refused, match="only claims are"):
        await actions(ClusterOfDicts()).plan_effect(create(resource=DEPLOYMENTS), change_context())


async def test_whether_a_claim_was_made_is_told_by_our_mark() -> None:
    """P3: the answer was lost; another one's claim of the name is not ours."""
    kube = ClusterOfDicts()
    prepared = await actions(kube).plan_effect(create(), change_context())
    assert await actions(kube).probe(prepared) is EffectStatus.NOT_DONE
    kube.lost = OutcomeUnknown("504")
    with pytest.raises(OutcomeUnknown):
        await actions(kube).apply(prepared)
    assert await actions(kube).probe(prepared) is EffectStatus.DONE
    kube.at(PVCS, CLAIM.name)["metadata"]["annotations"] = {}
    assert await actions(kube).probe(prepared) is EffectStatus.NOT_DONE
    with pytest.raises(Conflict):
        await actions(kube).apply(prepared)


def test_a_person_can_paste_how_a_claim_comes_back() -> None:
    """Its manifest is the command's input."""
    command = create()
    assert render(command) == f"kubectl create -n {NAMESPACE} -f - <<<'{command.manifest}'"
    assert decode(encode(command)) == command
