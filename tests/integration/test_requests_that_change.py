"""
A request that sends something is a change: it passes the gate, it is written down first, and it is never sent twice.

Told with a real daemon and a service that counts what it is sent.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from aiohttp import web

from kintsugi.model.records import PauseScope
from kintsugi_demo.shop import NAMESPACE, WEB
from tests.harness.waiting import eventually
from tests.integration.answering_service import serving
from tests.integration.asked_catalog import WHEN_READY, asked_catalog
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_no import No
from tests.integration.crash_stage import CrashStage

pytestmark = pytest.mark.long

TIMEOUT = 90
DIRECT = build_opener(ProxyHandler({}))
TOKEN = "the-token-of-ana"

Json = Mapping[str, Any]

STEPS = """
    - {{id: look, run: 'curl {url}/stock', expect: status == 200}}
    - id: order
      run: curl -f -m 20 -X POST {url}/orders -d what=tea
      undo: [{{id: cancel, run: 'curl -X DELETE {url}/orders'}}]
      expect: json.kept == "yes"
    - {{id: told, run: 'curl {url}/told', expect: 'steps.order.json.kept == "yes"'}}
"""


@dataclass
class OrderService:
    """A service that counts requests, and answers orders well, never, or with a status of its own."""

    url: str = ""
    silent: bool = False
    status: int = 200
    sent: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator["OrderService"]:
        """Serve on a port of this machine."""
        shop = cls()
        app = web.Application()
        app.router.add_route("*", "/{path}", shop.answer)
        async with serving(app) as shop.url:
            yield shop

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Take a request."""
        self.sent.append(f"{request.method} {request.path} {await request.text()}".strip())
        if self.silent and request.method == "POST":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"kept": "yes"}, status=self.status if request.method == "POST" else 200)

    @property
    def changes(self) -> list[str]:
        """Return what was sent that is no look."""
        return [each for each in self.sent if not each.startswith("GET ")]


@dataclass
class OrderStory:
    """One daemon, and the shop that its runbook orders from."""

    stage: CrashStage
    shop: OrderService

    @classmethod
    @asynccontextmanager
    async def told(cls, folder: Path, **birth: Any) -> AsyncIterator["OrderStory"]:
        """Set the stage; the daemon is not started yet."""
        catalog = folder / "catalog"
        catalog.mkdir()
        born = DaemonStart(folder=folder / "story", durations=0.01, catalog=catalog, **birth)
        async with OrderService.serving() as shop, CrashStage.set(born) as stage:
            (catalog / "all.yaml").write_text(
                asked_catalog(STEPS.format(url=shop.url), healthy=WHEN_READY, rollback="after: 2h")
            )
            stage.birth.operators.write_text(f"ana:{TOKEN}\n")
            yield cls(stage, shop)

    async def ready(self) -> None:
        """Start the daemon and wait until it is ready."""
        self.stage.start()
        async with self.stage.ledger():
            await self.until(self._is_ready)

    async def alert(self) -> None:
        """Send the alert that the rule is about."""
        labels = {"alertname": "Asked", "namespace": NAMESPACE, "deployment": WEB}
        one = {"status": "firing", "startsAt": "2026-11-24T02:58:00Z", "labels": labels}
        await asyncio.to_thread(self._ask, "/alertmanager", {"version": "4", "groupKey": "g", "alerts": [one]})

    async def until(self, condition: Any) -> None:
        """Wait for something."""
        await eventually(condition, within=TIMEOUT, describe=lambda: f"{self.shop.sent}\n{self.stage.state()}")

    def incident(self) -> Json:
        """Return all about the one incident, {} while there is none."""
        _, found = self._ask("/api/v1/incidents")
        if not found["incidents"]:
            return {}
        return dict(self._ask(f"/api/v1/incidents/{found['incidents'][0]['id']}")[1])

    def step(self, path: str) -> Json:
        """Return one step of the one run."""
        return next((each for each in self.incident()["runs"][0]["steps"] if each["path"] == path), {})

    def log(self) -> str:
        """Return all that the daemon has written, in all its lives."""
        return (self.stage.birth.folder / "daemon.log").read_text(errors="replace")

    def _is_ready(self) -> bool:
        with DIRECT.open(f"{self.stage.births[-1].health.read_text()}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)

    def _ask(self, path: str, body: object | None = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {"Authorization": f"Bearer {TOKEN}"}
        request = Request(f"{self.stage.births[-1].ready.read_text()}{path}", data=data, headers=headers)
        with DIRECT.open(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())


async def test_a_request_that_changes_is_sent_once_and_its_answer_is_seen_by_later_steps(tmp_path: Path) -> None:
    """P3, P8: its intent is in the ledger with the undo that the runbook says, before it is sent."""
    async with OrderStory.told(tmp_path) as story:
        await story.ready()
        await story.alert()
        await story.until(lambda: "GET /told" in story.shop.sent)
        made = story.step("order#0")
    assert story.shop.changes == ["POST /orders what=tea"]
    assert (made["state"], made["changes"]) == ("done", True)
    assert "the undo steps of this step undo the change" in json.dumps(made)
    (trace,) = story.stage.passed()
    sent = trace.index("before effect order#0 1")
    assert any("save-step order#0 intent" in each for each in trace[:sent])


@pytest.mark.parametrize(
    "no",
    [
        No(title="observe", mode="observe"),
        No(title="frozen", scope=PauseScope.GLOBAL, freeze=True),
        No(title="paused", scope=PauseScope.NAMESPACE, names=(NAMESPACE,)),
    ],
    ids=lambda no: no.title,
)
async def test_a_request_that_a_person_has_said_no_to_is_not_sent(tmp_path: Path, no: No) -> None:
    """E28, E29: the daemon is killed before it has sent anything, and started again under a no."""
    async with OrderStory.told(tmp_path, kill_at={"after commit save-step order planned 1"}) as story:
        story.stage.start()
        async with story.stage.ledger():
            await story.alert()
            await story.stage.ended()
        await no.say(story.stage.birth.folder)
        story.stage.birth = replace(story.stage.birth, mode=no.mode)
        await story.ready()
        await story.until(lambda: '"state":"cancelled"' in story.log() or '"change waiting"' in story.log())
    assert story.shop.changes == []


async def test_a_request_whose_answer_is_lost_is_never_sent_again_and_a_person_is_asked(tmp_path: Path) -> None:
    """P3: nobody but the service knows whether it was taken."""
    async with OrderStory.told(tmp_path) as story:
        story.shop.silent = True
        await story.ready()
        await story.alert()
        await story.until(lambda: '"state":"needs-operator"' in story.log())
        assert "it is unknown whether the change was applied" in json.dumps(story.incident())
    assert story.shop.changes == ["POST /orders what=tea"]


@pytest.mark.parametrize("point", ["after commit save-step order#0 intent 1", "after effect order#0 1"])
async def test_a_daemon_that_is_killed_about_a_request_sends_none_at_its_next_start(tmp_path: Path, point: str) -> None:
    """P3, C2: whether the request had left before the end is not known, so that it is not sent anew."""
    async with OrderStory.told(tmp_path, kill_at={point}) as story:
        story.stage.start()
        async with story.stage.ledger():
            await story.alert()
            await story.stage.ended()
        sent = list(story.shop.changes)
        await story.ready()
        await story.until(lambda: '"state":"needs-operator"' in story.log())
        assert story.shop.changes == sent
    assert len(sent) == (1 if "effect" in point else 0)


async def test_an_answer_of_the_server_s_own_fault_counts_as_not_known(tmp_path: Path) -> None:
    """P3: a gateway that has lost its back end cannot say what that had done by then."""
    async with OrderStory.told(tmp_path) as story:
        story.shop.status = 504
        await story.ready()
        await story.alert()
        await story.until(lambda: '"state":"needs-operator"' in story.log())
    assert story.shop.changes == ["POST /orders what=tea"]
