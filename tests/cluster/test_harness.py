"""The harness keeps its word: the cluster is real, faults hit what they name and nothing else, and nothing is left."""

import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.harness import manifests
from tests.harness.access import Access
from tests.harness.api import ApiClient, ApiError, Object
from tests.harness.cluster import RealCluster
from tests.harness.components import NODE
from tests.harness.faults import Faults
from tests.harness.fixtures import StartAlertmanager
from tests.harness.images import POSTGRES, WEB_BETTER
from tests.harness.machine import API_SERVER
from tests.harness.postgres import Postgres
from tests.harness.waiting import WaitedTooLongError, eventually, wait_for

ROOT = Path(__file__).parents[2]


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
def test_the_node_is_ready(cluster: RealCluster) -> None:
    """kubectl, the real one, says so."""
    columns = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
    assert cluster.kubectl("get", "nodes", "-o", columns) == "True"
    assert cluster.get("node", NODE)["status"]["nodeInfo"]["kubeletVersion"] == "v1.34.4"


@pytest.mark.cluster
def test_the_load_balancer_answers_the_test_process(cluster: RealCluster, namespace: str, web: list[Object]) -> None:
    """An address from outside the pods' and services' ranges is routed through kube-proxy to a pod."""
    address = cluster.load_balancer_address("web-app-service", namespace)
    assert answer(f"http://{address}/health") == 200


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
def test_an_unready_pod_leaves_the_service(
    cluster: RealCluster, namespace: str, web: list[Object], faults: Faults
) -> None:
    """It runs on without a restart, but its readiness probe fails."""
    name = web[0]["metadata"]["name"]
    faults.make_unready(web[0])
    wait_for(lambda: not ready(cluster.get("pod", name, namespace)), within=30)
    now = cluster.get("pod", name, namespace)
    assert now["status"]["phase"] == "Running"
    assert now["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.mark.cluster
def test_a_bad_rollout_is_ended_by_another_revision_only(
    cluster: RealCluster, namespace: str, web: list[Object], faults: Faults
) -> None:
    """A new pod of the bad version fares as badly; the good version's pods are well."""
    faults.bad_rollout(cluster.get("deployment", "web-app-deployment", namespace))

    def bad() -> list[Object]:
        return [pod for pod in web_pods(cluster, namespace) if waiting_reason(pod) == "CrashLoopBackOff"]

    first = wait_for(bad, within=60)[0]
    cluster.kubectl("delete", "pod", first["metadata"]["name"], "-n", namespace, "--wait=false")
    wait_for(lambda: [pod for pod in bad() if pod["metadata"]["uid"] != first["metadata"]["uid"]], within=60)

    cluster.kubectl("set", "image", "deployment/web-app-deployment", f"web={WEB_BETTER}", "-n", namespace)
    cluster.kubectl("rollout", "status", "deployment/web-app-deployment", "-n", namespace, "--timeout=60s")


@pytest.mark.cluster
def test_a_lost_volume_makes_the_claim_lost(
    cluster: RealCluster, namespace: str, web: list[Object], faults: Faults
) -> None:
    """The claim was Bound and its volume is gone."""
    claim = cluster.get("pvc", "web-app-pvc", namespace)
    assert claim["status"]["phase"] == "Bound"
    faults.lose_volume(claim)
    wait_for(lambda: cluster.get("pvc", "web-app-pvc", namespace)["status"]["phase"] == "Lost", within=30)


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
def test_a_stopped_api_server_comes_back_with_the_same_state(
    own_cluster: RealCluster, namespace: str, faults: Faults
) -> None:
    """Nobody listens in between."""
    faults.stop_api_server(for_=1)
    with pytest.raises(OSError):  # noqa: PT011 - refused, reset or cut short: it depends on the moment
        own_cluster.api.request("GET", "/readyz")
    wait_for(lambda: own_cluster.find("namespace", namespace), within=30)


@pytest.mark.cluster
def test_a_lost_watch_history_answers_gone(own_cluster: RealCluster, namespace: str) -> None:
    """A watch from before is refused, so that a client has to list again."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    before = own_cluster.api.request("GET", path)["metadata"]["resourceVersion"]
    own_cluster.api.create("configmap", {"metadata": {"name": "later"}}, namespace)
    own_cluster.lose_watch_history()
    watch = f"{path}?watch=true&timeoutSeconds=2&resourceVersion={before}"

    def gone() -> bool:
        try:
            return '"code":410' in str(own_cluster.api.request("GET", watch)).replace("'", '"').replace(" ", "")
        except ApiError as error:
            return error.status == 410

    wait_for(gone, within=20)


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


@pytest.mark.cluster
def test_a_database_runs_in_the_cluster(cluster: RealCluster, namespace: str) -> None:
    """It is a real PostgreSQL that answers a real query."""
    cluster.load_images(POSTGRES)
    cluster.apply(*manifests.postgres(namespace))
    state = lambda: cluster.kubectl("get", "pods,events", "-n", namespace)  # noqa: E731 - a name for a long line
    wait_for(lambda: ready(cluster.get("pod", "database-0", namespace)), within=60, describe=state)
    query = "PGPASSWORD=$POSTGRES_PASSWORD psql -h 127.0.0.1 -U postgres -Atc 'SELECT 1'"
    assert cluster.kubectl("exec", "-n", namespace, "database-0", "--", "sh", "-c", query) == "1\n"


async def test_a_wait_that_ends_in_vain_tells_the_last_state() -> None:
    """A wait that ends in vain says what it waited for and what it saw last."""
    with pytest.raises(WaitedTooLongError, match=r"not within 0\.8 s.*\n.*\n.*the last state"):
        await eventually(lambda: 0, within=0.2, describe=lambda: "the last state")


def test_a_postgres_server_hangs_and_comes_back(postgres_server: Postgres, postgres: str) -> None:
    """Each test has a database of its own; a frozen server takes no statement."""
    postgres_server.psql("CREATE TABLE t AS SELECT 7 AS n", dsn=postgres)
    postgres_server.freeze()
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(
                [postgres_server.programs.program("psql"), postgres, "-c", "SELECT 1"], timeout=0.5, check=True
            )
    finally:
        postgres_server.thaw()
    assert postgres_server.psql("SELECT n FROM t", dsn=postgres) == "7"


def test_two_alertmanagers_know_each_other(alertmanager: StartAlertmanager) -> None:
    """A silence that one is told reaches the other."""
    pair = alertmanager("http://127.0.0.1:9/alertmanager", replicas=2)
    pair.silence({"namespace": "shop"}, replica=0)
    pair.fire({"alertname": "Down", "namespace": "shop"})
    wait_for(
        lambda: pair.alerts(replica=1)[0]["status"]["state"] == "suppressed", within=10, describe=lambda: pair.alerts(1)
    )
