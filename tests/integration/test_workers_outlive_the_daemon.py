"""Workers' Jobs go on while the daemon is dead; whoever comes after watches on and makes no second one (C1, P2, P3)."""

from pathlib import Path

import pytest

from kintsugi.model.records import IncidentState, StepState
from tests.integration.worker_stage import WorkerStage

pytestmark = pytest.mark.long


async def test_a_daemon_that_dies_while_a_job_runs_is_followed_by_one_that_takes_up_its_result(tmp_path: Path) -> None:
    """The fetch ends while no daemon is alive, the restore while its second one watches."""
    async with WorkerStage.set(tmp_path) as story:
        await story.has_started("fetch")
        await story.stage.kill()
        story.may_end("fetch")
        await story.job_has_ended("newest")
        story.stage.start()
        await story.has_started("restore")
        await story.stage.kill()
        story.stage.start()
        story.may_end("restore")
        incident, steps = await story.ended()
    assert incident.state is IncidentState.RECOVERED, incident.reason
    assert [len(story.starts(work)) for work in ("fetch", "restore")] == [1, 1]
    assert story.made("/jobs") == 2
    assert steps["newest"].result is not None
    assert steps["restore"].state is StepState.DONE
    asked = "-h web-app-service.production -U postgres -d app /backups/app.dump"
    assert steps["restore#0"].text == f"pg_restore --exit-on-error --single-transaction {asked}"


POINTS = [
    "before effect newest#0 1",
    "after effect newest#0 1",
    "before effect restore#0 1",
    "after effect restore#0 1",
]


@pytest.mark.parametrize("point", POINTS)
async def test_killed_around_its_effect_each_job_is_made_once(tmp_path: Path, point: str) -> None:
    async with WorkerStage.set(tmp_path, kill_at=point) as story:
        story.may_end("fetch")
        story.may_end("restore")
        incident, _ = await story.ended()
        jobs = story.jobs()
    assert incident.state is IncidentState.RECOVERED, incident.reason
    assert len(story.stage.births) == 2, "it was killed"
    assert [len(story.starts(work)) for work in ("fetch", "restore")] == [1, 1]
    assert len(jobs) == 2
    assert story.made("/jobs") == 2
    assert story.made("/persistentvolumeclaims") == 1


async def test_a_worker_s_failure_is_the_run_s_reason(tmp_path: Path) -> None:
    async with WorkerStage.set(tmp_path) as story:
        story.may_end("fetch", "no backup below s3://backup-bucket/database/ is good: 3 were looked at")
        incident, steps = await story.ended()
    assert incident.state is IncidentState.FAILED
    assert incident.reason.startswith("newest: no backup below s3://backup-bucket/database/ is good: 3 were looked at")
    assert steps["newest"].state is StepState.FAILED
    assert story.starts("restore") == []


async def test_a_restore_that_ends_in_silence_is_a_person_s(tmp_path: Path) -> None:
    """P3: nothing of this database can be asked, so that nobody can tell."""
    async with WorkerStage.set(tmp_path) as story:
        story.may_end("fetch")
        story.may_end("restore", "in silence")
        incident, _ = await story.ended()
    assert incident.state is IncidentState.NEEDS_OPERATOR
    assert "has ended without the worker's last line" in incident.reason
    assert "the database cannot be asked" in incident.reason


async def test_an_image_that_cannot_be_pulled_is_told_with_its_event_and_the_job_ended(tmp_path: Path) -> None:
    async with WorkerStage.set(tmp_path, start_timeout="5s") as story:
        story.stage.cluster.images.remove("kintsugi:stand-in")
        story.stage.cluster.images.remove("*:latest")
        incident, _ = await story.ended()
        left = story.jobs()
    assert incident.state is IncidentState.FAILED, incident.reason
    assert "the worker has not started within 5s: " in incident.reason
    assert "Failed to pull image" in incident.reason
    assert "its Job was ended" in incident.reason
    assert left == []


async def test_a_claim_that_finds_no_volume_is_told(tmp_path: Path) -> None:
    async with WorkerStage.set(tmp_path, start_timeout="5s", storage_class_name="no-such-class") as story:
        incident, _ = await story.ended()
    assert "Unschedulable: pod has unbound immediate PersistentVolumeClaims" in incident.reason
