"""Deleting: preconditions, grace, finalizers, dependents, dry runs."""

from tests.contract.kube.objects import config, idle, of_kind, pod, unscheduled
from tests.contract.kube.talk import CORE, ApiUser, Check, Json

OTHER_UID = "00000000-0000-4000-8000-000000000000"


def gone(body: Json) -> bool:
    """Return whether an object was not found."""
    return body.get("code") == 404


async def test_a_deletion_is_answered_with_status_or_object(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("configmaps"), config("one"))
    expected("configmap", await api.delete(api.path("configmaps", "one")))
    await api.create(api.path("pods"), unscheduled("one"))
    expected("pod without a node", await api.delete(api.path("pods", "one")))
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    await api.create(api.path("services"), of_kind("v1", "Service", "s", spec=spec))
    expected("service", await api.delete(api.path("services", "s")))
    await api.create(api.path("deployments"), idle())
    expected("deployment", await api.delete(api.path("deployments", "web")))
    for path in (api.path("configmaps", "one"), api.path("pods", "one"), api.path("deployments", "web")):
        assert (await api.get(path)).status == 404


async def test_preconditions_protect_what_was_not_meant(api: ApiUser, expected: Check) -> None:
    for plural, body in (("configmaps", config("one")), ("pods", unscheduled("one"))):
        created = (await api.create(api.path(plural), body)).body
        other = {"preconditions": {"uid": OTHER_UID}}
        expected(f"{plural} uid", await api.delete(api.path(plural, "one"), other))
        stale = {"preconditions": {"uid": created["metadata"]["uid"], "resourceVersion": "1"}}
        expected(f"{plural} version", await api.delete(api.path(plural, "one"), stale))
        right = {"preconditions": {key: created["metadata"][key] for key in ("uid", "resourceVersion")}}
        assert (await api.delete(api.path(plural, "one"), right)).status == 200
    await api.create(api.path("deployments"), idle())
    expected(
        "deployment uid",
        await api.delete(api.path("deployments", "web"), {"preconditions": {"uid": OTHER_UID}}),
    )


async def test_a_running_pod_is_given_its_grace(api: ApiUser) -> None:
    running = await api.start(pod("one"))
    answer = await api.delete(api.path("pods", "one"), {"gracePeriodSeconds": 5})
    metadata = answer.body["metadata"]
    assert (answer.status, metadata["deletionGracePeriodSeconds"]) == (200, 5)
    assert metadata["deletionTimestamp"] > metadata["creationTimestamp"]
    assert metadata["generation"] == running["metadata"]["generation"] + 1
    again = (await api.delete(api.path("pods", "one"), {"gracePeriodSeconds": 30})).body
    assert again.get("code") == 404 or again["metadata"]["deletionGracePeriodSeconds"] == 5
    await api.until(api.path("pods", "one"), gone)


async def test_a_running_pod_goes_at_once_without_grace(api: ApiUser) -> None:
    await api.start(pod("one"))
    answer = await api.delete(api.path("pods", "one"), {"gracePeriodSeconds": 0})
    assert answer.body["kind"] == "Pod"
    assert (await api.get(api.path("pods", "one"))).status == 404


async def test_a_finalizer_keeps_an_object_until_it_is_removed(api: ApiUser, expected: Check) -> None:
    body = config("one")
    body["metadata"]["finalizers"] = ["contract.dev/hold"]
    await api.create(api.path("configmaps"), body)
    expected("deleted", await api.delete(api.path("configmaps", "one")))
    held = await api.get(api.path("configmaps", "one"))
    expected("held", held)
    again = await api.delete(api.path("configmaps", "one"))
    assert again.body["metadata"]["deletionTimestamp"] == held.body["metadata"]["deletionTimestamp"]
    expected("released", await api.patch(api.path("configmaps", "one"), {"metadata": {"finalizers": None}}))
    assert (await api.get(api.path("configmaps", "one"))).status == 404


async def test_a_dry_run_deletes_nothing(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("configmaps"), config("one"))
    await api.create(api.path("pods"), unscheduled("one"))
    expected("by query", await api.delete(api.path("configmaps", "one"), dryRun="All"))
    expected("by options", await api.delete(api.path("configmaps", "one"), {"dryRun": ["All"]}))
    expected("pod", await api.delete(api.path("pods", "one"), dryRun="All"))
    assert (await api.get(api.path("configmaps", "one"))).status == 200
    assert "deletionTimestamp" not in (await api.get(api.path("pods", "one"))).body["metadata"]


async def owned_pair(api: ApiUser) -> None:
    """Create a ConfigMap and another one that it owns."""
    owner = (await api.create(api.path("configmaps"), config("owner"))).body
    dependent = config("dependent")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    dependent["metadata"]["ownerReferences"] = [{**reference, "blockOwnerDeletion": True}]
    await api.create(api.path("configmaps"), dependent)


async def test_dependents_follow_their_owner_or_stay_as_the_policy_says(api: ApiUser, expected: Check) -> None:
    """In the background afterwards, in the foreground before it, and as orphans never."""
    for policy in ("Background", "Foreground", "Orphan"):
        await owned_pair(api)
        answer = await api.delete(api.path("configmaps", "owner"), {"propagationPolicy": policy})
        if policy == "Background":
            assert answer.body["status"] == "Success"
            await api.until(api.path("configmaps", "dependent"), gone)
            continue
        expected(policy, answer)
        await api.until(api.path("configmaps", "owner"), gone)
        left = await api.get(api.path("configmaps", "dependent"))
        assert (left.status == 404) is (policy == "Foreground")
    expected("left", left)


async def test_a_collection_is_deleted_by_its_labels(api: ApiUser) -> None:
    for name, tier in (("a", "front"), ("b", "back"), ("c", "front")):
        await api.create(api.path("configmaps"), config(name, labels={"case": "many", "tier": tier}))
    answer = await api.delete(api.path("configmaps"), labelSelector="tier=front")
    assert (answer.status, answer.body["kind"]) == (200, "ConfigMapList")
    left = await api.get(api.path("configmaps"), labelSelector="case=many")
    assert [each["metadata"]["name"] for each in left.body["items"]] == ["b"]


async def test_a_namespace_takes_its_content_along(api: ApiUser) -> None:
    name = f"{api.namespace}-short"
    await api.create(f"{CORE}/namespaces", of_kind("v1", "Namespace", name))
    await api.create(f"{CORE}/namespaces/{name}/configmaps", config("one"))
    answer = await api.delete(f"{CORE}/namespaces/{name}")
    assert (answer.status, answer.body["status"]["phase"]) == (200, "Terminating")
    await api.until(f"{CORE}/namespaces/{name}", gone)
    assert (await api.get(f"{CORE}/namespaces/{name}/configmaps/one")).status == 404


async def test_no_object_is_created_in_a_namespace_that_is_terminating(api: ApiUser, expected: Check) -> None:
    held = config("held")
    held["metadata"]["finalizers"] = ["contract.dev/hold"]
    name = f"{api.namespace}-going"
    await api.create(f"{CORE}/namespaces", of_kind("v1", "Namespace", name))
    await api.create(f"{CORE}/namespaces/{name}/configmaps", held)
    await api.delete(f"{CORE}/namespaces/{name}")
    expected("answer", await api.create(f"{CORE}/namespaces/{name}/configmaps", config("late")))
    await api.patch(f"{CORE}/namespaces/{name}/configmaps/held", {"metadata": {"finalizers": None}})
    await api.until(f"{CORE}/namespaces/{name}", gone)
