"""An embedded cluster with the shop in it, and a daemon that is killed and started again on the same ledger."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from kintsugi.ledger import Ledger
from kintsugi_demo.shop import NAMESPACE, WEB, WEB_LABELS, shop
from kubeobjects import resources
from kubesim import EmbeddedCluster
from tests.harness.waiting import eventually
from tests.integration.crash_daemon import DaemonStart, start, url_of

USER = "kintsugi"
API = "api-deployment"
SPEED = 100.0
"""How much faster than Kubernetes the embedded cluster lives: a crash loop is one beyond doubt before any rule's time is over."""

TIMEOUT = 300.0
"""Seconds that anything here may take on a machine that plays many stories at once: half a dozen starts, most of all."""

SELDOM = 0.5
"""Seconds between two looks at whether a story is over: many stories that look often cost more than what they wait for."""

Json = dict[str, Any]
_DIRECT = build_opener(ProxyHandler({}))


@dataclass(kw_only=True)
class CrashStage:
    """The cluster, and the processes that the daemon has lived in so far."""

    cluster: EmbeddedCluster
    birth: DaemonStart
    births: list[DaemonStart] = field(default_factory=list)
    process: ForkServerProcess | None = None

    @classmethod
    @asynccontextmanager
    async def set(cls, birth: DaemonStart) -> AsyncIterator["CrashStage"]:
        """Have the shop well and no daemon yet; the one that is started ends with the block."""
        birth.folder.mkdir(parents=True)
        async with EmbeddedCluster.start(speed=SPEED) as cluster:
            for manifest in shop():
                cluster.apply(manifest)
            cluster.kubeconfig(birth.kubeconfig, USER)
            stage = cls(cluster=cluster, birth=birth)
            stage.change({"replicas": birth.replicas})

            async def are_well() -> bool:
                return stage.is_well() and stage.is_well(API)

            await stage.until(are_well)
            try:
                yield stage
            finally:
                await stage.kill()

    def start(self) -> None:
        """Start the daemon, which dies at the first of the points that no life before has died at."""
        ahead = set(self.birth.kill_at).difference(self.died_at())
        self.births.append(replace(self.birth, number=len(self.births) + 1, kill_at=ahead))
        self.process = start(self.births[-1])

    def passed(self) -> list[list[str]]:
        """Name the points that each life has passed, in their order."""
        traces = [each.trace.read_text().splitlines() if each.trace.exists() else [] for each in self.births]
        return [[line.partition(" ")[2] for line in trace] for trace in traces]

    def died_at(self) -> list[str]:
        """Name the points that were to be died at and have been, in the order of the lives."""
        return [points[-1] for points in self.passed() if points and points[-1] in self.birth.kill_at]

    async def ended(self) -> None:
        """Wait until the process is gone."""
        assert self.process is not None
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.process.sentinel, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self.process.sentinel)
        self.process.join()

    async def kill(self) -> None:
        """Kill the daemon where it stands."""
        if self.process is not None:
            self.process.kill()
            await self.ended()

    async def keep_alive(self) -> None:
        """Start the daemon again whenever it has ended, as Kubernetes does."""
        while True:
            await self.ended()
            self.start()

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[Ledger]:
        """Read the ledger beside the daemon, which has made it once it is ready."""

        async def is_ready() -> bool:
            return self.births[-1].ready.exists()

        await self.until(is_ready)
        async with Ledger.read(url_of(self.birth.folder)) as ledger:
            yield ledger

    async def until(
        self, condition: Callable[[], Awaitable[bool]], *, within: float = TIMEOUT, every: float = 0.1
    ) -> None:
        """Wait for something, and show how things stand when it does not come."""
        await eventually(condition, within=within, every=every, describe=self.state)

    def change(self, spec: Json) -> None:
        """Change the web Deployment."""
        metadata = {"name": WEB, "namespace": NAMESPACE}
        self.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    def pods(self) -> list[str]:
        """Return the uids of the web pods that are not on their way out."""
        found = self.cluster.find(resources.PODS, NAMESPACE, WEB_LABELS)
        return sorted(each["metadata"]["uid"] for each in found if not each["metadata"].get("deletionTimestamp"))

    def deployment(self, name: str = WEB) -> Json:
        """Return a Deployment."""
        found: Json | None = self.cluster.get(resources.DEPLOYMENTS, name, NAMESPACE)
        assert found is not None, name
        return found

    def is_well(self, name: str = WEB) -> bool:
        """Return whether all pods of a Deployment are ready and of its present template."""
        found = self.deployment(name)
        wanted, status = found["spec"]["replicas"], found.get("status", {})
        return all(status.get(count) == wanted for count in ("readyReplicas", "updatedReplicas", "replicas"))

    def state(self) -> str:
        """Return where the daemon has died, whether it is ready, the pods, and the daemon's last lines."""
        pods = [
            f"{each['metadata']['name']} {each.get('status')}" for each in self.cluster.find(resources.PODS, NAMESPACE)
        ]
        last = [life[-1] for life in self.passed() if life]
        died = f"died at {self.died_at()}, last commits and effects {last}"
        return "\n".join([died, self.readiness(), *pods, self.log()])

    def is_ready(self) -> bool:
        """Return whether the daemon that is alive says that it is ready."""
        return '"ready":true' in self.readiness()

    def readiness(self) -> str:
        """Return what the daemon that is alive answers when it is asked whether it is ready."""
        try:
            with _DIRECT.open(f"{self.births[-1].health.read_text()}/readyz", timeout=5) as answer:
                return str(answer.read().decode())
        except HTTPError as error:
            return str(error.read())
        except OSError as error:
            return f"nobody says whether it is ready: {error}"

    def log(self) -> str:
        """Return the last lines of the daemon's log."""
        file = self.birth.folder / "daemon.log"
        lines = file.read_text(errors="replace").splitlines() if file.exists() else []
        return "\n".join(lines[-30:])
