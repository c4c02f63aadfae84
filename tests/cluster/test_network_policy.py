"""The chart's NetworkPolicy on a network that enforces it: who may come to the daemon's ports, whom it may ask, and nobody else."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.harness import network_policies, parts
from tests.harness.cluster import KubectlError, RealCluster
from tests.harness.daemon import RIGHTS
from tests.harness.deployed_daemon import UID, DeployedDaemon
from tests.harness.helm import DOCUMENTED, Helm
from tests.harness.images import WEB_GOOD
from tests.harness.waiting import wait_for

POLICY = RIGHTS.with_name("network-policy.yaml")
PORTS = (8080, 8081)
FROM_DEFAULT = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}
CALLERS: Mapping[str, tuple[str, str, Mapping[str, str], frozenset[int]]] = {
    "alertmanager": ("monitoring", "caller-a", {"app.kubernetes.io/name": "alertmanager"}, frozenset({8080})),
    "prometheus": ("monitoring", "caller-p", {"app.kubernetes.io/name": "prometheus"}, frozenset({8081})),
    "another pod of monitoring": ("monitoring", "caller-m", {}, frozenset()),
    "who only calls itself alertmanager": (
        "default",
        "caller-d",
        {"app.kubernetes.io/name": "alertmanager"},
        frozenset(),
    ),
    "the chart's test": ("kintsugi", "caller-t", {"app.kubernetes.io/name": "kintsugi-test"}, frozenset({8080})),
    "a neighbour": ("kintsugi", "caller-k", {}, frozenset()),
}
"""Namespace, name and labels of each pod that calls, and the ports that let it in."""

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=3)
except ConnectionRefusedError:
    print("reached")
except TimeoutError:
    print("dropped")
"""
"""Connects to a port where nobody listens: a pod that it reaches says so at once."""


def pod(namespace: str, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return a pod that only waits, and may run under the pod security standard `restricted`."""
    secured = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "main",
        "image": WEB_GOOD,
        "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", "exec sleep 3600"],
        "securityContext": secured,
    }
    spec = {
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": UID, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name, **labels}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture
def daemon(own_cluster: RealCluster, production: str, product_image: str, tmp_path: Path) -> Iterator[DeployedDaemon]:
    """Return the daemon in a pod of its own, with rights in `production`; those who call it run, too."""
    own_cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "monitoring"}}
    own_cluster.apply(account)
    daemon = DeployedDaemon(
        cluster=own_cluster, image=product_image, kubeconfig=own_cluster.kubeconfig, folder=tmp_path
    )
    try:
        daemon.start()
        own_cluster.apply(*(pod(*call[:3]) for call in CALLERS.values()))

        def all_run() -> bool:
            found = [own_cluster.get("pod", name, namespace) for namespace, name, *_ in CALLERS.values()]
            return all(each["status"].get("phase") == "Running" for each in found)

        wait_for(all_run, within=120, describe="all callers run")
        yield daemon
    finally:
        for namespace, name, *_ in CALLERS.values():
            own_cluster.kubectl("-n", namespace, "delete", "pod", name, "--wait=false", "--ignore-not-found")
        own_cluster.kubectl("delete", "--ignore-not-found", "-f", str(POLICY))
        daemon.stop()


def address_of(pod: Mapping[str, Any]) -> str:
    """Return the address of a pod."""
    return str(pod["status"]["podIP"])


def rendered(folder: Path, **policy: Any) -> str:
    """Return the chart's NetworkPolicy with some of its values."""
    if reason := parts.obstacle("helm"):
        pytest.skip(reason)
    values = {**DOCUMENTED, "networkPolicy": {"enabled": True, **policy}}
    return Helm(folder=folder).template(values, "--show-only=templates/networkpolicy.yaml")


def let_in(cluster: RealCluster, caller: str, address: str) -> frozenset[int]:
    """Return the ports to which a caller can connect."""
    namespace, name, *_ = CALLERS[caller]

    def connects(port: int) -> bool:
        try:
            cluster.kubectl("-n", namespace, "exec", name, "--", "sh", "-c", f"nc -w 2 {address} {port} </dev/null")
        except KubectlError:
            return False
        return True

    return frozenset(port for port in PORTS if connects(port))


def test_the_network_lets_in_whom_the_policy_names_and_nobody_else(
    own_cluster: RealCluster, daemon: DeployedDaemon, tmp_path: Path
) -> None:
    """Before it is applied, everybody comes in; with the chart's values those of a namespace that is named there, too."""
    named = {caller: ports for caller, (*_, ports) in CALLERS.items()}
    people = rendered(tmp_path, operators=[FROM_DEFAULT])
    everybody = {caller: frozenset(PORTS) for caller in CALLERS}
    [itself] = daemon.pods()

    def reached() -> dict[str, frozenset[int]]:
        return {caller: let_in(own_cluster, caller, address_of(itself)) for caller in CALLERS}

    with network_policies.enforced(own_cluster):
        wait_for(lambda: reached() == everybody, within=60, describe=reached)
        own_cluster.kubectl("apply", "-f", str(POLICY))
        wait_for(lambda: reached() == named, within=60, describe=reached)
        own_cluster.kubectl("apply", "-f", "-", stdin=people)
        theirs = {caller: frozenset({8080}) for caller, (namespace, *_) in CALLERS.items() if namespace == "default"}
        wait_for(lambda: reached() == {**named, **theirs}, within=60, describe=reached)


def test_the_daemon_reaches_whom_the_policy_names_and_nobody_else(
    own_cluster: RealCluster, daemon: DeployedDaemon, tmp_path: Path
) -> None:
    """Everybody, unless the chart's values name one; only connections to pods are judged here."""

    def reached() -> dict[str, str]:
        found = {name: own_cluster.get("pod", name, namespace) for namespace, name, *_ in CALLERS.values()}
        return {name: daemon.execute("python", "-c", CONNECT, address_of(each)).strip() for name, each in found.items()}

    everybody = {name: "reached" for _, name, *_ in CALLERS.values()}
    named = {name: "reached" if namespace == "default" else "dropped" for namespace, name, *_ in CALLERS.values()}
    with network_policies.enforced(own_cluster):
        own_cluster.kubectl("apply", "-f", str(POLICY))
        wait_for(lambda: reached() == everybody, within=60, describe=reached)
        own_cluster.kubectl("apply", "-f", "-", stdin=rendered(tmp_path, egress=[{"to": [FROM_DEFAULT]}]))
        wait_for(lambda: reached() == named, within=60, describe=reached)
