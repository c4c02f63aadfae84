"""
Whatever came before, an outage is repaired, or a person is notified of this fault within seven minutes (P11); and what `kintsugi
services` says that a rule will do is what the guards then decide.
"""

import os

import pytest

from tests.harness import ledgers
from tests.unit.factories import NOW
from tests.unit.pipeline.histories import History
from tests.unit.virtual import play

SEED = int(os.environ.get("FUZZ_SEED", "33"))
HISTORIES = int(os.environ.get("FUZZ_HISTORIES", "100"))
IN_ONE = 10
"""Histories of one test."""


async def played(seed: int) -> tuple[str, int]:
    """Play one history; return what was silent or wrong with the story, "" for nothing, and how many forecasts came true."""
    async with ledgers.in_memory(NOW) as ledger:
        history = History(ledger, seed)
        await history.play()
        found = history.silent or history.forecasts.wrong
        story = "\n".join([f"seed {seed}: {found}", *history.world.story]) if found else ""
        return story, history.forecasts.compared


@pytest.mark.parametrize("first", range(0, HISTORIES, IN_ONE))
def test_a_history_of_faults_restarts_and_people_is_never_silent_and_its_forecasts_come_true(first: int) -> None:
    results = [play(played(SEED * 1_000_000 + number)) for number in range(first, first + IN_ONE)]
    found = [text for text, _ in results if text]
    assert not found, "\n\n".join(found)
    assert sum(compared for _, compared in results)
