"""The readiness of a real program: its probe is executed, by command, TCP or HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from kubesim.cluster_time import ClusterTime
from kubesim.manifest import Json

SHORTEST_PERIOD: Final = 0.25
"""Seconds between two probes, however fast the cluster lives: real programs take real time."""

Execute = Callable[[Sequence[str]], Awaitable[int]]
"""Runs a command in the container and answers with its exit code."""


class Probe:
    """One container's readiness probe; a container without one is ready while it runs."""

    def __init__(self, container: Json, address: str, execute: Execute) -> None:
        self._probe: Json = container.get("readinessProbe") or {}
        self._ports = {each.get("name"): each["containerPort"] for each in container.get("ports") or ()}
        self._address = address
        self._execute = execute

    async def watch(self, time: ClusterTime, report: Callable[[bool], None]) -> None:
        """
        Run the probe until cancelled, and report a change: after the threshold of consecutive successes or failures.
        """
        ready, streak = not self._probe, 0
        if ready:
            report(ready)
            return
        await asyncio.sleep(self._seconds(time, "initialDelaySeconds"))
        while True:
            streak = 0 if await self._succeeds() is ready else streak + 1
            if streak and streak >= self._probe["failureThreshold" if ready else "successThreshold"]:
                ready, streak = not ready, 0
                report(ready)
            await asyncio.sleep(max(SHORTEST_PERIOD, self._seconds(time, "periodSeconds")))

    def _seconds(self, time: ClusterTime, field: str) -> float:
        return time.seconds(timedelta(seconds=self._probe.get(field, 0)))

    async def _succeeds(self) -> bool:
        """Ask once; the timeout is not shortened with the cluster's speed, the program lives at its own."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(self._probe["timeoutSeconds"]):
                if "exec" in self._probe:
                    return await self._execute(self._probe["exec"]["command"]) == 0
                if "tcpSocket" in self._probe:
                    return await self._connects(self._probe["tcpSocket"]["port"])
                if "httpGet" in self._probe:
                    return await self._answers(self._probe["httpGet"])
        return False

    async def _connects(self, port: int | str) -> bool:
        _, writer = await asyncio.open_connection(self._address, self._ports.get(port, port))
        writer.close()
        return True

    async def _answers(self, get: Json) -> bool:
        reader, writer = await asyncio.open_connection(self._address, self._ports.get(get["port"], get["port"]))
        try:
            writer.write(f"GET {get['path']} HTTP/1.0\r\nHost: {self._address}\r\n\r\n".encode())
            words = (await reader.readline()).split()
            return len(words) > 1 and words[1].isdigit() and 200 <= int(words[1]) < 400
        finally:
            writer.close()
