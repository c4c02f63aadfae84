"""The pages of the daemon in a real browser, and what its forms refuse."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Page, ViewportSize

from kintsugi.console.pages import Console
from kintsugi.console.sessions import LASTS, ConsoleSessions
from kintsugi.console.words import words_for
from kintsugi.model.api_types import AnswerRequest
from kintsugi.model.questions import Answer
from kintsugi.server.authentication import TokenFiles
from tests.harness.browser import chromium, violations
from tests.harness.daemon import OPERATOR
from tests.integration.answering_service import serving
from tests.integration.asked_story import AskedStory
from tests.integration.operations_double import QUESTION, FakeOperations
from tests.integration.test_slack import STEPS

TOKEN = "the-token-of-ana"
AT = datetime(2026, 12, 2, tzinfo=UTC)
PHONE = ViewportSize(width=360, height=640)


async def sign_in(page: Page, token: str) -> None:
    await page.locator("#token").fill(token)
    await page.locator("main button").click()


@pytest.mark.long
async def test_a_person_with_the_link_of_an_incident_rejects_its_plan_on_a_telephone_without_scripts(
    tmp_path: Path,
) -> None:
    async with chromium() as browser, AskedStory.told(tmp_path, STEPS, MODE="approve") as story:
        await story.live()
        await story.fires()
        asked = await story.when(lambda found: found["questions"])
        identity, plan = asked["incident"]["id"], asked["questions"][0]["plan"]
        context = await browser.new_context(viewport=PHONE, locale="ja-JP", java_script_enabled=False)
        page = await context.new_page()
        await page.goto(f"{story.daemon.url}/incidents/{identity}")
        await sign_in(page, "no-such-token")
        assert "名前のあるオペレーター" in await page.inner_text("[role=alert]")
        await sign_in(page, OPERATOR)
        shown = await page.inner_text("main")
        assert (identity in shown, plan in shown, "kubectl scale" in shown) == (True, True, True), shown
        box = await page.get_by_role("button", name="却下").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= PHONE["height"], "the buttons are in the first screen"
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing is cut off"

        await page.get_by_role("button", name="却下").click()
        assert "needs a reason" in await page.inner_text("[role=alert]")
        await page.go_back()
        await page.locator("#why").fill("a deploy <b>now</b>")
        await page.get_by_role("button", name="却下").click()
        assert await page.inner_text(".state") == "cancelled", "the page after an answer shows what came of it"
        ended = await story.closed()
        assert ended["incident"]["state"] == "cancelled"
        [given] = ended["questions"][0]["given"]
        assert (given["who"], given["source"], given["why"]) == ("tester", "console", "a deploy <b>now</b>")
        assert "rejected by tester: a deploy <b>now</b>" in await page.inner_text("main")
        await page.reload()
        assert await page.locator("main form").count() == 0
        assert story.replicas() == 3


@pytest.mark.long
async def test_axe_objects_to_no_page_and_the_browser_to_no_rule_of_the_page_s_own_policy(
    tmp_path: Path,
) -> None:
    said = list[str]()
    async with console(tmp_path, FakeOperations()) as url, chromium() as browser:
        for scheme in ("light", "dark"):
            context = await browser.new_context(color_scheme=scheme)
            page = await context.new_page()
            page.on("console", lambda message: said.append(message.text))
            await page.goto(f"{url}/incidents/inc-2")
            pages = [await violations(page)]
            await sign_in(page, TOKEN)
            pages.append(await violations(page))
            await page.get_by_role("button", name="Reject").click()
            pages.append(await violations(page))
            await page.goto(f"{url}/incidents")
            pages.append(await violations(page))
            assert pages == [""] * 4
    assert [each for each in said if "Content Security Policy" in each] == []


@pytest.mark.parametrize(
    ("form", "headers", "says"),
    [
        ({"form_key": "another"}, {}, "the form is not of this session"),
        ({}, {"Sec-Fetch-Site": "cross-site"}, "the form was sent by another site"),
        ({"why": ""}, {}, "needs a reason"),
        ({"plan": ""}, {}, "not the digest of what was shown"),
        ({"answer": "perhaps"}, {}, "has no answer"),
        ({"plan": "another"}, {}, "the plan has changed since it was shown"),
    ],
)
async def test_a_form_that_is_not_the_operator_s_own_or_not_whole_changes_nothing(
    tmp_path: Path, form: dict[str, str], headers: dict[str, str], says: str
) -> None:
    operations = FakeOperations()
    async with console(tmp_path, operations) as url, signed_in(url) as (client, key):
        whole = {"form_key": key, "path": "", "plan": QUESTION.plan, "answer": "no", "why": "a deploy"}
        async with client.post(f"{url}/incidents/inc-2/answer", data=whole | form, headers=headers) as refused:
            assert (refused.status in (400, 409), says in await refused.text()) == (True, True), await refused.text()
        assert all(deed[0] != "answer" or "another" in str(deed) for deed in operations.asked)
        async with client.post(f"{url}/incidents/inc-2/answer", data=whole, allow_redirects=False) as taken:
            assert (taken.status, taken.headers["Location"]) == (303, "/incidents/inc-2")
        given = AnswerRequest(path="", plan=QUESTION.plan, answer=Answer.NO, why="a deploy")
        assert operations.asked[-1] == ("answer", "inc-2", given, "ana")


async def test_a_session_ends_with_its_time_its_token_or_the_operator(tmp_path: Path) -> None:
    now = [datetime(2026, 12, 2, tzinfo=UTC)]
    async with console(tmp_path, FakeOperations(), now) as url:
        for end in ("time", "token", "sign-out"):
            async with signed_in(url) as (client, key):
                if end == "time":
                    now[0] += LASTS
                elif end == "token":
                    (tmp_path / "tokens").write_text(f"ben:{TOKEN}\n")
                else:
                    async with client.post(f"{url}/logout", data={"form_key": key}) as left:
                        assert left.status == 200
                async with client.get(f"{url}/incidents/inc-2", allow_redirects=False) as asked:
                    assert (asked.status, asked.headers["Location"]) == (303, "/login?next=/incidents/inc-2"), end


@pytest.mark.parametrize("token", ["the-bare-token-of-all", "", "no-such-token"])
async def test_only_the_token_of_a_named_operator_begins_a_session(tmp_path: Path, token: str) -> None:
    async with console(tmp_path, FakeOperations()) as url, aiohttp.ClientSession() as client:
        async with client.post(f"{url}/login", data={"token": token, "next": "https://evil.example"}) as refused:
            assert (refused.status, refused.cookies) == (401, {})
        form = {"token": TOKEN, "next": "//evil.example"}
        async with client.post(f"{url}/login", data=form, allow_redirects=False) as begun:
            assert (begun.status, begun.headers["Location"]) == (303, "/incidents")


async def test_foreign_words_are_text_in_a_page(tmp_path: Path) -> None:
    operations = FakeOperations(questions=(replace(QUESTION, text="<script>x</script>\n<b>\x1b[2J"),))
    async with (
        console(tmp_path, operations) as url,
        signed_in(url) as (client, _),
        client.get(f"{url}/incidents/inc-2") as page,
    ):
        shown = await page.text()
        policy = page.headers["Content-Security-Policy"]
    assert ("<script>" in shown, "&lt;script&gt;x&lt;/script&gt;" in shown, "\x1b" in shown) == (False, True, False)
    assert (policy.startswith("default-src 'none'"), "unsafe" in policy) == (True, False)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("", "en"), ("ja", "ja"), ("ja-JP,en;q=0.8", "ja"), ("en-US,ja;q=0.9", "en"), ("de, ja;q=0.5, en;q=x", "ja")],
)
def test_the_words_are_in_the_language_that_the_browser_prefers(accepted: str, language: str) -> None:
    assert words_for(accepted).language == language


def test_each_language_has_the_words_of_each_answer() -> None:
    assert all({*words_for(tag).answers} == {*Answer} for tag in ("en", "ja"))


@asynccontextmanager
async def console(folder: Path, operations: FakeOperations, now: Sequence[datetime] = (AT,)) -> AsyncIterator[str]:
    """Serve the console; give its address."""
    tokens = folder / "tokens"
    tokens.write_text(f"the-bare-token-of-all\nana:{TOKEN}\n")
    sessions = ConsoleSessions(TokenFiles([tokens], named=True).holder_of, lambda: now[0])
    app = web.Application()
    app.add_routes(Console(operations, sessions, clock=lambda: now[0], is_secure=False).routes())
    async with serving(app) as url:
        yield url


@asynccontextmanager
async def signed_in(url: str) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """Begin a session; give its client and the key of its forms."""
    jar = aiohttp.CookieJar(unsafe=True)  # of an address without a name
    async with aiohttp.ClientSession(cookie_jar=jar) as client:
        async with client.post(f"{url}/login", data={"token": f"ana:{TOKEN}", "next": "/incidents/inc-2"}) as page:
            found = re.search(r'name="form_key" value="([^"]+)"', await page.text())
        assert found, page.status
        yield client, found[1]
