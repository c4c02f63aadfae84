"""One suite, two clients: KubeClient on the embedded cluster, and the cluster of dicts that unit tests have instead of both."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kintsugi.errors import Conflict, NotFound
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.settings import KubeSettings
from kubeobjects.kept import Pod
from kubeobjects.resources import CONFIGMAPS, NODES, PODS
from kubesim import EmbeddedCluster
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts

EMBEDDED, DICTS = "embedded", "dicts"
HERE, THERE = "production", "staging"
KEPT = ["example.com/kept"]
"""Finalizers of what stays while it is deleted, as a pod stays until its containers have stopped."""


@pytest.fixture(params=[EMBEDDED, DICTS])
async def kube(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """Return a client of a cluster with two namespaces, and nothing in them."""
    if request.param == DICTS:
        yield ClusterOfDicts((NODES, {"metadata": {"name": "node-1", "uid": "uid-node"}}))
        return
    async with EmbeddedCluster.start() as cluster:
        for name in (HERE, THERE):
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        settings = KubeSettings(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"))
        async with KubeClient.connect(settings) as client:
            yield client


def config(name: str, **labels: str) -> Mapping[str, Any]:
    """Return a ConfigMap."""
    metadata = {"name": name, "namespace": HERE, "labels": labels, "finalizers": KEPT}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"}}


def metadata_of(obj: Mapping[str, object]) -> Mapping[str, Any]:
    """Return an object's metadata."""
    found = obj["metadata"]
    assert isinstance(found, Mapping)
    return found


async def names_of(kube: KubeClient, namespace: str | None = HERE, **asked: str) -> list[str]:
    """List the names of ConfigMaps."""
    listing = await kube.list(CONFIGMAPS, namespace, **asked)
    names = [str(metadata_of(each)["name"]) for each in listing.items]
    return [name for name in names if name != "kube-root-ca.crt"]


async def test_an_object_that_is_not_there_is_not_found(kube: KubeClient) -> None:
    with pytest.raises(NotFound, match='configmaps "one" not found') as caught:
        await kube.get(CONFIGMAPS, "one", HERE)
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")
    with pytest.raises(NotFound):
        await kube.patch(CONFIGMAPS, "one", HERE, {"data": {}}, kind=PatchKind.MERGE)
    with pytest.raises(NotFound):
        await kube.delete(CONFIGMAPS, "one", HERE, uid="a")


async def test_an_object_that_was_made_has_a_uid_and_is_read_by_its_name(kube: KubeClient) -> None:
    made = await kube.create(CONFIGMAPS, HERE, config("one"))
    found = await kube.get(CONFIGMAPS, "one", HERE)
    assert metadata_of(made)["uid"] == metadata_of(found)["uid"] != ""
    assert found["data"] == {"key": "value"}
    with pytest.raises(NotFound):
        await kube.get(CONFIGMAPS, "one", THERE)


async def test_an_object_is_made_once(kube: KubeClient) -> None:
    await kube.create(CONFIGMAPS, HERE, config("one"))
    with pytest.raises(Conflict, match='configmaps "one" already exists') as caught:
        await kube.create(CONFIGMAPS, HERE, config("one"))
    assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")


async def test_a_list_is_by_name_and_of_a_namespace_or_all(kube: KubeClient) -> None:
    for name, app in (("two", "web"), ("one", "web"), ("three", "api")):
        await kube.create(CONFIGMAPS, HERE, config(name, app=app))
    other = config("four", app="web")
    await kube.create(CONFIGMAPS, THERE, {**other, "metadata": {**other["metadata"], "namespace": THERE}})
    assert await names_of(kube) == ["one", "three", "two"]
    assert await names_of(kube, labels="app=web") == ["one", "two"]
    assert await names_of(kube, labels="app!=web") == ["three"]
    assert await names_of(kube, fields="metadata.name=two") == ["two"]
    assert await names_of(kube, None, labels="app=web") == ["one", "two", "four"]


async def test_a_merge_patch_sets_and_takes_away(kube: KubeClient) -> None:
    await kube.create(CONFIGMAPS, HERE, config("one", app="web"))
    patch = {"metadata": {"labels": {"app": None, "tier": "front"}}, "data": {"other": "1"}}
    changed = await kube.patch(CONFIGMAPS, "one", HERE, patch, kind=PatchKind.MERGE)
    found = await kube.get(CONFIGMAPS, "one", HERE)
    assert changed["data"] == found["data"] == {"key": "value", "other": "1"}
    assert metadata_of(found)["labels"] == {"tier": "front"}


async def test_a_dry_run_answers_and_changes_nothing(kube: KubeClient) -> None:
    await kube.create(CONFIGMAPS, HERE, config("one"))
    patch = {"data": {"key": "another"}}
    shown = await kube.patch(CONFIGMAPS, "one", HERE, patch, kind=PatchKind.MERGE, dry_run=True)
    assert shown["data"] == {"key": "another"}
    assert (await kube.get(CONFIGMAPS, "one", HERE))["data"] == {"key": "value"}


async def test_a_json_patch_whose_test_fails_is_a_conflict_and_changes_nothing(kube: KubeClient) -> None:
    await kube.create(CONFIGMAPS, HERE, config("one"))
    tested = [{"op": "test", "path": "/data/key", "value": "another"}]
    replaced = [{"op": "replace", "path": "/data/key", "value": "new"}]
    with pytest.raises(Conflict) as caught:
        await kube.patch(CONFIGMAPS, "one", HERE, [*tested, *replaced], kind=PatchKind.JSON)
    assert caught.value.status == 422
    assert (await kube.get(CONFIGMAPS, "one", HERE))["data"] == {"key": "value"}
    await kube.patch(CONFIGMAPS, "one", HERE, replaced, kind=PatchKind.JSON)
    assert (await kube.get(CONFIGMAPS, "one", HERE))["data"] == {"key": "new"}


async def test_a_delete_is_of_the_object_that_was_judged(kube: KubeClient) -> None:
    made = await kube.create(CONFIGMAPS, HERE, config("one"))
    with pytest.raises(Conflict) as caught:
        await kube.delete(CONFIGMAPS, "one", HERE, uid="another")
    assert caught.value.status == 409
    assert "deletionTimestamp" not in metadata_of(await kube.get(CONFIGMAPS, "one", HERE))
    await kube.delete(CONFIGMAPS, "one", HERE, uid=metadata_of(made)["uid"], grace=timedelta(0))
    assert "deletionTimestamp" in metadata_of(await kube.get(CONFIGMAPS, "one", HERE))


async def test_the_kept_fields_of_each_object_come_in_the_order_of_a_list(kube: KubeClient) -> None:
    spec = {"containers": [{"name": "main", "image": "web:good"}], "nodeSelector": {"nowhere": "yes"}}
    for name, app in (("two", "web"), ("one", "web"), ("three", "api")):
        metadata = {"name": name, "namespace": HERE, "labels": {"app": app}}
        await kube.create(PODS, HERE, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    kept = [each async for each in kube.iter_objects(PODS, Pod, HERE, labels="app=web")]
    assert [each.metadata.name for each in kept] == ["one", "two"]
    assert [each.spec.containers[0].image for each in kept] == ["web:good"] * 2
