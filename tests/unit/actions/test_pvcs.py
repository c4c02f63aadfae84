"""A claim goes only when its volume stays, comes back empty, and is bound to its old volume again."""

import json
from typing import Any

import pytest

from kintsugi.actions.effect_plan import RUN_ANNOTATION, EffectStatus
from kintsugi.commands import decode, encode, render
from kintsugi.errors import Conflict, NotFound, NotYet
from kintsugi.model.command import Create, ObjectName
from kintsugi.model.records import Phase
from kubeobjects.resources import DEPLOYMENTS, PVCS, PVS, Resource
from tests.unit.actions.changes import Cluster, Object, follow
from tests.unit.actions.cluster_of_dicts import NOW
from tests.unit.actions.samples import NAMESPACE, change_context, claim, healthy_pod, volume

NAME, DELETE = "data-db-0", "kubectl delete pvc data-db-0"


def bound(volume: str = "pv-1", **spec: object) -> Object:
    """Make the claim as a cluster has bound it."""
    made = claim(NAME, volume, accessModes=["ReadWriteOnce"], **spec)
    made["metadata"] |= {
        "labels": {"app": "db", "app.kubernetes.io/managed-by": "Helm"},
        "annotations": {
            "team": "data",
            RUN_ANNOTATION: "r-0/forward/x",
            "pv.kubernetes.io/bind-completed": "yes",
            "volume.kubernetes.io/selected-node": "node-1",
        },
        "finalizers": ["kubernetes.io/pvc-protection"],
    }
    return made


def collect(kube: Cluster) -> None:
    """Let the claim that is going be gone, as its protection ends."""
    assert "deletionTimestamp" in kube.objects.pop((PVCS, NAMESPACE, NAME))["metadata"]


def create(name: str = "", resource: Resource = PVCS) -> Create:
    """Make the command that a claim comes back by."""
    spec = {"volumeName": name} if name else {}
    manifest = json.dumps({"metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec})
    return Create(object=ObjectName(resource=resource, name=NAME), namespace=NAMESPACE, manifest=manifest)


async def test_a_claim_is_deleted_only_when_its_volume_is_kept() -> None:
    """Else the data would go with it; at the undo also what was restored and written since, which may be wanted yet."""
    assert "set it to Retain first" in await Cluster(bound(), volume("Delete")).refusal(DELETE)
    kube = Cluster(bound("pv-2"), volume(), volume("Delete", "pv-2", "uid-pv-2"))
    said = await kube.refusal(DELETE, phase=Phase.UNDO)
    assert "the volume pv-2" in said
    assert "would be deleted with it" in said


async def test_a_claim_in_use_is_not_deleted_and_waits_for_a_pod_that_is_ending() -> None:
    """It would stay Terminating."""
    user = healthy_pod()
    user["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": NAME}}]
    kube = Cluster(bound(), volume(), user)
    assert "in use by web-1" in await kube.refusal(DELETE)
    user["metadata"]["deletionTimestamp"] = NOW.isoformat()
    with pytest.raises(NotYet, match="web-1, which is ending"):
        await kube.plan(DELETE)


async def test_a_claim_that_a_stateful_set_makes_is_left_to_it() -> None:
    """Its next pod brings it."""
    spec = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}
    maker = {"kind": "StatefulSet", "metadata": {"name": "db", "namespace": NAMESPACE}, "spec": spec}
    assert follow(await Cluster(bound(), volume(), maker).make(DELETE)) == []


async def test_a_claim_of_ones_own_is_made_anew_as_it_was_but_for_its_volume() -> None:
    """What the cluster wrote about the volume stays behind, and nothing fills the new one."""
    kube = Cluster(bound(dataSource={"kind": "VolumeSnapshot", "name": "old"}), volume())
    (follows,) = follow(await kube.make(DELETE))
    with pytest.raises(NotYet, match="still being deleted"):
        await kube.plan(follows)
    collect(kube)
    await kube.make(follows)
    made = kube.at(PVCS, NAME)
    assert made["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
    }
    assert made["metadata"]["labels"] == {"app": "db", "app.kubernetes.io/managed-by": "Helm"}
    assert made["metadata"]["annotations"] == {"team": "data", RUN_ANNOTATION: change_context().mark}


async def test_the_undo_binds_the_old_volume_to_its_name_again() -> None:
    """The claim that took the name goes, the old volume is freed, and a claim asks for this very volume."""
    kube = Cluster(bound(), volume())
    plan = await kube.make(DELETE)
    kinds = [each.kind for each in plan.evidence]
    assert kinds == ["describe PersistentVolumeClaim data-db-0", "describe PersistentVolume pv-1"]
    collect(kube)
    await kube.make(follow(plan)[0])
    remove, free, bind = map(decode, plan.undo.commands)
    await kube.make(remove, phase=Phase.UNDO)
    with pytest.raises(NotYet, match="still being deleted"):
        await kube.plan(bind, phase=Phase.UNDO)
    collect(kube)
    for command in (free, bind):
        await kube.make(command, phase=Phase.UNDO)
    assert kube.at(PVS, "pv-1")["spec"]["claimRef"] == {"name": NAME, "namespace": NAMESPACE}
    assert kube.at(PVCS, NAME)["spec"]["volumeName"] == "pv-1"


async def test_the_undo_goes_on_where_no_claim_took_the_name() -> None:
    """And waits for one that is going."""
    kube = Cluster(bound(), volume())
    remove = decode((await kube.make(DELETE)).undo.commands[0])
    with pytest.raises(NotYet, match="still being deleted"):
        await kube.plan(remove, phase=Phase.UNDO)
    collect(kube)
    assert (await kube.make(remove, phase=Phase.UNDO)).already


async def test_the_undo_goes_on_where_the_stateful_set_deletes_its_claim_meanwhile() -> None:
    """With `whenScaled: Delete` the claim may go at any moment: what is judged was read once."""
    kube = Cluster(bound(), volume())
    read, seen = kube.get, []

    async def read_once(resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        found = await read(resource, name, namespace)
        if resource == PVCS:
            seen.append(kube.objects.pop((PVCS, NAMESPACE, NAME)))
        return found

    kube.get = read_once  # type: ignore[method-assign]
    plan = await kube.plan(DELETE, phase=Phase.UNDO)
    assert len(seen) == 1
    with pytest.raises(NotFound):
        await kube.actions.apply(plan)
    assert await kube.actions.probe(plan) is EffectStatus.DONE


async def test_a_claim_that_is_there_already_will_do_unless_a_certain_volume_is_asked_for() -> None:
    """Somebody else's tools may have made it first."""
    kube = Cluster(bound("pv-2"))
    assert (await kube.plan(create())).already
    assert (await kube.plan(create("pv-2"), phase=Phase.UNDO)).already
    assert "bound to pv-2: its name is taken" in await kube.refusal(create("pv-1"), phase=Phase.UNDO)


async def test_only_claims_are_made_and_one_of_somebody_else_is_told_by_our_mark() -> None:
    """P3: whatever a journal may say; another one's claim of the name is not ours."""
    kube = Cluster()
    assert "only claims are" in await kube.refusal(create(resource=DEPLOYMENTS))
    plan = await kube.make(create())
    kube.at(PVCS, NAME)["metadata"]["annotations"] = {}
    assert await kube.actions.probe(plan) is EffectStatus.NOT_DONE
    with pytest.raises(Conflict):
        await kube.actions.apply(plan)


def test_a_person_can_paste_how_a_claim_comes_back() -> None:
    """Its manifest is the command's input."""
    command = create()
    assert render(command) == f"kubectl create -n {NAMESPACE} -f - <<<'{command.manifest}'"
    assert decode(encode(command)) == command
