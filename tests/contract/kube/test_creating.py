"""Creating: generated and defaulted fields, and everything that is refused."""

import pytest

from tests.contract.kube.objects import (
    budget,
    claim,
    config,
    deployment,
    idle,
    of_kind,
    pod_spec,
    stateful,
    unscheduled,
)
from tests.contract.kube.talk import CORE, ApiUser, Check, Json


def probed(name: str) -> Json:
    """Describe a pod with probes and volumes."""
    body = unscheduled(name)
    container = body["spec"]["containers"][0]
    container["readinessProbe"] = {"httpGet": {"path": "/health", "port": 8080}}
    container["env"] = [{"name": "A", "value": "b"}]
    container["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    body["spec"]["volumes"] = [{"name": "scratch", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}}]
    return body


async def test_an_object_is_completed_with_defaults_and_kept_as_it_was_sent(api: ApiUser, expected: Check) -> None:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    lease = {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2026-11-24T10:00:00.000000Z"}
    pod = {"kind": "Pod", "namespace": api.namespace, "name": "p", "apiVersion": "v1"}
    said: Json = {"reason": "Tried", "message": "it was tried", "type": "Normal", "count": 1}
    event = of_kind("v1", "Event", "e", involvedObject=pod, **said, source={"component": "contract"})
    without_replicas = idle()
    del without_replicas["spec"]["replicas"]
    job = {"template": {"spec": pod_spec(restartPolicy="Never")}, "suspend": True}
    for label, path, body in (
        ("pod", api.path("pods"), unscheduled("one")),
        ("pod with probes and volumes", api.path("pods"), probed("two")),
        ("deployment", api.path("deployments"), without_replicas),
        ("stateful set", api.path("statefulsets"), stateful(replicas=0)),
        ("cluster address", api.path("services"), of_kind("v1", "Service", "inner", spec=spec)),
        (
            "load balancer",
            api.path("services"),
            of_kind("v1", "Service", "outer", spec={**spec, "type": "LoadBalancer"}),
        ),
        ("headless", api.path("services"), of_kind("v1", "Service", "headless", spec={**spec, "clusterIP": "None"})),
        ("claim", api.path("persistentvolumeclaims"), claim("data", "none-such")),
        ("secret", api.path("secrets"), of_kind("v1", "Secret", "s", stringData={"a": "b"})),
        ("budget", api.path("poddisruptionbudgets"), budget("b", "web", 1)),
        ("job", api.path("jobs"), of_kind("batch/v1", "Job", "once", spec=job)),
        (
            "lease",
            api.path("leases"),
            of_kind("coordination.k8s.io/v1", "Lease", "l", spec=lease),
        ),
        ("event", api.path("events"), event),
    ):
        expected(label, await api.create(path, body))
    found = await api.get(api.path("events"), fieldSelector="involvedObject.name=p,reason=Tried")
    assert len(found.body["items"]) == 1


async def test_requests_and_limits_decide_the_class_of_a_pod(api: ApiUser) -> None:
    for name, resources, quality in (
        ("best", {}, "BestEffort"),
        ("burst", {"requests": {"cpu": "10m"}}, "Burstable"),
        ("sure", {"limits": {"cpu": "10m", "memory": "8Mi"}}, "Guaranteed"),
    ):
        body = unscheduled(name)
        body["spec"]["containers"][0]["resources"] = resources
        assert (await api.create(api.path("pods"), body)).body["status"]["qosClass"] == quality


async def test_a_name_can_be_generated(api: ApiUser) -> None:
    body = config("x")
    body["metadata"] = {"generateName": "made-"}
    names = {(await api.create(api.path("configmaps"), body)).body["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("made-") and len(name) == 10 for name in names)


async def test_an_object_that_is_there_or_has_no_place_is_not_created(api: ApiUser, expected: Check) -> None:
    expected("dry run", await api.create(api.path("configmaps"), config("one", a="b"), dryRun="All"))
    assert (await api.get(api.path("configmaps", "one"))).status == 404
    await api.create(api.path("configmaps"), config("one"))
    expected("configmap", await api.create(api.path("configmaps"), config("one")))
    await api.create(api.path("deployments"), idle())
    expected("deployment", await api.create(api.path("deployments"), idle()))
    expected("no namespace", await api.create(f"{CORE}/namespaces/none-such/configmaps", config("one")))
    other = config("two")
    other["metadata"]["namespace"] = "default"
    expected("another namespace", await api.create(api.path("configmaps"), other))


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
    expected("selector", await api.create(api.path("deployments"), other))
    negative = idle(replicas=-1)
    expected("replicas", await api.create(api.path("deployments"), negative))


@pytest.mark.parametrize("what", ["kind", "json", "list"])
async def test_a_body_that_is_no_such_object_is_refused(api: ApiUser, what: str) -> None:
    bodies = {"kind": deployment(), "json": b'{"kind": "ConfigMap",', "list": []}
    answer = await api.send("POST", api.path("configmaps"), bodies[what])
    assert (answer.status, answer.body["reason"], answer.body["status"]) == (400, "BadRequest", "Failure")
