"""
The stage of the demonstration: an embedded cluster, and the daemon as it runs in production, which is asked through its API.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeVar

from kintsugi.app.core import Core
from kintsugi.app.daemon import start
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.app.serving import ListenAddresses
from kintsugi.cli.client import DaemonClient, connect
from kintsugi.cli.demo.teller import Teller
from kintsugi.cli.exit_codes import Unreachable
from kintsugi.clients.resolver import Address, Lookup, resolve
from kintsugi.errors import KintsugiError
from kintsugi.kube.steady_clock import wall_clock
from kintsugi.model.api_types import ServiceTree
from kintsugi.settings import HealthSettings, KubeSettings, LedgerSettings, ServerSettings, Settings, WatchdogSettings
from kubesim import EmbeddedCluster

TIMEOUT = timedelta(minutes=4)
"""The time limit of one scene; on an idle machine each takes a sixth of it at most."""

Answer = TypeVar("Answer")

WHO: Final = "ada"
_TOKEN: Final = secrets.token_urlsafe(24)


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoStage:
    """A cluster, and the daemon that watches it at `url`. `services` are those whose tree is shown, upstreams first."""

    cluster: EmbeddedCluster
    core: Core
    life: Lifecycle
    url: str
    client: DaemonClient
    services: Sequence[str]
    teller: Teller
    held: dict[str, set[str]] = field(default_factory=dict)
    """The services that were seen held, each with its upstreams."""

    def is_healthy(self, service: str) -> bool:
        """Return whether a service is known to be healthy."""
        return self.core.services.views[service].healthy is True

    def ready(self, service: str) -> int:
        """Count the ready pods of a service."""
        return self.core.services.views[service].ready

    @property
    def needs(self) -> Mapping[str, Sequence[str]]:
        """Return what each service depends on."""
        views = self.core.services.views
        return {name: views[name].service.depends_on for name in self.services}

    async def known_good(self) -> None:
        """Wait until every service is healthy and its revision is known to be good. Raises KintsugiError when it is not."""
        observed = self.core.observed
        await wait_until(
            lambda: all(self.is_healthy(each) and observed.good(each) for each in self.services),
            f"a good revision of each of {', '.join(self.services)}",
        )

    async def tree(self) -> ServiceTree:
        """Ask the daemon how its services are."""
        found = await with_retries(self.client.services)
        shown = tuple(each for each in found.services if each.name in self.services)
        for each in shown:
            if each.hold is not None:
                self.held.setdefault(each.name, set()).add(each.hold.upstream)
        return replace(found, services=shown)


async def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so. Raises KintsugiError when it never is."""
    deadline = wall_clock() + TIMEOUT
    while not condition():
        if wall_clock() > deadline:
            raise KintsugiError(
                f"the demonstration could not be prepared: waited {TIMEOUT.total_seconds():g} s for {what}"
            )
        await asyncio.sleep(0.05)


async def with_retries(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask the daemon's API, and again while it is too busy to answer. Raises Unreachable when it stays so."""
    deadline = wall_clock() + TIMEOUT
    while True:
        try:
            return await ask()
        except Unreachable:
            if wall_clock() > deadline:
                raise
        await asyncio.sleep(0.2)


def settings_of(cluster: EmbeddedCluster, folder: Path, *, durations: float) -> Settings:
    """Return the settings of a daemon in mode auto that keeps what is its own in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = folder / "operators"
    tokens.touch(mode=0o600)
    tokens.write_text(f"{WHO}:{_TOKEN}\n")
    return Settings(
        mode="auto",
        durations=durations,
        watchdog=WatchdogSettings(good_after=timedelta(minutes=2)),  # nobody waits ten minutes for a scene to begin
        kube=KubeSettings(kubeconfig=cluster.kubeconfig(folder / "kubeconfig")),
        ledger=LedgerSettings(url=f"sqlite:///{folder / 'ledger.db'}"),
        server=ServerSettings(host="127.0.0.1", port=0, insecure_no_token=True, operator_token_files=(tokens,)),
        health=HealthSettings(host="127.0.0.1", port=0),
    )


@asynccontextmanager
async def watched(
    cluster: EmbeddedCluster, settings: Settings, services: Sequence[str], teller: Teller
) -> AsyncIterator[DemoStage]:
    """Let the daemon watch a cluster. Raises KintsugiError: a catalog with mistakes."""
    life = Lifecycle(shutdown=timedelta(seconds=10))
    addresses: list[ListenAddresses] = []
    try:
        core = await start(settings.scaled(), life, ready=addresses.append, loopback=True, lookup=names_of(cluster))
        async with connect(addresses[0].server, token=_TOKEN, who=WHO) as client:
            yield DemoStage(
                cluster=cluster,
                core=core,
                life=life,
                url=addresses[0].server,
                client=client,
                services=services,
                teller=teller,
            )
    finally:
        await life.stop()


def names_of(cluster: EmbeddedCluster) -> Lookup:
    """Return what resolves the names of a cluster, which no machine knows, and all others as the machine does."""

    async def lookup(host: str, port: int, *, within: timedelta) -> tuple[Address, ...]:
        found = cluster.resolve(host)
        return tuple(map(ip_address, found)) if found else await resolve(host, port, within=within)

    return lookup
