"""
Every command that looks answers what kubectl answers: the same line is given to both, on the real cluster.

Objects are compared whole, less managedFields; messages word by word. Changes are compared in `test_kubectl_changes`.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.kube.discovery import read_kinds
from kintsugi.settings import KubeSettings
from kubeobjects import discovery
from tests.cluster.kubectl import Object, applied, attempt, kubectl, pod_of, same, shown, workload
from tests.harness import manifests
from tests.harness.cluster import KubectlError, RealCluster
from tests.harness.faults import Faults
from tests.harness.images import WEB_BETTER
from tests.harness.results import named
from tests.harness.waiting import eventually, wait_for

pytestmark = pytest.mark.cluster

SOON = timedelta(seconds=20)


@pytest.fixture(scope="module")
def place(cluster: RealCluster) -> Iterator[str]:
    """Yield a namespace with a web stack and one workload of each kind; the Deployment has two revisions."""
    with cluster.namespace("equivalence") as name:
        cluster.apply(*manifests.web_stack(name, replicas=2))
        kinds = ("deployment", "statefulset", "daemonset")
        cluster.apply(*(workload(kind, name, "ours", replicas=1) for kind in kinds))
        cluster.apply(*storage(name))
        kubectl(cluster, name, "kubectl annotate deployment/ours-deployment kubernetes.io/change-cause=better")
        kubectl(cluster, name, "kubectl rollout status deployment/ours-deployment --timeout=60s")
        kubectl(cluster, name, f"kubectl set image deployment/ours-deployment web={WEB_BETTER}")
        for each in (f"deployment/{manifests.WEB}-deployment", *(f"{kind}/ours-{kind}" for kind in kinds)):
            kubectl(cluster, name, f"kubectl rollout status {each} --timeout=60s")
        yield name
        kubectl(cluster, name, f"kubectl delete storageclass {name}")


def storage(namespace: str) -> tuple[Object, ...]:
    """Return a class of storage that nobody provisions, and a claim that waits for a volume of it."""
    room = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": namespace},
            "provisioner": "kintsugi.dev/nobody",
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": namespace},
            "spec": {**room, "storageClassName": namespace},
        },
    )


GETS = (
    "kubectl get pods",
    "kubectl get pods -l 'app in (ours,web-app),app!=web-app'",
    "kubectl get pods --field-selector status.phase=Running",
    "kubectl get pods --sort-by={.status.startTime}",
    "kubectl get deployment/ours-deployment svc/web-app-service",
    "kubectl get svc nobody web-app-service --ignore-not-found",
    "kubectl get rs --sort-by=.metadata.creationTimestamp",
    "kubectl get leases -n kube-node-lease",
)


@pytest.mark.parametrize("line", GETS)
async def test_get_reads_the_same_objects(cluster: RealCluster, place: str, actions: Actions, line: str) -> None:
    """Whole objects, in the same order."""

    async def ours() -> object:
        return list(named(await actions.read(parse(line, namespace=place), deadline=SOON))["items"])

    await same(ours, lambda: shown(kubectl(cluster, place, line, "-o", "json") or '{"kind":"List","items":[]}'))


OF_THE_CLUSTER = (
    "kubectl get apiservices",
    "kubectl get csinodes.v1.storage.k8s.io",
    "kubectl get services",
    "kubectl get shopservice",
    "kubectl get service.shop.example.com",
    "kubectl get services.v1alpha1.shop.example.com front",
)
"""Types that are not built in, and a built-in one whose words another has, too."""


@pytest.fixture(scope="module")
def shop(cluster: RealCluster, place: str) -> Iterator[None]:
    """Serve a type of one's own, in two versions, whose plural and kind are those of a built-in one, with an object."""
    served = {"served": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    versions = [{**served, "name": name, "storage": name == "v1"} for name in ("v1alpha1", "v1")]
    names = {"plural": "services", "singular": "service", "kind": "Service", "shortNames": ["shopservice"]}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "services.shop.example.com"},
        "spec": {"group": "shop.example.com", "scope": "Namespaced", "names": names, "versions": versions},
    }
    cluster.apply(definition)
    kubectl(cluster, place, "kubectl wait crd/services.shop.example.com --for=condition=Established --timeout=60s")
    front = {"apiVersion": "shop.example.com/v1", "kind": "Service", "metadata": {"name": "front", "namespace": place}}
    wait_for(lambda: applied(cluster, front), within=30)
    yield
    kubectl(cluster, place, "kubectl delete crd services.shop.example.com")
    discovery.forget()


@pytest.mark.parametrize("line", OF_THE_CLUSTER)
@pytest.mark.usefixtures("shop")
async def test_types_that_are_not_built_in_are_read_by_the_words_of_kubectl(
    cluster: RealCluster, place: str, actions: Actions, line: str
) -> None:
    discovery.set_served(await read_kinds(KubeSettings(kubeconfig=cluster.kubeconfig)))

    async def ours() -> object:
        return list(named(await actions.read(parse(line, namespace=place), deadline=SOON))["items"])

    await same(ours, lambda: shown(kubectl(cluster, place, line, "-o", "json")))


@pytest.mark.parametrize(
    "line", ["kubectl get secrets", "kubectl get secret equivalent", "kubectl get secrets -l a=b -o wide"]
)
async def test_secrets_have_the_columns_that_kubectl_prints(
    cluster: RealCluster, place: str, actions: Actions, line: str
) -> None:
    """The age is compared by its unit: seconds go on between the two."""
    content = {"type": "example.com/kind", "stringData": {"one": "a", "two": "b"}}
    metadata = {"name": "equivalent", "namespace": place, "labels": {"a": "b"}}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **content})
    items = named(await actions.read(parse(line, namespace=place), deadline=SOON))["items"]
    theirs = [each.split() for each in kubectl(cluster, place, line, "--no-headers").splitlines()]
    assert [[each["name"], each["type"], str(each["keys"])] for each in items] == [each[:3] for each in theirs]
    assert all(timedelta() <= each["age"] < timedelta(hours=1) for each in items)
    assert all(set(each) == {"kind", "name", "namespace", "type", "keys", "age"} for each in items)


@pytest.mark.parametrize(
    "line", ["kubectl get --raw /readyz", "kubectl get --raw /livez/ping", "kubectl get --raw=/version"]
)
async def test_a_path_of_the_api_server_is_read_as_kubectl_reads_it(
    cluster: RealCluster, place: str, actions: Actions, line: str
) -> None:
    result = named(await actions.read(parse(line, namespace=place), deadline=SOON))
    assert (result["status"], result["body"].strip()) == (200, kubectl(cluster, place, line).strip())


FAILURES = (
    "kubectl get pod nobody",
    "kubectl get secret nobody",
    "kubectl rollout status deployment/nobody",
)


@pytest.mark.parametrize("line", FAILURES)
async def test_a_missing_object_is_told_in_the_words_of_kubectl(
    cluster: RealCluster, place: str, actions: Actions, line: str
) -> None:
    """The API's own sentence."""
    with pytest.raises(KubectlError) as theirs:
        kubectl(cluster, place, line)
    with pytest.raises(NotFound) as ours:
        await actions.read(parse(line, namespace=place), deadline=SOON)
    assert str(ours.value) in str(theirs.value)


EVENTS = (
    "kubectl events --types=Warning",
    "kubectl events --for=deployment/ours-deployment",
)


@pytest.mark.parametrize("line", EVENTS)
async def test_events_are_the_same_and_oldest_first(
    cluster: RealCluster, place: str, actions: Actions, line: str
) -> None:
    """Events of one second have no order of their own: they are compared by uid."""

    def by_uid(items: list[Object]) -> list[Object]:
        return sorted(items, key=lambda item: item["metadata"]["uid"])

    async def ours() -> object:
        return by_uid(named(await actions.read(parse(line, namespace=place), deadline=SOON))["items"])

    await same(ours, lambda: by_uid(shown(kubectl(cluster, place, line, "-o", "json") or '{"kind":"List","items":[]}')))


async def test_describe_knows_what_kubectl_describe_says(cluster: RealCluster, place: str, actions: Actions) -> None:
    """Not letter for letter: name, node, owner, image and the reasons of its events."""
    pod = pod_of(cluster, place, "ours")
    line = f"kubectl describe pod {pod['metadata']['name']}"
    theirs = kubectl(cluster, place, line)
    result = await actions.read(parse(line, namespace=place), deadline=SOON)
    reasons = re.findall(r"^  (?:Normal|Warning)\s+(\w+)", theirs, re.MULTILINE)
    assert "Started" in reasons
    for word in (*reasons, pod["metadata"]["name"], pod["spec"]["nodeName"], WEB_BETTER, "ReplicaSet/"):
        assert word in theirs
        assert word in named(result)["text"]
    assert named(result)["item"]["metadata"]["uid"] == pod["metadata"]["uid"]


LOGS = (
    "kubectl logs {pod}",
    "kubectl logs {pod} --all-containers",
    "kubectl logs {pod} --timestamps",
    "kubectl logs -l app=ours --tail=3",
)


@pytest.mark.parametrize("line", LOGS)
async def test_logs_are_the_same_lines(cluster: RealCluster, place: str, actions: Actions, line: str) -> None:
    """Of a pod, of a workload with one pod, of a selector."""
    line = line.format(pod=pod_of(cluster, place, "ours")["metadata"]["name"])

    async def ours() -> object:
        return named(await actions.read(parse(line, namespace=place), deadline=SOON))["lines"]

    await same(ours, lambda: kubectl(cluster, place, line).splitlines())


@pytest.mark.parametrize("line", ["kubectl logs svc/ours", "kubectl exec svc/ours -- cat /etc/hostname"])
async def test_a_service_stands_for_the_pod_that_it_selects(
    cluster: RealCluster, place: str, actions: Actions, line: str
) -> None:
    spec = {"selector": {"app": "ours"}, "ports": [{"port": 80}]}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ours", "namespace": place}, "spec": spec}
    )

    async def ours() -> object:
        return named(await actions.read(parse(line, namespace=place), deadline=SOON))["lines"]

    await same(ours, lambda: kubectl(cluster, place, line).splitlines())


async def test_the_log_before_a_crash_is_the_same(
    cluster: RealCluster, place: str, actions: Actions, faults: Faults
) -> None:
    """--previous, of a container that has crashed once or more; kubectl and we are asked about the same instance."""
    pod = pod_of(cluster, place, manifests.WEB)
    faults.crash_loop(pod)
    name = pod["metadata"]["name"]

    def crashed() -> bool:
        (status,) = cluster.get("pod", name, place)["status"]["containerStatuses"]
        return bool(status["restartCount"] >= 1 and status["state"].get("waiting"))

    await eventually(crashed, within=60, describe=lambda: kubectl(cluster, place, "kubectl get pods"))
    line = f"kubectl logs {name} --previous"

    async def ours() -> object:
        lines = named(await actions.read(parse(line, namespace=place), deadline=SOON))["lines"]
        assert any("the configuration is broken" in each for each in lines)
        return lines

    await same(ours, lambda: kubectl(cluster, place, line).splitlines())
    kubectl(cluster, place, f"kubectl delete pod {name} --wait=false")


async def test_rollout_history_has_the_same_revisions_and_causes(
    cluster: RealCluster, place: str, actions: Actions
) -> None:
    """kubectl prints them; `good` is our own knowledge."""
    for kind in ("deployment", "statefulset", "daemonset"):
        line = f"kubectl rollout history {kind}/ours-{kind}"
        theirs = re.findall(r"^(\d+)\s+(.*)$", kubectl(cluster, place, line), re.MULTILINE)
        result = await actions.read(parse(line, namespace=place), deadline=SOON)
        ours = [(str(each["number"]), each["cause"] or "<none>") for each in named(result)["revisions"]]
        assert ours == theirs
        assert [each["current"] for each in named(result)["revisions"]] == [False] * (len(ours) - 1) + [True]
        assert all(isinstance(each["created"], datetime) for each in named(result)["revisions"])


STATUSES = (
    "kubectl rollout status deployment/web-app-deployment",
    "kubectl rollout status statefulset/ours-statefulset",
)


@pytest.mark.parametrize("line", STATUSES)
async def test_rollout_status_ends_with_the_same_words(
    cluster: RealCluster, place: str, actions: Actions, line: str
) -> None:
    """When the rollout is complete."""
    result = await actions.read(parse(line, namespace=place), deadline=SOON)
    assert named(result)["complete"] is True
    assert result.failed == ""
    assert kubectl(cluster, place, line).splitlines()[-1] == named(result)["message"]


async def test_a_rollout_that_hangs_times_out_with_the_same_words(
    cluster: RealCluster, place: str, actions: Actions
) -> None:
    """Both give up after the same time, at the same message."""
    broken = manifests.web_deployment(place, app="hanging", replicas=1, image="web:absent")
    cluster.apply(broken)
    line = "kubectl rollout status deployment/hanging-deployment --timeout=2s"
    theirs = attempt(cluster, place, line)
    result = await actions.read(parse(line, namespace=place), deadline=SOON)
    assert theirs.code == 1
    assert theirs.out.splitlines()[-1] == named(result)["message"]
    assert "timed out waiting for the condition" in theirs.err
    assert "timed out waiting for the condition" in result.failed
    cluster.api.delete("deployment", "hanging-deployment", place)


WAITS = (
    ("kubectl wait deployment/web-app-deployment --for=condition=Available --timeout=5s", True),
    ("kubectl wait svc/web-app-service --for=jsonpath='{.spec.type}'=ClusterIP --timeout=1s", False),
    ("kubectl wait pvc/web-app-pvc --for=jsonpath='{.status.phase}'=Bound --timeout=5s", True),
    ("kubectl wait deployment/ours-deployment --for=delete --timeout=1s", False),
)


@pytest.mark.parametrize(("line", "met"), WAITS)
async def test_wait_comes_to_the_same_end(
    cluster: RealCluster, place: str, actions: Actions, line: str, *, met: bool
) -> None:
    """Met or timed out, and in the latter case in the same words."""
    result = await actions.read(parse(line, namespace=place), deadline=SOON)
    if met:
        kubectl(cluster, place, line)
        assert result.failed == ""
    else:
        with pytest.raises(KubectlError) as theirs:
            kubectl(cluster, place, line)
        assert result.failed
        assert result.failed in str(theirs.value)


CAN_I = (
    "kubectl auth can-i delete pods",
    "kubectl auth can-i list nodes",
)


@pytest.mark.parametrize("line", CAN_I)
async def test_can_i_gets_the_same_answer(cluster: RealCluster, place: str, line: str) -> None:
    """As a service account with few rights."""
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "delete"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
    ]
    kubeconfig = cluster.kubeconfig_for("asker", rules, namespace=place)
    theirs = attempt(cluster, place, line, kubeconfig=kubeconfig)
    async with KubeClient.connect(KubeSettings(kubeconfig=kubeconfig)) as kube:
        asking = Actions(kube, Clients.restricted_to(AddressRule()))
        result = await asking.read(parse(line, namespace=place), deadline=SOON)
        listed = await asking.read(parse("kubectl auth can-i --list", namespace=place), deadline=SOON)
    assert theirs.out.split()[0] == ("yes" if named(result)["allowed"] else "no")
    assert (theirs.code == 0) is (result.failed == "")
    empty: Object = {"resourceNames": [], "nonResourceURLs": []}
    assert [rule for rule in rules if {**rule, **empty} not in named(listed)["rules"]] == []
