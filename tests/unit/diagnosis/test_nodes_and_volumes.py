"""Node, Volume and Finalizer: what stands under a pod, and what does not let go of one, each with what looks like it."""

from typing import Any

import pytest

from kubediagnosis.causes import CauseKind, Confidence
from kubediagnosis.facts import LogFacts
from kubeobjects.metadata import Metadata
from kubeobjects.workloads import ContainerMetrics, PodMetrics
from tests.unit.diagnosis.around import bare_node, claim, mounting_claim, node
from tests.unit.diagnosis.test_containers_and_probes import OOM, killed
from tests.unit.diagnosis.workload import CERTAIN, LIKELY, Workload, ago, crashes, iso, old, row, unplaced, waits

NODE, VOLUME, FINALIZER = CauseKind.NODE, CauseKind.VOLUME, CauseKind.FINALIZER
FOLDER = 'MountVolume.SetUp failed for volume "pv-1" : hostPath type check failed: /data/1 is not a directory'
ATTACHED = 'Multi-Attach error for volume "pv-1" Volume is already exclusively attached to one node'


def unseen(web: Workload, index: int = 0, *, on: str = "node-1") -> Workload:
    """Let the cluster say that a pod is not ready, though its kubelet last said that its containers are."""
    pod = web.pods[index]
    pod["status"]["conditions"][0] |= {"status": "False", "lastTransitionTime": iso(ago(90))}
    pod["spec"]["nodeName"] = on
    return web


def test_a_node_that_does_not_report_is_no_cause_for_pods_that_are_ready() -> None:
    assert Workload().also(nodes=(node(Ready="Unknown"),)).causes() == ()


def evicted(message: str, seconds: float = 3600) -> Workload:
    """Let the kubelet have evicted a pod, so long ago."""
    web = Workload()
    status = web.pods[0]["status"]
    status |= {"phase": "Failed", "reason": "Evicted", "message": message}
    status["conditions"][0] |= {"status": "False", "lastTransitionTime": iso(ago(seconds))}
    return web


@pytest.mark.parametrize(
    ("message", "pressure"),
    [
        ("The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 2Mi. ", "DiskPressure"),
        ("The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. ", "MemoryPressure"),
        ("The node was low on resource: pids. ", "PIDPressure"),
        ("The node had condition: [DiskPressure]. ", "DiskPressure"),
    ],
)
@pytest.mark.parametrize("holds", [True, False])
def test_a_node_that_evicts_for_want_of_something_is_the_cause_while_its_condition_holds_it_is_certain(
    message: str, pressure: str, holds: bool
) -> None:
    conditions: dict[str, Any] = {pressure: str(holds)}
    (cause,) = evicted(message).also(nodes=(node(**conditions),)).causes()
    assert row(cause) == (NODE, "node/node-1", f"status.conditions[{pressure}]", CERTAIN if holds else LIKELY)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ('Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ', "volumes[scratch].emptyDir.sizeLimit"),
        (
            'Container app exceeded its local ephemeral storage limit "10Mi". ',
            "containers[app].resources.limits.ephemeral-storage",
        ),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ", ""),
    ],
)
def test_an_eviction_for_a_limit_of_the_pod_s_own_is_the_template_s_and_not_the_node_s(
    message: str, field: str
) -> None:
    web = evicted(message, seconds=60).also(nodes=(node(),))
    (cause,) = web.causes()
    assert (row(cause), cause.is_warning) == ((VOLUME, "deployment/web", field, CERTAIN), False)
    web.pods.append(web.pod("web-good-9", "7d9f"))
    assert web.causes()[0].is_warning, "it will be so again"
    assert evicted(message, seconds=3600).also(nodes=(node(),)).causes() == ()


@pytest.mark.parametrize(
    ("others", "named"),
    [((3, 0), True), ((3, 1), False), ((1, 0), False)],
    ids=["nobody there is ready", "others there are", "too few to tell"],
)
def test_a_node_whose_pods_fail_of_whichever_workload_is_likely_the_cause(others: tuple[int, int], named: bool) -> None:
    web = unseen(Workload(), 1, on="node-2").also(nodes=(node(), node("node-2", others=others)))
    assert [row(each) for each in web.causes()] == ([(NODE, "node/node-2", "", LIKELY)] if named else [])


@pytest.mark.parametrize(("others", "kind"), [((3, 0), NODE), ((3, 3), CauseKind.LIVENESS_PROBE)])
def test_a_probe_that_fails_on_a_node_where_all_pods_fail_says_nothing_of_the_container(
    others: tuple[int, int], kind: CauseKind
) -> None:
    web = killed(unseen(Workload(), 1, on="node-2"), "pod/web-good-2", "liveness", count=3)
    assert [each.kind for each in web.also(nodes=(node(), node("node-2", others=others))).causes()] == [kind]


def test_an_upstream_that_is_down_for_the_same_node_is_no_further_cause() -> None:
    down, web = Workload(reference="statefulset/depot"), Workload()
    for each in (down, web):
        unseen(unseen(each), 1).also(nodes=(node(Ready="Unknown"),))
    (cause,) = web.also(upstreams=(down.facts(),)).causes()
    assert row(cause) == (NODE, "node/node-1", "status.conditions[Ready]", CERTAIN)


@pytest.mark.parametrize(
    ("taint", "condition"),
    [("disk-pressure", "DiskPressure"), ("memory-pressure", "MemoryPressure"), ("pid-pressure", "PIDPressure")],
)
def test_a_taint_that_a_node_s_condition_sets_is_that_condition(taint: str, condition: str) -> None:
    key = f"node.kubernetes.io/{taint}"
    conditions: dict[str, Any] = {condition: "True"}
    web = unplaced(f"1 node(s) had untolerated taint {{{key}: }}.", nodes=(node(taints=(key,), **conditions),))
    assert row(web.causes()[0]) == (NODE, "node/node-1", f"status.conditions[{condition}]", CERTAIN)


@pytest.mark.parametrize(
    ("taints", "borne", "confidence"),
    [
        (("dedicated",), (), CERTAIN),
        (("dedicated", "gpu"), ("gpu",), CERTAIN),
        (("dedicated", "gpu"), (), LIKELY),
        (("dedicated",), ("",), None),
    ],
    ids=["one", "another is borne", "several", "each is borne"],
)
def test_a_taint_that_the_scheduler_does_not_name_is_one_that_the_pods_do_not_bear(
    taints: tuple[str, ...], borne: tuple[str, ...], confidence: Confidence | None
) -> None:
    bearing = Workload().change(("spec", "tolerations"), [{"key": key, "operator": "Exists"} for key in borne])
    web = unplaced("1 node(s) had untolerated taint(s).", bearing, nodes=(bare_node(taints=taints),))
    found = [row(each) for each in web.causes() if each.field == "spec.taints[dedicated]"]
    assert found == ([(NODE, "node/node-1", "spec.taints[dedicated]", confidence)] if confidence else [])


def starting(reason: str, message: str, *, count: int = 3, web: Workload | None = None, **facts: Any) -> Workload:
    """Let a pod wait for its volume, with the kubelet's word."""
    first = waits("PodInitializing")
    web = (web or mounting_claim()).replace_pod(waits("ContainerCreating"), migrate=first, metrics=first)
    return web.event("pod/web-good-3", reason, message, count=count).also(**facts)


FOLDER_S = claim(volume_field="spec.hostPath.path")


def test_a_mount_that_failed_once_is_only_likely() -> None:
    web = starting("FailedMount", FOLDER, count=1, claims=(FOLDER_S,))
    assert web.causes()[0].confidence is LIKELY


def test_a_configmap_that_cannot_be_mounted_is_no_volume_that_fails() -> None:
    said = 'MountVolume.SetUp failed for volume "routes" : configmap "routes" not found'
    web = starting("FailedMount", said, claims=(claim(),))
    assert [each.kind for each in web.causes()] == [CauseKind.MISSING_CONFIGURATION]


def test_a_mount_that_failed_before_the_pod_began_is_over() -> None:
    web = mounting_claim().event("pod/web-good-1", "FailedMount", FOLDER, count=3).also(claims=(FOLDER_S,))
    assert web.causes() == ()


def test_a_claim_that_is_being_deleted_is_the_cause_of_a_pod_that_does_not_start() -> None:
    web = mounting_claim().replace_pod(waits("ContainerCreating")).also(claims=(claim(seconds=60),))
    cause = web.causes()[0]
    assert row(cause) == (VOLUME, "persistentvolumeclaim/data", "metadata.deletionTimestamp", CERTAIN)
    assert "is being deleted since" in cause.text


UNBOUND = "pod has unbound immediate PersistentVolumeClaims."


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"class_exists": False, "storage_class": "fast"}, "spec.storageClassName"),
        ({"class_exists": True, "storage_class": "slow"}, "status.phase"),
        ({"class_exists": None}, "status.phase"),
    ],
    ids=["no such class", "the class is there", "nobody could look"],
)
def test_a_claim_without_a_volume_is_its_class_s_where_that_is_not_there(more: dict[str, Any], field: str) -> None:
    (cause,) = unplaced(UNBOUND, mounting_claim(), claims=(claim("Pending", volume="", **more),)).causes()
    assert row(cause) == (VOLUME, "persistentvolumeclaim/data", field, CERTAIN)


@pytest.mark.parametrize(
    ("line", "kind"),
    [("write /data/log: no space left on device", VOLUME), ("fatal: bad setting", CauseKind.CONTAINER_EXIT)],
)
def test_a_container_that_ends_for_want_of_space_names_the_claim_that_it_writes_to(line: str, kind: CauseKind) -> None:
    logs = (LogFacts(pod="web-good-3", container="app", line=line),)
    first = mounting_claim().replace_pod(crashes(4)).also(claims=(claim(),), logs=logs).causes()[0]
    assert first.kind is kind
    if kind is VOLUME:
        assert row(first) == (VOLUME, "persistentvolumeclaim/data", "status.capacity[storage]", LIKELY)


def terminating(seconds: float, *finalizers: str, running: bool = False) -> Workload:
    """Let a pod be deleted, with its grace over since."""
    web = Workload()
    pod = web.pods[0]
    pod["metadata"] |= {"deletionTimestamp": iso(ago(seconds)), "finalizers": list(finalizers)}
    if not running:
        pod["status"] |= {"containerStatuses": [], "initContainerStatuses": []}
    return web


@pytest.mark.parametrize(("running", "confidence"), [(False, CERTAIN), (True, LIKELY)])
def test_a_finalizer_that_holds_a_pod_is_the_cause(running: bool, confidence: Confidence) -> None:
    (cause,) = terminating(120, "parcels.test/hold", running=running).causes()
    assert row(cause) == (FINALIZER, "pod/web-good-1", "metadata.finalizers[parcels.test/hold]", confidence)


@pytest.mark.parametrize(
    ("seconds", "finalizers"),
    [(120, ()), (5, ("parcels.test/hold",)), (120, ("foregroundDeletion",))],
    ids=["no finalizer", "its grace is just over", "the garbage collector's"],
)
def test_a_pod_that_takes_its_time_to_end_is_held_by_no_finalizer(seconds: float, finalizers: tuple[str, ...]) -> None:
    assert terminating(seconds, *finalizers).causes() == ()


@pytest.mark.parametrize(
    ("since", "grace", "desired", "found"),
    [(180, 600, 2, True), (20, 600, 2, False), (180, 600, 1, False), (180, 120, 2, False)],
    ids=["long", "not for long", "no pod is missing", "its grace is over"],
)
def test_a_pod_that_takes_long_to_end_and_has_no_successor_is_the_cause(
    since: float, grace: int, desired: int, found: bool
) -> None:
    web = terminating(since - grace, running=True).also(desired=desired)
    web.pods[0]["metadata"]["deletionGracePeriodSeconds"] = grace
    expected = (CauseKind.POD_TERMINATION, "pod/web-good-1", "metadata.deletionGracePeriodSeconds", CERTAIN)
    assert [row(each) for each in web.causes()] == [expected] * found
    assert all("kubectl delete pod/web-good-1 -n shop --grace-period=1" in each.text for each in web.causes())


def test_a_pod_s_long_end_is_not_certainly_its_grace_while_a_finalizer_stands() -> None:
    web = terminating(180 - 600, "parcels.test/hold", running=True).also(desired=2)
    web.pods[0]["metadata"]["deletionGracePeriodSeconds"] = 600
    assert [each.confidence for each in web.causes()] == [LIKELY]


def test_a_workload_that_a_finalizer_holds_says_so() -> None:
    web = Workload().also(deleted=ago(300), finalizers=("parcels.test/hold",))
    assert row(web.causes()[0])[:3] == (FINALIZER, "deployment/web", "metadata.finalizers[parcels.test/hold]")


@pytest.mark.parametrize(
    ("pod", "container", "told"),
    [("web-good-3", "app", True), ("web-good-2", "app", True), ("web-good-2", "metrics", False)],
    ids=["its own", "of another pod", "of another container"],
)
def test_memory_that_was_used_last_is_evidence_of_a_container_that_was_ended_for_it(
    pod: str, container: str, told: bool
) -> None:
    measured = ContainerMetrics(name=container, usage={"memory": "63Mi"})
    usage = (PodMetrics(metadata=Metadata(name=pod), containers=(measured,)),)
    (cause,) = old(waits("CrashLoopBackOff", restarts=3, ended=OOM)).also(usage=usage).causes()
    assert any(each.text == "memory 63Mi" and each.object == f"pod/{pod}" for each in cause.evidence) is told


def test_a_key_of_a_projected_volume_is_its_configmap_s() -> None:
    part = {"configMap": {"name": "routes", "items": [{"key": "main", "path": "main"}]}}
    volume = {"name": "all", "projected": {"sources": [{"secret": {"name": "x"}}, part]}}
    said = 'MountVolume.SetUp failed for volume "all" : configmap references non-existent config key: main'
    web = starting("FailedMount", said, web=Workload().change(("spec", "volumes"), [volume]))
    found = row(web.causes()[0])
    assert found[:3] == (CauseKind.MISSING_CONFIGURATION, "configmap/routes", "data[main]")
