"""The harness keeps its word: the cluster is real, faults hit what they name and nothing else, and nothing is left."""

import urllib.request

import pytest

from tests.harness import manifests
from tests.harness.access import Access
from tests.harness.api import ApiClient, ApiError, Object
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.machine import API_SERVER
from tests.harness.waiting import WaitedTooLongError, eventually, wait_for


def web_pods(cluster: RealCluster, namespace: str) -> list[Object]:
    """Return the web pods that are not on their way out."""
    pods = cluster.list("pods", namespace, selector=f"app={manifests.WEB}")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def waiting_reason(pod: Object) -> str:
    """Return why the pod's container waits: CrashLoopBackOff, or nothing when it does not."""
    statuses = pod["status"].get("containerStatuses", [{}])
    reason: str = statuses[0].get("state", {}).get("waiting", {}).get("reason", "")
    return reason


def ready(pod: Object) -> bool:
    """Return whether the pod's Ready condition is true."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def all_ready(cluster: RealCluster, namespace: str, replicas: int = 3) -> list[Object] | None:
    """Return the web pods when so many are there and all are ready."""
    pods = web_pods(cluster, namespace)
    return pods if len(pods) == replicas and all(map(ready, pods)) else None


@pytest.fixture
def web(cluster: RealCluster, namespace: str) -> list[Object]:
    """Return three ready web pods of a fresh web stack."""
    cluster.apply(*manifests.web_stack(namespace))
    return wait_for(
        lambda: all_ready(cluster, namespace),
        within=60,
        describe=lambda: cluster.kubectl("get", "pods,pvc,events", "-n", namespace),
    )


def answer(url: str) -> int:
    """Return the HTTP code of a GET."""
    with urllib.request.urlopen(url, timeout=5) as response:
        return int(response.status)


@pytest.mark.cluster
def test_a_crash_loop_stays_with_its_pod(
    cluster: RealCluster, namespace: str, web: list[Object], faults: Faults
) -> None:
    """The marked pod crashes at each restart and no other does; its successor is well."""
    victim, *others = web
    faults.crash_loop(victim)
    name = victim["metadata"]["name"]
    wait_for(
        lambda: waiting_reason(cluster.get("pod", name, namespace)) == "CrashLoopBackOff",
        within=60,
        describe=lambda: cluster.kubectl("get", "pods", "-n", namespace),
    )
    for other in others:
        now = cluster.get("pod", other["metadata"]["name"], namespace)
        assert ready(now)
        assert now["status"]["containerStatuses"][0]["restartCount"] == 0

    cluster.kubectl("delete", "pod", name, "-n", namespace, "--wait=false")
    healed = wait_for(lambda: all_ready(cluster, namespace), within=60)
    assert victim["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in healed}


@pytest.mark.cluster
def test_a_frozen_api_server_answers_nothing_until_it_is_thawed(own_cluster: RealCluster) -> None:
    """A request gets no answer and no refusal while the server hangs."""
    impatient = ApiClient(own_cluster.access, limit=1)
    own_cluster.freeze(API_SERVER)
    try:
        with pytest.raises(TimeoutError):
            impatient.request("GET", "/readyz")
    finally:
        own_cluster.thaw(API_SERVER)
    assert wait_for(lambda: impatient.request("GET", "/readyz"), within=10) == "ok"


@pytest.mark.cluster
def test_a_service_account_may_do_what_its_rules_say_and_no_more(own_cluster: RealCluster, namespace: str) -> None:
    """Both attempts stand in the audit log under the account's name."""
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]
    login = own_cluster.kubeconfig_for("clerk", rules, namespace=namespace)
    clerk = ApiClient(Access.read(login))
    made = own_cluster.api.resource("configmap").path(namespace)
    clerk.request("POST", made, {"metadata": {"name": "note"}})
    with pytest.raises(ApiError) as refused:
        clerk.request("GET", own_cluster.api.resource("secret").path(namespace))
    assert refused.value.status == 403
    log = own_cluster.audit().where(user="clerk", namespace=namespace)
    assert [(event.verb, event.resource, event.name, event.code) for event in log.writes()] == [
        ("create", "configmaps", "note", 201)
    ]
    assert [event.code for event in log.where(verb="list", resource="secrets")] == [403]


async def test_a_wait_that_ends_in_vain_tells_the_last_state() -> None:
    """A wait that ends in vain says what it waited for and what it saw last."""
    with pytest.raises(WaitedTooLongError, match=r"not within 0\.8 s.*\n.*\n.*the last state"):
        await eventually(lambda: 0, within=0.2, describe=lambda: "the last state")
