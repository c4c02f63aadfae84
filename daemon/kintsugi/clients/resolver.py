"""
Resolves names into addresses, as the machine does (hosts file, search domains), and finds the cause of a failure.

Where the cluster's own names do not resolve (the daemon runs outside of it, or its DNS is down), nothing follows about
a service whose name does not: it was not asked.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Protocol

from kintsugi.errors import ProbeFailed, ResolverFailed
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

CLUSTER_NAME = "kubernetes.default.svc"
"""The API server's name: every cluster has it, and it resolves wherever names of Services do."""

KNOWN_FOR = timedelta(seconds=10)
"""The time for which a failure of the cluster's names is assumed to last: many checks fail for it at once."""

OWN_TIMEOUT = timedelta(seconds=3)
"""The time limit for resolving the cluster's own name; within a cluster it takes milliseconds."""

Address = IPv4Address | IPv6Address


class Lookup(Protocol):
    """Resolves a host once. Raises ProbeFailed when it has no address."""

    async def __call__(self, host: str, port: int, *, within: timedelta) -> tuple[Address, ...]: ...


async def resolve(host: str, port: int, *, within: timedelta) -> tuple[Address, ...]:
    """Resolve a host as the machine does. Raises ProbeFailed when it has no address."""
    with suppress(ValueError):
        return (ip_address(host),)  # an address need not wait for the resolver's thread, which may be busy with names
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within.total_seconds()):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise ProbeFailed(f"{host} was not resolved within {within.total_seconds():g} s") from error
    except (OSError, UnicodeError) as error:
        raise ProbeFailed(f"{host} cannot be resolved: {error}") from error
    # A dict keeps the order and drops what is named twice.
    return tuple(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


def log_problem(problem: str) -> None:
    """Log why the cluster's names do not resolve here, or with "" that they do again."""
    if problem:
        log.warning("cluster names do not resolve: checks that go by them are unknown", why=problem)
    else:
        log.info("cluster names resolve again")


def nameservers(file: Path = Path("/etc/resolv.conf")) -> frozenset[str]:
    """
    Return the addresses of this machine's name servers: in a pod, that of the cluster's DNS. Empty where the file has
    none.
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    words = (line.split() for line in lines)
    return frozenset(each[1] for each in words if len(each) > 1 and each[0] == "nameserver")


class Resolver:
    """
    Resolves names; one that fails is that name's fault only while the cluster's own name resolves.

    `report` hears once why that does not, and once, with "", that it does again.
    """

    def __init__(self, lookup: Lookup = resolve, report: Callable[[str], None] = log_problem) -> None:
        self._lookup = lookup
        self._report = report
        self._asking: asyncio.Task[str] | None = None
        self._problem = ""
        self._known_until = 0.0

    async def resolve(self, host: str, port: int, *, within: timedelta) -> tuple[Address, ...]:
        """
        Return the addresses of a host, at least one, in the resolver's order.

        Raises ProbeFailed when it has none, ResolverFailed when no name of the cluster would resolve here. The latter
        is raised within three quarters of the time, so that the caller does not take it for a silent service.
        """
        pending = asyncio.ensure_future(self._lookup(host, port, within=within))
        pending.add_done_callback(_retrieve_error)
        try:
            await asyncio.wait([pending], timeout=within.total_seconds() / 2)
            if not pending.done():
                await self._blame_own(f"{host} is not resolved yet", within=within / 4)
            return await pending
        except ResolverFailed:
            raise
        except ProbeFailed as error:
            await self._blame_own(str(error), within=OWN_TIMEOUT)
            raise
        finally:
            pending.cancel()

    async def resolves(self) -> bool:
        """Return whether the cluster's own name resolves, without saying so."""
        try:
            await self._lookup(CLUSTER_NAME, 443, within=OWN_TIMEOUT)
        except ProbeFailed:
            return False
        return True

    async def recheck(self) -> None:
        """Ask for the cluster's own name, where what is known of it is old, and say what has changed."""
        await self._own()

    async def _blame_own(self, why: str, *, within: timedelta) -> None:
        """Raise ResolverFailed when the cluster's own name does not resolve within that time."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                problem = await self._own()
        except TimeoutError:
            problem = f"{CLUSTER_NAME} was not resolved within {within.total_seconds():g} s"
        if problem:
            raise ResolverFailed(f"{why}; the cluster's names do not resolve where the daemon runs either: {problem}")

    async def _own(self) -> str:
        """Return why the cluster's own name does not resolve, "" when it does; all who want to know ask once."""
        if self._problem and asyncio.get_running_loop().time() < self._known_until:
            return self._problem
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name=f"resolve {CLUSTER_NAME}")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> str:
        before, self._problem = self._problem, ""
        try:
            await self._lookup(CLUSTER_NAME, 443, within=OWN_TIMEOUT)
        except ProbeFailed as error:
            self._problem = str(error)
        self._known_until = asyncio.get_running_loop().time() + KNOWN_FOR.total_seconds()
        if bool(self._problem) is not bool(before):
            self._report(self._problem)
        return self._problem


def _retrieve_error(pending: asyncio.Future[tuple[Address, ...]]) -> None:
    """Retrieve a look-up's error, also where no task waits for it any more."""
    if not pending.cancelled():
        pending.exception()
