"""A daemon as a process, without Alertmanager: an image that does not exist is rolled out beside pods that serve, and taken back at once."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import Incident, IncidentState
from kintsugi_demo.shop import CRASHING, NAMESPACE
from kubeobjects.resources import PODS
from kubesim import GOOD
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import API, SELDOM, CrashStage
from tests.integration.crash_story import good_is_known, made

pytestmark = pytest.mark.long

GONE, KEPT = "shop/api:gone", "shop/api:kept"


def change_api(stage: CrashStage, image: str) -> None:
    """Roll out an image of the API."""
    container = {**stage.deployment(API)["spec"]["template"]["spec"]["containers"][0], "image": image}
    metadata = {"name": API, "namespace": NAMESPACE}
    spec = {"template": {"spec": {"containers": [container]}}}
    stage.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def api_pods(stage: CrashStage) -> set[str]:
    """Return the uids of the API's pods that are not on their way out."""
    found = stage.cluster.find(PODS, NAMESPACE, {"app": "api"})
    return {each["metadata"]["uid"] for each in found if not each["metadata"].get("deletionTimestamp")}


async def closed(stage: CrashStage, ledger: Ledger) -> Incident:
    """Wait until the one incident is closed, and return it."""
    found: list[Incident] = []

    async def is_closed() -> bool:
        found[:] = await ledger.incidents.newest()
        return bool(found) and all(each.closed for each in found)

    await stage.until(is_closed, every=SELDOM)
    (incident,) = found
    return incident


async def test_an_image_that_does_not_exist_is_taken_back_at_once_beside_pods_that_serve(tmp_path: Path) -> None:
    birth = DaemonStart(folder=tmp_path / "story", durations=0.03, replicas=3)
    async with CrashStage.set(birth) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            await good_is_known(stage, ledger)
            good = stage.deployment(API)["spec"]["template"]["spec"]["containers"][0]["image"]
            before = api_pods(stage)
            change_api(stage, GONE)
            incident = await closed(stage, ledger)
            (run,) = await ledger.runs.of_incident(incident.id)
            notices = await ledger.outbox.due_notices(datetime.now(UTC), limit=50)
    assert incident.state is IncidentState.RECOVERED, incident
    assert incident.service == "api-service"
    said = f"rolled back from revision 2 (image {GONE}) to 1 (image {good}): container web cannot pull image {GONE}: the registry does not have it"
    assert incident.reason.startswith(said), incident.reason
    assert run.steps_finished_at is not None
    assert run.steps_finished_at < run.deadline
    assert [said in each.text for each in notices if each.kind is IncidentState.RECOVERED] == [True]
    assert [each.method for each in made(stage)] == ["PATCH"]
    assert stage.deployment(API)["spec"]["template"]["spec"]["containers"][0]["image"] == good
    assert before <= api_pods(stage)


async def test_a_version_that_crashes_is_taken_back_by_the_generic_runbook_without_a_restart(tmp_path: Path) -> None:
    birth = DaemonStart(folder=tmp_path / "story", durations=0.03, replicas=3)
    async with CrashStage.set(birth) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            await good_is_known(stage, ledger)
            change_api(stage, CRASHING)
            incident = await closed(stage, ledger)
    assert incident.state is IncidentState.RECOVERED, incident
    assert incident.service == "api-service"
    assert incident.reason.startswith(f"rolled back from revision 2 (image {CRASHING}) to 1 (image ")
    assert "ends with exit code 1" in incident.reason
    assert [each.method for each in made(stage)] == ["PATCH"]


async def test_an_image_of_the_good_revision_that_is_gone_is_handed_over_and_nothing_is_changed(tmp_path: Path) -> None:
    birth = DaemonStart(folder=tmp_path / "story", durations=0.03, replicas=3)
    async with CrashStage.set(birth) as stage:
        stage.cluster.images.add(KEPT, GOOD)
        stage.start()
        async with stage.ledger() as ledger:
            await good_is_known(stage, ledger)
            change_api(stage, KEPT)
            workload = stage.deployment(API)["metadata"]["uid"]

            async def both_are_good() -> bool:
                return len(await ledger.revisions.good_revisions(workload)) == 2

            await stage.until(both_are_good)
            stage.cluster.images.remove(KEPT)
            pod = stage.cluster.find(PODS, NAMESPACE, {"app": "api"})[0]
            stage.cluster.delete(PODS, pod["metadata"]["name"], NAMESPACE)
            incident = await closed(stage, ledger)
    assert incident.state is IncidentState.NEEDS_OPERATOR, incident
    assert incident.service == "api-service"
    assert made(stage) == []
