"""
Resolve a name, as `nslookup` does: through the machine's resolver, or by asking one server.

A given server is asked over UDP for the name as it is written: it must be whole (`web.production.svc.cluster.local`),
because search domains are the machine's own affair.
"""

import asyncio
import secrets
import struct
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address

from kintsugi.clients.addresses import Address, AddressRule
from kintsugi.errors import ProbeFailed

_PORT = 53
_A, _AAAA, _INTERNET = 1, 28, 1
_RECURSION = 0x0100
_TRUNCATED = 0x0200
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!2HIH")
_LARGEST = 4096
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
                answers = [await self._ask(str(address), name, kind) for kind in (_A, _AAAA)]
        except TimeoutError as error:
            raise ProbeFailed(f"{name}: {server} did not answer within {within.total_seconds():g} s") from error
        except OSError as error:
            raise ProbeFailed(f"{name}: {server} cannot be asked: {error}") from error
        found = tuple(str(each) for answer in answers for each in answer)
        if not found:
            raise ProbeFailed(f"{name}: {server} knows no address of it")
        return found

    async def _ask(self, server: str, name: str, kind: int) -> tuple[Address, ...]:
        number = secrets.randbelow(1 << 16)
        query = _HEADER.pack(number, _RECURSION, 1, 0, 0, 0) + _encoded(name) + struct.pack("!2H", kind, _INTERNET)
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Reply(number, reply), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(query)
            return tuple(_answers(await reply, name))
        finally:
            transport.close()


class _Reply(asyncio.DatagramProtocol):
    """Wait for the datagram that answers the query of this number."""

    def __init__(self, number: int, reply: asyncio.Future[bytes]) -> None:
        self._number = number
        self._reply = reply

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._reply.done() and data[:2] == struct.pack("!H", self._number):
            self._reply.set_result(data[:_LARGEST])

    def error_received(self, exc: Exception) -> None:
        if not self._reply.done():
            self._reply.set_exception(exc)


def _encoded(name: str) -> bytes:
    labels = name.rstrip(".").encode("ascii", errors="replace").split(b".")
    if any(not 1 <= len(label) <= 63 for label in labels) or len(name) > 253:
        raise ProbeFailed(f"{name!r} is not a host's name")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _answers(message: bytes, name: str) -> Iterator[Address]:
    """Yield the addresses in an answer; records of other types (CNAME) are passed over."""
    try:
        _, flags, questions, records, _, _ = _HEADER.unpack_from(message)
        if code := flags & 0xF:
            raise ProbeFailed(f"{name}: {_RESPONSES.get(code, f'error {code}')}")
        if flags & _TRUNCATED:
            raise ProbeFailed(f"{name}: the answer does not fit into one datagram")
        at = _HEADER.size
        for _ in range(questions):
            at = _after_name(message, at) + 4
        for _ in range(records):
            at = _after_name(message, at)
            kind, _, _, size = _RECORD.unpack_from(message, at)
            at += _RECORD.size
            data = message[at : at + size]
            at += size
            if kind == _A:
                yield IPv4Address(data)
            elif kind == _AAAA:
                yield IPv6Address(data)
    except (struct.error, IndexError, ValueError) as error:
        raise ProbeFailed(f"{name}: the answer cannot be read ({error})") from error


def _after_name(message: bytes, at: int) -> int:
    """Skip a name: labels up to an empty one, or a pointer of two bytes."""
    while size := message[at]:
        if size >= 0xC0:
            return at + 2
        at += size + 1
    return at + 1
