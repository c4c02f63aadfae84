"""Creating: generated and defaulted fields, and everything that is refused."""

from collections.abc import Callable

import pytest

from tests.contract.kube.objects import budget, claim, config, deployment, idle, pod_spec, stateful, unscheduled
from tests.contract.kube.talk import APPS, CORE, ApiUser, Json

Check = Callable[[str, object], None]


async def test_a_pod_is_completed_with_defaults(api: ApiUser, expected: Check) -> None:
    expected("pod", await api.create(api.path("pods"), unscheduled("one")))


async def test_requests_and_limits_decide_the_class_of_a_pod(api: ApiUser) -> None:
    for name, resources, quality in (
        ("best", {}, "BestEffort"),
        ("burst", {"requests": {"cpu": "10m"}}, "Burstable"),
        ("sure", {"limits": {"cpu": "10m", "memory": "8Mi"}}, "Guaranteed"),
    ):
        body = unscheduled(name)
        body["spec"]["containers"][0]["resources"] = resources
        assert (await api.create(api.path("pods"), body)).body["status"]["qosClass"] == quality


async def test_a_pod_with_probes_and_volumes_is_completed_with_defaults(api: ApiUser, expected: Check) -> None:
    body = unscheduled("one")
    container = body["spec"]["containers"][0]
    container["readinessProbe"] = {"httpGet": {"path": "/health", "port": 8080}}
    container["env"] = [{"name": "A", "value": "b"}]
    container["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    body["spec"]["volumes"] = [{"name": "scratch", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}}]
    expected("pod", await api.create(api.path("pods"), body))


async def test_a_deployment_is_completed_with_defaults(api: ApiUser, expected: Check) -> None:
    body = idle()
    del body["spec"]["replicas"]
    expected("deployment", await api.create(api.path("deployments", group=APPS), body))


async def test_a_stateful_set_is_completed_with_defaults(api: ApiUser, expected: Check) -> None:
    expected("stateful set", await api.create(api.path("statefulsets", group=APPS), stateful(replicas=0)))


async def test_a_service_is_completed_with_defaults(api: ApiUser, expected: Check) -> None:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    metadata = {"name": "inner"}
    body: Json = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    expected("cluster address", await api.create(api.path("services"), body))
    balanced = {"name": "outer"}
    balancer = {**body, "metadata": balanced, "spec": {**spec, "type": "LoadBalancer"}}
    expected("load balancer", await api.create(api.path("services"), balancer))
    headless = {**body, "metadata": {"name": "headless"}, "spec": {**spec, "clusterIP": "None"}}
    expected("headless", await api.create(api.path("services"), headless))


async def test_a_claim_is_completed_with_defaults(api: ApiUser, expected: Check) -> None:
    expected("claim", await api.create(api.path("persistentvolumeclaims"), claim("data", "none-such")))


async def test_a_secret_keeps_plain_text_encoded(api: ApiUser, expected: Check) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}
    expected("secret", await api.create(api.path("secrets"), body))


async def test_a_disruption_budget_starts_with_zeros(api: ApiUser, expected: Check) -> None:
    body = budget("b", "web", 1)
    expected("budget", await api.create(api.path("poddisruptionbudgets", group="/apis/policy/v1"), body))


async def test_a_job_is_completed_with_defaults(api: ApiUser, expected: Check) -> None:
    template = {"spec": pod_spec(restartPolicy="Never")}
    spec = {"template": template, "suspend": True}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": spec}
    expected("job", await api.create(api.path("jobs", group="/apis/batch/v1"), body))


async def test_a_lease_is_kept_as_it_was_sent(api: ApiUser, expected: Check) -> None:
    spec = {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2026-11-24T10:00:00.000000Z"}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": spec}
    expected("lease", await api.create(api.path("leases", group="/apis/coordination.k8s.io/v1"), body))


async def test_an_event_is_kept_as_it_was_sent(api: ApiUser, expected: Check) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "namespace": api.namespace, "name": "p", "apiVersion": "v1"},
        "reason": "Tried",
        "message": "it was tried",
        "type": "Normal",
        "count": 1,
        "source": {"component": "contract"},
    }
    expected("event", await api.create(api.path("events"), body))
    found = await api.get(api.path("events"), fieldSelector="involvedObject.name=p,reason=Tried")
    assert len(found.body["items"]) == 1


async def test_a_name_can_be_generated(api: ApiUser) -> None:
    body = config("x")
    body["metadata"] = {"generateName": "made-"}
    names = {(await api.create(api.path("configmaps"), body)).body["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("made-") and len(name) == 10 for name in names)


async def test_an_object_that_exists_is_not_created_again(api: ApiUser, expected: Check) -> None:
    await api.create(api.path("configmaps"), config("one"))
    expected("configmap", await api.create(api.path("configmaps"), config("one")))
    await api.create(api.path("deployments", group=APPS), idle())
    expected("deployment", await api.create(api.path("deployments", group=APPS), idle()))


async def test_a_dry_run_creates_nothing(api: ApiUser, expected: Check) -> None:
    expected("answer", await api.create(api.path("configmaps"), config("one", a="b"), dryRun="All"))
    assert (await api.get(api.path("configmaps", "one"))).status == 404


async def test_no_object_is_created_in_a_namespace_that_is_not_there(api: ApiUser, expected: Check) -> None:
    expected("answer", await api.create(f"{CORE}/namespaces/none-such/configmaps", config("one")))


async def test_the_namespace_of_object_and_path_must_agree(api: ApiUser, expected: Check) -> None:
    body = config("one")
    body["metadata"]["namespace"] = "default"
    expected("answer", await api.create(api.path("configmaps"), body))


async def test_wrong_fields_are_all_named(api: ApiUser, expected: Check) -> None:
    expected("name", await api.create(api.path("configmaps"), config("Not_A_Name")))
    bare = unscheduled("one")
    bare["spec"]["containers"] = []
    expected("no containers", await api.create(api.path("pods"), bare))
    nameless = unscheduled("one")
    nameless["spec"]["containers"][0] = {}
    expected("container without name and image", await api.create(api.path("pods"), nameless))
    other = idle()
    other["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    expected("selector", await api.create(api.path("deployments", group=APPS), other))
    negative = idle(replicas=-1)
    expected("replicas", await api.create(api.path("deployments", group=APPS), negative))


@pytest.mark.parametrize("what", ["kind", "json", "list"])
async def test_a_body_that_is_no_such_object_is_refused(api: ApiUser, what: str) -> None:
    bodies = {"kind": deployment(), "json": b'{"kind": "ConfigMap",', "list": []}
    answer = await api.send("POST", api.path("configmaps"), bodies[what])
    assert (answer.status, answer.body["reason"], answer.body["status"]) == (400, "BadRequest", "Failure")
