"""
`kintsugi run` as a process whose clock is wrong, at its start and in mid-run (C9): it says so, and fires nothing.

All that a wrong clock could set off is there: a pod that is young and not ready, a run whose service is not well before its
deadline, an alert that Alertmanager lists.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kintsugi_demo.shop import NAMESPACE, deployment
from kubeobjects import resources
from kubesim import EmbeddedCluster
from tests.harness.daemon import DaemonProcess
from tests.harness.fake_time import FakeTime
from tests.harness.waiting import eventually
from tests.integration.answering_service import serving
from tests.unit.factories import rule_text, runbook_text, service_text

pytestmark = pytest.mark.long

USER = "kintsugi"
TIMEOUT = 120.0
A_MINUTE = 60.0
"""Seconds that the clocks must agree."""

A_WHILE = 4.0
"""Seconds in which a daemon that believed its clock would act: each rule's `for` is a second, and its looks are a second apart."""

WRONG = tuple(timedelta(minutes=each) for each in (6, -6, 60, -60))

CATALOG = (
    service_text("web"),
    service_text("cache"),
    service_text("api", runbook="note"),
    rule_text("web-pods", service="web", more="for: 1s"),
    rule_text("cache-pods", service="cache", more="for: 1s"),
    rule_text("api-slow", service="api", on="alert", more='matchers: [alertname="ApiSlow"]'),
    runbook_text(
        """
        - id: restart
          forEach: service.pods
          when: each.unhealthy
          run: kubectl delete pod ${each}
        """
    ),
    runbook_text(
        "- {id: note, run: kubectl annotate deployment/api seen=yes}",
        name="note",
        rollback="after: 10m\npolicy: always",
    ),
)


@dataclass
class Pager:
    """An Alertmanager that lists one alert, which whoever sent it takes to end in four minutes, as Prometheus does."""

    url: str = ""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["Pager"]:
        """Listen on a free port."""
        pager = cls()
        app = web.Application()
        app.router.add_get("/api/v2/alerts", pager.alerts)
        app.router.add_get("/api/v2/status", pager.status)
        async with serving(app) as pager.url:
            yield pager

    async def alerts(self, _request: web.Request) -> web.Response:
        """List the alert."""
        status = {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []}
        labels = {"alertname": "ApiSlow", "namespace": NAMESPACE, "deployment": "api"}
        ends = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
        alert = {"labels": labels, "annotations": {}, "startsAt": self.began.isoformat(), "endsAt": ends}
        return web.json_response([{**alert, "fingerprint": "00000000deadbeef", "status": status}])

    async def status(self, _request: web.Request) -> web.Response:
        """Have been running for an hour."""
        return web.json_response({"uptime": (self.began - timedelta(hours=1)).isoformat()})


@dataclass(kw_only=True)
class ClockStage:
    """The cluster, the clock, and the daemon, in whichever of its lives."""

    cluster: EmbeddedCluster
    clock: FakeTime
    daemon: DaemonProcess

    @classmethod
    @asynccontextmanager
    async def set(cls, folder: Path) -> AsyncIterator["ClockStage"]:
        """Have a cache that is well, an API of which a pod is not, and a daemon that is told of it and waits for its deadline."""
        catalog = folder / "catalog"
        catalog.mkdir()
        for number, text in enumerate(CATALOG):
            (catalog / f"{number}.yaml").write_text(text)
        clock = FakeTime.made(folder)
        async with EmbeddedCluster.start(speed=10) as cluster, Pager.listening() as pager:
            for name in ("cache", "api"):
                cluster.apply(deployment(name, {"app": name}, image=f"shop/{name}:good", replicas=2))
            polled = {"URL": pager.url, "POLL_INTERVAL": "1s", "POLL_TIMEOUT": "900ms"}
            daemon = DaemonProcess(
                kubeconfig=cluster.kubeconfig(folder / "kubeconfig", USER),
                folder=folder / "daemon",
                durations=1,
                catalog=catalog,
                environment={
                    **{f"KINTSUGI_ALERTMANAGER__{name}": value for name, value in polled.items()},
                    **clock.environment,
                },
                from_scratch=True,
            )
            stage = cls(cluster=cluster, clock=clock, daemon=daemon)
            try:
                await stage.until(lambda: stage.ready("cache") == 2 and stage.ready("api") == 2)
                cluster.faults.make_unready(stage.pods("api")[0])
                await asyncio.to_thread(daemon.start)
                await stage.until(lambda: [each["state"] for each in daemon.incidents()] == ["verifying"])
                cluster.apply(deployment("web", {"app": "web"}, image="shop/web:unready", replicas=1))
                yield stage
            finally:
                await asyncio.to_thread(daemon.stop)

    def ready(self, name: str) -> int:
        """Count the ready pods of a Deployment."""
        found = self.cluster.get(resources.DEPLOYMENTS, name, NAMESPACE) or {}
        return int(found.get("status", {}).get("readyReplicas", 0))

    def pods(self, name: str) -> Sequence[str]:
        """Return the uids of a Deployment's pods."""
        found = self.cluster.find(resources.PODS, NAMESPACE, {"app": name})
        return sorted(each["metadata"]["uid"] for each in found if not each["metadata"].get("deletionTimestamp"))

    def written(self) -> Sequence[str]:
        """List what the daemon has changed; Events, which only tell of it, left out."""
        made = [each for each in self.cluster.requests.changes() if each.user.endswith(f":{USER}")]
        return [f"{each.method} {each.path}" for each in made if not each.path.endswith("/events")]

    def fired(self) -> Sequence[Sequence[str]]:
        """Return what may not differ while the clock is wrong: what was changed, each incident's state, each alert's."""
        incidents = [self.daemon.incident(each["id"]) for each in self.daemon.incidents()]
        states = [each["incident"]["state"] for each in incidents]
        return [self.written(), states, [one["signal"]["status"] for each in incidents for one in each["signals"]]]

    def says(self, words: str) -> bool:
        """Return whether the daemon is not ready, and gives a reason with these words."""
        _, answer = self.daemon.get("/api/v1/readiness")
        return self.daemon.get("/readyz")[0] == 503 and words in str(answer)

    async def stays_quiet(self, words: str) -> None:
        """Expect the daemon to say what is wrong, and for a while to fire nothing."""
        await self.until(lambda: self.says(words))
        before = await eventually(self.fired, within=TIMEOUT)
        await asyncio.sleep(A_WHILE)
        assert await eventually(self.fired, within=TIMEOUT) == before, self.daemon.tail()

    async def acts_again(self) -> None:
        """Expect the daemon to be ready once the clocks have agreed for long enough, and then to mend what breaks."""
        await self.until(lambda: self.daemon.get("/readyz")[0] == 200, within=A_MINUTE + TIMEOUT)
        bad = self.pods("cache")[0]
        self.cluster.faults.make_unready(bad)
        await self.until(lambda: bad not in self.pods("cache") and self.ready("cache") == 2)

    async def until(self, condition: Callable[[], Any], *, within: float = TIMEOUT) -> None:
        """Wait for something, and show what the daemon said when it does not come."""
        await eventually(
            lambda: bool(condition()), within=within, describe=lambda: f"{self.fired()}\n{self.daemon.tail()}"
        )


def direction(shift: timedelta) -> str:
    """Return which way a clock is wrong."""
    return "ahead of the API server" if shift > timedelta(0) else "behind the API server"


async def test_a_clock_that_jumps_in_mid_run_fires_nothing_and_is_trusted_again_when_it_is_right(
    tmp_path: Path,
) -> None:
    """C9, P5, P6: no pod is deleted, no alert told resolved, no rollback begun; a minute after it is set right it goes on."""
    async with ClockStage.set(tmp_path) as stage:
        for shift in WRONG:
            stage.clock.set(shift)
            await stage.stays_quiet(direction(shift))
        stage.clock.set(timedelta(0))
        await stage.acts_again()
        assert (await eventually(stage.fired, within=TIMEOUT))[1][-1] == "verifying", stage.daemon.tail()


async def test_a_daemon_that_starts_with_a_wrong_clock_takes_up_nothing_until_it_is_right(tmp_path: Path) -> None:
    """C9, P5, P6: the run of an earlier life keeps its deadline, whatever the clock says when it is taken up."""
    async with ClockStage.set(tmp_path) as stage:
        for shift in WRONG:
            await asyncio.to_thread(stage.daemon.kill)
            stage.clock.set(shift)
            await asyncio.to_thread(stage.daemon.start)
            await stage.stays_quiet(direction(shift))
        pause = {"scope": "global", "why": "a release", "minutes": 60}
        status, answer = await asyncio.to_thread(stage.daemon.post, "/api/v1/pauses", pause)
        assert (status, "the end of the pause is unknown" in str(answer)) == (409, True), answer
        stage.clock.set(timedelta(0))
        await stage.acts_again()
        assert (await eventually(stage.fired, within=TIMEOUT))[1][-1] == "verifying", stage.daemon.tail()
