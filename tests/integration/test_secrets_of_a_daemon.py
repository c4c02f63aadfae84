"""A daemon sees secrets of each kind, decides by them, takes a change of one back, and writes none down; killed in between."""

import asyncio
import base64
import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from kintsugi_demo.shop import NAMESPACE, WEB
from kubeobjects import resources
from tests.harness.daemon import OPERATOR, TOKEN
from tests.integration.answering_service import serving
from tests.integration.asked_story import AskedStory
from tests.integration.crash_stage import CrashStage

pytestmark = pytest.mark.long

LITERAL = "canary of an environment"
APPLIED = "canary of what was applied"
COOKIE = "canary-of-a-cookie"
PASSWORD = "canary-of-a-password"
IN_URL = "canary-in-a-url"
ANNOTATED = "canary-of-an-annotation"
BEARER = "canary.of.a.bearer"
ISSUED = "ghp_canary0canary0canary0canary0canary0"
CANARIES = (OPERATOR, TOKEN, LITERAL, APPLIED, COOKIE, PASSWORD, IN_URL, ANNOTATED, BEARER, ISSUED)

SESSION = ISSUED
POLICY = "after: 5m\npolicy: always"

STEPS = """
    - {{id: ask, name: Ask, run: 'curl {url}/answer', expect: 'body.contains("canary-of-a-pass")'}}
    - {{id: read, name: Read, run: 'kubectl get deployment {web} -n {namespace}'}}
    - {{id: describe, name: Describe, run: 'kubectl describe deployment {web} -n {namespace}'}}
    - {{id: change, name: Change, run: '{change}'}}
    - {{id: each, name: Each, forEach: steps.ask.json.lines, run: 'curl {url}/look', when: 'each.contains("canary")'}}
    - {{id: broken, name: Break, run: 'curl ${{steps.ask.json.url}}', expect: status == 200, onFailure: continue}}
    - {{id: gate, name: Wait, run: 'curl {url}/gate', expect: status == 200, within: 1h}}
    - {{id: fail, name: Fail, run: 'curl ${{steps.ask.json.url}}', expect: status == 200}}
"""
KEPT_STEPS = """
    - {{id: ask, name: Ask, run: 'curl {url}/answer', expect: 'body.contains("canary-of-a-pass")'}}
    - {{id: each, name: Each, forEach: steps.ask.json.lines, run: 'curl {url}/look', when: 'each.contains("canary")'}}
    - {{id: change, name: Change, run: '{change}'}}
    - {{id: gate, name: Wait, run: 'curl {url}/gate', expect: status == 200, within: 1h}}
    - {{id: fail, name: Fail, run: 'curl {url}/answer', expect: status == 404}}
"""


MASKED_STEPS = """
    - {{id: ask, name: Ask, run: 'curl {url}/answer', expect: status == 200}}
    - {{id: before, name: Before, run: 'curl {url}/before/${{steps.ask.json.session.id}}', expect: status == 200}}
    - {{id: gate, name: Wait, run: 'curl {url}/gate', expect: status == 200, within: 1h}}
    - {{id: whose, name: Whose, run: 'curl {url}/whose/${{steps.ask.json.user}}', expect: status == 200}}
    - {{id: after, name: After, run: 'curl {url}/after/${{steps.ask.json.session.id}}', expect: status == 200}}
    - {{id: never, name: Never, run: 'curl {url}/never', expect: status == 200}}
"""
CHANGE = (
    f"kubectl patch deployment {WEB} -n {NAMESPACE} --type=json -p "
    '"[{\\"op\\":\\"replace\\",\\"path\\":\\"/spec/template/spec/containers/0/env\\",\\"value\\":[]}]"'
)


@dataclass
class SecretsService:
    """A service that answers with secrets, one after which the run waits, and the receiver of notices."""

    url: str = ""
    is_open: bool = False
    asked: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator["SecretsService"]:
        """Serve on a port of this machine."""
        probed = cls()
        app = web.Application()
        app.router.add_get("/answer", probed.answer)
        app.router.add_get("/look", probed.answer)
        app.router.add_get("/gate", probed.gate)
        app.router.add_post("/notices", probed.notice)
        async with serving(app) as probed.url:
            yield probed

    async def answer(self, request: web.Request) -> web.Response:
        """Answer with secrets by place, by shape, and with one that the daemon has loaded."""
        self.asked.append(request.path)
        said = {
            "config": f"user: web\npassword: {PASSWORD}\n",
            "lines": [f"GET / Authorization: Bearer {BEARER}", f"push by {ISSUED}", f"said {OPERATOR}"],
            "url": f"http://ana:{IN_URL}@127.0.0.1:1/",
        }
        return web.json_response(said, headers={"Set-Cookie": f"session={COOKIE}"})

    async def gate(self, request: web.Request) -> web.Response:
        """Hold the run up until the gate is opened."""
        self.asked.append(request.path)
        return web.Response(status=200 if self.is_open else 503)

    async def notice(self, request: web.Request) -> web.Response:
        """Take a notice."""
        self.notices.append(await request.text())
        return web.Response()


def alert() -> dict[str, object]:
    """Return what an alert tells besides its labels, secrets among it."""
    annotations = {"summary": f"login failed with password={ANNOTATED} and token: {ISSUED}", "password": ANNOTATED}
    return {"annotations": annotations, "fingerprint": "a" * 16}


def template(stage: CrashStage) -> bytes:
    """Return the web Deployment's template, byte for byte."""
    return json.dumps(stage.deployment()["spec"]["template"], sort_keys=True).encode()


async def with_secrets(stage: CrashStage) -> None:
    """Write a literal secret into the web Deployment's environment, and what `kubectl apply` would leave."""
    env = [{"name": "PLAIN", "value": LITERAL}]
    stage.change({"template": {"spec": {"containers": [{**stage.container(), "env": env}]}}})
    metadata = {"name": WEB, "namespace": NAMESPACE, "annotations": {f"kubectl.kubernetes.io/{LAST}": APPLIED}}
    stage.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata})

    await stage.until(stage.is_well)


LAST = "last-applied-configuration"


async def test_no_canary_is_found_in_anything_that_a_daemon_has_written(tmp_path: Path) -> None:
    """E4, P8: the daemon is killed between a change and its rollback, which finds the former template where it is."""
    async with SecretsService.serving() as probed:
        written = STEPS.format(namespace=NAMESPACE, web=WEB, url=probed.url, change=CHANGE)
        notified = {"KINTSUGI_NOTIFICATIONS__URL": f"{probed.url}/notices"}
        async with AskedStory.told(tmp_path, written, rollback=POLICY, DURATIONS="0.03", **notified) as story:
            await with_secrets(story)
            before = template(story)
            await story.asks(**alert())
            await story.holds(lambda: "/gate" in probed.asked)
            assert LITERAL.encode() not in template(story), "the change was not made"
            await story.holds(lambda: story.step("each").get("met"))  # a restart forgets what is not written yet
            await story.kill()
            probed.is_open = True
            await story.live()
            await story.closed()
            await story.holds(lambda: probed.notices)
            assert template(story) == before, story.state()
            places = await asyncio.to_thread(all_places, story, probed)
    for place, text in places.items():
        found = [canary for canary in CANARIES if canary in text]
        assert not found, f"{place} has {found}: …{text[max(0, text.index(found[0]) - 200) :][:400]}…"
    assert any("[redacted]" in text for place, text in places.items() if place.startswith("ledger.db"))
    assert "[redacted]" in places["api incident"]


def all_places(story: AskedStory, probed: SecretsService) -> Mapping[str, str]:
    """Return what can be found of the daemon's life: its files, its answers, its Events and its notices."""
    detail, daemon = story.incident(), story.daemon
    steps = {each["path"]: each for each in detail["runs"][0]["steps"]}
    assert steps["ask"]["met"], "an expression did not see the raw answer"
    assert steps["each"]["met"], "an expression did not see the raw items"
    files = [each for each in daemon.folder.iterdir() if each.name.startswith(("ledger", "daemon", "points"))]
    events = [str(each) for each in story.cluster.find(resources.EVENTS, NAMESPACE)]
    assert any("Kintsugi" in each for each in events)
    asked = ("/api/v1/incidents", "/api/v1/signals", "/api/v1/dead-letters", "/api/v1/services", "/metrics")
    typed = (("incident", detail["incident"]["id"]), ("signals",))
    return {
        **{each.name: each.read_bytes().decode(errors="replace") for each in files},
        **{path: json.dumps(daemon.get(path)[1]) for path in asked},
        "api incident": json.dumps(detail),
        **{f"cli {words[0]}": str(daemon.command(*words)) for words in typed},
        "events": "\n".join(events),
        "notices": "\n".join(probed.notices),
    }


def key() -> str:
    """Make a line of a file of keys."""
    return base64.b64encode(secrets.token_bytes(32)).decode() + "\n"


@pytest.mark.parametrize("lost", [False, True], ids=["its key is there", "its key is gone for a while"])
async def test_a_secret_that_no_revision_holds_comes_back_byte_for_byte(tmp_path: Path, *, lost: bool) -> None:
    """E4, P8: while the key is gone a person is told, and nothing is written; with the key back the rollback is asked for again."""
    keys, own, other = tmp_path / "keys", key(), key()
    keys.write_text(own)
    async with SecretsService.serving() as probed:
        written = KEPT_STEPS.format(url=probed.url, change=CHANGE)
        settings = {
            "KINTSUGI_NOTIFICATIONS__URL": f"{probed.url}/notices",
            "KINTSUGI_LEDGER__ENCRYPTION_KEY_FILE": str(keys),
        }
        async with AskedStory.told(tmp_path, written, rollback=POLICY, DURATIONS="0.03", **settings) as story:
            story.change({"revisionHistoryLimit": 0})
            await with_secrets(story)
            before = template(story)
            await story.asks(**alert())
            await story.holds(lambda: "/gate" in probed.asked)
            left = template(story)
            assert LITERAL.encode() not in left, "the change was not made"
            await story.kill()
            probed.is_open = True
            if lost:
                keys.write_text(other)
            await story.live()
            if lost:
                incident = (await story.closed())["incident"]
                assert incident["state"] == "needs-operator"
                assert "is kept encrypted" in incident["reason"]
                assert "restore the key, and request the rollback again" in incident["reason"]
                assert template(story) == left, "something was written without the key"
                keys.write_text(other + own)
                said = await asyncio.to_thread(story.daemon.command, "rollback", incident["id"], "--yes")
                assert (said.code, LITERAL in str(said)) == (0, False), said
            await story.holds(lambda: template(story) == before)
            await story.when(lambda found: found["incident"]["state"] == "needs-operator")
            assert template(story) == before
            places = await asyncio.to_thread(all_places, story, probed)
    for place, text in places.items():
        assert LITERAL not in text, place
        assert own.strip() not in text, place
    ledger = "".join(text for place, text in places.items() if place.startswith("ledger.db"))
    assert "enc:aesgcm:v1:" in ledger
    shown = places["api incident"] + places["cli incident"]
    assert not re.search(r"enc:aesgcm:v1:[0-9a-f]{16}:(?!\[redacted\])", shown), "what was encrypted is shown"


async def test_a_look_that_needs_what_was_masked_is_not_made_after_a_restart_and_says_which_step_and_field_it_was(
    tmp_path: Path,
) -> None:
    """E4, P7: what the ledger has kept whole goes on as if nothing had been."""
    asked: list[str] = []
    is_open = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/gate" and not is_open.is_set():
            return web.Response(status=503)
        return web.json_response({"user": "carl", "session": {"id": SESSION}})

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    async with (
        serving(app) as url,
        AskedStory.told(tmp_path, MASKED_STEPS.format(url=url), rollback="after: 5m", DURATIONS="0.03") as story,
    ):
        await story.asks()
        await story.holds(lambda: "/gate" in asked)
        assert f"/before/{SESSION}" in asked, "in the life that has seen it the raw value is used"
        await story.kill()
        is_open.set()
        await story.live()
        await story.closed()
        after = story.step("after")
    assert "/whose/carl" in asked, "what was kept whole is used"
    assert not [path for path in asked if path.startswith(("/after", "/never"))], asked
    assert "steps.ask.json.session.id was masked or truncated when it was stored" in after["error"]
