"""Replacing objects: versions, identities, what may not change."""

from tests.contract.kube.objects import claim, config, idle, unscheduled, volume
from tests.contract.kube.talk import CORE, ApiUser, Check, Json

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
OTHER_UID = "00000000-0000-4000-8000-000000000000"


async def test_a_replaced_object_gets_a_new_version(api: ApiUser, expected: Check) -> None:
    created = (await api.create(api.path("configmaps"), config("one", labels={"a": "b"}, key="old"))).body
    changed = {**created, "data": {"key": "new"}}
    answer = await api.send("PUT", api.path("configmaps", "one"), changed)
    expected("answer", answer)
    assert int(answer.body["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])


async def test_an_unchanged_object_keeps_its_version(api: ApiUser) -> None:
    created = (await api.create(api.path("configmaps"), config("one", key="old"))).body
    answer = await api.send("PUT", api.path("configmaps", "one"), created)
    assert answer.body["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    patched = await api.patch(api.path("configmaps", "one"), {"data": {"key": "old"}})
    assert patched.body["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


async def test_a_stale_version_is_a_conflict(api: ApiUser, expected: Check) -> None:
    created = (await api.create(api.path("configmaps"), config("one", key="old"))).body
    await api.send("PUT", api.path("configmaps", "one"), {**created, "data": {"key": "new"}})
    expected("replace", await api.send("PUT", api.path("configmaps", "one"), {**created, "data": {"key": "late"}}))
    version = {"metadata": {"resourceVersion": created["metadata"]["resourceVersion"]}, "data": {"key": "late"}}
    expected("patch", await api.patch(api.path("configmaps", "one"), version))
    assert (await api.get(api.path("configmaps", "one"))).body["data"] == {"key": "new"}


async def test_another_uid_is_refused(api: ApiUser, expected: Check) -> None:
    created = (await api.create(api.path("configmaps"), config("one", key="old"))).body
    other = {**created, "metadata": {**created["metadata"], "uid": OTHER_UID}, "data": {}}
    expected("replace", await api.send("PUT", api.path("configmaps", "one"), other))
    del other["metadata"]["resourceVersion"]
    expected("replace without version", await api.send("PUT", api.path("configmaps", "one"), other))
    patch = {"metadata": {"uid": OTHER_UID}, "data": {"key": "late"}}
    answer = await api.patch(api.path("configmaps", "one"), patch)
    expected("patch", answer)
    await api.create(api.path("deployments"), idle())
    answer = await api.patch(api.path("deployments", "web"), {"metadata": {"uid": OTHER_UID}})
    expected("deployment", answer)


async def test_a_replaced_object_may_leave_its_version_out(api: ApiUser) -> None:
    await api.create(api.path("configmaps"), config("one", key="old"))
    answer = await api.send("PUT", api.path("configmaps", "one"), config("one", key="new"))
    assert (answer.status, answer.body["data"]) == (200, {"key": "new"})


async def test_the_name_of_object_and_path_must_agree(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("configmaps"), config("one"))
    expected("answer", await api.send("PUT", api.path("configmaps", "one"), config("two")))


async def test_the_generation_counts_changes_of_the_specification(api: ApiUser) -> None:
    path = api.path("deployments", "web")
    await api.create(api.path("deployments"), idle(replicas=0))
    patches = ({"metadata": {"labels": {"a": "b"}}}, {"spec": {"replicas": 1}}, {"spec": {"minReadySeconds": 1}})
    generations = [(await api.patch(path, patch)).body["metadata"]["generation"] for patch in patches]
    assert generations == [1, 2, 3]


async def test_an_immutable_field_is_not_changed(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("deployments"), idle())
    selector = {"spec": {"selector": {"matchLabels": {"app": "other"}}}}
    both = {"spec": {**selector["spec"], "template": {"metadata": {"labels": {"app": "other"}}}}}
    expected("selector", await api.patch(api.path("deployments", "web"), both))
    await api.create(api.path("pods"), unscheduled("one"))
    answer = await api.patch(api.path("pods", "one"), {"spec": {"hostname": "other"}})
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["reason"] == "FieldValueForbidden"
    assert answer.body["message"].startswith('Pod "one" is invalid: spec: Forbidden: pod updates may not change fields')


async def test_an_image_of_a_pod_may_change(api: ApiUser) -> None:
    await api.create(api.path("pods"), unscheduled("one"))
    patch = [{"op": "replace", "path": "/spec/containers/0/image", "value": "web:better"}]
    answer = await api.patch(api.path("pods", "one"), patch, "application/json-patch+json")
    assert (answer.status, answer.body["spec"]["containers"][0]["image"]) == (200, "web:better")
    assert answer.body["metadata"]["generation"] == 2


async def test_a_dry_run_changes_nothing(api: ApiUser, expected: Check) -> None:
    created = (await api.create(api.path("configmaps"), config("one", key="old"))).body
    expected("patch", await api.patch(api.path("configmaps", "one"), {"data": {"key": "new"}}, dryRun="All"))
    replaced = await api.send("PUT", api.path("configmaps", "one"), {**created, "data": {}}, dryRun="All")
    assert "data" not in replaced.body
    read = (await api.get(api.path("configmaps", "one"))).body
    assert (read["data"], read["metadata"]["resourceVersion"]) == (
        {"key": "old"},
        created["metadata"]["resourceVersion"],
    )


async def test_a_claim_grows_only_where_its_class_lets_it(api: ApiUser, expected: Check) -> None:
    for allowed in (True, False):
        name = f"{api.namespace}-{allowed}".lower()
        sort = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "Immediate"}
        described = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, **sort}
        await api.create(CLASSES, {**described, "allowVolumeExpansion": allowed})
        await api.create(f"{CORE}/persistentvolumes", volume(name, name))
        await api.create(api.path("persistentvolumeclaims"), claim(str(allowed).lower(), name))
    await api.create(api.path("persistentvolumeclaims"), claim("waiting", "none-such"))

    def sized(size: str) -> Json:
        return {"spec": {"resources": {"requests": {"storage": size}}}}

    def bound(body: Json) -> bool:
        return bool(body["status"]["phase"] == "Bound")

    grows, stays = (api.path("persistentvolumeclaims", each) for each in ("true", "false"))
    for each in (grows, stays):
        await api.until(each, bound)
    tried = await api.patch(grows, sized("3Mi"), dryRun="All")
    assert (tried.status, tried.body["spec"]["resources"]["requests"]) == (200, {"storage": "3Mi"})
    expected("of another class", await api.patch(stays, sized("3Mi"), dryRun="All"))
    unbound = await api.patch(api.path("persistentvolumeclaims", "waiting"), sized("3Mi"), dryRun="All")
    assert (unbound.status, [each["field"] for each in unbound.body["details"]["causes"]]) == (422, ["spec"])
    expected("smaller", await api.patch(grows, sized("512Ki"), dryRun="All"))
    assert (await api.patch(grows, sized("3Mi"))).body["spec"]["resources"]["requests"] == {"storage": "3Mi"}
    for each in ("true", "false"):
        await api.delete(f"{CORE}/persistentvolumes/{api.namespace}-{each}")
        await api.delete(f"{CLASSES}/{api.namespace}-{each}")
