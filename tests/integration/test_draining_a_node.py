"""A real daemon drains a node of the embedded cluster: budgets hold it up, a kill does not make it evict anything twice."""

import asyncio
from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE, WEB_LABELS
from kubeobjects import resources
from tests.harness.waiting import eventually
from tests.integration.manual_stage import TIMEOUT, Json, ManualStage, staged

pytestmark = pytest.mark.long

NODES = ("node-1", "node-2")

DRAIN = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: drain-node}
spec:
  title: Drain a node
  steps:
    - {id: drain, name: Drain it, run: kubectl drain node-1 --ignore-daemonsets}
"""


def budget(at_least: int) -> Json:
    """Make the PodDisruptionBudget of the web service."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"minAvailable": at_least, "selector": {"matchLabels": dict(WEB_LABELS)}},
    }


def on(stage: ManualStage, node: str) -> set[str]:
    """Return the uids of the pods on a node."""
    pods = stage.cluster.find(resources.PODS, None, {})
    return {str(each["metadata"]["uid"]) for each in pods if each["spec"].get("nodeName") == node}


def steps(stage: ManualStage, incident: str) -> dict[str, Json]:
    """Return the steps of an incident's run by their paths."""
    runs = stage.daemon.incident(incident)["runs"]
    return {each["path"]: each for each in runs[0]["steps"]} if runs else {}


def is_cordoned(stage: ManualStage) -> bool:
    """Return whether no new pods come to the first node."""
    node = stage.cluster.get(resources.NODES, "node-1")
    assert node is not None
    return node["spec"].get("unschedulable") is True


async def test_a_budget_that_allows_nothing_is_waited_for_also_by_the_next_life(tmp_path: Path) -> None:
    """P2, P3: the eviction is told as not made, and each pod is evicted by one step that is done."""
    async with staged(tmp_path, documents=DRAIN, nodes=NODES) as stage:
        before = on(stage, "node-1")
        assert before
        stage.cluster.apply(budget(3))
        incident = (await stage.begun("drain-node", service="web"))["incident"]

        def is_blocked() -> bool:
            return any("disruption budget" in each.get("error", "") for each in steps(stage, incident).values())

        await eventually(is_blocked, within=TIMEOUT, describe=lambda: steps(stage, incident))
        await asyncio.to_thread(stage.daemon.kill)
        stage.cluster.apply(budget(2))
        await stage.restart()
        found = await stage.ended(incident)
        assert found["incident"]["state"] == "recovered", found
        assert is_cordoned(stage)
        assert on(stage, "node-1") == set()
        evicted = [each for each in found["runs"][0]["steps"] if each["text"].startswith("kubectl create --raw")]
        assert {each["facts"]["uid"] for each in evicted} == before
        assert [each["state"] for each in evicted] == ["done"] * len(before)
