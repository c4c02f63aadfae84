"""`kintsugi abort` with a real daemon, which is killed between the request and its effect (C1, C2)."""

from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE, WEB
from tests.integration.answers_stage import AnswersStage

pytestmark = pytest.mark.long

SCALE = f"kubectl scale deployment/{WEB} -n {NAMESPACE}"
STEPS = f"""
    - {{id: four, run: {SCALE} --replicas=4}}
    - {{id: rest, expect: 1 == 2, within: 1h, onFailure: continue}}
    - {{id: five, run: {SCALE} --replicas=5}}
"""


async def test_an_aborted_run_takes_no_further_step_and_is_rolled_back_at_a_person_s_word(tmp_path: Path) -> None:
    async with AnswersStage.told(tmp_path, STEPS, kill_at="after commit abort 1") as story:
        running = await story.when(lambda found: story.replicas() == 4 and found["runs"][0]["run"]["changed"])
        path = f"/api/v1/incidents/{running['incident']['id']}"
        await story.tell_and_die(f"{path}/abort", {"why": "a deploy"})
        await story.live()
        ended = await story.when(lambda found: found["incident"]["closed"])
        assert ended["incident"]["state"] == "needs-operator"
        first, *report = ended["incident"]["reason"].splitlines()
        assert first == "aborted by ana: a deploy"
        assert "Undo commands, newest first:" in report
        assert ended["abort"]["who"] == "ana"
        assert story.replicas() == 4

        status, shown = await story.ask(f"{path}/rollback", {})
        assert status == 200, shown
        status, begun = await story.ask(f"{path}/rollback", {"confirm": True, "digest": shown["digest"]})
        assert status == 202, begun
        await story.when(lambda found: found["runs"][0]["run"]["rollback_requested_by"] == "ana")


async def test_an_aborted_incident_without_a_run_is_cancelled_and_its_service_rests(tmp_path: Path) -> None:
    async with AnswersStage.told(tmp_path, STEPS, mode="approve", kill_at="after commit abort 1") as story:
        asked = await story.when(lambda found: found["approvals"])
        path = f"/api/v1/incidents/{asked['incident']['id']}"
        await story.tell_and_die(f"{path}/abort", {"why": "a deploy"})
        await story.live()
        ended = await story.when(lambda found: found["incident"]["closed"])
        assert (ended["incident"]["state"], ended["incident"]["reason"]) == ("cancelled", "aborted by ana: a deploy")
        again = await story.when(lambda found: found["incident"]["id"] != asked["incident"]["id"])
        assert again["incident"]["opened"] > ended["incident"]["closed"]
    assert '"reason":"rejected"' in (story.stage.birth.folder / "daemon.log").read_text(), "it rested"
    assert story.replicas() == 3
