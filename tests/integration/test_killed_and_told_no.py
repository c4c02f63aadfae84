"""Killed at any point and started again under a person's no, the daemon writes nothing that the no forbids (C1, C2, E28, E29)."""

import os
from pathlib import Path

import pytest

from tests.integration.crash_enumeration import is_sure
from tests.integration.crash_no import Refusals, all_noes, dealt
from tests.integration.crash_restore import RESTORE
from tests.integration.crash_story import CRASH_LOOP, SLOWLY_TAKEN_BACK, WebScene, tell

pytestmark = pytest.mark.long

ALL_PAIRS = bool(os.environ.get("KINTSUGI_ALL_PAIRS"))
"""Every point with every no, which takes an hour: `make chaos` asks for it."""

NOTICED = " accept "
"""What is committed when the trouble is noticed: until then there is nothing that a no could forbid."""

TAKEN_BACK = "before commit move-run rolling-back 1"
"""Until here the run of a bad rollout commits and does what the run of a crash loop does, which has died at all of it."""

PROPOSED = "before commit save-step restore planned 1"
"""Where the recovery of the database, which has only looked until then, proposes the restore."""


@pytest.mark.timeout(36000 if ALL_PAIRS else 1800)
@pytest.mark.parametrize(
    ("scene", "begins"),
    [
        pytest.param(CRASH_LOOP, NOTICED, id="crash loop"),
        pytest.param(SLOWLY_TAKEN_BACK, NOTICED if ALL_PAIRS else TAKEN_BACK, id="bad rollout"),
    ],
)
async def test_a_no_that_is_said_while_the_daemon_is_dead_holds_when_it_lives_again(
    tmp_path: Path, scene: WebScene, begins: str
) -> None:
    """Each effect under each of five noes, every other point under one of them, dealt round."""
    undisturbed = await tell(scene.daemon(tmp_path / "undisturbed"), scene)
    (points,) = undisturbed.lives
    noes = all_noes("web-service")
    first = next(number for number, point in enumerate(points) if begins in point)
    sure = [point for point in points[first:] if is_sure(point)]

    refusals = Refusals(scene=scene, folder=tmp_path)
    await refusals.tell([(point, no) for point in sure for no in noes] if ALL_PAIRS else dealt(sure, noes, in_all=True))

    print(refusals.summary())
    assert not refusals.complaints, "\n".join(refusals.complaints)
    assert refusals.not_reached == []


@pytest.mark.timeout(36000 if ALL_PAIRS else 1800)
async def test_a_no_that_is_said_in_the_middle_of_a_restore_leaves_it_for_a_person(tmp_path: Path) -> None:
    """P6, E29: before and after every effect of it, the noes dealt round; half of a restore is handed over, not finished."""
    undisturbed = await tell(RESTORE.daemon(tmp_path / "undisturbed"), RESTORE)
    (points,) = undisturbed.lives
    noes = all_noes("database")
    later = points[points.index(PROPOSED) :]

    refusals = Refusals(scene=RESTORE, folder=tmp_path)
    effects = [point for point in later if " effect " in point]
    await refusals.tell(
        [(point, no) for point in effects for no in noes] if ALL_PAIRS else dealt(later, noes, in_all=False)
    )

    print(refusals.summary())
    assert not refusals.complaints, "\n".join(refusals.complaints)
    assert refusals.not_reached == []
