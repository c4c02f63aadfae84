"""
The webhook of Alertmanager: read, understand, commit, answer, in this order (P1).

2xx only when every alert is durable. Alertmanager repeats after a 5xx only, so overload and a ledger that is away are
503, never 429 (A5); 400, 413 and 415 are for what would fail again in the same way, and then the poller is woken.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from aiohttp import web

from kintsugi.errors import KintsugiError, LedgerError, LedgerUnavailable
from kintsugi.ledger import DeliveryInbox, in_pieces
from kintsugi.model.records import DeadLetter, Delivery, Signal, SignalSource
from kintsugi.offload import MOST_ON_LOOP
from kintsugi.server.answers import refusal, short_answer
from kintsugi.server.bodies import BodyError, BodyReader
from kintsugi.server.responses import DeliveryResponse
from kintsugi.settings import ServerSettings
from kintsugi.telemetry import Metrics, get_logger

log = get_logger(__name__)


Decode = Callable[[bytes, datetime], Delivery]
Clock = Callable[[], datetime]


class CommitQueue:
    """
    Hands signals to the inbox and waits, but not for ever.

    The wait ends when *no* commit has ended for `commit_wait`: a queue that moves is waited for, an inbox that hangs is not.
    """

    def __init__(self, inbox: DeliveryInbox, metrics: Metrics, *, most_waiting: int, commit_wait: timedelta) -> None:
        self._inbox, self._metrics = inbox, metrics
        self._most, self._commit_wait = most_waiting, commit_wait.total_seconds()
        self._waiting = 0
        self._last = float("-inf")

    def check_capacity(self, signals: int = 1) -> None:
        """Raise LedgerUnavailable when too many alerts wait already; one delivery of any size is always taken."""
        if self._waiting and self._waiting + signals > self._most:
            raise LedgerUnavailable(f"{self._waiting} alerts already wait for their commit: retry later")

    async def commit(self, signals: Sequence[Signal], now: datetime) -> None:
        """Return when all signals are durable. Raises LedgerUnavailable: then none of them may count as taken."""
        self.check_capacity(len(signals))
        self._count(len(signals))
        try:
            for piece in in_pieces(signals):
                await self._commit_some(piece, now)
        finally:
            self._count(-len(signals))

    async def _commit_some(self, signals: Sequence[Signal], now: datetime) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        commit = loop.create_task(_accept(self._inbox, signals, now))
        while not commit.done():
            time_left = max(began, self._last) + self._commit_wait - loop.time()
            if time_left <= 0:
                commit.add_done_callback(_log_late_failure)
                raise LedgerUnavailable(f"the ledger has committed nothing for {self._commit_wait:g}s")
            await asyncio.wait({commit}, timeout=time_left)
        commit.result()
        self._last = loop.time()
        self._metrics.ledger_commit_seconds.observe(self._last - began)

    def _count(self, signals: int) -> None:
        self._waiting += signals
        self._metrics.webhook_waiting.set(self._waiting)


async def _accept(inbox: DeliveryInbox, signals: Sequence[Signal], now: datetime) -> None:
    """Make a task of whatever awaitable the inbox gives."""
    await inbox.accept(signals, now)


def _log_late_failure(commit: "asyncio.Task[None]") -> None:
    """Log the failure of a commit that no request waits for: its alerts are sent again either way."""
    if not commit.cancelled() and commit.exception() is not None:
        log.warning("commit failed after its delivery was refused", error=str(commit.exception()))


class WebhookHandler:
    """
    The handler of `POST /alertmanager`.

    `on_incomplete` is called when a delivery did not bring everything: the poller's `wake`, and None where nothing polls.
    """

    def __init__(
        self,
        settings: ServerSettings,
        inbox: DeliveryInbox,
        decode: Decode,
        *,
        metrics: Metrics,
        clock: Clock,
        on_incomplete: Callable[[], None] | None = None,
    ) -> None:
        self._inbox, self._decode, self._metrics, self._clock = inbox, decode, metrics, clock
        self._bodies = BodyReader(
            largest=settings.max_body,
            memory=settings.max_body_memory,
            timeout=settings.body_timeout.total_seconds(),
        )
        self._commit_queue = CommitQueue(
            inbox, metrics, most_waiting=settings.max_waiting, commit_wait=settings.commit_wait
        )
        self._commit_wait = settings.commit_wait
        self._large = asyncio.Lock()
        self._on_incomplete = on_incomplete

    async def receive(self, request: web.Request) -> web.Response:
        """Take one delivery; its sender is known already, its body is not read yet."""
        response = await self._answer(request)
        self._metrics.webhook_answers.labels(str(response.status)).inc()
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return self._incomplete(415, f"content type {request.content_type[:100]}: only application/json is read")
        try:
            self._commit_queue.check_capacity()  # before the work of reading, which would only be done again
            with await self._bodies.read(request) as body:
                delivery = await self._understand(body)
        except LedgerUnavailable as error:
            return refusal(503, str(error))
        except BodyError as error:
            return refusal(503, str(error)) if error.status == 503 else self._incomplete(error.status, str(error))
        if delivery.unreadable:
            await self._try_keep(delivery.dead_letters)
            return self._incomplete(400, delivery.unreadable)
        try:
            await self._commit_queue.commit(delivery.signals, self._clock())
            await self._keep_dead_letters(delivery.dead_letters)
            await self._record_truncation(delivery)
        except LedgerError as error:
            log.warning("delivery not taken, it is retried", alerts=len(delivery.signals), error=str(error))
            return refusal(503, str(error))
        self._metrics.signals_received.labels(SignalSource.ALERTMANAGER).inc(len(delivery.signals))
        if delivery.truncated or delivery.dead_letters:
            self._ask_for_the_rest()
        return short_answer(DeliveryResponse(accepted=len(delivery.signals), dead_letters=len(delivery.dead_letters)))

    async def _understand(self, body: bytes) -> Delivery:
        """Decode a body: a large one in a thread, and only one at a time, or they would starve the loop."""
        if len(body) <= MOST_ON_LOOP:
            return self._decode(body, self._clock())
        async with self._large:
            return await asyncio.to_thread(self._decode, body, self._clock())

    def _incomplete(self, status: int, text: str) -> web.Response:
        """Refuse for good: Alertmanager does not repeat after this, so somebody must know and somebody must ask."""
        log.error("delivery refused for good, its alerts are lost unless they are polled", status=status, reason=text)
        self._ask_for_the_rest()
        return refusal(status, text)

    def _ask_for_the_rest(self) -> None:
        if self._on_incomplete is not None:
            self._on_incomplete()

    async def _record_truncation(self, delivery: Delivery) -> None:
        """Count and log alerts that the sender left out; without a poll they become a dead letter for a person (A7)."""
        if not delivery.truncated:
            return
        polled = self._on_incomplete is not None
        if not polled and delivery.left_out is not None:
            await self._inbox.keep_dead_letters([delivery.left_out])
        self._metrics.alerts_left_out.labels("polled" if polled else "unknown").inc(delivery.truncated)
        log.warning("Alertmanager left alerts out of a group", alerts=delivery.truncated, polled=polled)

    async def _keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            await self._inbox.keep_dead_letters(letters)
            self._metrics.dead_letters.inc(len(letters))

    async def _try_keep(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters where that changes nothing about the answer; it waits no longer for them than for alerts."""
        try:
            async with asyncio.timeout(self._commit_wait.total_seconds()):
                await self._keep_dead_letters(letters)
        except (KintsugiError, TimeoutError) as error:
            log.warning("dead letter could not be kept", error=str(error))
