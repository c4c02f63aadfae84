"""A daemon and its operators in Slack: one message of an incident, its buttons, and what becomes of a no (P9)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.api_types import Answerer, AnswerRequest, TakeResult
from kintsugi.model.questions import Question
from kintsugi.model.records import IncidentState, Notice
from kintsugi.notices.slack import Slack
from kintsugi.notices.slack_message import TAKE
from kintsugi.settings import SettingsError, load
from kintsugi_demo.shop import NAMESPACE, WEB
from tests.contract.ledger.build import NOW, begin
from tests.harness.incident_reader import LedgerIncidents
from tests.harness.notices_page import routes_in_values
from tests.harness.slack_server import CHANNEL, MEMBER, OPERATOR, STRANGER, SlackServer, slack_server
from tests.integration.asked_story import AskedStory

STEPS = f"    - {{id: four, run: kubectl scale deployment/{WEB} -n {NAMESPACE} --replicas=4}}"


@asynccontextmanager
async def asked(folder: Path) -> AsyncIterator[tuple[AskedStory, SlackServer, str]]:
    """Have a daemon ask about a plan in Slack; give the story, the server, and the message with its buttons."""
    async with slack_server() as slack:
        story_of = AskedStory.told(folder, STEPS, MODE="approve", **slack.settings(folder))
        async with story_of as story:
            (folder / "catalog" / "route.yaml").write_text(routes_in_values()[0])
            await story.live()
            await story.holds(lambda: slack.sockets)
            await story.fires()
            await story.holds(lambda: any(slack.buttons(each) for each in slack.messages))
            yield story, slack, next(iter(slack.messages))


class Operations(LedgerIncidents):
    """Incidents of a ledger, as messages read them; nothing can be answered."""

    async def answer(self, incident: str, request: AnswerRequest, answerer: Answerer) -> Question:
        raise NotImplementedError

    async def take(self, incident: str, *, who: str, why: str) -> TakeResult:
        raise NotImplementedError


async def test_notices_of_one_incident_are_one_message_and_one_that_is_gone_does_not_stop_the_others(
    ledger: Ledger, tmp_path: Path
) -> None:
    await ledger.lead(NOW)
    runs = [await begin(ledger, service=name) for name in ("web-service", "database")]

    def notice(incident: str | None) -> Notice:
        return Notice(id="ntc-1", incident=incident, kind=IncidentState.FAILED, text="text", created=NOW, due=NOW)

    async with slack_server() as server:
        environ = server.settings(tmp_path)
        chosen = load(flags={"server.insecureNoToken": True}, environ=environ, file=None).notifications
        slack = Slack(chosen, ledger.outbox, Operations(ledger), clock=lambda: NOW)
        await asyncio.gather(*(slack.send("on-call", CHANNEL, notice(run.incident)) for run in runs for _ in range(3)))
        assert len(server.messages) == 2
        await slack.send("on-call", CHANNEL, notice("inc-none"))
        assert server.texts([*server.messages][-1]) == "text"

        deleted, kept, _ = server.messages
        del server.messages[deleted]
        for run in runs:
            await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, "a person must act", NOW)
        await slack.refresh()
        assert "a person must act" in server.texts(kept)
        assert [each.incident for each in await ledger.outbox.current_messages()] == []


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("bot", "xapp-1", "does not hold a token of Slack that begins with xoxb-"),
        ("app", "", "does not hold a token"),
        ("members", "U0123456789: maria\nmaria", "line 2: write MEMBER: OPERATOR"),
        ("members", "U0123456789: maria\nU0123456789: kenji", "line 2: U0123456789 stands in it twice"),
    ],
)
async def test_a_wrong_token_or_member_is_one_clear_error_at_the_start(
    ledger: Ledger, tmp_path: Path, name: str, content: str, expected: str
) -> None:
    environ = SlackServer(url="http://127.0.0.1:1").settings(tmp_path)
    (tmp_path / name).write_text(content)
    chosen = load(flags={"server.insecureNoToken": True}, environ=environ, file=None).notifications
    with pytest.raises(SettingsError, match=expected):
        Slack(chosen, ledger.outbox, Operations(ledger), clock=lambda: NOW)


async def test_a_no_from_slack_ends_the_question_and_the_message_says_by_whom_and_why(tmp_path: Path) -> None:
    async with asked(tmp_path) as (story, slack, message):
        incident = story.incident()["incident"]["id"]
        assert f"web-service {incident}: awaiting-approval" in slack.texts(message)
        assert "kubectl scale" in slack.texts(message)
        old = slack.buttons(message)["yes"]

        await slack.press(message, "no", member=STRANGER, why="mine")
        await story.holds(lambda: slack.ephemerals)
        await slack.press(message, "no")
        await story.holds(lambda: len(slack.ephemerals) == 2)
        assert [who for who, _ in slack.ephemerals] == [STRANGER, MEMBER]
        assert "no operator is known for U0000000000" in slack.ephemerals[0][1]
        assert "the answer no needs a reason" in slack.ephemerals[1][1]
        assert story.incident()["incident"]["state"] == "awaiting-approval"

        await slack.press(message, "no", why="a deploy <!channel>")
        ended = await story.closed()
        reason = f"rejected by {OPERATOR}: a deploy <!channel>"
        assert (ended["incident"]["state"], ended["incident"]["reason"]) == ("cancelled", reason)
        await story.holds(lambda: f"{incident}: cancelled" in slack.texts(message))
        assert reason in slack.texts(message)
        assert slack.buttons(message) == {}

        await slack.press(message, "yes", button=old)
        await story.holds(lambda: len(slack.ephemerals) == 3)
        assert f"the question was rejected by {OPERATOR}" in slack.ephemerals[2][1]
        assert list(slack.messages) == [message], "it rests: nobody is asked again"
    assert '"reason":"rejected"' in story.log()
    assert story.replicas() == 3
    assert slack.refused == []


async def test_a_yes_from_slack_starts_the_run_and_one_message_follows_it_to_its_end(tmp_path: Path) -> None:
    async with asked(tmp_path) as (story, slack, message):
        slack.down = True
        await slack.press(message, "yes")
        await story.holds(lambda: story.replicas() == 4)
        running = await story.when(lambda found: found["runs"] and found["runs"][0]["run"]["changed"])
        assert [each["given"][0]["who"] for each in running["questions"]] == [OPERATOR]
        slack.down = False
        await story.holds(lambda: "--replicas=4" in slack.texts(message) and not slack.buttons(message))
        assert list(slack.messages) == [message]


async def test_a_take_over_from_slack_leaves_the_incident_to_the_member(tmp_path: Path) -> None:
    async with asked(tmp_path) as (story, slack, message):
        await slack.press(message, TAKE)
        ended = await story.closed()
        assert (ended["incident"]["state"], ended["taken"]["who"]) == ("cancelled", OPERATOR)
        await story.holds(lambda: "kintsugi resume" in slack.texts(message) and not slack.buttons(message))
