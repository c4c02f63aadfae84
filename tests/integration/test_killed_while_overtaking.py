"""A daemon as a process that dies while a higher priority overtakes: before the slot is given away, after it, and when it is back."""

import os
from pathlib import Path

import pytest

from tests.integration.crash_enumeration import Enumeration, deal
from tests.integration.crash_story import tell
from tests.integration.overtaking_story import OvertakingScene

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

SCENE = OvertakingScene()

DEATHS = 1
"""How often a story dies: what comes after one death hangs on where it was."""

MOVES = ("@slot-given/1", "move-run held", "take-slot", "@slot-taken/1")
"""What the ledger keeps of a slot that is given away and taken back, in this order."""


EVERYWHERE = bool(os.environ.get("KINTSUGI_ALL_PAIRS"))
"""Whether it dies before each commit too, which is as good as after the one before it, and at every effect."""


async def test_killed_while_a_higher_priority_overtakes_each_change_is_made_once_and_both_services_recover(
    tmp_path: Path,
) -> None:
    """P2, P3, P7, C1: at the notes and moves that give the slot away and take it back, and at the effects between and after."""
    undisturbed = await tell(SCENE.birth(tmp_path / "undisturbed"), SCENE)
    assert undisturbed.end.incidents == ["api recovered", "web recovered"]

    enumeration = Enumeration(scene=SCENE, folder=tmp_path, undisturbed=undisturbed, deaths=DEATHS)
    given = next(number for number, point in enumerate(enumeration.own) if MOVES[0] in point)
    every = [each for each in enumeration.own[given:] if " effect " in each or any(move in each for move in MOVES)]
    assert [move for move in MOVES if not any(move in point for point in every)] == []
    points = every if EVERYWHERE else [each for each in every if is_chosen(each)]
    await enumeration.at(deal([[point] for point in points], DEATHS))
    # A daemon that was late for the time in which who waits is forgotten gave no slot away, and passed no such point.
    await enumeration.at([[point] for point in enumeration.missed if point in points])

    print(enumeration.summary())
    assert not enumeration.complaints, "\n".join(enumeration.complaints)
    assert [point for point in enumeration.missed if point in points] == []


def is_chosen(point: str) -> bool:
    """Return whether a short run dies at a point: before the first note, after each note and move, at the first effects."""
    return (" effect " in point or MOVES[0] in point or point.startswith("after ")) and point.endswith(" 1")
