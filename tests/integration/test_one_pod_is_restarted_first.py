"""Pods that are ready and do not answer: a real daemon restarts one, and the others only where that one answers."""

from pathlib import Path

import aiohttp
import pytest

from kintsugi.model.records import IncidentState
from tests.integration.crash_story import made
from tests.integration.ladder_stage import DOES_NOT_ANSWER, PORT, LadderStage, ladder

pytestmark = pytest.mark.long


def evicted(stage: LadderStage) -> list[str]:
    """Return the names of the pods that the daemon has evicted; it has changed nothing else."""
    paths = [(each.method, each.path) for each in made(stage)]
    assert all(method == "POST" and path.endswith("/eviction") for method, path in paths), paths
    return [path.split("/")[-2] for _, path in paths]


async def test_pods_that_began_before_their_configuration_changed_are_restarted_one_of_them_first(
    tmp_path: Path,
) -> None:
    async with ladder(tmp_path, DOES_NOT_ANSWER, replicas=3, token="old") as stage:
        before = {each["metadata"]["name"] for each in stage.front_pods().values()}
        await stage.change_token("new")
        stage.start()
        async with stage.ledger() as ledger:
            incident = await stage.closed(ledger)
            (run,) = await ledger.runs.of_incident(incident.id)
            steps = {each.path: each for each in await ledger.runs.steps(run.id)}
    assert incident.state is IncidentState.RECOVERED, incident
    assert (steps["diagnosis"].result or {})["remedy"] == "restart-canary", steps["diagnosis"]
    assert (steps["diagnosis"].result or {})["cause"] == "StaleConfiguration", steps["diagnosis"]
    assert len(evicted(stage)) == 3
    assert set(evicted(stage)) == before
    target = (steps["diagnosis"].result or {})["target"]
    assert isinstance(target, dict)
    assert evicted(stage)[0] == target["name"]


async def test_no_other_pod_is_restarted_where_the_first_one_does_not_answer(tmp_path: Path) -> None:
    async with ladder(tmp_path, DOES_NOT_ANSWER, replicas=3, token="old") as stage:
        await stage.change_token("other")
        stage.start()
        async with stage.ledger() as ledger:
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.NEEDS_OPERATOR, incident
    assert "The restarted pod answers" in incident.reason, incident
    assert "HTTP 503" in incident.reason, incident
    assert len(evicted(stage)) == 1


async def test_the_only_pod_is_replaced_by_one_that_is_ready_before_it_goes(tmp_path: Path) -> None:
    async with ladder(tmp_path, DOES_NOT_ANSWER, replicas=1) as stage:
        (pod,) = stage.front_pods().values()
        address = f"http://{pod['status']['podIP']}:{PORT}/hang"
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            assert answer.status == 503
        stage.start()
        async with stage.ledger() as ledger:
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.RECOVERED, incident
    assert [each.method for each in made(stage)] == ["PATCH"]
