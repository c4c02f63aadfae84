"""
Resolves a name, as `nslookup` does: through the machine's resolver, or by asking one server.

A given server is asked for the name as it is written: it must be whole (`web.production.svc.cluster.local`), because
search domains belong to the machine's resolver. It is asked over UDP, and over TCP when the answer does not fit into
one datagram. A datagram without the query's number is ignored: a sender that does not see the query cannot end the
look-up.
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
from dns.rdatatype import RdataType

from kintsugi.clients.addresses import Address, AddressRule
from kintsugi.errors import ProbeFailed

_PORT = 53
_KINDS = (RdataType.A, RdataType.AAAA)
_RESPONSES = {1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}


class DnsClient:
    """Find the addresses of names. `port` is where a given server listens, which is held to the rule for addresses."""

    def __init__(self, rule: AddressRule, port: int = _PORT) -> None:
        self._port = port
        self._rule = rule
        self._resolver = rule.resolver

    async def resolve(self, name: str, *, server: str = "", within: timedelta) -> tuple[str, ...]:
        """Return the addresses of a name, at least one. Raises ProbeFailed with the server's word, Refused for a server."""
        if not server:
            return tuple(str(address) for address in await self._resolver.resolve(name, 0, within=within))
        (address, *_) = await self._rule.resolve(server, self._port, within=within)
        try:
            async with asyncio.timeout(within.total_seconds()):
                answers = [await self._ask(str(address), name, kind) for kind in _KINDS]
        except TimeoutError as error:
            raise ProbeFailed(f"{name}: {server} did not answer within {within.total_seconds():g} s") from error
        except OSError as error:
            raise ProbeFailed(f"{name}: {server} cannot be asked: {error}") from error
        found = tuple(str(each) for answer in answers for each in answer)
        if not found:
            raise ProbeFailed(f"{name}: {server} has no address for it")
        return found

    async def _ask(self, server: str, name: str, kind: RdataType) -> tuple[Address, ...]:
        query = _query(name, kind)
        reply = await self._reply(server, query)
        try:
            try:
                message = dns.message.from_wire(reply, raise_on_truncation=True)
            except dns.message.Truncated:
                message = await dns.asyncquery.tcp(query, server, port=self._port)
            if not query.is_response(message):
                raise ProbeFailed(f"{name}: the answer is to another question")
            if code := message.rcode():
                raise ProbeFailed(f"{name}: {_RESPONSES.get(code, f'error {code}')}")
            return tuple(_addresses(message))
        except (dns.exception.DNSException, EOFError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise ProbeFailed(f"{name}: the answer cannot be read ({why})") from error

    async def _reply(self, server: str, query: dns.message.Message) -> bytes:
        """Ask over UDP, and return the datagram that answers."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Reply(query.id, reply), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(query.to_wire())
            return await reply
        finally:
            transport.close()


class _Reply(asyncio.DatagramProtocol):
    """Wait for the datagram that answers the query of this number."""

    def __init__(self, number: int, reply: asyncio.Future[bytes]) -> None:
        self._number = number.to_bytes(2, "big")
        self._reply = reply

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._reply.done() and data[:2] == self._number:
            self._reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._reply.done():
            self._reply.set_exception(exc)


def _query(name: str, kind: RdataType) -> dns.message.QueryMessage:
    try:
        return dns.message.make_query(dns.name.from_text(name), kind)
    except dns.exception.DNSException as error:
        raise ProbeFailed(f"{name!r} is not a host's name: {error}") from error


def _addresses(message: dns.message.Message) -> Iterator[Address]:
    """Yield the addresses in an answer; records of other types (CNAME) are passed over."""
    for records in message.answer:
        if records.rdtype in _KINDS:
            yield from (ip_address(record.to_text()) for record in records)
