"""
A request that sends something is a change: it passes the gate, it is written down first, and it is never sent twice.

Told with a real daemon and a service that counts what it is sent.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from tests.integration.answering_service import serving
from tests.integration.asked_story import WHEN_READY, AskedStory

pytestmark = pytest.mark.long

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


@asynccontextmanager
async def ordering(folder: Path, *kill_at: str) -> AsyncIterator[tuple[AskedStory, OrderService]]:
    """Have a daemon that is not started yet, and the shop that its runbook orders from."""
    async with OrderService.serving() as shop:
        steps = STEPS.format(url=shop.url)
        async with AskedStory.told(folder, steps, healthy=WHEN_READY, kill_at=kill_at) as story:
            yield story, shop


async def ordered(story: AskedStory) -> None:
    """Start the daemon, and send the alert that the rule is about."""
    await story.live()
    await story.fires()


async def test_a_request_that_changes_is_sent_once_and_its_answer_is_seen_by_later_steps(tmp_path: Path) -> None:
    """P3, P8: its intent is in the ledger with the undo that the runbook says, before it is sent."""
    async with ordering(tmp_path) as (story, shop):
        await ordered(story)
        await story.holds(lambda: "GET /told" in shop.sent)
        made = story.step("order#0")
    assert shop.changes == ["POST /orders what=tea"]
    assert (made["state"], made["changes"]) == ("done", True)
    assert "the undo steps of this step undo the change" in json.dumps(made)
    (trace,) = story.passed()
    sent = trace.index("before effect order#0 1")
    assert any("save-step order#0 intent" in each for each in trace[:sent])


@pytest.mark.parametrize(("silent", "status"), [(True, 200), (False, 504)], ids=["no answer", "a gateway's own fault"])
async def test_a_request_that_may_have_been_taken_is_never_sent_again_and_a_person_is_asked(
    tmp_path: Path, silent: bool, status: int
) -> None:
    """P3: nobody but the service knows; a gateway that has lost its back end cannot say what that had done by then."""
    async with ordering(tmp_path) as (story, shop):
        shop.silent, shop.status = silent, status
        await ordered(story)
        await story.holds(lambda: '"state":"needs-operator"' in story.log())
        assert "it is unknown whether the change was applied" in json.dumps(story.incident())
    assert shop.changes == ["POST /orders what=tea"]


@pytest.mark.parametrize("point", ["after commit save-step order#0 intent 1", "after effect order#0 1"])
async def test_a_daemon_that_is_killed_about_a_request_sends_none_at_its_next_start(tmp_path: Path, point: str) -> None:
    """P3, C2: whether the request had left before the end is not known, so that it is not sent anew."""
    async with ordering(tmp_path, point) as (story, shop):
        await story.asks()
        await story.ended()
        sent = list(shop.changes)
        await story.live()
        await story.holds(lambda: '"state":"needs-operator"' in story.log())
        assert shop.changes == sent
    assert len(sent) == (1 if "effect" in point else 0)
