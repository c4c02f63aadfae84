"""Killed at any point, the daemon goes on from its ledger: the same end, and every change made once (P2, P3, P8, C1, C2)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kintsugi.model.records import IncidentState
from tests.integration.crash_enumeration import Enumeration, complains_of_late_intents
from tests.integration.crash_stage import CrashStage
from tests.integration.crash_story import (
    BAD_ROLLOUT,
    CRASH_LOOP,
    TAKEN_BACK_AFTER_MANY_DEATHS,
    WebScene,
    broken,
    end_of,
    quiet,
    tell,
)

pytestmark = pytest.mark.long

DEPLOYMENT = "/apis/apps/v1/namespaces/production/deployments/web-app-deployment"


@pytest.mark.parametrize(
    ("scene", "deaths", "state", "effects"),
    [
        pytest.param(CRASH_LOOP, 4, "recovered", {"delete a pod that was there": 1}, id="crash loop"),
        pytest.param(
            TAKEN_BACK_AFTER_MANY_DEATHS,
            6,
            "rolled-back",
            {"delete a later pod": 1, f"PATCH {DEPLOYMENT}": 1},
            id="bad rollout",
        ),
    ],
)
async def test_killed_before_and_after_every_commit_and_every_effect_a_story_ends_the_same(
    tmp_path: Path, scene: WebScene, deaths: int, state: str, effects: Mapping[str, int]
) -> None:
    """C1, C2: all points, none drawn by lot; the process gets SIGKILL and is started again on the same ledger."""
    undisturbed = await tell(scene.daemon(tmp_path / "undisturbed"), scene)
    assert list(undisturbed.end.incidents) == [f"web-service {state}"]
    assert undisturbed.end.effects == effects

    enumeration = Enumeration(scene=scene, folder=tmp_path, undisturbed=undisturbed, deaths=deaths)
    await enumeration.everywhere()
    enumeration.check()


@pytest.mark.parametrize(
    ("scene", "effect"),
    [
        pytest.param(CRASH_LOOP, "restart[]#0", id="delete pod"),
        pytest.param(BAD_ROLLOUT, "back#0", id="rollout undo"),
    ],
)
async def test_with_the_intent_moved_after_the_effect_the_enumeration_complains(
    tmp_path: Path, scene: WebScene, effect: str
) -> None:
    """P8: the order of intent and effect is what the enumeration is about; undisturbed nobody could tell the difference."""
    await complains_of_late_intents(scene, tmp_path, f"after effect {effect} 1")


async def test_dead_past_the_deadline_the_watchdog_looks_again_and_then_fires(tmp_path: Path) -> None:
    """P5: what it looks at are synced caches, and what it saw before it died counts for nothing."""
    scene = BAD_ROLLOUT
    async with scene.stage(scene.daemon(tmp_path / "story")) as stage:
        before = await dies_while_watching(scene, stage)
        seen_until_then = len(stage.cluster.requests)
        stage.start()
        async with stage.ledger() as ledger:
            await quiet(stage, ledger)
            end = await end_of(stage, ledger, before)

    assert list(end.incidents) == ["web-service rolled-back"]
    assert end.effects == {"delete a later pod": 1, f"PATCH {DEPLOYMENT}": 1}
    later = stage.cluster.requests[seen_until_then:]
    caches = ("/api/v1/pods", "/apis/apps/v1/deployments")  # a diagnosis lists what is in one namespace
    looks = [each.clock for each in later if each.verb == "list" and each.path in caches]
    patch = next(each.clock for each in later if each.path == DEPLOYMENT and each.applied)
    failing_for = timedelta(minutes=3) * scene.durations
    assert patch - max(looks) >= failing_for.total_seconds()


async def dies_while_watching(scene: WebScene, stage: CrashStage) -> frozenset[str]:
    """Let the daemon die after its last step, and stay dead until the deadline is over; return the pods of before."""
    stage.start()
    async with stage.ledger() as ledger:
        before = await broken(scene, stage, ledger)

        async def is_watched() -> bool:
            return any(run.state is IncidentState.VERIFYING for run in await ledger.incidents.open_runs())

        await stage.until(is_watched)
        await stage.kill()
        (run,) = await ledger.incidents.open_runs()

        await stage.until(lambda: datetime.now(UTC) > run.deadline)
    return frozenset(before)
