"""Parts of objects: status, scale, logs, evictions, commands."""

import json
from collections.abc import Callable

from tests.contract.kube.objects import budget, config, idle, pod, unscheduled
from tests.contract.kube.talk import APPS, JSON_PATCH, MERGE, Api, Json, ready

Check = Callable[[str, object], None]
POLICY = "/apis/policy/v1"


async def test_a_status_is_changed_only_through_its_subresource(api: Api, expected: Check) -> None:
    await api.create(api.path("pods"), unscheduled("one"))
    ignored = await api.patch(api.path("pods", "one"), {"status": {"phase": "Running"}})
    assert ignored.body["status"]["phase"] == "Pending"
    both = {"status": {"message": "as said"}, "spec": {"hostname": "other"}, "metadata": {"labels": {"a": "b"}}}
    expected("answer", await api.patch(api.path("pods", "one", "status"), both))
    expected("read", await api.get(api.path("pods", "one", "status")))


async def test_a_status_sent_at_creation_is_dropped(api: Api) -> None:
    body = {**unscheduled("one"), "status": {"phase": "Running", "message": "made up"}}
    created = (await api.create(api.path("pods"), body)).body
    assert (created["status"]["phase"], "message" in created["status"]) == ("Pending", False)


async def test_a_kind_without_status_has_no_such_subresource(api: Api) -> None:
    await api.create(api.path("configmaps"), config("one"))
    assert (await api.get(api.path("configmaps", "one", "status"))).status == 404
    assert (await api.get(api.path("configmaps", "one", "scale"))).status == 404


async def test_a_scale_is_read_and_changed(api: Api, expected: Check) -> None:
    await api.create(api.path("deployments", group=APPS), idle(replicas=0))
    path, whole = api.path("deployments", "web", "scale", group=APPS), api.path("deployments", "web", group=APPS)
    expected("read", await api.get(path))
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


async def test_a_scale_is_tried_in_a_dry_run(api: Api) -> None:
    await api.create(api.path("deployments", group=APPS), idle(replicas=0))
    path = api.path("deployments", "web", "scale", group=APPS)
    tried = await api.patch(path, {"spec": {"replicas": 3}}, dryRun="All")
    assert (tried.status, tried.body["spec"]) == (200, {"replicas": 3})
    assert (await api.get(path)).body["spec"] == {}


async def test_a_log_is_text(api: Api) -> None:
    await api.create(api.path("pods"), pod("one"))
    await api.until(api.path("pods", "one"), ready)
    answer = await api.get(api.path("pods", "one", "log"))
    assert (answer.status, answer.content_type) == (200, "text/plain")
    assert answer.body.endswith("\n")
    tail = await api.get(api.path("pods", "one", "log"), tailLines=1, container="web")
    assert tail.body == answer.body.splitlines(keepends=True)[-1]
    short = await api.get(api.path("pods", "one", "log"), limitBytes=4)
    assert short.body == answer.body[:4]
    none = await api.get(api.path("pods", "one", "log"), tailLines=0)
    assert none.body == ""


async def test_a_log_that_is_not_there_is_refused(api: Api, expected: Check) -> None:
    body = pod("two")
    body["spec"]["containers"].append({**body["spec"]["containers"][0], "name": "side", "ports": []})
    body["spec"]["schedulerName"] = "nobody"
    await api.create(api.path("pods"), body)
    expected("which container", await api.get(api.path("pods", "two", "log")))
    expected("no such container", await api.get(api.path("pods", "two", "log"), container="none"))
    await api.create(api.path("pods"), pod("one"))
    await api.until(api.path("pods", "one"), ready)
    expected("previous", await api.get(api.path("pods", "one", "log"), previous="true"))


async def test_an_eviction_asks_the_budget(api: Api, expected: Check) -> None:
    await api.create(api.path("pods"), pod("one"))
    await api.until(api.path("pods", "one"), ready)
    await api.create(api.path("poddisruptionbudgets", group=POLICY), budget("keep", "one", 1))
    found = await api.until(
        api.path("poddisruptionbudgets", "keep", group=POLICY), lambda body: body["status"].get("currentHealthy") == 1
    )
    assert found["status"]["disruptionsAllowed"] == 0
    eviction: Json = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one"}}
    path = api.path("pods", "one", "eviction")
    expected("refused", await api.create(path, eviction))
    assert "deletionTimestamp" not in (await api.get(api.path("pods", "one"))).body["metadata"]
    await api.delete(api.path("poddisruptionbudgets", "keep", group=POLICY))
    await api.until(api.path("poddisruptionbudgets", "keep", group=POLICY), lambda body: body.get("code") == 404)
    expected("granted", await api.create(path, eviction))
    await api.until(api.path("pods", "one"), lambda body: body.get("code") == 404)
    expected("gone", await api.create(path, eviction))


async def test_an_eviction_may_be_for_one_uid_only(api: Api, expected: Check) -> None:
    await api.create(api.path("pods"), unscheduled("one"))
    options = {"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one"}, "deleteOptions": options}
    expected("answer", await api.create(api.path("pods", "one", "eviction"), eviction))
    assert (await api.get(api.path("pods", "one"))).status == 200


async def test_a_command_is_executed_in_a_container(api: Api, expected: Check) -> None:
    await api.create(api.path("pods"), pod("one"))
    await api.until(api.path("pods", "one"), ready)
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


async def test_a_command_needs_a_container_that_runs(api: Api, expected: Check) -> None:
    """Without a protocol to speak, and without a pod to speak to."""
    expected("no pod", await api.get(api.path("pods", "none", "exec"), command="true", stdout="true"))
