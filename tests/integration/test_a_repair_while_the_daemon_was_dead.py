"""A daemon as a process: it dies after it has decided to roll back, a person repairs the service, and the next process leaves the repair."""

from pathlib import Path

import pytest

from kintsugi.actions.effect_plan import RUN_ANNOTATION, TEMPLATE_ANNOTATION
from kintsugi.model.records import IncidentState
from kintsugi_demo.shop import WEB
from tests.integration.crash_stage import SELDOM, CrashStage, Json
from tests.integration.crash_story import BAD_ROLLOUT, broken, roll_out

pytestmark = pytest.mark.long

DECIDED = "after commit move-run rolling-back 1"
FIX = "shop/web:better"


def image(stage: CrashStage) -> str:
    """Return the image that the web Deployment asks for."""
    found: str = stage.deployment()["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def bare(deployment: Json) -> Json:
    """Return what takes the marks of runs from a Deployment."""
    metadata = {name: deployment["metadata"][name] for name in ("name", "namespace")}
    marks = {RUN_ANNOTATION: None, TEMPLATE_ANNOTATION: None}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**metadata, "annotations": marks}}


@pytest.mark.parametrize("by", ["rollout", "replace"])
async def test_a_fix_that_is_rolled_out_after_the_decision_is_not_rolled_back(tmp_path: Path, by: str) -> None:
    """E17, P5: also by `kubectl replace`, which takes the run's mark away."""
    birth = BAD_ROLLOUT.birth(tmp_path / "story", kill_at=[DECIDED])
    async with BAD_ROLLOUT.stage(birth) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            await broken(BAD_ROLLOUT, stage, ledger)
            await stage.ended()
            assert stage.died_at() == [DECIDED]
            roll_out(stage, FIX)
            if by == "replace":
                stage.cluster.apply(bare(stage.deployment()))

            async def is_repaired() -> bool:
                return stage.is_well(WEB)

            await stage.until(is_repaired)
            stage.start()

            async def is_over() -> bool:
                return all(each.closed for each in await ledger.incidents.newest())

            await stage.until(is_over, every=SELDOM)
            (incident,) = await ledger.incidents.newest()
            assert image(stage) == FIX
            assert incident.state is IncidentState.NEEDS_OPERATOR
            assert "was changed" in incident.reason
            assert "since the rollback was decided" in incident.reason
            assert "still failing" not in incident.reason
