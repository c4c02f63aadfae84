"""A daemon that can be killed, one rule that an alert satisfies, and Ana, who answers over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from kintsugi_demo.shop import NAMESPACE, WEB
from tests.harness.waiting import eventually
from tests.integration.asked_catalog import asked_catalog
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import CrashStage

DIRECT = build_opener(ProxyHandler({}))
TOKEN = "the-token-of-ana"
TIMEOUT = 90

Json = Mapping[str, Any]


@dataclass
class AnswersStage:
    """One daemon at a time, and what Ana asks and tells it."""

    stage: CrashStage

    @classmethod
    @asynccontextmanager
    async def told(
        cls, folder: Path, steps: str, *, rollback: str = "after: 2h", mode: str = "auto", kill_at: str = ""
    ) -> AsyncIterator["AnswersStage"]:
        """Start the daemon, wait until it is ready, and send the alert; `mode` is the rule's."""
        catalog = folder / "catalog"
        catalog.mkdir()
        text = asked_catalog(steps, rollback=rollback).replace("mode: auto", f"mode: {mode}")
        (catalog / "all.yaml").write_text(text)
        kills = {kill_at} if kill_at else ()
        born = DaemonStart(folder=folder / "story", durations=0.01, catalog=catalog, kill_at=kills)
        async with CrashStage.set(born) as stage:
            stage.birth.operators.write_text(f"ana:{TOKEN}\n")
            story = cls(stage)
            await story.live()
            labels = {"alertname": "Asked", "namespace": NAMESPACE, "deployment": WEB}
            one = {"status": "firing", "startsAt": "2026-11-24T02:58:00Z", "labels": labels}
            await story.ask("/alertmanager", {"version": "4", "groupKey": "g", "alerts": [one]})
            yield story

    async def live(self) -> None:
        """Start the daemon and wait until it is ready."""
        self.stage.start()
        async with self.stage.ledger():
            await self.until(self.stage.is_ready)

    async def ask(self, path: str, body: object | None = None) -> tuple[int, Json]:
        """Ask the daemon as Ana, or send it something; the webhook is open to everybody."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if path.startswith("/api"):
            headers["Authorization"] = f"Bearer {TOKEN}"
        request = Request(f"{self.stage.births[-1].ready.read_text()}{path}", data=data, headers=headers)

        def answered() -> tuple[int, Json]:
            try:
                with DIRECT.open(request, timeout=10) as answer:
                    return answer.status, json.loads(answer.read())
            except HTTPError as error:
                return error.code, json.loads(error.read())

        return await asyncio.to_thread(answered)

    async def tell_and_die(self, path: str, body: object) -> None:
        """Send something whose effect the daemon does not live to see: its answer is lost."""
        with suppress(OSError):
            await self.ask(path, body)
        await self.stage.ended()

    async def incidents(self) -> list[Json]:
        """Return the incidents with all about them, newest first."""
        _, found = await self.ask("/api/v1/incidents")
        return [(await self.ask(f"/api/v1/incidents/{each['id']}"))[1] for each in found["incidents"]]

    async def when(self, holds: Callable[[Json], object]) -> Json:
        """Wait until something holds of the newest incident, and return it."""
        found: list[Json] = []

        async def is_so() -> bool:
            found[:] = (await self.incidents())[:1]
            return bool(found) and bool(holds(found[0]))

        await self.stage.until(is_so, within=TIMEOUT)
        return found[0]

    async def until(self, condition: Any) -> None:
        """Wait for something."""
        await eventually(condition, within=TIMEOUT, describe=self.stage.state)

    def replicas(self) -> int:
        """Return how many replicas the web Deployment is to have."""
        return int(self.stage.deployment()["spec"]["replicas"])
