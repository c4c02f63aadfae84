"""Probes a TCP port, as `nc -z` does: connects, sends nothing, disconnects."""

import asyncio
from datetime import timedelta

from kintsugi.clients.addresses import AddressRule
from kintsugi.errors import ProbeFailed


class TcpClient:
    """Probe whether ports accept connections."""

    def __init__(self, rule: AddressRule) -> None:
        self._rule = rule

    async def opens(self, host: str, port: int, *, within: timedelta) -> str:
        """
        Knock once; give "" when the port accepts, else the reason in words.

        Raises Refused for a host that may not be asked, ProbeFailed when its name has no address.
        """
        addresses = await self._rule.resolve(host, port, within=within)
        try:
            async with asyncio.timeout(within.total_seconds()):
                return await self._first_open([str(address) for address in addresses], port)
        except TimeoutError:
            return f"{host}:{port} did not answer within {within.total_seconds():g} s"

    async def _first_open(self, addresses: list[str], port: int) -> str:
        why = ""
        for address in addresses:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError as error:
                why = f"{address}:{port}: {error.strerror or error}"
                continue
            writer.close()
            return ""
        if not why:
            raise ProbeFailed(f"port {port}: there is no address to ask")
        return why
