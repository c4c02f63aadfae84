"""What strangers send is JSON that may look like the ledger's own marks: it is stored, judged, shown and read again."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from aiohttp import web

from kintsugi_demo.shop import NAMESPACE, WEB
from kubesim import EmbeddedCluster
from tests.harness.daemon import TOKEN, DaemonProcess
from tests.harness.waiting import eventually
from tests.integration.answering_service import serving
from tests.integration.asked_catalog import WHEN_READY, asked_catalog
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import CrashStage

pytestmark = pytest.mark.long

TIMEOUT = 60
LOOKS_LIKE_OURS = {"$kintsugi.integer": "x"}
DIRECT = build_opener(ProxyHandler({}))

Json = Mapping[str, Any]


def delivery(status: str = "firing", **alert: object) -> Json:
    """Make a delivery of one alert."""
    one = {"status": status, "startsAt": "2026-11-24T02:58:00Z", "labels": {"alertname": "Foreign"}, **alert}
    return {"version": "4", "groupKey": "g", "alerts": [one]}


def rows(ledger: Path, question: str) -> list[tuple[object, ...]]:
    """Ask the daemon's ledger."""
    with closing(sqlite3.connect(ledger)) as asked:
        return list(asked.execute(question))


async def test_an_annotation_named_like_a_mark_of_the_ledger_is_judged_and_the_daemon_starts_again(
    tmp_path: Path,
) -> None:
    """A11, A14: whoever may write an alert's annotations must not be able to end the daemon, now or at its next start."""
    async with EmbeddedCluster.start() as cluster:
        daemon = DaemonProcess(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"), folder=tmp_path / "daemon")
        ledger = daemon.folder / "ledger.db"
        try:
            for life in (1, 2, 3):
                await asyncio.to_thread(daemon.start)
                await asyncio.to_thread(daemon.wait_ready)
                told = delivery(fingerprint=f"{life:016x}", annotations=LOOKS_LIKE_OURS)
                status, _ = await asyncio.to_thread(daemon.post, "/alertmanager", told, token=TOKEN)
                assert status == 200

                def are_judged(life: int = life) -> bool:
                    return rows(ledger, "SELECT verdict FROM signals") == [("no-rule",)] * life

                await eventually(are_judged, within=TIMEOUT, describe=daemon.tail)
                assert await asyncio.to_thread(daemon.stop) == 0, daemon.tail()
        finally:
            await asyncio.to_thread(daemon.kill)


STEPS = """
    - {{id: ask, name: Ask, run: 'curl {url}/answer', expect: status == 200}}
    - {{id: gate, name: Wait, run: 'curl {url}/gate', expect: status == 200, within: 1h}}
    - {{id: again, name: Compare, run: 'curl {url}/answer', expect: 'json == steps.ask.json'}}
"""


@dataclass
class MarkedService:
    """A service that answers with what looks like a mark of the ledger; its gate is shut at first."""

    url: str = ""
    is_open: bool = False
    asked: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator["MarkedService"]:
        """Serve on a port of this machine."""
        probed = cls()
        app = web.Application()
        app.router.add_get("/answer", probed.answer)
        app.router.add_get("/gate", probed.gate)
        async with serving(app) as probed.url:
            yield probed

    async def answer(self, request: web.Request) -> web.Response:
        """Answer like the ledger's own marks."""
        self.asked.append(request.path)
        return web.json_response(LOOKS_LIKE_OURS)

    async def gate(self, request: web.Request) -> web.Response:
        """Hold the run up until the gate is opened."""
        self.asked.append(request.path)
        return web.Response(status=200 if self.is_open else 503)


def ask(stage: CrashStage, path: str, body: object | None = None) -> tuple[int, Any]:
    """Ask the daemon that is alive."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {"Authorization": "Bearer the-token-of-ana"}
    request = Request(f"{stage.births[-1].ready.read_text()}{path}", data=data, headers=headers)
    with DIRECT.open(request, timeout=10) as answer:
        return answer.status, json.loads(answer.read())


async def test_an_answer_like_a_mark_of_the_ledger_is_shown_and_the_run_goes_on_after_a_restart(tmp_path: Path) -> None:
    """C1: what a probed service answers is a step's result, which is read again by people and by the next start."""
    folder = tmp_path / "story"
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    async with (
        MarkedService.serving() as probed,
        CrashStage.set(DaemonStart(folder=folder, durations=0.01, catalog=catalog)) as stage,
    ):
        (catalog / "all.yaml").write_text(
            asked_catalog(STEPS.format(url=probed.url), healthy=WHEN_READY, rollback="after: 2h")
        )
        stage.birth.operators.write_text("ana:the-token-of-ana\n")
        stage.start()
        async with stage.ledger():
            labels = {"alertname": "Asked", "namespace": NAMESPACE, "deployment": WEB}
            await eventually(stage.is_ready, within=TIMEOUT, describe=stage.state)
            await asyncio.to_thread(ask, stage, "/alertmanager", delivery(labels=labels, fingerprint="a" * 16))
            await eventually(lambda: "/gate" in probed.asked, within=TIMEOUT, describe=stage.state)
            incident = ask_for_the_incident(stage)
            assert result_of(incident, "ask")["json"] == LOOKS_LIKE_OURS

            await stage.kill()
            probed.asked.clear()
            probed.is_open = True
            stage.start()
            await eventually(lambda: is_closed(stage), within=TIMEOUT, describe=stage.state)
            incident = ask_for_the_incident(stage)
    assert probed.asked.count("/answer") == 1, "the step that had ended was done again"
    assert result_of(incident, "ask")["json"] == result_of(incident, "again")["json"] == LOOKS_LIKE_OURS
    (again,) = [each for each in incident["runs"][0]["steps"] if each["path"] == "again"]
    assert (again["met"], again["error"]) == (True, "")


def ask_for_the_incident(stage: CrashStage) -> Json:
    """Ask for all about the one incident."""
    _, found = ask(stage, "/api/v1/incidents")
    (incident,) = found["incidents"]
    status, detail = ask(stage, f"/api/v1/incidents/{incident['id']}")
    assert status == 200
    return dict(detail)


def is_closed(stage: CrashStage) -> bool:
    """Return whether the one incident is closed."""
    _, found = ask(stage, "/api/v1/incidents")
    return bool(found["incidents"] and found["incidents"][0]["closed"])


def result_of(incident: Json, path: str) -> Json:
    """Return what a step came to."""
    (step,) = [each for each in incident["runs"][0]["steps"] if each["path"] == path]
    return dict(step["result"])
