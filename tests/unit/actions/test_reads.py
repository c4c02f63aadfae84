"""What commands that only look answer: whole objects and the columns of the grammar."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from kintsugi.errors import CommandError, KubeError, NotFound, ProbeFailed, ServerUnavailable
from tests.unit.actions.changes import Cluster
from tests.unit.actions.samples import NAMESPACE, ago, claim, deployment, healthy_pod, node, owner, pod, replica_set


def names(items: Iterable[dict[str, Any]]) -> list[str]:
    """Return the names of objects."""
    return [item["metadata"]["name"] for item in items]


async def test_get_gives_a_list_and_says_what_is_unusual() -> None:
    """managedFields are no part of it, as in kubectl."""
    broken = pod("web-2")
    broken["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    kube = Cluster(healthy_pod("web-1"), broken)
    seen = await kube.read("kubectl get pods -l app=web")
    assert names(seen["items"]) == ["web-1", "web-2"]
    assert "managedFields" not in seen["items"][1]["metadata"]
    assert seen["summary"] == "2 Pods, 1 CrashLoopBackOff"
    assert "item" not in seen


async def test_get_of_one_name_gives_the_item() -> None:
    """`item` is what was named."""
    seen = await Cluster(pod()).read("kubectl get pod web-1")
    assert seen["item"]["metadata"]["uid"] == "uid-web-1"


async def test_get_of_names_that_are_missing_fails_in_kubectls_words() -> None:
    """All of them at once; unless they need not be there."""
    kube = Cluster(pod())
    with pytest.raises(NotFound, match='pods "a" not found; pods "b" not found'):
        await kube.read("kubectl get pods a web-1 b")
    assert names((await kube.read("kubectl get pods a web-1 --ignore-not-found"))["items"]) == ["web-1"]


async def test_get_of_several_kinds_puts_each_under_its_word() -> None:
    """Kinds that live in no namespace are listed whole."""
    kube = Cluster(claim(), {"kind": "StorageClass", "metadata": {"name": "fast"}})
    seen = await kube.read("kubectl get pvc,sc")
    assert names(seen["pvc"]) == ["data"]
    assert names(seen["sc"]) == ["fast"]
    assert "items" not in seen


async def test_get_sorts_by_a_field_with_quantities_as_numbers() -> None:
    """What lacks the field comes first; a field that nobody has is an error."""
    requests = {"a": {"storage": "10Gi"}, "b": {"storage": "9Gi"}, "c": {}, "d": {"storage": "1Ti"}}
    kube = Cluster(*(claim(name, resources={"requests": asked}) for name, asked in requests.items()))
    seen = await kube.read("kubectl get pvc --sort-by=.spec.resources.requests.storage")
    assert names(seen["items"]) == ["c", "b", "a", "d"]
    with pytest.raises(CommandError, match="couldn't find any field"):
        await kube.read("kubectl get pvc --sort-by=.spec.nothing")


def event(name: str, reason: str, last: str, kind: str = "Normal") -> dict[str, Any]:
    """Make an Event about web-1."""
    return {
        "kind": "Event",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "involvedObject": {"kind": "Pod", "apiVersion": "v1", "name": "web-1", "uid": "uid-web-1"},
        "type": kind,
        "reason": reason,
        "message": "back-off restarting, token=abcdefgh",
        "lastTimestamp": last,
    }


async def test_events_come_oldest_first_and_can_be_narrowed() -> None:
    """By object and by type."""
    kube = Cluster(
        event("b", "BackOff", ago(minutes=1), "Warning"),
        event("a", "Pulled", ago(minutes=2)),
        event("c", "Started", ago(minutes=3)),
    )
    assert names((await kube.read("kubectl events"))["items"]) == ["c", "a", "b"]
    assert names((await kube.read("kubectl events --for=pod/web-1 --types=Warning"))["items"]) == ["b"]
    assert (await kube.read("kubectl events --for=pod/web-2"))["items"] == []


async def test_describe_shows_status_events_and_no_secret() -> None:
    """Text for a person, the object beside it."""
    obj = pod()
    obj["metadata"]["annotations"] = {"example.com/password": "swordfish"}
    obj["spec"]["volumes"] = [{"name": "keys", "secret": {"secretName": "web-keys"}}]
    kube = Cluster(obj, event("b", "BackOff", ago(minutes=1), "Warning"))
    seen = await kube.read("kubectl describe pod web-1")
    assert "swordfish" not in seen["text"]
    assert "web-keys" in seen["text"]
    for expected in ("Name:         web-1", "CrashLoopBackOff (7 restarts) on node-1", "ReplicaSet/web-abc", "BackOff"):
        assert expected in seen["text"]
    assert "hunter2" not in seen["text"]
    assert "abcdefgh" not in seen["text"]
    assert seen["item"]["metadata"]["name"] == "web-1"


def uses(name: str, cpu: str, memory: str = "2Gi") -> dict[str, Any]:
    """Make the metrics of a node, or of a pod with one container."""
    usage = {"cpu": cpu, "memory": memory}
    if name.startswith("node"):
        return {"kind": "NodeMetrics", "metadata": {"name": name}, "usage": usage}
    containers = [{"name": "web", "usage": usage}]
    return {"kind": "PodMetrics", "metadata": {"name": name, "namespace": NAMESPACE}, "containers": containers}


async def test_top_nodes_gives_shares_of_what_a_node_can_give() -> None:
    """Cut off, and divided in floating point, as kubectl does: 580 of 2,000 millicores are 28 per cent, not 29."""
    two_cores = node("node-2")
    two_cores["status"]["allocatable"]["cpu"] = "2"
    kube = Cluster(node(), two_cores, uses("node-1", "1234567890n"), uses("node-2", "579123456n"))
    first, second = (await kube.read("kubectl top nodes"))["items"]
    assert first == {
        "name": "node-1",
        "namespace": "",
        "cpu_millicores": 1235,
        "memory_bytes": 2 << 30,
        "cpu_percent": 30,
        "memory_percent": 25,
    }
    assert (second["cpu_millicores"], second["cpu_percent"]) == (580, 28)


async def test_top_pods_sums_containers_and_knows_no_share_without_limits() -> None:
    """0 stands for no limit."""
    limited = healthy_pod("web-1")
    limited["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "500m", "memory": "64Mi"}}
    kube = Cluster(limited, healthy_pod("web-2"), *(uses(name, "250m", "16Mi") for name in ("web-1", "web-2")))
    shares = {use["name"]: use["cpu_percent"] for use in (await kube.read("kubectl top pods"))["items"]}
    assert shares == {"web-1": 50, "web-2": 0}


@pytest.mark.parametrize(
    ("flag", "order"),
    [
        ("", ["api-1", "web-1", "web-2"]),
        ("--sort-by=cpu", ["web-2", "api-1", "web-1"]),
        ("--sort-by=memory", ["web-1", "web-2", "api-1"]),
    ],
)
async def test_top_is_sorted_by_name_or_by_who_uses_most(flag: str, order: list[str]) -> None:
    """In kubectl's order; those that use the same stay by name."""
    kube = Cluster(uses("web-2", "20m", "2Mi"), uses("web-1", "10m", "3Mi"), uses("api-1", "10m", "1Mi"))
    assert [use["name"] for use in (await kube.read(f"kubectl top pods {flag}"))["items"]] == order


@pytest.mark.parametrize(
    "error", [NotFound("the server could not find the requested resource"), ServerUnavailable("503")]
)
async def test_top_without_a_metrics_api_says_what_is_missing(error: KubeError) -> None:
    """The step goes on or not; nobody has to guess."""
    kube = Cluster()
    kube.broken = error
    with pytest.raises(ProbeFailed, match="is metrics-server installed"):
        await kube.read("kubectl top nodes")


async def test_logs_of_a_workload_are_those_of_all_its_pods_with_their_sources() -> None:
    """A line knows its pod."""
    made = {**replica_set(2, "web:2"), "metadata": {**replica_set(2, "web:2")["metadata"], "uid": "owner-uid"}}
    kube = Cluster(deployment(), made, pod("web-1"), healthy_pod("web-2"))
    kube.logs_of["web-1", "web", False] = b"one\ntwo\n"
    kube.logs_of["web-2", "web", False] = b"three"
    seen = await kube.read("kubectl logs deployment/web --prefix")
    assert seen["lines"] == ["[pod/web-1/web] one", "[pod/web-1/web] two", "[pod/web-2/web] three"]
    assert seen["sources"] == ["web-1", "web-1", "web-2"]


async def test_logs_of_no_pods_are_no_answer() -> None:
    """P6: an empty list of lines would look like a clean log."""
    with pytest.raises(ProbeFailed, match="no pods to read"):
        await Cluster(deployment()).read("kubectl logs deployment/web")


async def test_the_newest_lines_of_a_log_that_is_too_long_are_kept() -> None:
    """What is wrong now stands at the end."""
    kube = Cluster(pod("web-1"))
    kube.logs_of["web-1", "web", False] = b"".join(b"line %07d\n" % number for number in range(200_000))
    seen = await kube.read("kubectl logs web-1")
    assert seen["lines"][-1] == "line 0199999"
    assert sum(map(len, seen["lines"])) < 1024 * 1024
    assert seen["summary"].endswith("the oldest left out")


async def test_a_look_without_an_answer_ends_with_its_deadline() -> None:
    """A step's `timeout` is kept."""

    class UnansweredCluster(Cluster):
        async def get(self, *_: object, **__: object) -> dict[str, Any]:
            await asyncio.get_running_loop().create_future()
            raise AssertionError("no answer ever comes")

    with pytest.raises(ProbeFailed, match=r"kubectl get pods? web-1 .*no answer within 0\.02 s"):
        await UnansweredCluster().read("kubectl get pod web-1", timedelta(seconds=0.02))


async def test_can_i_answers_with_its_reason() -> None:
    """Not allowed is what kubectl exits with 1 for."""
    kube = Cluster()
    kube.allowed.add(("delete", "pods"))
    assert (await kube.read("kubectl auth can-i delete pods"))["allowed"] is True
    refused = await kube.read("kubectl auth can-i delete nodes")
    assert refused["allowed"] is False
    assert refused["failed"] == refused["reason"] == "our identity may not delete nodes"


READY = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"observedGeneration": 1}, "Waiting for deployment spec update to be observed..."),
        (
            {**READY, "updatedReplicas": 1},
            'Waiting for deployment "web" rollout to finish: 1 out of 3 new replicas have been updated...',
        ),
        (
            {**READY, "replicas": 4},
            'Waiting for deployment "web" rollout to finish: 1 old replicas are pending termination...',
        ),
        (
            {**READY, "availableReplicas": 2},
            'Waiting for deployment "web" rollout to finish: 2 of 3 updated replicas are available...',
        ),
    ],
)
async def test_rollout_status_waits_with_kubectls_words(status: dict[str, Any], message: str) -> None:
    """And times out as kubectl does: a step without an expectation is then not met."""
    kube = Cluster({**deployment(), "status": status})
    seen = await kube.read("kubectl rollout status deployment/web --timeout=20ms")
    assert (seen["complete"], seen["message"]) == (False, message)
    assert seen["failed"].startswith("timed out waiting for the condition")


async def test_rollout_status_ends_when_it_is_done_or_cannot_be() -> None:
    """A progress deadline that has passed is not waited for."""
    done = await Cluster({**deployment(), "status": READY}).read("kubectl rollout status deploy/web")
    assert (done["complete"], done["failed"]) == (True, "")
    assert done["message"] == 'deployment "web" successfully rolled out'
    late = {**READY, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}
    stuck = await Cluster({**deployment(), "status": late}).read("kubectl rollout status deploy/web")
    assert stuck["failed"] == 'deployment "web" exceeded its progress deadline'


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("condition=Ready", True),
        ("condition=ready=true", True),
        ("condition=Ready=False", False),
        ("condition=Absent", False),
        ("jsonpath='{.status.phase}'=Running", True),
        ("jsonpath='{.status.phase}'=Pending", False),
        ("jsonpath='{.spec.nodeName}'", True),
        ("jsonpath='{.spec.absent}'", False),
        ("create", True),
        ("delete", False),
    ],
)
async def test_wait_judges_the_condition_that_it_is_given(condition: str, *, met: bool) -> None:
    """A condition that is not met in time fails with kubectl's words."""
    kube = Cluster(healthy_pod())
    seen = await kube.read(f"kubectl wait pod/web-1 --for={condition} --timeout=20ms")
    assert seen["failed"] == ("" if met else "timed out waiting for the condition on pods/web-1")
    assert seen["item"]["metadata"]["name"] == "web-1"


async def test_wait_for_a_deletion_is_over_when_the_object_is_gone_and_no_selection_is_not_met() -> None:
    """Nothing to wait for is only good news of a deletion."""
    kube = Cluster()
    assert (await kube.read("kubectl wait pod/web-1 --for=delete"))["failed"] == ""
    assert (await kube.read("kubectl wait pods -l app=web --for=delete"))["failed"] == ""
    assert (await kube.read("kubectl wait pods -l app=web --for=condition=Ready"))[
        "failed"
    ] == "no matching resources found"
    with pytest.raises(NotFound):
        await kube.read("kubectl wait pod/web-1 --for=condition=Ready")


async def test_a_condition_of_an_older_generation_does_not_count() -> None:
    """kubectl's rule: the status must have seen the spec."""
    obj = deployment()
    obj["status"] = {"observedGeneration": 1, "conditions": [{"type": "Available", "status": "True"}]}
    seen = await Cluster(obj).read("kubectl wait deploy/web --for=condition=Available --timeout=20ms")
    assert seen["failed"]


async def test_a_diagnosis_names_the_node_and_its_pods_by_their_uids() -> None:
    made = replica_set(2, "web:2")
    affected = pod("web-1")
    affected["metadata"]["ownerReferences"] = [owner("ReplicaSet", "web-2", made["metadata"]["uid"])]
    lost = node("node-1", "Unknown")
    kube = Cluster(deployment(), made, affected, lost)
    seen = await kube.read("kintsugi diagnose deployment/web")
    assert seen["remedy"] == "move-pods", seen
    assert seen["target"] == {"kind": "Node", "name": "node-1", "namespace": "", "uid": "uid-node-1"}
    assert seen["pods"] == ["uid-web-1"]
