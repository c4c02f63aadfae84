"""`kintsugi reject` with a real daemon, which is killed between the request and its effect (C1, C2)."""

from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE, WEB
from tests.integration.answers_stage import AnswersStage

pytestmark = pytest.mark.long

SCALE = f"kubectl scale deployment/{WEB} -n {NAMESPACE}"
STEPS = f"    - {{id: four, run: {SCALE} --replicas=4}}"
ASKS = f'{STEPS}\n    - {{id: five, approve: "Five?", run: {SCALE} --replicas=5}}'


async def test_a_rejected_plan_starts_no_run_and_is_asked_about_again_after_the_cooldown(tmp_path: Path) -> None:
    async with AnswersStage.told(tmp_path, STEPS, mode="approve", kill_at="after commit reject plan 1") as story:
        asked = await story.when(lambda found: found["approvals"])
        path, plan = f"/api/v1/incidents/{asked['incident']['id']}", asked["approvals"][0]["plan"]
        await story.tell_and_die(f"{path}/reject", {"plan": plan, "why": "a deploy"})
        await story.live()
        ended = await story.when(lambda found: found["incident"]["closed"])
        assert (ended["incident"]["state"], ended["incident"]["reason"]) == ("cancelled", "rejected by ana: a deploy")
        assert ended["runs"] == []
        status, refused = await story.ask(f"{path}/approve", {"plan": plan})
        assert status == 409
        assert "the plan was rejected by ana: a deploy" in refused["error"]

        again = await story.when(lambda found: found["incident"]["id"] != asked["incident"]["id"])
        assert again["incident"]["state"] == "awaiting-approval"
        assert again["incident"]["opened"] > ended["incident"]["closed"]
    assert '"reason":"rejected"' in (story.stage.birth.folder / "daemon.log").read_text(), "it rested"
    assert story.replicas() == 3


async def test_a_rejected_step_is_not_executed_and_ends_the_execution(tmp_path: Path) -> None:
    async with AnswersStage.told(tmp_path, ASKS, kill_at="after commit reject five 1") as story:
        asked = await story.when(lambda found: found["approvals"])
        question = asked["approvals"][0]
        no = {"path": "five", "plan": question["plan"], "why": "four are enough"}
        await story.tell_and_die(f"/api/v1/incidents/{question['incident']}/reject", no)
        await story.live()
        stopped = await story.when(lambda found: found["incident"]["state"] == "verifying")
        reason = stopped["incident"]["reason"]
        assert reason == "stopped at five: rejected by ana: four are enough: Five?"
        assert story.replicas() == 4
