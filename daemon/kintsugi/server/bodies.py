"""
Reads bodies with a bound on each and on all together, enforced while they arrive.

Also an authorised sender may send without end, slowly, or from a thousand connections at once.
"""

import asyncio
from contextlib import ExitStack

from aiohttp import hdrs, web

from kintsugi.errors import KintsugiError


class BodyError(KintsugiError):
    """A body is not read to its end; `status` is the answer to it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BodyReader:
    """Reads bodies of at most `largest` bytes within `timeout` seconds, while all of them fit into `memory` bytes."""

    def __init__(self, *, largest: int, memory: int, timeout: float) -> None:
        self._largest, self._memory, self._timeout = largest, memory, timeout
        self._held = 0

    async def read(self, request: web.Request) -> "BufferedBody":
        """
        Read a body whole; it counts as held until the holder is left.

        Raises BodyError: 413 above the limit, 415 for a compressed one, 503 for one that is too slow or when memory is
        short, so that the sender comes again.
        """
        if hdrs.CONTENT_ENCODING in request.headers:
            raise BodyError(415, "the body has a Content-Encoding: send it as it is, uncompressed")
        self._check(request.content_length or 0)  # by the announced length, before anything is read
        held = BufferedBody(self)
        with ExitStack() as unread:
            # however a body ends (too large, broken off, cancelled), its room is given back
            unread.callback(held.release)
            try:
                async with asyncio.timeout(self._timeout):
                    async for chunk in request.content.iter_any():
                        held.add(chunk)
            except TimeoutError as error:
                raise BodyError(503, f"the body did not arrive within {self._timeout:g}s") from error
            unread.pop_all()
        return held

    def _check(self, size: int, held: int = 0) -> None:
        if held + size > self._largest:
            raise BodyError(413, f"the body is larger than {self._largest} bytes")
        if self._held + size > self._memory:
            raise BodyError(503, "too many requests are being read: retry later")

    def take(self, size: int, held: int) -> None:
        """Count bytes of one body that already holds `held`. Raises BodyError."""
        self._check(size, held)
        self._held += size

    def give_back(self, size: int) -> None:
        """Count bytes as gone."""
        self._held -= size


class BufferedBody:
    """A body in memory; leave it as a context so that its bytes are counted as gone."""

    def __init__(self, reader: BodyReader) -> None:
        self._reader = reader
        self._chunks: list[bytes] = []
        self._size = 0

    def __enter__(self) -> bytes:
        """Return the body."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def __exit__(self, *_error: object) -> None:
        """Count it as gone."""
        self.release()

    def add(self, chunk: bytes) -> None:
        """Add a part as it arrives. Raises BodyError."""
        self._reader.take(len(chunk), self._size)
        self._size += len(chunk)
        self._chunks.append(chunk)

    def release(self) -> None:
        """Count all of it as gone; a second time does nothing."""
        self._reader.give_back(self._size)
        self._size = 0
