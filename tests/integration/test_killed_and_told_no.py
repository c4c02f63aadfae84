"""Killed at any point and started again under a person's no, the daemon writes nothing that the no forbids (C1, C2, E28, E29)."""

import itertools
import os
from pathlib import Path

import pytest

from tests.integration.crash_enumeration import is_sure
from tests.integration.crash_no import Refusals, all_noes
from tests.integration.crash_restore import RESTORE
from tests.integration.crash_story import CRASH_LOOP, SLOWLY_TAKEN_BACK, CrashScene, tell

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
    ("scene", "service", "begins", "only_effects"),
    [
        pytest.param(CRASH_LOOP, "web-service", NOTICED, False, id="crash loop"),
        pytest.param(SLOWLY_TAKEN_BACK, "web-service", NOTICED if ALL_PAIRS else TAKEN_BACK, False, id="bad rollout"),
        # P6, E29: half of a restore is handed over, not finished.
        pytest.param(RESTORE, "database", PROPOSED, True, id="restore"),
    ],
)
async def test_a_no_that_is_said_while_the_daemon_is_dead_holds_when_it_lives_again(
    tmp_path: Path, scene: CrashScene, service: str, begins: str, only_effects: bool
) -> None:
    """Each effect under each of five noes, every other point under one of them, dealt round; alone, effects are dealt round."""
    undisturbed = await tell(scene.daemon(tmp_path / "undisturbed"), scene)
    (points,) = undisturbed.lives
    noes = all_noes(service)
    first = next(number for number, point in enumerate(points) if begins in point)
    sure = [point for point in points[first:] if is_sure(point)]
    effects = [point for point in sure if " effect " in point]
    each_with_all, dealt_round = (
        ([], effects) if only_effects else (effects, [each for each in sure if each not in effects])
    )
    if ALL_PAIRS:
        each_with_all, dealt_round = [*each_with_all, *dealt_round], []

    refusals = Refusals(scene=scene, folder=tmp_path)
    await refusals.tell(
        [*itertools.product(each_with_all, noes), *zip(dealt_round, itertools.cycle(noes), strict=False)]
    )

    print(refusals.summary())
    assert not refusals.complaints, "\n".join(refusals.complaints)
    assert refusals.not_reached == []
