"""`kintsugi init` on the embedded cluster: what it reads, what it writes, and what it says is in the way."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kubesim import EmbeddedCluster
from kubesim.images import GOOD
from tests.harness import manifests
from tests.harness.daemon import command

pytestmark = pytest.mark.long

NAMESPACE = "market"
KEEPER = {"apiVersion": "market.io/v1", "kind": "Market", "name": "main", "uid": "u-1", "controller": True}
LEDGER = manifests.front(NAMESPACE, "ledger", {"app.kubernetes.io/name": "ledger"}, main=(80, 8080))
_POD: dict[str, Any] = {"containers": [{"name": "main", "image": "main:1"}]}
NIGHTLY = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "nightly", "namespace": NAMESPACE},
    "spec": {
        "schedule": "0 4 * * *",
        "jobTemplate": {"spec": {"template": {"spec": {**_POD, "restartPolicy": "Never"}}}},
    },
}
BY_HAND = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "by-hand", "namespace": NAMESPACE}, "spec": _POD}


def workload(kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    """Describe a workload, its pods labelled with two labels."""
    labels = {"app.kubernetes.io/name": name, "tier": "back"}
    probe = {"httpGet": {"path": "/health", "port": 8080}}
    containers = [{"name": "main", "image": "main:1", "readinessProbe": probe}, {"name": "proxy", "image": "proxy:1"}]
    spec = {"serviceName": name} if kind == "StatefulSet" else {}
    made = manifests.workload(kind, NAMESPACE, name, labels, {"containers": containers}, **spec)
    return {**made, "metadata": {"name": name, "namespace": NAMESPACE, **metadata}}


@pytest.fixture
async def kubeconfig(tmp_path: Path) -> AsyncIterator[Path]:
    """Yield the way to a cluster with three workloads of one's own, and three that others keep."""
    async with EmbeddedCluster.start(speed=20, images={"main:1": GOOD, "proxy:1": GOOD}) as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        cluster.apply(workload("Deployment", "cart", labels={"argocd.argoproj.io/instance": "market"}))
        cluster.apply(workload("DaemonSet", "shipper"))
        cluster.apply(workload("StatefulSet", "ledger", labels={"team": "sales"}))
        cluster.apply(LEDGER)
        cluster.apply(workload("Deployment", "migrate", annotations={"helm.sh/hook": "pre-upgrade"}))
        cluster.apply(workload("Deployment", "kept", ownerReferences=[KEEPER]))
        cluster.apply(workload("Deployment", "dns", namespace="kube-system"))
        cluster.apply(NIGHTLY)
        cluster.apply(BY_HAND)
        yield cluster.kubeconfig(tmp_path / "kubeconfig")


async def init(kubeconfig: Path, folder: Path, *words: str) -> tuple[int, str, str]:
    """Run `kintsugi init`; return its exit code and what it has written on stdout and stderr."""
    ended = await asyncio.to_thread(command, "init", folder, "--kubeconfig", kubeconfig, *words)
    return ended.code, ended.out, ended.err


def nowhere(kubeconfig: Path) -> Path:
    """Return the way to a port at which nobody listens."""
    other = kubeconfig.with_name("nowhere")
    other.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", kubeconfig.read_text()))
    return other


async def test_a_first_catalog_is_written_for_the_workloads_that_are_named(kubeconfig: Path, tmp_path: Path) -> None:
    folder = tmp_path / "market"
    code, out, err = await init(
        kubeconfig, folder, "deployment/cart", "ds/shipper", "statefulset/ledger", "-n", NAMESPACE
    )
    assert code == 0, err
    assert "OK: 3 services, 27 rules, " in out
    assert sorted(each.name for each in folder.iterdir()) == ["cart.yaml", "kinds.yaml", "ledger.yaml", "shipper.yaml"]
    text = (folder / "cart.yaml").read_text()
    assert "# selector: app.kubernetes.io/name=cart,tier=back\n" in text
    assert "# Argo CD market would revert changes of its template" in text
    validated = await asyncio.to_thread(command, "validate", "-o", "json", folder)
    assert (validated.code, json.loads(validated.out)["ok"]) == (0, True)


async def test_obstacles_are_told_all_at_once_and_nothing_is_written(kubeconfig: Path, tmp_path: Path) -> None:
    folder = tmp_path / "market"
    folder.mkdir()
    (folder / "cart.yaml").write_text("# mine\n")
    code, _, err = await init(
        kubeconfig,
        folder,
        "-n",
        NAMESPACE,
        "deployment/cart",
        "daemonset/shipper",
        "deployment/gone",
        "pod/cart-1",
        "cart",
    )
    assert code == 2
    assert f"{folder}/cart.yaml already exists and is not overwritten" in err
    assert f"deployment/gone does not exist in the namespace {NAMESPACE}" in err
    assert "'pod/cart-1': write one of deployment/NAME, statefulset/NAME, daemonset/NAME" in err
    assert "'cart': write one of" in err
    assert "error: 4 problems, see above" in err
    assert [each.read_text() for each in folder.iterdir()] == ["# mine\n"]


async def test_a_first_catalog_is_written_for_all_workloads_of_a_namespace_but_those_that_others_keep(
    kubeconfig: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "market"
    folder.mkdir()
    (folder / "cart.yaml").write_text("# mine\n")
    code, out, err = await init(kubeconfig, folder, "-n", NAMESPACE)
    assert code == 0, err
    assert sorted(each.name for each in folder.iterdir()) == ["cart.yaml", "kinds.yaml", "ledger.yaml", "shipper.yaml"]
    assert (folder / "cart.yaml").read_text() == "# mine\n"
    assert re.search(rf"ledger.yaml +{NAMESPACE}/statefulset/ledger +ledger +http://ledger.{NAMESPACE}/health", out), (
        out
    )
    assert f"left out {NAMESPACE}/deployment/cart: {folder}/cart.yaml already exists" in err
    assert f"left out {NAMESPACE}/deployment/migrate: the workload is a Helm hook" in err
    assert f"left out {NAMESPACE}/deployment/kept: Market main manages the workload" in err
    assert f"left out {NAMESPACE}/cronjob/nightly: a CronJob is no service: its pods are meant to end" in err
    assert f"left out {NAMESPACE}/pod/by-hand: no controller would make the pod again" in err
    assert err.startswith("The cluster is http://127.0.0.1:")
    assert f"of {kubeconfig})" in err.splitlines()[0]
    code, _, err = await init(kubeconfig, folder, "-n", NAMESPACE)
    assert code == 0, err
    assert err.count("already exists") == 3, err


async def test_a_first_catalog_of_all_namespaces_leaves_out_those_that_the_cluster_lives_on(
    kubeconfig: Path, tmp_path: Path
) -> None:
    code, out, err = await init(kubeconfig, tmp_path / "all", "-o", "json")
    assert code == 0, err
    everywhere = json.loads(out)
    assert {each["workload"]: each["namespace"] for each in everywhere["left_out"]}["deployment/dns"] == "kube-system"
    _, out, _ = await init(kubeconfig, tmp_path / "some", "-l", "team=sales", "-o", "json")
    assert [Path(each).name for each in json.loads(out)["written"]] == ["ledger.yaml"]
    code, _, err = await init(kubeconfig, tmp_path / "none", "-n", NAMESPACE, "-l", "team=none")
    assert code == 2
    assert (
        f"there is no Deployment, StatefulSet or DaemonSet in the namespace {NAMESPACE} that 'team=none' selects" in err
    )


async def test_a_cluster_that_cannot_be_asked_is_said_to_be_unreachable(kubeconfig: Path, tmp_path: Path) -> None:
    code, _, err = await init(nowhere(kubeconfig), tmp_path / "market")
    assert code == 3, err
    assert not (tmp_path / "market").exists()
