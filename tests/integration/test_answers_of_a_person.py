"""What a person answers a real daemon, which is killed between the request and its effect: no, stop, and a yes that comes late (C1, C2)."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE, WEB
from tests.harness.waiting import HopelessError
from tests.integration.asked_story import AskedStory
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_stage import Json

pytestmark = pytest.mark.long

SCALE = f"kubectl scale deployment/{WEB} -n {NAMESPACE}"
FOUR = f"    - {{id: four, run: {SCALE} --replicas=4}}"
RESTS = f"""
{FOUR}
    - {{id: rest, expect: 1 == 2, within: 1h, onFailure: continue}}
    - {{id: five, run: {SCALE} --replicas=5}}
"""


@pytest.mark.parametrize(("deed", "point"), [("answer", "answer plan"), ("abort", "abort")])
async def test_after_a_no_to_its_plan_the_service_rests_and_is_asked_about_again(
    tmp_path: Path, deed: str, point: str
) -> None:
    async with AskedStory.told(tmp_path, FOUR, MODE="approve", kill_at=[f"after commit {point} 1"]) as story:
        await story.live()
        await story.fires()
        asked = await story.when(lambda found: found["questions"])
        path, plan = f"/api/v1/incidents/{asked['incident']['id']}", asked["questions"][0]["plan"]
        why = {"why": "a deploy"}
        no = {"plan": plan, "answer": "no", **why}
        await story.tell_and_die(f"{path}/{deed}", no if deed == "answer" else why)
        await story.live()
        ended = await story.closed()
        reason = f"{'rejected' if deed == 'answer' else 'aborted'} by tester: a deploy"
        assert (ended["incident"]["state"], ended["incident"]["reason"]) == ("cancelled", reason)
        assert ended["runs"] == []
        status, refused = await asyncio.to_thread(story.daemon.post, f"{path}/answer", {"plan": plan, "answer": "yes"})
        assert status == 409, refused
        if deed == "answer":
            assert "rejected by tester: a deploy" in refused["error"]

        again = await story.when(lambda found: found["incident"]["id"] != asked["incident"]["id"])
        assert again["incident"]["state"] == "awaiting-approval"
        assert again["incident"]["opened"] > ended["incident"]["closed"]
    assert '"reason":"rejected"' in story.log(), "it rested"
    assert story.replicas() == 3


async def test_an_aborted_run_takes_no_further_step_and_is_rolled_back_at_a_person_s_word(tmp_path: Path) -> None:
    async with AskedStory.told(tmp_path, RESTS, kill_at=["after commit abort 1"]) as story:
        await story.live()
        await story.fires()
        running = await story.when(
            lambda found: story.replicas() == 4 and found["runs"] and found["runs"][0]["run"]["changed"]
        )
        path = f"/api/v1/incidents/{running['incident']['id']}"
        await story.tell_and_die(f"{path}/abort", {"why": "a deploy"})
        await story.live()
        ended = await story.closed()
        assert ended["incident"]["state"] == "needs-operator"
        first, *report = ended["incident"]["reason"].splitlines()
        assert first == "aborted by tester: a deploy"
        assert "Undo commands, newest first:" in report
        assert ended["abort"]["who"] == "tester"
        assert story.replicas() == 4

        back = await asyncio.to_thread(story.daemon.command, "rollback", ended["incident"]["id"], "--yes")
        assert back.code == 0, back
        await story.when(lambda found: found["runs"][0]["run"]["rollback_requested_by"] == "tester")


async def test_a_yes_that_a_pause_outlasted_starts_nothing_and_is_asked_anew(tmp_path: Path) -> None:
    """
    E28: a person approves during another one's pause; the daemon is killed; when the pause is lifted they are asked again.

    Half an hour, for which an answer is good, is 18 seconds here; the shipped rule's two minutes are 1.2.
    """
    daemon = crash_daemon(tmp_path / "story", durations=0.01)
    daemon.mode = "approve"
    async with AskedStory.set(daemon) as story:
        before = story.pods()
        story.cluster.faults.crash_loop(before[0])
        await story.live()
        asked = (await story.when(lambda found: found["questions"]))["questions"][0]
        status, pause = await asyncio.to_thread(daemon.post, "/api/v1/pauses", {"scope": "global", "why": "a release"})
        assert status == 201, pause
        approve = f"/api/v1/incidents/{asked['incident']}/answer"
        assert (await asyncio.to_thread(daemon.post, approve, {"plan": asked["plan"], "answer": "yes"}))[0] == 200
        await story.kill()
        await story.live()
        await story.holds(lambda: datetime.now(UTC) > datetime.fromisoformat(asked["expires"]))
        ended = await asyncio.to_thread(daemon.command, "resume", pause["id"], "--why", "released")
        assert ended.code == 0, ended

        def is_asked_anew(found: Json) -> bool:
            if found["runs"]:
                raise HopelessError(f"the yes that had run out started {found['runs']}")
            return found["questions"][-1]["answered"] is None

        found = await story.when(is_asked_anew)
        assert (found["incident"]["state"], story.pods()) == ("awaiting-approval", before)
        plan = found["questions"][-1]["plan"]
        assert (await asyncio.to_thread(daemon.post, approve, {"plan": plan, "answer": "yes"}))[0] == 200
        await story.when(lambda found: found["runs"])
