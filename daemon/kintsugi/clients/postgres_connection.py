"""
Makes and watches connections to a PostgreSQL server, below asyncpg: TCP, TLS if wanted, and bounded messages.

asyncpg believes the server: it keeps a message in memory however long it says to be, goes round for ever on a message of
kind 0, and derives a key in as many rounds as it is asked for: in the event loop, where nothing else runs meanwhile. So it is
given connections that stop all this.
"""

import asyncio
import re
import ssl
import struct
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

MOST_BYTES = 4 << 20
"""Bytes that a server may send in all: an answer of 1 MiB, twice over."""

MOST_MESSAGES = 1000
"""Messages that a server may send in all: one row comes with some twenty, and each costs asyncpg a few microseconds."""

MOST_ROUNDS = 32_768
"""
Rounds of SCRAM that a server may ask for, in all: eight times PostgreSQL's own default. They took 9 ms of the event loop, as
much as four answers of 64 KiB.
"""

_MOST_DIGITS = 12
_LONGEST_BEFORE_LOGIN = 64 << 10
_TLS_REQUEST = struct.pack("!2I", 8, 80877103)
_HEAD = struct.Struct("!cI")
_KINDS = frozenset(bytes([kind]) for kind in b"123ACDEGHIKNRSTVWZcdnstv")
_WELCOME = b"R\0\0\0\x08\0\0\0\0"
_ROUNDS = re.compile(rb"(?:^|,)i=(\d+)")

Inner = TypeVar("Inner", bound=asyncio.Protocol)


class Connecting:
    """
    The event loop as asyncpg is given it: connections are made here, everything else is the loop's own.

    `refused` says why a connection was broken off by us, "" when it was not. Without a `context` there is no TLS; with
    `required` there is nothing but TLS, checked for `name`.
    """

    def __init__(self, context: ssl.SSLContext | None, *, name: str, required: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = context
        self._name = name
        self._required = required
        self._opened: list[asyncio.Transport] = []
        self.refused = ""

    async def close(self) -> None:
        """Close every connection that was made here: asyncpg leaves one open that has ended it by an error of its own."""
        for transport in self._opened:
            transport.abort()
        await asyncio.sleep(0)  # the turn of the loop in which asyncpg hears of it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(
        self, factory: Callable[[], Inner], host: str, port: int
    ) -> tuple[asyncio.Transport, Inner]:
        """Connect, with TLS if it is wanted. Raises OSError as the loop does, and when TLS must be had and is not."""
        try:
            transport = await self._open(host, port, self._context)
        except ssl.SSLError:
            if self._required:
                raise
            transport = await self._open(host, port, None)
        self._opened.append(transport)
        inner = factory()
        transport.set_protocol(_Watched(inner, transport, self._refuse))
        inner.connection_made(transport)
        return transport, inner

    async def _open(self, host: str, port: int, context: ssl.SSLContext | None) -> asyncio.Transport:
        greeting = _Greeting(self._loop.create_future())
        transport, _ = await self._loop.create_connection(lambda: greeting, host, port)
        if context is None:
            return transport
        with ExitStack() as unfinished:
            unfinished.callback(transport.abort)  # whatever ends the handshake, the socket must not stay open
            encrypted = await self._takes_tls(transport, greeting)
            if encrypted:
                secured = await self._loop.start_tls(transport, greeting, context, server_hostname=self._name)
            unfinished.pop_all()
        if not encrypted:
            return transport
        if secured is None:
            raise ConnectionError("the connection was closed during the TLS handshake")
        return secured

    async def _takes_tls(self, transport: asyncio.Transport, greeting: "_Greeting") -> bool:
        transport.write(_TLS_REQUEST)
        answer = await greeting.answer
        if answer == b"S":
            return True
        if answer != b"N":
            raise ConnectionError(f"it answers {answer!r} to a TLS request: it is not PostgreSQL")
        if self._required:
            raise ConnectionError("the server rejected SSL upgrade, and sslmode asks for it")
        return False

    def _refuse(self, why: str) -> None:
        self.refused = why


class _Greeting(asyncio.Protocol):
    """Waits for the one byte that says whether the server takes TLS; nothing else is expected before we have spoken."""

    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self.answer = answer

    def data_received(self, data: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc or ConnectionError("it closes the connection on a TLS request"))
            self.answer.exception()  # it may be that nobody waits


class _Watched(asyncio.Protocol):
    """Passes on what a server sends, in whole messages of known kinds, up to a limit."""

    def __init__(self, inner: asyncio.Protocol, transport: asyncio.Transport, refuse: Callable[[str], None]) -> None:
        self._inner = inner
        self._transport = transport
        self._refuse = refuse
        self._left = MOST_BYTES
        self._messages = 0
        self._rounds = 0
        self._waiting = bytearray()
        self._logged_in = False
        self._over = False

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            return self._break_off(f"the server has sent more than {MOST_BYTES >> 20} MiB")
        self._waiting += data
        while len(self._waiting) >= _HEAD.size and not self._over:
            kind, size = _HEAD.unpack_from(self._waiting)
            longest = MOST_BYTES if self._logged_in else _LONGEST_BEFORE_LOGIN
            if kind not in _KINDS or not 4 <= size <= longest:
                return self._break_off("it does not speak PostgreSQL's protocol")
            if len(self._waiting) <= size:
                return None
            message = bytes(self._waiting[: size + 1])
            del self._waiting[: size + 1]
            self._messages += 1
            if self._messages > MOST_MESSAGES:
                return self._break_off(f"the server has sent more than {MOST_MESSAGES} messages")
            if kind == b"R" and (asked := self._asks_too_much(message[_HEAD.size :])):
                return self._break_off(
                    f"the server asks for {asked} rounds of SCRAM, and {MOST_ROUNDS} are the most: set scram_iterations lower"
                )
            self._logged_in = self._logged_in or message == _WELCOME
            self._inner.data_received(message)
        return None

    def _asks_too_much(self, content: bytes) -> str:
        """Return how many rounds are asked for where they are too many, counted over all that was asked before; else ""."""
        for digits in _ROUNDS.findall(content[4:]):
            self._rounds += int(digits[:_MOST_DIGITS])
            if len(digits) > _MOST_DIGITS:
                return f"{digits[:_MOST_DIGITS].decode()}…"
            if self._rounds > MOST_ROUNDS:
                return str(self._rounds)
        return ""

    def _break_off(self, why: str) -> None:
        self._over = True
        self._refuse(why)
        self._waiting.clear()
        self._transport.abort()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
