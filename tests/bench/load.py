"""
A light sender of webhooks over keep-alive connections: it must not be what is measured.

Like Alertmanager it sends again what was answered 503, so that in the end every alert was answered 200.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

_ALERT_BEGIN, _ALERT_END = b'{"status":"%b","labels"', b'"fingerprint":"'
_REFUSED = 503
_PAUSE = 0.2
"""Seconds before a refused request is sent again; Alertmanager's first pause is about as long."""

_CAPTURED = Path(__file__).parents[1] / "data" / "alertmanager"


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What came of a load: alerts answered 200, seconds for all, and the wait for each answer."""

    alerts: int
    seconds: float
    waits: Sequence[float]

    @property
    def alerts_a_second(self) -> float:
        return self.alerts / self.seconds

    def wait(self, share: float) -> float:
        """Return the wait in milliseconds that this share of answers stayed below."""
        return quantile(self.waits, share) * 1000


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of all stayed below."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def requests(alerts: int, first_number: int, status: str) -> Iterator[bytes]:
    """Yield requests with so many alerts each, as a real Alertmanager sent them, their fingerprints counted up."""
    body = (_CAPTURED / f"group1-{status}.json").read_bytes()
    begin = body.index(_ALERT_BEGIN % status.encode())
    end = body.index(b"}", body.index(_ALERT_END)) + 1
    head, alert, tail = body[:begin], body[begin:end], body[end:]
    before, _, after = alert.partition(_ALERT_END)
    first, last = before + _ALERT_END, after[16:]
    numbers = count(first_number)
    while True:
        group = b",".join(first + b"%016x" % next(numbers) + last for _ in range(alerts))
        whole = head + group + tail
        yield (
            b"POST /alertmanager HTTP/1.1\r\nHost: kintsugi\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(whole)
        ) + whole


async def send(
    port: int, *, alerts: int, posts: int, connections: int, first_number: int = 1, status: str = "firing"
) -> Answered:
    """Post so many requests over so many connections, each waiting for its answer before the next."""
    bodies = requests(alerts, first_number, status)
    ready = iter([next(bodies) for _ in range(posts)])
    waits: list[float] = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for request in ready:
            sent = time.perf_counter()
            while await _answer(request, reader, writer) == _REFUSED:
                await asyncio.sleep(_PAUSE)
            waits.append(time.perf_counter() - sent)
        writer.close()

    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
    began = time.perf_counter()
    await asyncio.gather(*(connection(*each) for each in opened))
    seconds = time.perf_counter() - began
    return Answered(alerts=len(waits) * alerts, seconds=seconds, waits=waits)


async def _answer(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    body = await reader.readexactly(int(length))
    status = int(head[9:12])
    if status not in (200, _REFUSED):
        raise AssertionError(f"a webhook was answered {status}: {body[:200]!r}")
    return status
