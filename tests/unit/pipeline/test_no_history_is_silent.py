"""Whatever came before, an outage is repaired, or a person is notified of this fault within seven minutes (P11)."""

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


async def silent(seed: int) -> str:
    """Play one history; return what was silent with the story, "" for nothing."""
    async with ledgers.in_memory(NOW) as ledger:
        history = History(ledger, seed)
        await history.play()
        return "\n".join([f"seed {seed}: {history.silent}", *history.world.story]) if history.silent else ""


@pytest.mark.parametrize("first", range(0, HISTORIES, IN_ONE))
def test_a_history_of_faults_restarts_and_people_is_never_silent(first: int) -> None:
    found = [text for number in range(first, first + IN_ONE) if (text := play(silent(SEED * 1_000_000 + number)))]
    assert not found, "\n\n".join(found)
