"""All clients together, as the actions are given them; that of TCP ports knocks as `nc -z` does: it sends nothing."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.dns import DnsClient
from kintsugi.clients.http import HttpClient
from kintsugi.clients.postgres import PostgresClient
from kintsugi.clients.prometheus import PrometheusClient
from kintsugi.errors import ProbeFailed


class TcpClient:
    """Probes whether ports accept connections: connects, sends nothing, disconnects."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Clients:
    """
    All of them; they hold nothing open.

    `protected` are the namespaces whose Services no program in a container asks, `ledger_host` is the host of our own ledger's
    database, which none asks either.
    """

    http: HttpClient
    dns: DnsClient
    tcp: TcpClient
    postgres: PostgresClient
    prometheus: PrometheusClient
    protected: frozenset[str] = frozenset()
    ledger_host: str = ""

    @classmethod
    def restricted_to(cls, rule: AddressRule) -> Self:
        """Make the clients that keep to one rule of addresses."""
        http = HttpClient(rule)
        return cls(
            http=http,
            dns=DnsClient(rule),
            tcp=TcpClient(rule),
            postgres=PostgresClient(rule),
            prometheus=PrometheusClient(http),
        )
