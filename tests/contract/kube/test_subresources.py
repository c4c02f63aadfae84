"""Parts of objects: status, scale, logs, evictions, commands."""

import json

from tests.contract.kube.objects import budget, config, idle, of_kind, pod, unscheduled
from tests.contract.kube.talk import JSON_PATCH, MERGE, STRATEGIC, ApiUser, Check, Json


async def test_a_status_is_changed_only_through_its_subresource(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("pods"), unscheduled("one"))
    ignored = await api.patch(api.path("pods", "one"), {"status": {"phase": "Running"}})
    assert ignored.body["status"]["phase"] == "Pending"
    both = {"status": {"message": "as said"}, "spec": {"hostname": "other"}, "metadata": {"labels": {"a": "b"}}}
    expected("answer", await api.patch(api.path("pods", "one", "status"), both))
    expected("read", await api.get(api.path("pods", "one", "status")))
    body = {**unscheduled("two"), "status": {"phase": "Running", "message": "made up"}}
    created = (await api.create(api.path("pods"), body)).body
    assert (created["status"]["phase"], "message" in created["status"]) == ("Pending", False)
    await api.create(api.path("configmaps"), config("one"))
    for part in ("status", "scale", "resize"):
        assert (await api.get(api.path("configmaps", "one", part))).status == 404


async def test_a_scale_is_read_and_changed(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("deployments"), idle(replicas=0))
    path, whole = api.path("deployments", "web", "scale"), api.path("deployments", "web")
    expected("read", await api.get(path))
    tried = await api.patch(path, {"spec": {"replicas": 3}}, dryRun="All")
    assert (tried.status, tried.body["spec"]) == (200, {"replicas": 3})
    assert (await api.get(path)).body["spec"] == {}
    expected("merge", await api.patch(path, {"spec": {"replicas": 3}}, MERGE))
    tested = [
        {"op": "test", "path": "/spec/replicas", "value": 9},
        {"op": "replace", "path": "/spec/replicas", "value": 1},
    ]
    expected("failed test", await api.patch(path, tested, JSON_PATCH))
    tested[0]["value"] = 3
    assert (await api.patch(path, tested, JSON_PATCH)).body["spec"] == {"replicas": 1}
    # Its controller writes that it has seen the change: a version read before that is not the newest for long.
    await api.until(whole, lambda it: it.get("status", {}).get("observedGeneration") == it["metadata"]["generation"])
    scale = (await api.get(path)).body
    replaced = await api.send("PUT", path, {**scale, "spec": {"replicas": 2}})
    expected("replace", replaced)
    stale = await api.send("PUT", path, {**scale, "spec": {"replicas": 5}})
    expected("stale", stale)
    assert (await api.get(whole)).body["spec"]["replicas"] == 2


async def test_a_log_is_text(api: ApiUser) -> None:
    await api.start(pod("one"))
    answer = await api.get(api.path("pods", "one", "log"))
    assert (answer.status, answer.content_type) == (200, "text/plain")
    assert answer.body.endswith("\n")
    tail = await api.get(api.path("pods", "one", "log"), tailLines=1, container="web")
    assert tail.body == answer.body.splitlines(keepends=True)[-1]
    short = await api.get(api.path("pods", "one", "log"), limitBytes=4)
    assert short.body == answer.body[:4]
    none = await api.get(api.path("pods", "one", "log"), tailLines=0)
    assert none.body == ""


async def test_a_log_that_is_not_there_is_refused(api: ApiUser, expected: Check) -> None:
    body = pod("two")
    body["spec"]["containers"].append({**body["spec"]["containers"][0], "name": "side", "ports": []})
    body["spec"]["schedulerName"] = "nobody"
    await api.create(api.path("pods"), body)
    expected("which container", await api.get(api.path("pods", "two", "log")))
    expected("no such container", await api.get(api.path("pods", "two", "log"), container="none"))
    await api.start(pod("one"))
    expected("previous", await api.get(api.path("pods", "one", "log"), previous="true"))


async def test_an_eviction_asks_the_budget(api: ApiUser, expected: Check) -> None:
    await api.start(pod("one"))
    await api.create(api.path("poddisruptionbudgets"), budget("keep", "one", 1))
    found = await api.until(
        api.path("poddisruptionbudgets", "keep"), lambda body: body["status"].get("currentHealthy") == 1
    )
    assert found["status"]["disruptionsAllowed"] == 0
    eviction = of_kind("policy/v1", "Eviction", "one")
    path = api.path("pods", "one", "eviction")
    expected("refused", await api.create(path, eviction))
    assert "deletionTimestamp" not in (await api.get(api.path("pods", "one"))).body["metadata"]
    await api.delete(api.path("poddisruptionbudgets", "keep"))
    await api.until(api.path("poddisruptionbudgets", "keep"), lambda body: body.get("code") == 404)
    expected("granted", await api.create(path, eviction))
    await api.until(api.path("pods", "one"), lambda body: body.get("code") == 404)
    expected("gone", await api.create(path, eviction))


async def test_an_eviction_may_be_for_one_uid_only(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("pods"), unscheduled("one"))
    options = {"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}}
    eviction = of_kind("policy/v1", "Eviction", "one", deleteOptions=options)
    expected("answer", await api.create(api.path("pods", "one", "eviction"), eviction))
    assert (await api.get(api.path("pods", "one"))).status == 200


async def test_a_command_is_executed_in_a_container(api: ApiUser, expected: Check) -> None:
    await api.start(pod("one"))
    path = api.path("pods", "one", "exec")
    said = await api.execute(path, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (said[1], said[2]) == (b"out\n", b"err\n")
    expected("failure", json.loads(said[3]))
    said = await api.execute(path, "sh", "-c", "echo out")
    assert (said[1], 2 in said) == (b"out\n", False)
    expected("success", json.loads(said[3]))
    unknown = json.loads((await api.execute(path, "none-such"))[3])
    assert (unknown["status"], unknown["reason"], unknown["code"]) == ("Failure", "InternalError", 500)
    assert "error executing command in container: failed to exec in container" in unknown["message"]
    assert 'exec: "none-such": executable file not found in $PATH' in unknown["message"]


async def test_a_command_needs_a_container_that_runs(api: ApiUser, expected: Check) -> None:
    """Without a protocol to speak, and without a pod to speak to."""
    expected("no pod", await api.get(api.path("pods", "none", "exec"), command="true", stdout="true"))


def with_memory(name: str, limit: str, request: str, **more: str) -> Json:
    """Describe a pod with a memory limit and request."""
    body = pod(name, **more)
    body["spec"]["containers"][0]["resources"] = {"limits": {"memory": limit}, "requests": {"memory": request}}
    return body


def memory(limit: str, request: str) -> Json:
    """Return a patch of that."""
    resources = {"limits": {"memory": limit}, "requests": {"memory": request}}
    return {"spec": {"containers": [{"name": "web", "resources": resources}]}}


async def test_the_resources_of_a_pod_are_changed_only_through_its_resize(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("pods"), with_memory("one", "64Mi", "32Mi", schedulerName="nobody"))
    more, whole, resize = memory("96Mi", "32Mi"), api.path("pods", "one"), api.path("pods", "one", "resize")
    assert (await api.patch(whole, more, STRATEGIC)).status == 422
    beside = {"metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}}, "spec": {**more["spec"], "priority": 3}}
    expected("resized", await api.patch(resize, beside, STRATEGIC))
    tested = [
        {"op": "test", "path": "/spec/containers/0/resources/limits/memory", "value": "64Mi"},
        {"op": "replace", "path": "/spec/containers/0/resources/limits/memory", "value": "128Mi"},
    ]
    expected("failed test", await api.patch(resize, tested, JSON_PATCH))
    tested[0]["value"] = "96Mi"
    assert (await api.patch(resize, tested, JSON_PATCH)).status == 200
    assert (await api.patch(resize, memory("64Mi", "32Mi"), STRATEGIC)).status == 200


async def test_a_resize_that_would_change_what_a_pod_is_is_refused(api: ApiUser, expected: Check) -> None:
    body = with_memory("one", "64Mi", "64Mi", schedulerName="nobody")
    body["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "100m"
    await api.create(api.path("pods"), body)
    resize = api.path("pods", "one", "resize")
    expected("another class", await api.patch(resize, memory("96Mi", "64Mi"), STRATEGIC))
    assert (await api.patch(resize, memory("96Mi", "96Mi"), STRATEGIC)).status == 200
    gone = [{"op": "remove", "path": "/spec/containers/0/resources/limits/memory"}]
    await api.create(api.path("pods"), with_memory("two", "64Mi", "32Mi", schedulerName="nobody"))
    expected("removed", await api.patch(api.path("pods", "two", "resize"), gone, JSON_PATCH))
    other = {"spec": {"containers": [{"name": "side", "image": "web:better"}]}}
    expected("another container", await api.patch(api.path("pods", "two", "resize"), other, STRATEGIC))


async def test_a_kubelet_takes_more_memory_for_a_container_that_runs(api: ApiUser) -> None:
    await api.start(with_memory("one", "64Mi", "32Mi"))
    assert (await api.patch(api.path("pods", "one", "resize"), memory("96Mi", "32Mi"), STRATEGIC)).status == 200

    def has_it(body: Json) -> bool:
        (status,) = body["status"]["containerStatuses"]
        return bool(status["resources"]["limits"]["memory"] == "96Mi")

    found = await api.until(api.path("pods", "one"), has_it)
    assert [(each["restartCount"], each["ready"]) for each in found["status"]["containerStatuses"]] == [(0, True)]


async def test_a_kubelet_says_that_its_node_has_not_so_much_memory(api: ApiUser) -> None:
    await api.start(with_memory("one", "64Mi", "32Mi"))
    huge = memory("100Ti", "100Ti")
    assert (await api.patch(api.path("pods", "one", "resize"), huge, STRATEGIC)).status == 200

    def pending(body: Json) -> list[Json]:
        return [each for each in body["status"]["conditions"] if each["type"] == "PodResizePending"]

    (said,) = pending(await api.until(api.path("pods", "one"), lambda body: bool(pending(body))))
    assert (said["status"], said["reason"]) == ("True", "Infeasible")
    assert said["message"].startswith("Node didn't have enough capacity: memory, requested: ")
    assert (await api.patch(api.path("pods", "one", "resize"), memory("64Mi", "32Mi"), STRATEGIC)).status == 200
    await api.until(api.path("pods", "one"), lambda body: not pending(body))
