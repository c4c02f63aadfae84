"""Controllers: rollouts and their revisions, pods that are replaced, claims that are bound and lost."""

import re

from tests.contract.kube.objects import BETTER, claim, deployment, of_kind, pod, stateful, volume
from tests.contract.kube.talk import CORE, STRATEGIC, ApiUser, Check, Json, living, ready

REVISION = "deployment.kubernetes.io/revision"


def condition(body: Json, kind: str) -> Json:
    """Find a condition; empty when it is not there."""
    found = (each for each in body.get("status", {}).get("conditions", ()) if each["type"] == kind)
    return next(found, {})


def rolled_out(body: Json) -> bool:
    """Return whether a Deployment is where it should be, as `kubectl rollout status` judges."""
    status, wanted = body["status"], body["spec"]["replicas"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration") == body["metadata"]["generation"] and counts == [wanted] * 3


async def revisions(api: ApiUser) -> dict[str, tuple[str, int]]:
    """Show the ReplicaSets: revision to image and wanted pods."""
    found = (await api.get(api.path("replicasets"))).body["items"]
    return {
        each["metadata"]["annotations"][REVISION]: (
            each["spec"]["template"]["spec"]["containers"][0]["image"],
            each["spec"]["replicas"],
        )
        for each in found
    }


async def test_a_deployment_makes_a_replica_set_and_pods(api: ApiUser, expected: Check) -> None:
    path = api.path("deployments", "web")
    await api.create(api.path("deployments"), deployment())

    def complete(body: Json) -> bool:
        return rolled_out(body) and condition(body, "Progressing").get("reason") == "NewReplicaSetAvailable"

    expected("deployment", await api.until(path, complete))
    sets = await api.until(
        api.path("replicasets"), lambda body: body["items"][0]["status"].get("availableReplicas") == 2
    )
    expected("replica set", sets["items"])
    pods = await api.until(api.path("pods"), lambda body: all(map(ready, body["items"])))
    expected("one pod", pods["items"][0])


async def test_a_new_template_is_a_new_revision_and_an_old_one_comes_back_as_the_newest(api: ApiUser) -> None:
    path = api.path("deployments", "web")
    first = (await api.create(api.path("deployments"), deployment())).body["spec"]["template"]
    await api.until(path, rolled_out)
    change = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": BETTER}]}}}}
    await api.patch(path, change, STRATEGIC)
    body = await api.until(path, rolled_out)
    assert body["metadata"]["annotations"][REVISION] == "2"
    assert await revisions(api) == {"1": ("web:good", 0), "2": (BETTER, 2)}
    back = [{"op": "replace", "path": "/spec/template", "value": first}]
    await api.patch(path, back, "application/json-patch+json")
    body = await api.until(path, rolled_out)
    assert body["metadata"]["annotations"][REVISION] == "3"
    assert await revisions(api) == {"2": (BETTER, 0), "3": ("web:good", 2)}


async def test_a_rollout_that_gets_nowhere_exceeds_its_deadline_and_keeps_the_old_pods(
    api: ApiUser, expected: Check
) -> None:
    path = api.path("deployments", "web")
    await api.create(api.path("deployments"), deployment(progressDeadlineSeconds=3))
    await api.until(path, rolled_out)
    change = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:none-such"}]}}}}
    await api.patch(path, change, STRATEGIC)
    body = await api.until(
        path, lambda body: condition(body, "Progressing").get("reason") == "ProgressDeadlineExceeded"
    )
    expected("status", body["status"])
    pods = (await api.get(api.path("pods"), labelSelector="app=web")).body
    assert len([each for each in living(pods) if ready(each)]) == 2


async def test_a_deleted_pod_is_replaced_by_another(api: ApiUser) -> None:
    path = api.path("deployments", "web")
    await api.create(api.path("deployments"), deployment())
    await api.until(path, rolled_out)
    before = {each["metadata"]["uid"]: each for each in (await api.get(api.path("pods"))).body["items"]}
    victim = next(iter(before.values()))["metadata"]
    await api.delete(api.path("pods", victim["name"]), {"preconditions": {"uid": victim["uid"]}})
    body = await api.until(
        api.path("pods"),
        lambda body: len(living(body)) == 2 and all(map(ready, living(body))) and len(body["items"]) == 2,
    )
    after = {each["metadata"]["uid"] for each in body["items"]}
    assert victim["uid"] not in after
    assert len(after & set(before)) == 1


async def test_a_pod_that_leaves_the_selector_is_let_go_and_replaced(api: ApiUser) -> None:
    await api.create(api.path("deployments"), deployment(replicas=1))
    await api.until(api.path("deployments", "web"), rolled_out)
    name = (await api.get(api.path("pods"))).body["items"][0]["metadata"]["name"]
    await api.patch(api.path("pods", name), {"metadata": {"labels": {"app": "aside"}}})
    freed = await api.until(api.path("pods", name), lambda body: "ownerReferences" not in body["metadata"])
    assert "deletionTimestamp" not in freed["metadata"]
    await api.until(api.path("pods"), lambda body: len(living(body)) == 2)


async def test_a_deployment_scales_to_nothing_and_back(api: ApiUser) -> None:
    path = api.path("deployments", "web")
    await api.create(api.path("deployments"), deployment())
    await api.until(path, rolled_out)
    await api.patch(path, {"spec": {"replicas": 0}})
    await api.until(api.path("pods"), lambda body: not body["items"])
    body = await api.until(path, lambda body: "replicas" not in body["status"])
    assert {"readyReplicas", "availableReplicas"}.isdisjoint(body["status"])
    await api.patch(path, {"spec": {"replicas": 1}})
    await api.until(path, rolled_out)


async def test_a_deleted_deployment_takes_its_replica_sets_and_pods_along(api: ApiUser) -> None:
    await api.create(api.path("deployments"), deployment())
    await api.until(api.path("deployments", "web"), rolled_out)
    await api.delete(api.path("deployments", "web"), {"propagationPolicy": "Background"})
    await api.until(api.path("replicasets"), lambda body: not body["items"])
    await api.until(api.path("pods"), lambda body: not body["items"])


async def test_a_stateful_pod_comes_back_under_its_name(api: ApiUser, expected: Check) -> None:
    path = api.path("statefulsets", "db")
    await api.create(api.path("statefulsets"), stateful())
    body = await api.until(
        path, lambda body: body["status"].get("readyReplicas") == 2 and body["status"].get("availableReplicas") == 2
    )
    expected("status", body["status"])
    old = (await api.get(api.path("pods", "db-0"))).body["metadata"]["uid"]
    await api.delete(api.path("pods", "db-0"))

    def is_new(body: Json) -> bool:
        return body.get("kind") == "Pod" and body["metadata"]["uid"] != old and ready(body)

    await api.until(api.path("pods", "db-0"), is_new)


async def test_a_crashing_container_backs_off(api: ApiUser) -> None:
    await api.create(api.path("pods"), pod("bad", "web:bad"))

    def backing_off(body: Json) -> bool:
        statuses = body["status"].get("containerStatuses") or [{"state": {}}]
        reason: str = statuses[0]["state"].get("waiting", {}).get("reason", "")
        return reason == "CrashLoopBackOff"

    body = await api.until(api.path("pods", "bad"), backing_off)
    status = body["status"]["containerStatuses"][0]
    assert (body["status"]["phase"], status["ready"], status["started"]) == ("Running", False, False)
    assert status["restartCount"] >= 1 or status["lastState"]["terminated"]["exitCode"] == 1
    assert status["lastState"]["terminated"]["reason"] == "Error"
    whose = f"pod=bad_{api.namespace}({body['metadata']['uid']})"
    assert re.fullmatch(
        rf"back-off \d+s restarting failed container=web {re.escape(whose)}", status["state"]["waiting"]["message"]
    )
    assert condition(body, "Ready")["reason"] == "ContainersNotReady"


async def test_an_image_that_is_not_there_cannot_be_pulled(api: ApiUser) -> None:
    await api.create(api.path("pods"), pod("bad", "web:none-such", imagePullSecrets=[]))

    def failing(body: Json) -> bool:
        statuses = body["status"].get("containerStatuses") or [{"state": {}}]
        return statuses[0]["state"].get("waiting", {}).get("reason") in ("ErrImagePull", "ImagePullBackOff")

    body = await api.until(api.path("pods", "bad"), failing)
    assert (body["status"]["phase"], body["status"]["containerStatuses"][0]["restartCount"]) == ("Pending", 0)


async def test_a_pod_that_fits_nowhere_stays_pending(api: ApiUser) -> None:
    await api.create(api.path("pods"), pod("lost", nodeSelector={"contract.dev/none": "such"}))
    body = await api.until(api.path("pods", "lost"), lambda body: bool(condition(body, "PodScheduled")))
    scheduled = condition(body, "PodScheduled")
    assert (body["status"]["phase"], scheduled["status"], scheduled["reason"]) == ("Pending", "False", "Unschedulable")
    assert "didn't match Pod's node affinity/selector" in scheduled["message"]
    events = await api.until(
        api.path("events"), lambda body: any(each["reason"] == "FailedScheduling" for each in body["items"])
    )
    assert events["items"]


async def test_a_claim_is_bound_to_a_volume_and_lost_with_it(api: ApiUser, expected: Check) -> None:
    name, path = f"{api.namespace}-volume", api.path("persistentvolumeclaims", "data")
    await api.create(api.path("persistentvolumeclaims"), claim("data", api.namespace))
    assert (await api.get(path)).body["status"] == {"phase": "Pending"}
    await api.create(f"{CORE}/persistentvolumes", volume(name, api.namespace))
    bound = await api.until(path, lambda body: body["status"]["phase"] == "Bound")
    expected("bound", bound)
    volume_path = f"{CORE}/persistentvolumes/{name}"
    held = await api.until(volume_path, lambda body: body["status"]["phase"] == "Bound")
    expected("volume", held)
    await api.delete(volume_path)
    kept = (await api.get(volume_path)).body
    assert kept["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    await api.patch(volume_path, {"metadata": {"finalizers": None}})
    expected("lost", await api.until(path, lambda body: body["status"]["phase"] == "Lost"))


async def test_a_volume_is_released_when_its_claim_goes(api: ApiUser) -> None:
    name, path = f"{api.namespace}-volume", api.path("persistentvolumeclaims", "data")
    await api.create(f"{CORE}/persistentvolumes", volume(name, api.namespace))
    await api.create(api.path("persistentvolumeclaims"), claim("data", api.namespace))
    await api.until(path, lambda body: body["status"]["phase"] == "Bound")
    await api.delete(path)
    await api.until(path, lambda body: body.get("code") == 404)
    await api.until(f"{CORE}/persistentvolumes/{name}", lambda body: body["status"]["phase"] == "Released")
    await api.delete(f"{CORE}/persistentvolumes/{name}")
    await api.until(f"{CORE}/persistentvolumes/{name}", lambda body: body.get("code") == 404)


async def test_a_claim_is_kept_for_a_pod_on_a_node_and_for_no_other(api: ApiUser) -> None:
    for name, place in (("used", {"nodeName": "no-such-node"}), ("wanted", {"schedulerName": "nobody"})):
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
        await api.create(api.path("persistentvolumeclaims"), claim(name, "none-such"))
        await api.create(api.path("pods"), pod(name, volumes=volumes, **place))
        await api.delete(api.path("persistentvolumeclaims", name))
    await api.until(api.path("persistentvolumeclaims", "wanted"), lambda body: body.get("code") == 404)
    held = (await api.get(api.path("persistentvolumeclaims", "used"))).body
    assert "deletionTimestamp" in held["metadata"]
    await api.delete(api.path("pods", "used"), {"gracePeriodSeconds": 0})
    await api.until(api.path("persistentvolumeclaims", "used"), lambda body: body.get("code") == 404)


async def test_a_service_knows_the_pods_behind_it(api: ApiUser) -> None:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    await api.create(api.path("services"), of_kind("v1", "Service", "front", spec=spec))
    await api.create(api.path("deployments"), deployment(replicas=1))

    def serving(body: Json) -> bool:
        endpoints = [each for item in body["items"] for each in item["endpoints"] or ()]
        return [each["conditions"]["ready"] for each in endpoints] == [True]

    path = api.path("endpointslices")
    slices = await api.until(path, serving)
    (found,) = slices["items"]
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "front"
    assert found["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
    (pod_behind,) = (await api.get(api.path("pods"))).body["items"]
    assert found["endpoints"][0]["targetRef"]["uid"] == pod_behind["metadata"]["uid"]
    await api.patch(api.path("deployments", "web", "scale"), {"spec": {"replicas": 0}})
    await api.until(path, lambda body: not [each for item in body["items"] for each in item["endpoints"] or ()])
