"""
The stage of a scene: an embedded cluster with its workloads, and the daemon as it runs in production.

The daemon is asked through its API alone.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeVar

from kintsugi.app import run
from kintsugi.cli.client import DaemonClient, connect
from kintsugi.cli.errors import Unreachable
from kintsugi.clients.resolver import Address, Lookup, resolve
from kintsugi.errors import KintsugiError
from kintsugi.model.api_types import IncidentDetail, ServiceSummary
from kintsugi.retries import Waits, retry
from kintsugi.settings import Settings, load
from kintsugi_demo.narration import Writer
from kintsugi_demo.shop import S3_CREDENTIALS, S3_ENDPOINT, WORKER
from kubeobjects import resources
from kubesim import EmbeddedCluster, Image
from kubesim.manifest import Json, dig

TIMEOUT = timedelta(minutes=4)
"""The time limit of one scene, and of one wait before it; on an idle machine each takes a fifth of it at most."""

WHO: Final = "ada"
_TOKEN: Final = secrets.token_urlsafe(24)
_MANY: Final = 50

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoCluster:
    """
    A cluster, `speed` times as fast as Kubernetes, and its services, upstreams first.

    `manifests` are applied one after the other, so that later ones may read earlier ones. `factor` is that on every
    duration of the shipped files, `verify` the watchdog's duration before that.
    """

    name: str
    about: str
    services: Sequence[str]
    speed: float
    factor: float
    manifests: Callable[[EmbeddedCluster], Iterable[Json]]
    images: Callable[[], Mapping[str, Image]] = dict
    prepare: Callable[[EmbeddedCluster], Awaitable[None]] | None = None
    verify: str = "2m"


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoStage:
    """A cluster, and the client of the daemon that watches it. `names` are those of its services."""

    cluster: EmbeddedCluster
    client: DaemonClient
    names: Sequence[str]
    write: Writer

    async def ask(self, question: Callable[[DaemonClient], Awaitable[T]]) -> T:
        """Ask the daemon, and again while it is too busy to answer. Raises Unreachable when it stays so."""
        deadline = datetime.now(UTC) + TIMEOUT

        def again(error: Exception) -> bool:
            return isinstance(error, Unreachable) and datetime.now(UTC) < deadline

        return await retry(lambda: question(self.client), again, Waits.of(timedelta(seconds=0.2)))

    async def services(self) -> Mapping[str, ServiceSummary]:
        """Return how the services are."""
        found = await self.ask(DaemonClient.services)
        return {each.name: each for each in found.services if each.name in self.names}

    async def incidents(self, began: datetime) -> Mapping[str, IncidentDetail]:
        """Return the newest incident of each service, of those since a time, the oldest first."""
        listed = await self.ask(lambda daemon: daemon.incidents(service="", open_only=False, limit=_MANY))
        opened = {each.service: each.id for each in reversed(listed) if each.opened >= began}
        return {name: await self.ask(partial(DaemonClient.incident, incident=one)) for name, one in opened.items()}

    async def is_known_good(self) -> bool:
        """Return whether every service is healthy, and its revision is known to be good."""
        found = await self.services()
        good = [each for each in found.values() if each.healthy and each.revision and each.revision.good_since]
        return len(good) == len(self.names)

    async def are_all_unready(self) -> bool:
        """Return whether no service has a ready pod."""
        return not any(each.ready for each in (await self.services()).values())


async def wait_until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until something is so. Raises KintsugiError when it never is."""
    try:
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            while not await condition():
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        waited = f"waited {TIMEOUT.total_seconds():g} s for {what}"
        raise KintsugiError(f"the demonstration could not be prepared: {waited}") from error


@asynccontextmanager
async def furnished(wanted: DemoCluster) -> AsyncIterator[EmbeddedCluster]:
    """Start a cluster with workloads that are ready. Raises KubesimError."""
    async with EmbeddedCluster.start(speed=wanted.speed, images=wanted.images()) as cluster:
        for manifest in wanted.manifests(cluster):
            cluster.apply(manifest)

        async def are_ready() -> bool:
            workloads = [*cluster.find(resources.DEPLOYMENTS), *cluster.find(resources.STATEFULSETS)]
            return all(dig(each, "status", "readyReplicas") == each["spec"]["replicas"] for each in workloads)

        await wait_until(are_ready, f"the workloads of {wanted.about}")
        if wanted.prepare is not None:
            await wanted.prepare(cluster)
        yield cluster


@asynccontextmanager
async def watched(
    cluster: EmbeddedCluster, wanted: DemoCluster, *, folder: Path, catalog: Path | None, write: Writer
) -> AsyncIterator[DemoStage]:
    """Let a daemon watch a cluster, with a ledger of its own in a folder. Raises KintsugiError: a catalog with mistakes."""
    settings = settings_of(cluster, wanted, folder, catalog)
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    daemon = asyncio.create_task(
        run(settings, ready=lambda at: started.set_result(at.server), loopback=True, lookup=names_of(cluster)),
        name="daemon",
    )
    try:
        ends: set[asyncio.Future[Any]] = {started, daemon}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if daemon.done():
            await daemon
        client = connect(started.result(), token=_TOKEN, who=WHO)
        yield DemoStage(cluster=cluster, client=client, names=wanted.services, write=write)
    finally:
        daemon.cancel()
        await asyncio.wait({daemon})
        if not daemon.cancelled():
            await daemon  # it has ended by itself: its error is the reason of all others


def settings_of(cluster: EmbeddedCluster, wanted: DemoCluster, folder: Path, catalog: Path | None) -> Settings:
    """Return the settings of a daemon in mode auto that keeps what is its own in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = folder / "operators"
    tokens.touch(mode=0o600)
    tokens.write_text(f"{WHO}:{_TOKEN}\n")
    flags = {
        "mode": "auto",
        "durations": wanted.factor,
        "catalog.directory": catalog,
        "guards.holdLimit": "1h",  # a slow machine is not scaled down
        "watchdog.goodAfter": "2m",  # nobody waits ten minutes for a scene to begin
        "watchdog.verify": wanted.verify,
        "kube.kubeconfig": cluster.kubeconfig(folder / "kubeconfig"),
        "ledger.url": f"sqlite:///{folder / 'ledger.db'}",
        "server.host": "127.0.0.1",
        "server.port": 0,
        "server.insecureNoToken": True,
        "server.operatorTokenFiles": (tokens,),
        "health.host": "127.0.0.1",
        "health.port": 0,
        "restore.image": WORKER,
        "restore.volumeSize": "64Mi",
        "restore.s3": {"endpoint": S3_ENDPOINT, "region": "eu-central-1", "credentials": S3_CREDENTIALS},
    }
    return load(flags=flags, environ={}, file=Path(os.devnull))


def names_of(cluster: EmbeddedCluster) -> Lookup:
    """Return what resolves the names of a cluster, which no machine knows, and all others as the machine does."""

    async def lookup(host: str, port: int, *, within: timedelta) -> tuple[Address, ...]:
        found = cluster.resolve(host)
        return tuple(map(ip_address, found)) if found else await resolve(host, port, within=within)

    return lookup
