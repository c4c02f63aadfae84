"""`kintsugi init` on the embedded cluster: what it reads, what it writes, and what it says is in the way."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kubesim import EmbeddedCluster
from kubesim.images import GOOD
from tests.integration.test_cli_runs_the_daemon import kintsugi

pytestmark = pytest.mark.long

NAMESPACE = "market"


def workload(kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    """Describe a workload, its pods labelled with two labels."""
    labels = {"app.kubernetes.io/name": name, "tier": "back"}
    containers = [{"name": "main", "image": "main:1"}, {"name": "proxy", "image": "proxy:1"}]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            **({"serviceName": name} if kind == "StatefulSet" else {}),
        },
    }


@pytest.fixture
async def kubeconfig(tmp_path: Path) -> AsyncIterator[Path]:
    """Yield the way to a cluster with three workloads."""
    async with EmbeddedCluster.start(speed=20, images={"main:1": GOOD, "proxy:1": GOOD}) as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        cluster.apply(workload("Deployment", "cart", labels={"argocd.argoproj.io/instance": "market"}))
        cluster.apply(workload("DaemonSet", "shipper"))
        cluster.apply(workload("StatefulSet", "ledger"))
        yield cluster.kubeconfig(tmp_path / "kubeconfig")


async def init(kubeconfig: Path, folder: Path, *words: str) -> tuple[int, str, str]:
    """Run `kintsugi init`; return its exit code and what it has written on stdout and stderr."""
    async with kintsugi("init", folder, "-n", NAMESPACE, "--kubeconfig", kubeconfig, *words) as process:
        code, out = await process.ends()
        return code, out, "".join(process.told)


def nowhere(kubeconfig: Path) -> Path:
    """Return the way to a port at which nobody listens."""
    other = kubeconfig.with_name("nowhere")
    other.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", kubeconfig.read_text()))
    return other


async def test_a_first_catalog_is_written_for_the_workloads_that_are_named(kubeconfig: Path, tmp_path: Path) -> None:
    folder = tmp_path / "market"
    code, out, err = await init(kubeconfig, folder, "deployment/cart", "ds/shipper", "statefulset/ledger")
    assert code == 0, err
    assert out.startswith("OK: 3 services, 6 rules, ")
    assert sorted(each.name for each in folder.iterdir()) == ["cart.yaml", "ledger.yaml", "shipper.yaml"]
    text = (folder / "cart.yaml").read_text()
    assert "selector: app.kubernetes.io/name=cart,tier=back\n" in text
    assert "# Argo CD market would take changes of its template back" in text
    async with kintsugi("validate", "--with-shipped", "-o", "json", folder) as process:
        code, out = await process.ends()
    assert (code, json.loads(out)["ok"]) == (0, True)


async def test_obstacles_are_told_all_at_once_and_nothing_is_written(kubeconfig: Path, tmp_path: Path) -> None:
    folder = tmp_path / "market"
    folder.mkdir()
    (folder / "cart.yaml").write_text("# mine\n")
    code, _, err = await init(
        kubeconfig, folder, "deployment/cart", "daemonset/shipper", "deployment/gone", "pod/cart-1", "cart"
    )
    assert code == 2
    assert f"{folder}/cart.yaml is there already: it is not overwritten" in err
    assert f"deployment/gone is not in the namespace {NAMESPACE}" in err
    assert "'pod/cart-1': write one of deployment/NAME, statefulset/NAME, daemonset/NAME" in err
    assert "'cart': write one of" in err
    assert "error: 4 problems, see above" in err
    assert [each.read_text() for each in folder.iterdir()] == ["# mine\n"]


async def test_a_cluster_that_cannot_be_asked_is_said_to_be_unreachable(kubeconfig: Path, tmp_path: Path) -> None:
    code, _, err = await init(nowhere(kubeconfig), tmp_path / "market", "deployment/cart")
    assert code == 3, err
    assert not (tmp_path / "market").exists()
