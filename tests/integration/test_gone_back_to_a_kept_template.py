"""A daemon as a process: a workload is deleted and applied anew with an image that does not exist, and by approval taken back to its kept template."""

import secrets
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.kube.client import KubeClient
from kintsugi.ledger import Ledger
from kintsugi.model.records import Approval, Incident, IncidentState, Target
from kintsugi.pipeline.diagnoser import Diagnoser
from kintsugi.settings import KubeSettings
from kintsugi_demo.shop import NAMESPACE, deployment
from kubediagnosis.causes import Diagnosis
from kubeobjects.resources import DEPLOYMENTS, REPLICASETS
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import API, SELDOM, CrashStage
from tests.integration.crash_story import good_is_known, made

pytestmark = pytest.mark.long

GOOD, GONE = "shop/api:good", "shop/api:gone"
TOKEN = secrets.token_hex(16)


def api(image: str, token: str = TOKEN) -> dict[str, Any]:
    """Make the API with a literal token in its environment."""
    found = deployment(API, {"app": "api"}, image=image, replicas=2)
    found["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "API_TOKEN", "value": token}]
    return found


async def delete_and_apply(stage: CrashStage, manifest: dict[str, Any]) -> None:
    """Make the API anew, and wait until nothing is left of its history."""
    before = stage.deployment(API)["metadata"]["uid"]
    stage.cluster.delete(DEPLOYMENTS, API, NAMESPACE)
    stage.cluster.apply(manifest)

    async def is_anew() -> bool:
        sets = stage.cluster.find(REPLICASETS, NAMESPACE, {"app": "api"})
        owners = {owner["uid"] for each in sets for owner in each["metadata"]["ownerReferences"]}
        return owners == {stage.deployment(API)["metadata"]["uid"]} and before not in owners

    await stage.until(is_anew)


async def approve(stage: CrashStage, asked: Approval) -> None:
    """Approve what the daemon asks, as a person does who may."""
    token = stage.birth.operators.read_text().strip().partition(":")[2]
    url = f"{stage.births[-1].ready.read_text()}/api/v1/incidents/{asked.incident}/approve"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.post(url, json={"plan": asked.plan, "path": asked.path}) as answer,
    ):
        await answer.read()


async def diagnosed(stage: CrashStage, ledger: Ledger) -> Diagnosis:
    """Diagnose the API on the spot, with what the daemon keeps."""
    async with KubeClient.connect(KubeSettings(kubeconfig=stage.birth.kubeconfig)) as kube:
        diagnoser = Diagnoser(kube=kube, clock=lambda: datetime.now(UTC), templates=GoodTemplates(ledger.templates))
        return await diagnoser.diagnose(Target(kind="Deployment", namespace=NAMESPACE, name=API))


async def over(stage: CrashStage, ledger: Ledger) -> tuple[Incident, list[str]]:
    """Agree to what is asked until the one incident is closed; return it, and what was asked."""
    asked: dict[str, None] = {}

    async def is_over() -> bool:
        for incident in await ledger.incidents.newest():
            for each in await ledger.approvals.of_incident(incident.id):
                asked[each.question] = None
                if each.answered is None:
                    with suppress(aiohttp.ClientError):
                        await approve(stage, each)
        found = await ledger.incidents.newest()
        return bool(found) and all(each.closed for each in found)

    await stage.until(is_over, every=SELDOM)
    (incident,) = await ledger.incidents.newest()
    return incident, list(asked)


def written(folder: Path) -> bytes:
    """Return all that the daemon has written to its ledger and its log."""
    return b"".join(each.read_bytes() for each in sorted(folder.iterdir()) if each.is_file())


async def begin(stage: CrashStage) -> None:
    """Have the API with its token well, and start the daemon with a person who may approve."""
    stage.cluster.apply(api(GOOD))

    async def is_well() -> bool:
        return stage.is_well(API)

    await stage.until(is_well)
    stage.birth.operators.write_text(f"ada:{secrets.token_hex(32)}\n")
    stage.start()


async def test_a_workload_that_is_made_anew_with_a_missing_image_is_taken_back_by_approval(tmp_path: Path) -> None:
    birth = DaemonStart(folder=tmp_path / "story", durations=0.03, replicas=3)
    async with CrashStage.set(birth) as stage:
        await begin(stage)
        async with stage.ledger() as ledger:
            await good_is_known(stage, ledger)
            await delete_and_apply(stage, api(GONE))
            found = await diagnosed(stage, ledger)
            incident, asked = await over(stage, ledger)
        (container,) = stage.deployment(API)["spec"]["template"]["spec"]["containers"]
    assert incident.state is IncidentState.RECOVERED, incident
    assert incident.service == "api-service"
    told = f"the ledger has the last good template (image {GOOD} instead of image {GONE})"
    assert [told in each for each in asked] == [True], asked
    said = f"rolled back from revision 1 (image {GONE}) to its last good template (image {GOOD}) from the ledger"
    assert incident.reason.startswith(said), incident.reason
    (change,) = [each for each in found.changes if each.field == "containers[web].image"]
    assert (change.before, change.after) == (GOOD, GONE)
    assert [each.method for each in made(stage)] == ["PATCH"]
    assert (container["image"], container["env"]) == (GOOD, [{"name": "API_TOKEN", "value": TOKEN}])
    assert TOKEN.encode() not in written(birth.folder)


async def test_a_template_whose_values_are_others_by_now_is_only_told(tmp_path: Path) -> None:
    birth = DaemonStart(folder=tmp_path / "story", durations=0.03, replicas=3)
    async with CrashStage.set(birth) as stage:
        await begin(stage)
        async with stage.ledger() as ledger:
            await good_is_known(stage, ledger)
            await delete_and_apply(stage, api(GONE, token=secrets.token_hex(16)))
            found = await diagnosed(stage, ledger)
            incident, asked = await over(stage, ledger)
            notices = await ledger.outbox.due_notices(datetime.now(UTC), limit=50)
    assert incident.state is IncidentState.NEEDS_OPERATOR, incident
    assert asked == []
    said = "the last good template lacks the values of containers[web].env[API_TOKEN]"
    handed = [each.text for each in notices if each.incident and each.kind is IncidentState.NEEDS_OPERATOR]
    assert [said in text for text in handed] == [True], notices
    assert "its last good template: not kept are the values of containers[web].env[API_TOKEN]" in found.unknown
    assert made(stage) == []
    assert TOKEN.encode() not in written(birth.folder)
