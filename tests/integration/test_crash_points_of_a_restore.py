"""Killed at any point of a whole restore, the daemon goes on: the same end, and every change made once (P2, P3, P8, C1, C2)."""

from pathlib import Path

import pytest

from tests.integration.crash_enumeration import Enumeration, complains_of_late_intents
from tests.integration.crash_restore import RESTORE
from tests.integration.crash_story import tell

pytestmark = pytest.mark.long

BEGINS = "before commit save-step restore planned 1"
"""Where the recovery, which has only looked until then, proposes the restore."""

DEATHS = 24
"""How often a story's daemon dies: more of them make fewer stories, which take longer."""

EFFECTS = {
    "make jobs restore-newest": 1,
    "make persistentvolumeclaims backups": 1,
    "patch persistentvolumes the old one: persistentVolumeReclaimPolicy=Retain": 1,
    "patch statefulsets database: whenScaled=Retain": 1,
    "patch deployments api-deployment: replicas=0": 1,
    "patch cronjobs nightly: suspend=True": 1,
    "patch statefulsets database: replicas=0": 1,
    "patch persistentvolumes the old one: labels=['kintsugi.dev/incident']": 1,
    "delete persistentvolumeclaims database-pvc": 1,
    "make persistentvolumeclaims database-pvc": 1,
    "patch statefulsets database: replicas=1": 1,
    "patch persistentvolumes the new one: persistentVolumeReclaimPolicy=Retain": 1,
    "make jobs restore-restore": 1,
    "patch deployments api-deployment: replicas=2": 1,
    "patch cronjobs nightly: suspend=False": 1,
    "patch statefulsets database: whenScaled=Delete": 1,
}
LEFT = {
    "the volume": "Retain, not marked",
    "the old volume": "Retain, marked",
    "writers": "2",
    "nightly": "goes on",
    "database": "1, Delete",
}


async def test_killed_before_and_after_every_commit_and_every_effect_a_restore_ends_the_same(tmp_path: Path) -> None:
    """
    C1, C2, P6: from the proposal to the recovery, the person's two answers among it; no point is drawn by lot.

    Each story dies at two dozen points that are far apart, so that it is also died at while a death is being mended.
    """
    undisturbed = await tell(RESTORE.daemon(tmp_path / "undisturbed"), RESTORE)
    assert list(undisturbed.end.incidents) == ["database recovered"]
    assert undisturbed.end.effects == EFFECTS
    assert undisturbed.end.left == LEFT

    enumeration = Enumeration(scene=RESTORE, folder=tmp_path, undisturbed=undisturbed, deaths=DEATHS, begins=BEGINS)
    await enumeration.everywhere()
    enumeration.check()


async def test_with_the_intent_moved_after_the_effect_a_restore_s_enumeration_complains(tmp_path: Path) -> None:
    """P8: what was changed before its intent was committed is not known to have been otherwise, and is not taken back."""
    await complains_of_late_intents(RESTORE, tmp_path, "after effect restore/cronjobs[]#0 1")
