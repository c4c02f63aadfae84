"""Containers that are ended at their memory limit: a real daemon raises it in place, as far as the service allows, and hands over the rest."""

from pathlib import Path

import pytest

from kintsugi.model.records import IncidentState
from kubeobjects.resources import DEPLOYMENTS, NODES
from tests.integration.crash_story import made
from tests.integration.ladder_stage import NAME, SERVICE, LadderStage, ladder
from tests.integration.process_stage import NAMESPACE

pytestmark = pytest.mark.long

UNHEALTHY = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: front-pods-unhealthy}
spec: {on: pod, service: front, when: object.unhealthy, for: 10s, mode: auto, cooldown: 10m}
"""
LIMIT = "64Mi"
BY_HAND = f"kubectl set resources deployment/{NAME} -c web --limits=memory=164Mi -n {NAMESPACE}"


def allowing(memory: str) -> str:
    """Return the service with the most that its limit may be."""
    return SERVICE.replace("  priority: 1\n", f"  priority: 1\n  maxAllowed: {{memory: {memory}}}\n")


def limits(stage: LadderStage) -> set[str]:
    """Return the limits that its pods have."""
    return {each["spec"]["containers"][0]["resources"]["limits"]["memory"] for each in stage.front_pods().values()}


def resized(stage: LadderStage) -> list[str]:
    """Return the pods that were resized, and hold what was changed to that."""
    changes = [(each.method, each.path.split("/")) for each in made(stage)]
    assert all((method, path[-1]) == ("PATCH", "resize") for method, path in changes), changes
    return sorted(path[-2] for _, path in changes)


async def test_a_limit_is_raised_in_place_and_told_to_be_temporary(tmp_path: Path) -> None:
    async with ladder(tmp_path, UNHEALTHY, replicas=2, service=allowing("256Mi"), memory=LIMIT) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            before = stage.front_pods()
            for uid in before:
                stage.cluster.faults.need_memory(uid, "96Mi")
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.RECOVERED, incident
    assert incident.reason.startswith("temporary, in 2 pods: its limit of 64Mi is raised to 164Mi"), incident
    assert BY_HAND in incident.reason
    assert resized(stage) == sorted(each["metadata"]["name"] for each in before.values())
    assert stage.front_pods().keys() == before.keys()
    assert limits(stage) == {"164Mi"}
    template = stage.cluster.get(DEPLOYMENTS, NAME, NAMESPACE) or {}
    assert template["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == LIMIT


async def test_a_service_without_a_ceiling_is_handed_over_with_the_command(tmp_path: Path) -> None:
    async with ladder(tmp_path, UNHEALTHY, replicas=1, memory=LIMIT) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            for uid in stage.front_pods():
                stage.cluster.faults.need_memory(uid, "96Mi")
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.NEEDS_OPERATOR, incident
    assert "declares no maxAllowed.memory" in incident.reason
    assert BY_HAND in incident.reason
    assert resized(stage) == []


async def test_a_limit_at_which_it_is_still_ended_is_handed_over_below_the_ceiling(tmp_path: Path) -> None:
    async with ladder(tmp_path, UNHEALTHY, replicas=1, service=allowing("100Mi"), memory=LIMIT) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            for uid in stage.front_pods():
                stage.cluster.faults.need_memory(uid, "512Mi")
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.NEEDS_OPERATOR, incident
    assert limits(stage) == {"100Mi"}
    assert len(resized(stage)) == 1
    assert "Undo commands, newest first:" in incident.reason
    assert "--subresource=resize" in incident.reason


async def test_a_raise_that_the_node_has_no_room_for_is_handed_over_with_the_kubelet_s_words(tmp_path: Path) -> None:
    async with ladder(tmp_path, UNHEALTHY, replicas=1, service=allowing("256Mi"), memory=LIMIT) as stage:
        (front,) = stage.front_pods().values()
        node = stage.cluster.get(NODES, "node-1")
        assert node is not None
        stage.cluster.store.put(
            NODES, {**node, "status": {**node["status"], "allocatable": {"cpu": "8", "memory": "1Mi"}}}
        )
        stage.start()
        async with stage.ledger() as ledger:
            stage.cluster.faults.need_memory(front["metadata"]["uid"], "96Mi")
            incident = await stage.closed(ledger)
            diagnoses = await ledger.diagnoses.of_incident(incident.id)
    assert incident.state is IncidentState.NEEDS_OPERATOR, incident
    assert "The kubelets take it: not met" in incident.reason
    text = diagnoses[-1].diagnosis.causes[0].text
    assert "Infeasible: Node didn't have enough capacity: memory, requested: " in text
