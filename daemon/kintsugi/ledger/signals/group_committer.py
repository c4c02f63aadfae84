"""
Group commit: callers that arrive while a commit is under way are committed together in the next.

Webhooks with a single alert each would cost one fsync each. The next transaction commits the rows of all waiting callers, and
each caller is answered only after its own rows are durable (P1).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kintsugi.errors import LedgerError, LedgerUnavailable
from kintsugi.ledger.signals.deliveries import DeliveryResult, Evaluate, text_length
from kintsugi.model.records import Signal

MOST_WAITING = 50_000
"""Signals that may wait for their commit: two and a half seconds' worth; beyond it the sender is asked to retry."""

MOST_TOGETHER = 2_000
"""Signals in one transaction, so that a request never waits long behind the intake."""

MOST_TEXT = 2 << 20
"""Characters of their labels and annotations, for the same reason."""

Commit = Callable[[Sequence[Signal], datetime, Evaluate | None], Awaitable[list[DeliveryResult]]]


@dataclass(frozen=True, slots=True)
class _Caller:
    signals: Sequence[Signal]
    text: int
    now: datetime
    evaluate: Evaluate | None
    answer: asyncio.Future[list[DeliveryResult]]


class GroupCommitter:
    """The queue in front of `accept`. One task commits as long as somebody waits; `close` waits for it."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._callers: deque[_Caller] = deque()
        self._waiting = 0
        self._committing: asyncio.Task[None] | None = None

    async def accept(
        self, signals: Sequence[Signal], now: datetime, evaluate: Evaluate | None = None
    ) -> list[DeliveryResult]:
        """
        Wait until these signals are durable. A caller that is cancelled does not take its signals back.

        Callers with the same `evaluate` are committed together.
        """
        if self._waiting and self._waiting + len(signals) > MOST_WAITING:
            raise LedgerUnavailable(f"the intake is full: {self._waiting} signals wait for their commit")
        answer: asyncio.Future[list[DeliveryResult]] = asyncio.get_running_loop().create_future()
        caller = _Caller(signals, sum(map(text_length, signals)), now, evaluate, answer)
        self._callers.append(caller)
        self._waiting += len(signals)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all(), name="ledger-intake")
        return await answer

    async def close(self) -> None:
        """Wait until every caller has an answer."""
        if self._committing is not None:
            await self._committing

    async def _commit_all(self) -> None:
        try:
            while self._callers:
                await self._commit_group(self._next_group())
        finally:
            self._committing = None
            for caller in self._callers:  # only when this task itself was cancelled
                caller.answer.cancel()

    def _next_group(self) -> list[_Caller]:
        group = [self._callers.popleft()]
        size, text = len(group[0].signals), group[0].text
        while self._callers:
            following = self._callers[0]
            size, text = size + len(following.signals), text + following.text
            if size > MOST_TOGETHER or text > MOST_TEXT or following.evaluate != group[0].evaluate:
                break
            group.append(self._callers.popleft())
        self._waiting -= sum(len(caller.signals) for caller in group)
        return group

    async def _commit_group(self, group: Sequence[_Caller]) -> None:
        signals = [signal for caller in group for signal in caller.signals]
        try:
            results = await self._commit(signals, max(caller.now for caller in group), group[0].evaluate)
        except LedgerUnavailable as error:
            _fail(group, error)
        except LedgerError as error:
            await self._commit_singly(group, error)
        except BaseException as error:  # any error: no caller may wait for ever; it is raised at each of them
            _fail(group, error)
            if not isinstance(error, Exception):
                raise
        else:
            _answer(group, results)

    async def _commit_singly(self, group: Sequence[_Caller], error: LedgerError) -> None:
        # one caller's rows were refused: the others must not suffer for it (A12)
        if len(group) == 1:
            _fail(group, error)
            return
        for caller in group:
            await self._commit_group([caller])


def _answer(group: Sequence[_Caller], results: Sequence[DeliveryResult]) -> None:
    start = 0
    for caller in group:
        end = start + len(caller.signals)
        if not caller.answer.done():
            caller.answer.set_result(list(results[start:end]))
        start = end


def _fail(group: Sequence[_Caller], error: BaseException) -> None:
    for caller in group:
        if not caller.answer.done():
            caller.answer.set_exception(error)
