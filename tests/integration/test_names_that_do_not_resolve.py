"""`kintsugi run` where the cluster's names do not resolve, as on a person's own machine: checks by name are unknown (E35)."""

import asyncio
import socket
from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE, deployment
from kubeobjects import resources
from kubesim import EmbeddedCluster
from tests.harness.daemon import DaemonProcess
from tests.harness.waiting import eventually
from tests.unit.factories import rule_text, runbook_text, service_text

pytestmark = pytest.mark.long

TIMEOUT = 120.0
A_WHILE = 12.0
"""Seconds in which each check is asked twice more, and a condition that had begun would have held for long enough."""

NAMES = ("web", "api", "mail")
CHECK = (
    "checks: {smoke: [{id: answers, run: 'curl --max-time 2 http://%s.production/health', expect: status == 200}]}\n"
)
CATALOG = (
    *(service_text(name, more=CHECK % name) for name in NAMES),
    *(
        rule_text(f"{name}-answers", service=name, on="check", more="check: smoke\nevery: 5s\nfor: 1s")
        for name in NAMES
    ),
    rule_text("web-pods", service="web", more="for: 1s"),
    runbook_text("- {id: restart, forEach: service.pods, when: each.unhealthy, run: 'kubectl delete pod ${each}'}"),
)


def resolves(name: str) -> bool:
    """Return whether this machine resolves a name."""
    try:
        return bool(socket.getaddrinfo(name, 443))
    except OSError:
        return False


async def test_checks_by_name_are_unknown_and_all_else_goes_on(tmp_path: Path) -> None:
    """E35, P6: no incident of three services at once; it is said once, in one notice; a pod that breaks is mended."""
    assert not resolves("kubernetes.default.svc"), "this machine resolves the names of a cluster"
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    for number, text in enumerate(CATALOG):
        (catalog / f"{number}.yaml").write_text(text)
    async with EmbeddedCluster.start(speed=10) as cluster:
        for name in NAMES:
            cluster.apply(deployment(name, {"app": name}, image=f"shop/{name}:good", replicas=2))
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", "kintsugi")
        daemon = DaemonProcess(kubeconfig=kubeconfig, folder=tmp_path / "daemon", durations=1, catalog=catalog)
        try:
            await asyncio.to_thread(lambda: daemon.start().wait_ready())
            said = "cluster names do not resolve"
            await eventually(lambda: said in daemon.log.read_text(), within=TIMEOUT, describe=daemon.tail)
            await asyncio.sleep(A_WHILE)
            assert await asyncio.to_thread(daemon.incidents) == [], daemon.tail()
            assert daemon.log.read_text().count(said) == 1, daemon.tail()
            ((kind, told),) = await asyncio.to_thread(daemon.notices)
            assert (kind, told.split(".")[0]) == (
                "needs-operator",
                "Kintsugi cannot resolve the cluster's names",
            )

            found = cluster.find(resources.PODS, NAMESPACE, {"app": "web"})
            bad = str(found[0]["metadata"]["name"])
            cluster.faults.make_unready(found[0]["metadata"]["uid"])
            await eventually(
                lambda: cluster.get(resources.PODS, bad, NAMESPACE) is None, within=TIMEOUT, describe=daemon.tail
            )
            assert [each["rule"] for each in await asyncio.to_thread(daemon.incidents)] == ["web-pods"]
        finally:
            await asyncio.to_thread(daemon.stop)
