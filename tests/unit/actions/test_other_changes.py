"""Cordons, marks, patches and claims: each with its undo, each leaving alone what somebody changed since."""

from dataclasses import replace
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import RUN_ANNOTATION, EffectPlan, EffectStatus
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode
from kintsugi.errors import CommandError, Refused
from kintsugi.model.command import ObjectName, Patch, SetMetadata, Verb
from kintsugi.model.records import Phase
from kintsugi.verbs.cordon import Cordon
from kintsugi.verbs.curl import Curl
from kubeobjects.resources import DEPLOYMENTS, HPAS, NODES, PVS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, autoscaler, change_context, deployment, node


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


async def take_back(kube: ClusterOfDicts, prepared: EffectPlan) -> None:
    """Do the undo of a change, command by command."""
    does = actions(kube)
    for command in prepared.undo.commands:
        await does.apply(await does.plan_effect(decode(command), change_context(phase=Phase.UNDO)))


def cordon(*, on: bool = True) -> Cordon:
    """Make the command."""
    return Cordon(objects=(ObjectName(resource=NODES, name="node-1"),), on=on)


async def test_a_cordon_is_undone_by_an_uncordon() -> None:
    """And a node that was cordoned before is left as it was."""
    kube = ClusterOfDicts((NODES, node()), (NODES, node("node-2")))
    does = actions(kube)
    prepared = await does.plan_effect(cordon(), change_context())
    await does.apply(prepared)
    assert kube.at(NODES, "node-1")["spec"]["unschedulable"] is True
    assert (await does.plan_effect(cordon(), change_context())).undo.commands == ()
    assert prepared.undo.texts == ("kubectl uncordon node-1",)
    await take_back(kube, prepared)
    assert "unschedulable" not in kube.at(NODES, "node-1")["spec"]


async def test_a_machine_that_has_taken_the_name_of_the_node_that_was_meant_is_not_cordoned() -> None:
    kube = ClusterOfDicts((NODES, node()), (NODES, node("node-2")))
    meant = Cordon(objects=(ObjectName(resource=NODES, name="node-1", uid="uid-before"),), on=True)
    with pytest.raises(Refused, match="another object now"):
        await actions(kube).plan_effect(meant, change_context())


async def test_the_last_node_that_takes_pods_is_not_cordoned() -> None:
    """Nothing could start anywhere."""
    kube = ClusterOfDicts((NODES, node()), (NODES, node("node-2", cordoned=True)), (NODES, node("node-3", "Unknown")))
    with pytest.raises(Refused, match="last node that takes new pods"):
        await actions(kube).plan_effect(cordon(), change_context())


def label(verb: Verb = Verb.LABEL, *, overwrite: bool = False, **values: str | None) -> SetMetadata:
    """Make a label or annotate command on the Deployment."""
    asked = ObjectName(resource=DEPLOYMENTS, name="web")
    return SetMetadata(verb=verb, objects=(asked,), namespace=NAMESPACE, values=values, overwrite=overwrite)


async def test_labels_are_set_and_removed_and_put_back() -> None:
    """The former values are in the undo."""
    obj = deployment()
    obj["metadata"]["labels"] = {"tier": "front", "old": "yes"}
    kube = ClusterOfDicts((DEPLOYMENTS, obj))
    does = actions(kube)
    prepared = await does.plan_effect(label(tier="back", old=None, new="1", overwrite=True), change_context())
    assert prepared.facts["former"] == {"tier": "front", "old": "yes", "new": None}
    await does.apply(prepared)
    assert kube.at(DEPLOYMENTS, "web")["metadata"]["labels"] == {"tier": "back", "new": "1"}
    await take_back(kube, prepared)
    assert kube.at(DEPLOYMENTS, "web")["metadata"]["labels"] == {"tier": "front", "old": "yes"}


async def test_the_last_label_comes_back_although_the_api_keeps_no_empty_map() -> None:
    """As the real API server does."""
    obj = deployment()
    obj["metadata"]["labels"] = {"tier": "front"}
    kube = ClusterOfDicts((DEPLOYMENTS, obj))
    does = actions(kube)
    prepared = await does.plan_effect(label(tier=None), change_context())
    await does.apply(prepared)
    del kube.at(DEPLOYMENTS, "web")["metadata"]["labels"]
    await take_back(kube, prepared)
    assert kube.at(DEPLOYMENTS, "web")["metadata"]["labels"] == {"tier": "front"}


@pytest.mark.parametrize("verb", [Verb.LABEL, Verb.ANNOTATE])
async def test_the_first_mark_of_an_object_is_put_back_beside_our_own(verb: Verb) -> None:
    """Our annotation comes with the change, into a map that was not there."""
    obj = deployment()
    del obj["metadata"]["annotations"]
    kube = ClusterOfDicts((DEPLOYMENTS, obj))
    does = actions(kube)
    prepared = await does.plan_effect(label(verb, incident="i-1"), change_context())
    await does.apply(prepared)
    kind = "labels" if verb is Verb.LABEL else "annotations"
    assert kube.at(DEPLOYMENTS, "web")["metadata"][kind]["incident"] == "i-1"
    assert await does.probe(prepared) is EffectStatus.DONE
    await take_back(kube, prepared)
    assert "incident" not in kube.at(DEPLOYMENTS, "web")["metadata"][kind]


async def test_a_label_is_not_overwritten_without_saying_so() -> None:
    """kubectl's own rule."""
    obj = deployment()
    obj["metadata"]["labels"] = {"tier": "front"}
    kube = ClusterOfDicts((DEPLOYMENTS, obj))
    with pytest.raises(Refused, match="already has a value"):
        await actions(kube).plan_effect(label(tier="back"), change_context())
    assert (await actions(kube).plan_effect(label(tier="front"), change_context())).already


async def test_our_own_mark_cannot_be_set_by_a_runbook() -> None:
    """It would make probes lie."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    with pytest.raises(Refused, match="Kintsugi's own"):
        await actions(kube).plan_effect(replace(label(Verb.ANNOTATE), values={RUN_ANNOTATION: "r-9"}), change_context())


async def test_an_undo_leaves_a_label_alone_that_a_person_has_changed_since() -> None:
    """E17."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    does = actions(kube)
    prepared = await does.plan_effect(label(tier="back"), change_context())
    await does.apply(prepared)
    kube.at(DEPLOYMENTS, "web")["metadata"]["labels"]["tier"] = "edge"
    with pytest.raises(Refused, match="changed since"):
        await take_back(kube, prepared)
    assert kube.at(DEPLOYMENTS, "web")["metadata"]["labels"]["tier"] == "edge"


def volume(policy: str = "Delete") -> dict[str, Any]:
    """Make a bound volume."""
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": "pv-1", "uid": "uid-pv"},
        "spec": {
            "persistentVolumeReclaimPolicy": policy,
            "claimRef": {"name": "data-db-0", "namespace": NAMESPACE, "uid": "uid-claim", "resourceVersion": "3"},
        },
    }


def patch(content: str, kind: str = "strategic", name: str = "pv-1") -> Patch:
    """Make the command."""
    asked = ObjectName(resource=PVS if name == "pv-1" else DEPLOYMENTS, name=name)
    return Patch(object=asked, namespace="" if name == "pv-1" else NAMESPACE, patch=content, kind=kind)


@pytest.mark.parametrize("kind", ["strategic", "merge", "json"])
async def test_a_patch_is_undone_field_by_field(kind: str) -> None:
    """Whatever its kind, what is written and undone is the difference that it makes."""
    content = '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'
    if kind == "json":
        content = '[{"op":"replace","path":"/spec/persistentVolumeReclaimPolicy","value":"Retain"}]'
    kube = ClusterOfDicts((PVS, volume()))
    does = actions(kube)
    prepared = await does.plan_effect(patch(content, kind), change_context())
    assert kube.writes == [], "a dry run is no write"
    assert prepared.facts["fields"] == ["/spec/persistentVolumeReclaimPolicy"]
    await does.apply(prepared)
    assert kube.at(PVS, "pv-1")["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    await take_back(kube, prepared)
    assert kube.at(PVS, "pv-1")["spec"]["persistentVolumeReclaimPolicy"] == "Delete"


async def test_a_patch_that_changes_nothing_is_not_written() -> None:
    """It is so already."""
    kube = ClusterOfDicts((PVS, volume("Retain")))
    prepared = await actions(kube).plan_effect(
        patch('{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'), change_context()
    )
    assert prepared.already
    assert prepared.undo.commands == ()


async def test_a_patch_of_replicas_is_refused_like_a_scale() -> None:
    """E14, B21: no way around."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()), (HPAS, autoscaler()))
    with pytest.raises(Refused, match="never lowers"):
        await actions(kube).plan_effect(patch('{"spec":{"replicas":1}}', name="web"), change_context())
    with pytest.raises(Refused, match="web-hpa"):
        await actions(kube).plan_effect(patch('{"spec":{"replicas":9}}', name="web"), change_context())


async def test_a_patch_that_is_not_json_is_a_command_error() -> None:
    """Said before anything is asked of the API."""
    kube = ClusterOfDicts((PVS, volume()))
    with pytest.raises(CommandError, match="not JSON"):
        await actions(kube).plan_effect(patch("{spec"), change_context())


async def test_a_look_is_not_prepared_and_a_change_is_not_a_look() -> None:
    """Each has its own way."""
    does = actions(ClusterOfDicts())
    with pytest.raises(Refused, match="is a probe"):
        await does.plan_effect(Curl(url="http://x"), change_context())
    with pytest.raises(Refused, match="not a probe"):
        await does.read(cordon(), deadline=change_context().startup)


async def test_a_change_that_was_prepared_before_a_crash_is_not_performed() -> None:
    """It can be probed; to be performed it is prepared again."""
    kube = ClusterOfDicts((NODES, node()), (NODES, node("node-2")))
    does = actions(kube)
    prepared = await does.plan_effect(cordon(), change_context())
    remembered = EffectPlan(command=prepared.command, intent=prepared.intent, undo=prepared.undo)
    assert await does.probe(remembered) is EffectStatus.NOT_DONE
    with pytest.raises(Refused, match="prepare it again"):
        await does.apply(remembered)
