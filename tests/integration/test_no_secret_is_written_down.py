"""A daemon as a process sees secrets of each kind, decides by them, takes a change of one back, and writes none down."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from aiohttp import web

from kintsugi.settings import NotificationSettings
from kintsugi_demo.shop import NAMESPACE, WEB
from kubeobjects import resources
from tests.integration.answering_service import serving
from tests.integration.asked_catalog import asked_catalog
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import SELDOM, CrashStage

pytestmark = pytest.mark.long

DIRECT = build_opener(ProxyHandler({}))
OPERATOR = "canary-operators-own-token"
LITERAL = "canary of an environment"
APPLIED = "canary of what was applied"
COOKIE = "canary-of-a-cookie"
PASSWORD = "canary-of-a-password"
IN_URL = "canary-in-a-url"
ANNOTATED = "canary-of-an-annotation"
BEARER = "canary.of.a.bearer"
ISSUED = "ghp_canary0canary0canary0canary0canary0"
CANARIES = (OPERATOR, LITERAL, APPLIED, COOKIE, PASSWORD, IN_URL, ANNOTATED, BEARER, ISSUED)

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
CHANGE = (
    f"kubectl patch deployment {WEB} -n {NAMESPACE} --type=json -p "
    '"[{\\"op\\":\\"replace\\",\\"path\\":\\"/spec/template/spec/containers/0/env\\",\\"value\\":[]}]"'
)

Json = Mapping[str, Any]


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


def ask(stage: CrashStage, path: str, body: object | None = None, token: str = OPERATOR) -> str:
    """Ask the daemon that is alive; return its answer, whatever its status."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {"Authorization": f"Bearer {token}"}
    try:
        with DIRECT.open(Request(f"{base(stage)}{path}", data=data, headers=headers), timeout=60) as answer:
            return bytes(answer.read()).decode()
    except HTTPError as error:
        return error.read().decode()


def base(stage: CrashStage) -> str:
    """Return the address of the daemon that is alive."""
    return stage.births[-1].ready.read_text()


def told(stage: CrashStage, path: str) -> Json:
    """Return what the API answers."""
    answer: Json = json.loads(ask(stage, path))
    return answer


def command_line(stage: CrashStage, *words: str, token_file: Path) -> str:
    """Return all that a command prints."""
    command = [sys.executable, "-m", "kintsugi.cli", *words, "--server", base(stage), "--token-file", str(token_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def delivery() -> Json:
    """Make a delivery of one alert that tells secrets."""
    labels = {"alertname": "Asked", "namespace": NAMESPACE, "deployment": WEB}
    annotations = {"summary": f"login failed with password={ANNOTATED} and token: {ISSUED}", "password": ANNOTATED}
    one = {
        "status": "firing",
        "startsAt": "2026-11-24T02:58:00Z",
        "labels": labels,
        "annotations": annotations,
        "fingerprint": "a" * 16,
    }
    return {"version": "4", "groupKey": "g", "alerts": [one]}


def template(stage: CrashStage) -> bytes:
    """Return the web Deployment's template, byte for byte."""
    return json.dumps(stage.deployment()["spec"]["template"], sort_keys=True).encode()


async def with_secrets(stage: CrashStage) -> None:
    """Write a literal secret into the web Deployment's environment, and what `kubectl apply` would leave."""
    spec = stage.deployment()["spec"]["template"]["spec"]["containers"][0]
    stage.change({"template": {"spec": {"containers": [{**spec, "env": [{"name": "PLAIN", "value": LITERAL}]}]}}})
    metadata = {"name": WEB, "namespace": NAMESPACE, "annotations": {f"kubectl.kubernetes.io/{LAST}": APPLIED}}
    stage.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata})

    async def is_rolled_out() -> bool:
        return stage.is_well()

    await stage.until(is_rolled_out)


LAST = "last-applied-configuration"


async def test_no_canary_is_found_in_anything_that_a_daemon_has_written(tmp_path: Path) -> None:
    """E4, P8: the daemon is killed between a change and its rollback, which finds the former template where it is."""
    folder, catalog = tmp_path / "story", tmp_path / "catalog"
    catalog.mkdir()
    async with SecretsService.serving() as probed:
        notifications = NotificationSettings(url=f"{probed.url}/notices")
        birth = DaemonStart(folder=folder, durations=0.03, catalog=catalog, notifications=notifications)
        async with CrashStage.set(birth) as stage:
            written = asked_catalog(
                STEPS.format(namespace=NAMESPACE, web=WEB, url=probed.url, change=CHANGE),
                rollback="after: 5m, policy: always",
            )
            (catalog / "all.yaml").write_text(written)
            stage.birth.operators.write_text(f"ana:{OPERATOR}\n")
            await with_secrets(stage)
            before = template(stage)
            stage.start()

            async def is_ready() -> bool:
                return stage.births[-1].ready.exists()

            await stage.until(is_ready, every=SELDOM)
            await asyncio.to_thread(ask, stage, "/alertmanager", delivery())

            async def has_changed() -> bool:
                return "/gate" in probed.asked

            await stage.until(has_changed, every=SELDOM)
            assert LITERAL.encode() not in template(stage), "the change was not made"
            await stage.kill()
            probed.is_open = True
            stage.start()
            await stage.until(is_ready, every=SELDOM)

            async def is_closed() -> bool:
                found = (await asyncio.to_thread(told, stage, "/api/v1/incidents"))["incidents"]
                return bool(found and found[0]["closed"] and probed.notices)

            await stage.until(is_closed, every=SELDOM)
            assert template(stage) == before, stage.log()
            places = await asyncio.to_thread(all_places, stage, probed)
    for place, text in places.items():
        found = [canary for canary in CANARIES if canary in text]
        assert not found, f"{place} has {found}: …{text[max(0, text.index(found[0]) - 200) :][:400]}…"
    assert any("[redacted]" in text for place, text in places.items() if place.startswith("ledger.db"))
    assert "[redacted]" in places["api incident"]


def all_places(stage: CrashStage, probed: SecretsService) -> Mapping[str, str]:
    """Return what can be found of the daemon's life: its files, its answers, its Events and its notices."""
    token_file = stage.birth.folder.parent / "token"
    token_file.write_text(OPERATOR)
    (incident,) = told(stage, "/api/v1/incidents")["incidents"]
    detail = told(stage, f"/api/v1/incidents/{incident['id']}")
    steps = {each["path"]: each for each in detail["runs"][0]["steps"]}
    assert steps["ask"]["met"], "an expression did not see the raw answer"
    assert steps["each"]["met"], "an expression did not see the raw items"
    files = [each for each in stage.birth.folder.iterdir() if each.name.startswith(("ledger", "daemon", "points"))]
    events = [str(each) for each in stage.cluster.find(resources.EVENTS, NAMESPACE)]
    assert any("Kintsugi" in each for each in events)
    return {
        **{each.name: each.read_bytes().decode(errors="replace") for each in files},
        "api incidents": ask(stage, "/api/v1/incidents"),
        "api incident": json.dumps(detail),
        "api signals": ask(stage, "/api/v1/signals"),
        "api dead letters": ask(stage, "/api/v1/dead-letters"),
        "api services": ask(stage, "/api/v1/services"),
        "metrics": ask(stage, "/metrics"),
        "cli incident": command_line(stage, "incident", incident["id"], token_file=token_file),
        "cli signals": command_line(stage, "signals", token_file=token_file),
        "events": "\n".join(events),
        "notices": "\n".join(probed.notices),
    }
