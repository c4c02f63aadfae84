"""A cluster on a thread of its own: for callers without an event loop, and for those with one."""

import threading
from pathlib import Path

import pytest

from kubeobjects import resources
from kubesim import BackgroundCluster, EmbeddedCluster, KubesimError, in_background
from tests.unit.kubesim.client import config, deployment


def test_calls_are_made_on_the_thread_of_the_cluster(kubesim_cluster: BackgroundCluster) -> None:
    assert kubesim_cluster.call(lambda _: threading.current_thread().name).startswith("kubesim")
    with pytest.raises(KubesimError, match="no resource is served"):
        kubesim_cluster.apply({"apiVersion": "v1", "kind": "Strange"})


def test_an_answer_is_the_callers_own(kubesim_cluster: BackgroundCluster) -> None:
    made = kubesim_cluster.apply(config("settings", a="1"))
    made["data"]["a"] = "2"
    found = kubesim_cluster.get(resources.CONFIGMAPS, "settings")
    assert found is not None
    assert found["data"] == {"a": "1"}
    found["data"]["a"] = "3"
    [listed] = kubesim_cluster.find(resources.CONFIGMAPS, "default")
    assert listed["data"] == {"a": "1"}
    kubesim_cluster.delete(resources.CONFIGMAPS, "settings")
    assert kubesim_cluster.get(resources.CONFIGMAPS, "settings") is None


def test_a_condition_that_never_comes_is_named(kubesim_cluster: BackgroundCluster) -> None:
    with pytest.raises(TimeoutError, match=r"not within 0.1 s: a pod"):
        kubesim_cluster.until(lambda inside: inside.find(resources.PODS), within=0.1, what="a pod")


@pytest.mark.kubesim(speed=50, nodes=("one", "two"))
async def test_the_fixture_serves_a_test_with_a_loop_of_its_own(kubesim_cluster: BackgroundCluster) -> None:
    """The marker says what the cluster starts with."""
    kubesim_cluster.apply(deployment(replicas=2))
    pods = kubesim_cluster.until(lambda inside: [each for each in inside.find(resources.PODS) if phase(each)][:1])
    assert pods[0]["spec"]["nodeName"] in ("one", "two")


def phase(pod: dict[str, dict[str, str]]) -> bool:
    """Return whether a pod runs."""
    return pod["status"].get("phase") == "Running"


def test_the_kubeconfig_goes_with_the_cluster() -> None:
    with in_background() as cluster:
        kept: Path = cluster.kubeconfig
        assert kept.is_file()
        assert cluster.token in kept.read_text()
    assert not kept.exists()
    assert not any(each.name.startswith("kubesim") for each in threading.enumerate())


def test_a_port_that_is_taken_is_said_at_the_beginning() -> None:
    with in_background() as cluster, pytest.raises(OSError, match="address already in use"):  # noqa: SIM117
        with in_background(port=int(cluster.url.rpartition(":")[2])):
            pass


def test_a_controller_that_failed_is_told_at_the_end() -> None:
    def break_it(inside: EmbeddedCluster) -> None:
        inside._loop.failures.append(RuntimeError("lost"))

    with pytest.raises(KubesimError, match="lost"), in_background() as cluster:
        cluster.call(break_it)
