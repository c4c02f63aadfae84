"""Destinations of Apprise: what e-mail, a chat and a pager are sent, and when a page is closed (P9)."""

import asyncio
import html
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apprise.plugins.pagerduty
import pytest
from aiohttp import web

from kintsugi.errors import ProbeFailed
from kintsugi.ledger import Ledger
from kintsugi.model.notices import DEFAULT_TEMPLATE
from kintsugi.model.records import IncidentState, Notice
from kintsugi.notices.apprise import AppriseSender
from kintsugi.settings import NotificationSettings, SettingsError
from tests.contract.ledger.build import NOW, begin, resolve
from tests.harness.mail import mailbox
from tests.harness.notices_page import routes_in_values
from tests.integration.answering_service import serving
from tests.integration.asked_story import AskedStory
from tests.integration.test_slack import STEPS

PAGER = "pagerduty://integration-key@0123456789abcdef0123456789abcdef"
HOSTILE = (
    "web-service inc-1: failed\n<b>x</b> [l](http://evil.example) @channel *y*\n```\n# a\nnext: kintsugi incident inc-1"
)


@dataclass
class Receiver:
    """A server that keeps the JSON that it is sent, and answers with `status`."""

    status: int = 200
    taken: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Keep a request."""
        self.taken.append(await request.json())
        return web.Response(status=self.status)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    """Serve a receiver; give it and its address."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/{any:.*}", receiver.take)
    async with serving(app) as url:
        yield receiver, url


def sender(ledger: Ledger, folder: Path, *lines: str, is_well: Callable[[str], bool] = lambda _: True) -> AppriseSender:
    file = folder / "destinations"
    file.write_text("\n".join(lines), encoding="utf-8")
    settings = NotificationSettings(destinations_file=file)
    return AppriseSender(settings, ledger.outbox, is_well=is_well, clock=lambda: NOW)


def notice(kind: IncidentState, text: str, incident: str | None = None) -> Notice:
    return Notice(id="ntc-1", incident=incident, kind=kind, text=text, created=NOW, due=NOW)


async def test_foreign_words_are_a_block_of_code_in_a_chat_and_escaped_in_a_letter(
    ledger: Ledger, tmp_path: Path
) -> None:
    async with receiving() as (chat, url), mailbox() as box:
        told = sender(ledger, tmp_path, "# who is told", f"chat: {url.replace('http', 'json', 1)}", f"mail: {box.url}")
        for name in ("chat", "mail"):
            await told.way(name, "**${title}**\n\n${text}").send(notice(IncidentState.FAILED, HOSTILE))
        [sent] = chat.taken
        block = f"```\n{HOSTILE.replace('```', chr(39) * 3)}\n```"
        assert sent["message"] == f"**`web-service inc-1: failed`**\n\n{block}"
        assert (sent["title"], sent["type"]) == ("web-service inc-1: failed", "failure")
        [letter] = box.letters
        assert (letter["to"], letter["subject"]) == ("on-call@example.com", "web-service inc-1: failed")
        body = letter.get_body(("html",))
        assert body is not None
        shown = body.get_content()
        assert html.escape("<b>x</b> [l](http://evil.example) @channel *y*") in shown
        assert "<b>" not in shown
        assert "<a " not in shown


async def test_a_page_has_the_incident_as_its_key_and_is_closed_when_its_service_is_well(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.lead(NOW)
    well, runs = set[str](), [await begin(ledger, service=name) for name in ("web", "db")]
    async with receiving() as (pager, url):
        monkeypatch.setitem(apprise.plugins.pagerduty.PAGERDUTY_API_LOOKUP, "us", url)
        told = sender(ledger, tmp_path, f"pager: {PAGER}", is_well=well.__contains__)
        way = told.way("pager", DEFAULT_TEMPLATE)
        assert way.is_pager
        for run in runs:
            await way.send(notice(IncidentState.NEEDS_OPERATOR, "a person must act", run.incident))
        keys = [(sent["event_action"], sent["dedup_key"]) for sent in pager.taken]
        assert keys == [("trigger", run.incident) for run in runs]

        await told.close_pages()
        assert len(pager.taken) == 2, "both incidents go on"
        web_run, db_run = runs
        await ledger.incidents.move_run(web_run.id, IncidentState.RECOVERED, "it is healthy", NOW)
        await ledger.incidents.move_run(db_run.id, IncidentState.NEEDS_OPERATOR, "a person must act", NOW)
        await resolve(ledger, db_run.incident)
        await told.close_pages()
        assert [(sent["event_action"], sent["dedup_key"]) for sent in pager.taken[2:]] == [
            ("resolve", web_run.incident)
        ]
        well.add("db")
        for _ in range(2):
            await told.close_pages()
        assert [sent["dedup_key"] for sent in pager.taken[3:]] == [db_run.incident]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("mail", "line 1: write NAME: URL"),
        ("a: json://localhost\na: json://localhost", "line 2: a stands in it twice"),
        ("a: jsno://user:hush@localhost", r"line 1: Apprise does not know the address of a \(jsno://…\)"),
    ],
)
def test_a_wrong_destination_is_one_clear_error_without_its_address(
    ledger: Ledger, tmp_path: Path, lines: str, expected: str
) -> None:
    with pytest.raises(SettingsError, match=expected) as raised:
        sender(ledger, tmp_path, lines)
    assert "hush" not in str(raised.value)


async def test_a_destination_that_does_not_take_a_notice_or_is_not_in_the_file_says_why(
    ledger: Ledger, tmp_path: Path
) -> None:
    async with receiving() as (chat, url):
        chat.status = 503
        told = sender(ledger, tmp_path, f"chat: {url.replace('http://', 'json://user:hush@', 1)}")
        with pytest.raises(ProbeFailed, match="503") as raised:
            await told.way("chat", DEFAULT_TEMPLATE).send(notice(IncidentState.FAILED, "text"))
        assert "hush" not in str(raised.value)
    with pytest.raises(ProbeFailed, match="has no destination ops"):
        await told.way("ops", DEFAULT_TEMPLATE).send(notice(IncidentState.FAILED, "text"))


async def test_a_daemon_tells_a_chat_of_the_question_and_its_end_and_a_test_names_what_is_closed(
    tmp_path: Path,
) -> None:
    async with receiving() as (chat, url):
        file = tmp_path / "destinations"
        file.write_text(f"team-chat: {url.replace('http', 'json', 1)}/hook\n")
        settings = {
            "KINTSUGI_NOTIFICATIONS__DESTINATIONS_FILE": str(file),
            "KINTSUGI_NOTIFICATIONS__INTERVAL": "1s",
            "KINTSUGI_SERVER__PUBLIC_URL": "https://kintsugi.example.com/",
        }
        async with AskedStory.told(tmp_path, STEPS, MODE="approve", **settings) as story:
            (tmp_path / "catalog" / "route.yaml").write_text(routes_in_values()[1])
            await story.live()
            _, tested = await asyncio.to_thread(story.daemon.post, "/api/v1/notice-routes/everything/test", {})
            problems = {each["destination"]: each["problem"] for each in tested["destinations"]}
            assert problems == {"team-chat": "", "team-mail": f"{file} has no destination team-mail"}
            assert "test of the notice route everything" in chat.taken[0]["message"]

            await story.fires()
            await story.holds(lambda: len(chat.taken) == 2)
            incident = story.incident()
            identity, plan = incident["incident"]["id"], incident["questions"][0]["plan"]
            assert f"next: kintsugi approve {identity}" in chat.taken[1]["message"]
            assert chat.taken[1]["message"].endswith(
                f"[Open the incident](https://kintsugi.example.com/incidents/{identity})"
            )
            body = {"plan": plan, "answer": "no", "why": "a deploy"}
            await asyncio.to_thread(story.daemon.post, f"/api/v1/incidents/{identity}/answer", body)
            await story.holds(lambda: len(chat.taken) == 3)
            assert "a deploy" in chat.taken[2]["message"]
