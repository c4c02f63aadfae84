"""An embedded cluster with the shop in it, and a daemon that is killed and started again on the same ledger."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from kintsugi.ledger import Ledger
from kintsugi.model.questions import Question
from kintsugi.model.records import Incident
from kintsugi_demo.shop import NAMESPACE, WEB, WEB_LABELS, shop
from kubeobjects import resources
from kubesim import EmbeddedCluster
from tests.harness.crash_points import KILL_AT, TRACE
from tests.harness.daemon import TOKEN, DaemonProcess
from tests.harness.forked import Forked
from tests.harness.waiting import eventually, in_loop

USER = "kintsugi"
API = "api-deployment"
SPEED = 100.0
"""How much faster than Kubernetes the embedded cluster lives: a crash loop is one beyond doubt before any rule's time is over."""

TIMEOUT = 300.0
"""Seconds that anything here may take on a machine that plays many stories at once: half a dozen starts, most of all."""

SELDOM = 0.5
"""Seconds between two looks at whether a story is over: many stories that look often cost more than what they wait for."""

Json = dict[str, Any]


@dataclass(kw_only=True)
class CrashStage:
    """The cluster, the daemon, and how many lives that has had so far."""

    cluster: EmbeddedCluster
    daemon: DaemonProcess
    lives: int = 0

    @classmethod
    @asynccontextmanager
    async def set(cls, daemon: DaemonProcess, *, replicas: int = 3) -> AsyncIterator[Self]:
        """Have the shop well, with so many replicas of the web service, and a daemon that is not started yet."""
        async with EmbeddedCluster.start(speed=SPEED) as cluster, cls.on(cluster, daemon) as stage:
            for manifest in shop():
                cluster.apply(manifest)
            stage.change({"replicas": replicas})

            await stage.until(lambda: stage.is_well() and stage.is_well(API))
            yield stage

    @classmethod
    @asynccontextmanager
    async def on(cls, cluster: EmbeddedCluster, daemon: DaemonProcess) -> AsyncIterator[Self]:
        """Let a daemon know a cluster; the one that is started ends with the block."""
        cluster.kubeconfig(daemon.kubeconfig, USER)
        stage = cls(cluster=cluster, daemon=daemon)
        try:
            yield stage
        finally:
            await stage.kill()

    @property
    def kill_at(self) -> Sequence[str]:
        """Name the points that are to be died at."""
        return self.daemon.environment[KILL_AT].split(",")

    def start(self) -> None:
        """Start the daemon, which dies at the first of the points that no life before has died at."""
        ahead = set(self.kill_at).difference(self.died_at())
        self.lives += 1
        self.daemon.launch({KILL_AT: ",".join(ahead), TRACE: str(self._trace(self.lives))})

    def passed(self) -> list[list[str]]:
        """Name the points that each life has passed, in their order."""
        traces = [self._trace(number) for number in range(1, self.lives + 1)]
        lines = [each.read_text().splitlines() if each.exists() else [] for each in traces]
        return [[line.partition(" ")[2] for line in each] for each in lines]

    def _trace(self, life: int) -> Path:
        return self.daemon.folder / f"points-{life}"

    def died_at(self) -> list[str]:
        """Name the points that were to be died at and have been, in the order of the lives."""
        return [points[-1] for points in self.passed() if points and points[-1] in self.kill_at]

    async def ended(self) -> None:
        """Wait until the process is gone."""
        process = self.daemon.process
        assert isinstance(process, Forked)
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(process.sentinel, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(process.sentinel)
        process.wait()

    async def kill(self) -> None:
        """Kill the daemon where it stands."""
        if self.daemon.process is not None:
            await asyncio.to_thread(self.daemon.kill)

    async def keep_alive(self) -> None:
        """Start the daemon again whenever it has ended, as Kubernetes does."""
        while True:
            await self.ended()
            self.start()

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[Ledger]:
        """Read the ledger beside the daemon, which has made it once it is ready."""

        await self.until(self.daemon.listens)
        async with Ledger.read(self.daemon.ledger) as ledger:
            yield ledger

    async def alert(self, labels: Mapping[str, str], **more: object) -> None:
        """Send an alert as Alertmanager does."""
        told = {"namespace": NAMESPACE, **labels}
        one = {"status": "firing", "startsAt": "2026-11-24T02:58:00Z", "labels": told, **more}
        body = {"version": "4", "groupKey": "g", "alerts": [one]}
        status, answer = await asyncio.to_thread(self.daemon.post, "/alertmanager", body, token=TOKEN)
        assert status == 200, answer

    async def approve(self, asked: Question) -> None:
        """Approve what the daemon asks, as a person does who may; one that is not alive is told nothing."""
        if self.daemon.listens():
            body = {"plan": asked.plan, "path": asked.path, "answer": "yes"}
            await asyncio.to_thread(self.daemon.post, f"/api/v1/incidents/{asked.incident}/answer", body)

    async def until(
        self, condition: Callable[[], object | Awaitable[object]], *, within: float = TIMEOUT, every: float = 0.1
    ) -> None:
        """Wait for something that can be seen or must be asked for, and show how things stand when it does not come."""
        await eventually(in_loop(condition), within=within, every=every, describe=self.state)

    async def all_closed(self, ledger: Ledger, count: int = 1) -> Incident:
        """Wait until there are so many incidents and all are closed; return the newest."""
        found: Sequence[Incident] = ()

        async def are_closed() -> bool:
            nonlocal found
            found = await ledger.incidents.newest(limit=50)
            return len(found) >= count and all(each.closed for each in found)

        await self.until(are_closed, every=SELDOM)
        assert len(found) == count, found
        return found[0]

    def change(self, spec: Json, name: str = WEB) -> None:
        """Change a Deployment."""
        metadata = {"name": name, "namespace": NAMESPACE}
        self.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    def alive(self, labels: Mapping[str, str]) -> Mapping[str, Json]:
        """Return the pods with some labels that are not on their way out, by uid."""
        found = self.cluster.find(resources.PODS, NAMESPACE, labels)
        return {each["metadata"]["uid"]: each for each in found if not each["metadata"].get("deletionTimestamp")}

    def pods(self) -> list[str]:
        """Return the uids of the web pods that are not on their way out."""
        return sorted(self.alive(WEB_LABELS))

    def deployment(self, name: str = WEB) -> Json:
        """Return a Deployment."""
        found: Json | None = self.cluster.get(resources.DEPLOYMENTS, name, NAMESPACE)
        assert found is not None, name
        return found

    def container(self, name: str = WEB) -> Json:
        """Return the one container that a Deployment asks for."""
        (container,) = self.deployment(name)["spec"]["template"]["spec"]["containers"]
        return dict(container)

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
        return "\n".join([died, str(self.readiness()), *pods, self.daemon.tail(30)])

    def is_ready(self) -> bool:
        """Return whether the daemon that is alive says that it is ready."""
        return self.readiness()[0] == 200

    def readiness(self) -> tuple[int, Any]:
        """Return what the daemon that is alive answers when it is asked whether it is ready; 0 when nobody answers."""
        return self.daemon.get("/readyz") if self.daemon.listens() else (0, "nobody says whether it is ready")
