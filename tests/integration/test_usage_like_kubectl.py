"""`kubectl top` tells what the real kubectl tells: the same figures, rounded the same way, of the same metrics API."""

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from kintsugi_demo.shop import NAMESPACE, shop
from kubesim import EmbeddedCluster
from tests.harness.waiting import eventually

KUBECTL = shutil.which("kubectl")
WITHIN = timedelta(seconds=20)


@pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on PATH")
@pytest.mark.parametrize(
    ("arguments", "columns"),
    [
        pytest.param("top nodes", ("name", "cpu", "cpu%", "memory", "memory%"), id="nodes"),
        pytest.param("top node node-1", ("name", "cpu", "cpu%", "memory", "memory%"), id="one node"),
        pytest.param(f"top pods -n {NAMESPACE}", ("name", "cpu", "memory"), id="pods"),
        pytest.param("top pods -A", ("namespace", "name", "cpu", "memory"), id="pods everywhere"),
        pytest.param(f"top pods -n {NAMESPACE} -l app=api", ("name", "cpu", "memory"), id="pods by label"),
    ],
)
async def test_usage_is_what_kubectl_prints(tmp_path: Path, arguments: str, columns: tuple[str, ...]) -> None:
    async with EmbeddedCluster.start(speed=20) as cluster:
        for manifest in shop():
            cluster.apply(manifest)
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        async with KubeClient.connect(KubeSettings(kubeconfig=config)) as kube:
            actions = Actions(kube, Clients.restricted_to(AddressRule(allow_loopback=True)))
            command = parse(f"kubectl {arguments}", namespace=NAMESPACE)

            async def alike() -> bool:
                printed = rows(await kubectl(config, *arguments.split()), columns)
                told = (await actions.read(command, deadline=WITHIN)).names["items"]
                assert isinstance(told, list)
                return bool(printed) and printed == sorted(row(each, columns) for each in told)

            await eventually(alike, within=20, describe=lambda: f"kubectl {arguments} says the same")


async def kubectl(config: Path, *arguments: str) -> str:
    """Run the real kubectl and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        str(KUBECTL), f"--kubeconfig={config}", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return output.decode()


def rows(text: str, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the rows of a table that kubectl printed, without its head."""
    lines = [tuple(line.split()) for line in text.splitlines()[1:]]
    assert all(len(line) == len(columns) for line in lines), text
    return sorted(lines)


def row(use: dict[str, object], columns: tuple[str, ...]) -> tuple[str, ...]:
    """Write one of our rows as kubectl does."""
    memory = use["memory_bytes"]
    assert isinstance(memory, int)
    shown = {
        "name": use["name"],
        "namespace": use["namespace"],
        "cpu": f"{use['cpu_millicores']}m",
        "cpu%": f"{use['cpu_percent']}%",
        "memory": f"{memory // 2**20}Mi",
        "memory%": f"{use['memory_percent']}%",
    }
    return tuple(str(shown[column]) for column in columns)
