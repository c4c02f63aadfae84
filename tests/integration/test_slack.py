"""A daemon and its operators in Slack: one message of an incident, its buttons, and what becomes of a no (P9)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kintsugi_demo.shop import NAMESPACE, WEB
from tests.harness.slack_server import CHANNEL, MEMBER, OPERATOR, STRANGER, SlackServer, slack_server
from tests.integration.asked_story import AskedStory

STEPS = f"    - {{id: four, run: kubectl scale deployment/{WEB} -n {NAMESPACE} --replicas=4}}"
ROUTE = f"""
apiVersion: kintsugi.dev/v1alpha1
kind: NoticeRoute
metadata: {{name: on-call}}
spec: {{to: [{{slack: {{channel: {CHANNEL}}}}}]}}
"""


@asynccontextmanager
async def asked(folder: Path) -> AsyncIterator[tuple[AskedStory, SlackServer, str]]:
    """Have a daemon ask about a plan in Slack; give the story, the server, and the message with its buttons."""
    async with slack_server() as slack:
        story_of = AskedStory.told(folder, STEPS, MODE="approve", **slack.settings(folder))
        async with story_of as story:
            (folder / "catalog" / "route.yaml").write_text(ROUTE)
            await story.live()
            await story.holds(lambda: slack.sockets)
            await story.fires()
            await story.holds(lambda: any(slack.buttons(each) for each in slack.messages))
            yield story, slack, next(iter(slack.messages))


async def test_a_no_from_slack_ends_the_question_and_the_message_says_by_whom_and_why(tmp_path: Path) -> None:
    async with asked(tmp_path) as (story, slack, message):
        incident = story.incident()["incident"]["id"]
        assert f"web-service {incident}: awaiting-approval" in slack.texts(message)
        assert "kubectl scale" in slack.texts(message)
        old = slack.buttons(message)["approve"]

        await slack.press(message, "reject", member=STRANGER, why="mine")
        await story.holds(lambda: slack.ephemerals)
        await slack.press(message, "reject")
        await story.holds(lambda: len(slack.ephemerals) == 2)
        assert [who for who, _ in slack.ephemerals] == [STRANGER, MEMBER]
        assert "no operator is known for U0000000000" in slack.ephemerals[0][1]
        assert "a no needs a reason" in slack.ephemerals[1][1]
        assert story.incident()["incident"]["state"] == "awaiting-approval"

        await slack.press(message, "reject", why="a deploy <!channel>")
        ended = await story.closed()
        reason = f"rejected by {OPERATOR}: a deploy <!channel>"
        assert (ended["incident"]["state"], ended["incident"]["reason"]) == ("cancelled", reason)
        await story.holds(lambda: f"{incident}: cancelled" in slack.texts(message))
        assert reason in slack.texts(message)
        assert slack.buttons(message) == {}

        await slack.press(message, "approve", button=old)
        await story.holds(lambda: len(slack.ephemerals) == 3)
        assert f"the plan was rejected by {OPERATOR}" in slack.ephemerals[2][1]
        assert list(slack.messages) == [message], "it rests: nobody is asked again"
    assert '"reason":"rejected"' in story.log()
    assert story.replicas() == 3
    assert slack.refused == []


async def test_a_yes_from_slack_starts_the_run_and_one_message_follows_it_to_its_end(tmp_path: Path) -> None:
    async with asked(tmp_path) as (story, slack, message):
        slack.down = True
        await slack.press(message, "approve")
        await story.holds(lambda: story.replicas() == 4)
        running = await story.when(lambda found: found["runs"] and found["runs"][0]["run"]["changed"])
        assert [each["who"] for each in running["approvals"]] == [OPERATOR]
        slack.down = False
        await story.holds(lambda: "--replicas=4" in slack.texts(message) and not slack.buttons(message))
        assert list(slack.messages) == [message]
