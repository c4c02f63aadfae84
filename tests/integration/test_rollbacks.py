"""
A real daemon takes changes back, without Alertmanager: at once beside pods that serve, by approval to a kept template, or not at all.

A repair that a person makes while the daemon is dead is left as it is.
"""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kintsugi.actions.effect_plan import RUN_ANNOTATION, TEMPLATE_ANNOTATION
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.actions.workload_reads import Diagnoser
from kintsugi.kube.client import KubeClient
from kintsugi.ledger import Ledger
from kintsugi.model.records import Incident, IncidentState, Target
from kintsugi.settings import KubeSettings
from kintsugi_demo.shop import NAMESPACE, WEB, deployment
from kubediagnosis.causes import Diagnosis
from kubeobjects.resources import DEPLOYMENTS, PODS, REPLICASETS
from kubesim import GOOD
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_stage import API, SELDOM, CrashStage, Json
from tests.integration.crash_story import BAD_ROLLOUT, broken, good_is_known, made, roll_out

pytestmark = pytest.mark.long

GOOD_API, GONE, KEPT = "shop/api:good", "shop/api:gone", "shop/api:kept"
TOKEN = secrets.token_hex(16)
DECIDED = "after commit move-run rolling-back 1"
FIX = "shop/web:better"


async def test_an_image_of_the_good_revision_that_is_gone_is_handed_over_and_nothing_is_changed(tmp_path: Path) -> None:
    async with CrashStage.set(crash_daemon(tmp_path / "story", durations=0.03)) as stage:
        stage.cluster.images.add(KEPT, GOOD)
        stage.start()
        async with stage.ledger() as ledger:
            await good_is_known(stage, ledger)
            roll_out(stage, KEPT, API)
            workload = stage.deployment(API)["metadata"]["uid"]

            async def both_are_good() -> bool:
                return len(await ledger.good_state.good_revisions(workload)) == 2

            await stage.until(both_are_good)
            stage.cluster.images.remove(KEPT)
            pod = stage.cluster.find(PODS, NAMESPACE, {"app": "api"})[0]
            stage.cluster.delete(PODS, pod["metadata"]["name"], NAMESPACE)
            incident = await stage.all_closed(ledger)
    assert incident.state is IncidentState.NEEDS_OPERATOR, incident
    assert incident.service == "api-service"
    assert made(stage) == []


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


async def diagnosed(stage: CrashStage, ledger: Ledger) -> Diagnosis:
    """Diagnose the API on the spot, with what the daemon keeps."""
    async with KubeClient.connect(KubeSettings(kubeconfig=stage.daemon.kubeconfig)) as kube:
        diagnoser = Diagnoser(kube=kube, clock=lambda: datetime.now(UTC), templates=GoodTemplates(ledger.good_state))
        return await diagnoser.diagnose(Target(kind="Deployment", namespace=NAMESPACE, name=API))


async def over(stage: CrashStage, ledger: Ledger) -> tuple[Incident, list[str]]:
    """Agree to what is asked until the one incident is closed; return it, and what was asked."""
    asked: dict[str, None] = {}

    async def is_over() -> bool:
        for incident in await ledger.incidents.newest():
            for each in await ledger.people.questions_of(incident.id):
                asked[each.text] = None
                if each.answered is None:
                    await stage.approve(each)
        found = await ledger.incidents.newest()
        return bool(found) and all(each.closed for each in found)

    await stage.until(is_over, every=SELDOM)
    (incident,) = await ledger.incidents.newest()
    return incident, list(asked)


def written(folder: Path) -> bytes:
    """Return all that the daemon has written to its ledger and its log."""
    return b"".join(each.read_bytes() for each in sorted(folder.iterdir()) if each.is_file())


async def begin(stage: CrashStage) -> None:
    """Have the API with its token well, and start the daemon."""
    stage.cluster.apply(api(GOOD_API))

    await stage.until(lambda: stage.is_well(API))
    stage.start()


async def test_a_workload_that_is_made_anew_with_a_missing_image_is_taken_back_by_approval(tmp_path: Path) -> None:
    async with CrashStage.set(crash_daemon(tmp_path / "story", durations=0.03)) as stage:
        await begin(stage)
        async with stage.ledger() as ledger:
            await good_is_known(stage, ledger)
            await delete_and_apply(stage, api(GONE))
            found = await diagnosed(stage, ledger)
            incident, asked = await over(stage, ledger)
        container = stage.container(API)
    assert incident.state is IncidentState.RECOVERED, incident
    assert incident.service == "api-service"
    told = f"the ledger has the last good template (image {GOOD_API} instead of image {GONE})"
    assert [told in each for each in asked] == [True], asked
    said = f"rolled back from revision 1 (image {GONE}) to its last good template (image {GOOD_API}) from the ledger"
    assert incident.reason.startswith(said), incident.reason
    (change,) = [each for each in found.changes if each.field == "containers[web].image"]
    assert (change.before, change.after) == (GOOD_API, GONE)
    assert [each.method for each in made(stage)] == ["PATCH"]
    assert (container["image"], container["env"]) == (GOOD_API, [{"name": "API_TOKEN", "value": TOKEN}])
    assert TOKEN.encode() not in written(stage.daemon.folder)


async def test_a_template_whose_values_are_others_by_now_is_only_told(tmp_path: Path) -> None:
    async with CrashStage.set(crash_daemon(tmp_path / "story", durations=0.03)) as stage:
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
    assert TOKEN.encode() not in written(stage.daemon.folder)


def bare(deployment: Json) -> Json:
    """Return what takes the marks of runs from a Deployment."""
    metadata = {name: deployment["metadata"][name] for name in ("name", "namespace")}
    marks = {RUN_ANNOTATION: None, TEMPLATE_ANNOTATION: None}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**metadata, "annotations": marks}}


@pytest.mark.parametrize("by", ["rollout", "replace"])
async def test_a_fix_that_is_rolled_out_after_the_decision_is_not_rolled_back(tmp_path: Path, by: str) -> None:
    """E17, P5: also by `kubectl replace`, which takes the run's mark away."""
    async with BAD_ROLLOUT.stage(BAD_ROLLOUT.daemon(tmp_path / "story", kill_at=[DECIDED])) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            await broken(BAD_ROLLOUT, stage, ledger)
            await stage.ended()
            assert stage.died_at() == [DECIDED]
            roll_out(stage, FIX)
            if by == "replace":
                stage.cluster.apply(bare(stage.deployment()))

            await stage.until(lambda: stage.is_well(WEB))
            stage.start()

            incident = await stage.all_closed(ledger)
            assert stage.container()["image"] == FIX
            assert incident.state is IncidentState.NEEDS_OPERATOR
            assert "was changed" in incident.reason
            assert "since the rollback was decided" in incident.reason
            assert "still failing" not in incident.reason
