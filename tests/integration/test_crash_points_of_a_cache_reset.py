"""Killed at each change of a cache that begins anew, and of its way back, the daemon goes on: each is made once (P2, P3, C1, C2)."""

import asyncio
from pathlib import Path

import pytest

from kintsugi.model.records import IncidentState
from tests.integration.crash_cache import RESET
from tests.integration.crash_story import tell

pytestmark = pytest.mark.long

EFFECTS = {
    "patch persistentvolumes the old one: persistentVolumeReclaimPolicy=Retain": 1,
    "patch statefulsets cache: whenScaled=Retain": 1,
    "patch statefulsets cache: replicas=0": 2,
    "patch persistentvolumes the old one: labels=['kintsugi.dev/incident']": 1,
    "delete persistentvolumeclaims data-cache-0": 1,
    "patch statefulsets cache: replicas=1": 2,
    "patch statefulsets cache: whenScaled=Delete": 1,
    "patch persistentvolumes the old one: uid=None, resourceVersion=None": 1,
    "make persistentvolumeclaims data-cache-0": 1,
}
"""Stopped and started again twice: on the way there, and on the way back."""

LEFT = {"the volume": "the old one", "the old volume": "Retain, marked", "cache": "1, Delete"}


CHANGES = (
    *("keep[]#0", "retain#0", "stop#0", "mark[]#0", "claim[]#0", "start#0", "retain#0~0"),
    *("start#0~0", "claim[]#0~0", "claim[]#0~1", "claim[]#0~2", "stop#0~0"),
)
"""What it changes, in this order, as the ledger names it below the reset; the last five are the way back."""


async def test_killed_before_and_after_every_effect_of_a_cache_s_reset_and_of_its_way_back_the_end_is_the_same(
    tmp_path: Path,
) -> None:
    """C1, C2, P3: one story dies before each effect, another one after each."""
    points = {side: [f"{side} effect anew/{change} 1" for change in CHANGES] for side in ("before", "after")}
    undisturbed, before, after = await asyncio.gather(
        tell(RESET.birth(tmp_path / "undisturbed"), RESET),
        *(tell(RESET.birth(tmp_path / side, kill_at=died), RESET) for side, died in points.items()),
    )

    assert list(undisturbed.end.incidents) == [IncidentState.ROLLED_BACK]
    assert undisturbed.end.effects == EFFECTS
    assert undisturbed.end.left == LEFT
    assert [point for point in undisturbed.lives[0] if " effect " in point] == [
        f"{side} effect anew/{change} 1" for change in CHANGES for side in points
    ]
    assert {"before": list(before.died_at), "after": list(after.died_at)} == points
    assert [undisturbed.end.differences(each.end) for each in (before, after)] == [[], []]
