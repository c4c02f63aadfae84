"""However much text the due signals hold, the event loop has its turn between 64 KiB of it and the next."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from kintsugi.model.records import Signal, Verdict
from kintsugi.offload import MOST_DECODED_ON_LOOP
from tests.unit.pipeline.business import PipelineBench, alert
from tests.unit.pipeline.handed_signals import HandedSignals

pytestmark = pytest.mark.looptime


class CountedCalls:
    """Counts the turns that another task has, and by them what was judged together."""

    def __init__(self, business: PipelineBench) -> None:
        self.together: dict[int, list[str]] = {}
        self._turn = 0
        business.pipeline.on_verdict(self._note)

    def _note(self, given: Signal, _: Verdict) -> None:
        self.together.setdefault(self._turn, []).append(given.id)

    async def count(self) -> None:
        """Count until cancelled."""
        for self._turn in itertools.count(1):
            await asyncio.sleep(0)


async def evaluated_together(texts: list[str]) -> list[list[str]]:
    """Judge an alert with each of the texts among its labels, and return what was judged in one turn, turn by turn."""
    business = PipelineBench()
    given = [replace(alert(alertname="Other", note=text), id=f"s{number}") for number, text in enumerate(texts)]
    business.ledger.signals = handed = HandedSignals(business.ledger._store, given)
    turns = CountedCalls(business)
    counting = asyncio.create_task(turns.count())
    await business.pipeline.step()
    counting.cancel()
    assert len(handed.settled) == len(texts)
    return list(turns.together.values())


@pytest.mark.parametrize("size", [1_000, 20_000, 60_000, 1_000_000])
async def test_signals_are_judged_64_kib_of_text_at_a_time(size: int) -> None:
    """B16: what a turn begins with, and less than that after it."""
    together = await evaluated_together(["x" * size] * 400)
    after_the_first = max(map(len, together)) - 1
    assert after_the_first * size < MOST_DECODED_ON_LOOP, together


async def test_a_few_usual_signals_are_judged_at_once() -> None:
    (together,) = await evaluated_together(["a pod is down"] * 100)
    assert len(together) == 100
