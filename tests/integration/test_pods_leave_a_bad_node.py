"""A node that is not heard of any more: a real daemon cordons it, and has its service's pods made anew elsewhere."""

from pathlib import Path

import pytest

from kintsugi.model.records import IncidentState
from kubeobjects.resources import NODES
from tests.integration.crash_story import made
from tests.integration.ladder_stage import LadderStage, ladder
from tests.integration.process_stage import NAMESPACE

pytestmark = pytest.mark.long

UNHEALTHY = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: front-pods-unhealthy}
spec: {on: pod, service: front, when: object.unhealthy, for: 10s, mode: auto, cooldown: 10m}
"""


def on(stage: LadderStage, node: str) -> set[str]:
    """Return the names of the pods on a node."""
    return {each["metadata"]["name"] for each in stage.front_pods().values() if each["spec"].get("nodeName") == node}


def is_cordoned(stage: LadderStage, node: str) -> bool:
    """Return whether no new pods come to a node."""
    found = stage.cluster.get(NODES, node)
    assert found is not None
    return found["spec"].get("unschedulable") is True


async def test_pods_are_moved_from_a_node_that_is_not_heard_of(tmp_path: Path) -> None:
    async with ladder(tmp_path, UNHEALTHY, replicas=4, nodes=("node-1", "node-2")) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            lost = on(stage, "node-1")
            assert lost
            stage.cluster.faults.node_down("node-1")
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.RECOVERED, incident
    assert is_cordoned(stage, "node-1")
    assert "kubectl cordon node-1 stays in force until a person runs kubectl uncordon node-1" in incident.reason
    changes = [(each.method, each.path) for each in made(stage)]
    assert changes[0] == ("PATCH", "/api/v1/nodes/node-1"), changes
    assert {path for _, path in changes[1:]} == {
        f"/api/v1/namespaces/{NAMESPACE}/pods/{each}/eviction" for each in lost
    }
    assert len(changes) == len(lost) + 1
    assert len(on(stage, "node-2")) == 4
