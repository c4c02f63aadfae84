"""All clients together, as the actions are given them."""

from dataclasses import dataclass
from typing import Self

from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.dns import DnsClient
from kintsugi.clients.http import HttpClient
from kintsugi.clients.postgres import PostgresClient
from kintsugi.clients.prometheus import PrometheusClient
from kintsugi.clients.tcp import TcpClient


@dataclass(frozen=True, kw_only=True, slots=True)
class Clients:
    """All of them; they hold nothing open."""

    http: HttpClient
    dns: DnsClient
    tcp: TcpClient
    postgres: PostgresClient
    prometheus: PrometheusClient

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
