"""A daemon that can be killed, and a catalog of one service: its one rule starts one runbook when the alert `Asked` fires."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from kintsugi_demo.shop import WEB
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_stage import SELDOM, CrashStage, Json
from tests.integration.documents import service
from tests.unit.factories import runbook_text

NEVER_HEALTHY, WHEN_READY = "desired > 100", "desired > 0 && ready >= desired"
RULE = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: asked}}
spec: {{on: alert, matchers: ['alertname="Asked"'], service: web-service, mode: {mode}, cooldown: 10m}}
"""


class AskedStory(CrashStage):
    """One daemon at a time, and what a person sees and tells it."""

    @classmethod
    @asynccontextmanager
    async def told(
        cls,
        folder: Path,
        steps: str,
        *,
        rollback: str = "after: 2h",
        kill_at: Collection[str] = (),
        healthy: str = NEVER_HEALTHY,
        more: str = "service: web-service",
        **settings: str,
    ) -> AsyncIterator["AskedStory"]:
        """Set the stage; the daemon is not started yet. The settings `MODE` and `DURATIONS` are the rule's and the daemon's."""
        catalog, mode = folder / "catalog", settings.pop("MODE", "auto")
        catalog.mkdir()
        asked = service("web-service", app="web-app", workload=f"deployment/{WEB}", healthy=healthy)
        mend = runbook_text(steps, more=more, rollback=rollback)
        (catalog / "all.yaml").write_text("\n---\n".join([asked, RULE.format(mode=mode), mend]))
        durations = float(settings.pop("DURATIONS", "0.01"))
        daemon = crash_daemon(folder / "story", durations=durations, kill_at=kill_at, catalog=catalog, **settings)
        async with cls.set(daemon) as story:
            yield story

    async def live(self) -> None:
        """Start the daemon and wait until it is ready."""
        self.start()
        async with self.ledger():
            await self.holds(self.is_ready)

    async def asks(self, **alert: object) -> None:
        """Start the daemon, and send the alert as soon as it takes it."""
        self.start()
        async with self.ledger():
            await self.fires(**alert)

    async def fires(self, **alert: object) -> None:
        """Send the alert that the rule is about."""
        await self.alert({"alertname": "Asked", "deployment": WEB}, **alert)

    async def tell_and_die(self, path: str, body: object) -> None:
        """Send something whose effect the daemon does not live to see: its answer is lost."""
        await asyncio.to_thread(self.daemon.post, path, body)
        await self.ended()

    def incident(self) -> Json:
        """Return all about the newest incident, {} while there is none."""
        found = self.daemon.incidents()
        return self.daemon.incident(found[0]["id"]) if found else {}

    def step(self, path: str) -> Json:
        """Return one step of the newest incident's run."""
        return next((each for each in self.incident()["runs"][0]["steps"] if each["path"] == path), {})

    async def when(self, condition: Callable[[Json], object]) -> Json:
        """Wait until something holds of the newest incident, and return it."""
        found: list[Json] = []

        async def is_so() -> bool:
            found[:] = [await asyncio.to_thread(self.incident)]
            return bool(found[0]) and bool(condition(found[0]))

        await self.until(is_so)
        return found[0]

    async def closed(self) -> Json:
        """Wait until the newest incident is closed, and return it."""
        return await self.when(lambda found: found["incident"]["closed"])

    async def holds(self, condition: Callable[[], object]) -> None:
        """Wait for something that is seen from outside."""

        await self.until(condition, every=SELDOM)

    def log(self) -> str:
        """Return all that the daemon has written, in all its lives."""
        return self.daemon.log.read_text(errors="replace")

    def replicas(self) -> int:
        """Return how many replicas the web Deployment is to have."""
        return int(self.deployment()["spec"]["replicas"])
