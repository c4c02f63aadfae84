"""What people answer and take of a run under way: a manual step, a question to two people, and the incident itself."""

import asyncio
from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE, WEB
from tests.integration.asked_story import AskedStory

pytestmark = pytest.mark.long

SCALE = f"kubectl scale deployment/{WEB} -n {NAMESPACE}"
STEPS = f"""
    - id: traffic
      manual: {{text: "Move the traffic of ${{service.name}} away.", command: "./failover.sh ${{service.namespace}}"}}
    - {{id: four, run: {SCALE} --replicas=4}}
    - {{id: five, approve: "Five replicas?", run: {SCALE} --replicas=5}}
"""
MARIA = "maria-of-the-tests"


async def test_a_person_does_a_manual_step_two_approve_the_next_and_one_takes_the_incident(tmp_path: Path) -> None:
    """The answer to the manual step is of before a restart, and the taken service rests until it is given back."""
    more = "service: web-service\napprovers: [tester, maria]\npeople: 2"
    async with AskedStory.told(tmp_path, STEPS, more=more, kill_at=["after commit answer traffic 1"]) as story:
        story.daemon.people.write_text(f"{story.daemon.people.read_text()}maria:{MARIA}\n")
        await story.live()
        await story.fires()
        asked = await story.when(lambda found: found["questions"])
        (question,) = asked["questions"]
        assert (question["kind"], question["command"]) == ("manual", f"./failover.sh {NAMESPACE}")
        incident = asked["incident"]["id"]
        answer = f"/api/v1/incidents/{incident}/answer"
        shown = {"plan": question["plan"], "path": "traffic"}
        status, refused = await asyncio.to_thread(story.daemon.post, answer, {**shown, "answer": "yes"})
        assert (status, "done or does-not-apply or failed, not yes" in refused["error"]) == (409, True), refused
        assert story.replicas() == 3
        await story.tell_and_die(answer, {**shown, "answer": "done"})

        await story.live()
        await story.when(lambda found: story.replicas() == 4 and len(found["questions"]) == 2)
        yes = {"plan": question["plan"], "path": "five", "answer": "yes"}
        for _ in range(2):
            status, half = await asyncio.to_thread(story.daemon.post, answer, yes)
            assert (status, half["answer"]) == (200, None), half
        status, whole = await asyncio.to_thread(story.daemon.post, answer, yes, token=MARIA)
        assert (status, whole["answer"], [each["who"] for each in whole["given"]]) == (200, "yes", ["tester", "maria"])
        await story.when(lambda _: story.replicas() == 5)

        take = f"/api/v1/incidents/{incident}/take"
        status, taken = await asyncio.to_thread(story.daemon.post, take, {"why": "I look"})
        assert status == 202, taken
        ended = await story.closed()
        assert ended["incident"]["reason"].startswith("aborted by tester: taken: I look")
        status, refused = await asyncio.to_thread(story.daemon.post, take, {}, token=MARIA)
        assert (status, "tester has had it since" in refused["error"]) == (409, True), refused
        await story.fires(status="resolved", endsAt="2026-11-24T03:05:00Z")
        await story.fires(startsAt="2026-11-24T03:08:00Z")
        await story.holds(lambda: '"reason":"paused"' in story.log())
        assert len(story.daemon.incidents()) == 1
        status, back = await asyncio.to_thread(story.daemon.delete, f"/api/v1/pauses/{incident}")
        assert (status, back["id"]) == (200, incident), back
        await story.when(lambda found: found["incident"]["id"] != incident)
