"""
Where a restore stops, or is left to a person: writers that somebody starts, a pause.

Server and worker are doubles here: what counts is what is done to the cluster, and in which order.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.app.serving import operator_service
from kintsugi.model.api_types import PauseRequest
from kintsugi.model.records import IncidentState, PauseScope
from kubeobjects import resources
from kubeobjects.resources import PODS, PVCS
from tests.integration.database_doubles import OWN_CLAIM, images, with_a_claim_of_its_own
from tests.integration.database_stage import API, DATABASE, NAMESPACE, NIGHTLY, POD, DatabaseStage

pytestmark = pytest.mark.long


def damage(stage: DatabaseStage) -> None:
    """Let the server find its data damaged at every start."""
    stage.cluster.faults.crash_loop(stage.get(PODS, POD)["metadata"]["uid"])


def scale(stage: DatabaseStage, replicas: int) -> None:
    """Scale the writers, as a person does who does not know."""
    metadata = {"name": API, "namespace": NAMESPACE}
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}
    stage.cluster.apply(manifest)


async def test_writers_that_a_person_starts_meanwhile_stop_it_and_it_is_taken_back_by_a_person_s_word(
    tmp_path: Path,
) -> None:
    """
    E17: nothing is restored under somebody's writes, and their replicas are left alone.

    The claim is people's own: it comes back as it was, and in the end with the old volume.
    """
    found = images(tmp_path, starts_after=timedelta(seconds=60))
    async with DatabaseStage.set(tmp_path, database=with_a_claim_of_its_own(), images=found) as stage:
        old = stage.volume(OWN_CLAIM)
        damage(stage)
        await stage.question()
        await stage.agree()
        await stage.until(lambda: made_anew(stage, old))
        assert stage.get(PVCS, OWN_CLAIM)["metadata"]["labels"] == {"team": "data"}
        scale(stage, 3)

        parked = await stage.reaches(IncidentState.NEEDS_OPERATOR)
        assert "Database restore is left as it is for a person: stopped at restore/still" in parked.reason
        assert f"kubectl scale deployment {API} --replicas=2 --current-replicas=0" in parked.reason
        assert stage.replicas() == 3
        assert stage.get(resources.CRONJOBS, NIGHTLY)["spec"]["suspend"] is True
        assert len([each for each in await stage.changes() if each.startswith("POST production/jobs")]) == 1
        new = stage.volume(OWN_CLAIM)

        shown = await stage.roll_back(confirmed=False)
        assert shown.losses == (), "nothing was restored, so that nothing is lost"
        await stage.roll_back(confirmed=True)
        await stage.reaches(IncidentState.ROLLED_BACK)
        assert stage.volume(OWN_CLAIM) == old
        assert stage.get(PVCS, OWN_CLAIM)["metadata"]["labels"] == {"team": "data"}
        assert {stage.policy(old), stage.policy(new)} == {"Retain"}
        assert stage.replicas() == 3, "what a person has scaled since is left alone"
        assert stage.get(resources.CRONJOBS, NIGHTLY)["spec"]["suspend"] is False


def made_anew(stage: DatabaseStage, old: str) -> bool:
    """Return whether the claim has an empty volume."""
    claim = stage.cluster.get(PVCS, OWN_CLAIM, NAMESPACE)
    return claim is not None and claim["spec"].get("volumeName", old) != old


async def test_a_claim_that_lost_its_volume_is_restored_and_a_pause_stops_it_at_the_next_step(tmp_path: Path) -> None:
    """P6: the claim says so itself; no log is needed. Nothing goes on while a person looks."""
    async with DatabaseStage.set(tmp_path, database=with_a_claim_of_its_own(), images=images(tmp_path)) as stage:
        stage.cluster.lose_volume(OWN_CLAIM, NAMESPACE)
        await stage.question()
        wish = PauseRequest(scope=PauseScope.NAMESPACE, name=NAMESPACE, why="let me look", lasts=None)
        pause = await operator_service(stage.core).pause(wish, who="ada")
        await stage.agree()
        await stage.reaches(IncidentState.RUNNING)
        assert stage.replicas() == 2
        await operator_service(stage.core).resume(pause.id, who="ada", why="seen")

        ended = await stage.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR)
        assert ended.state is IncidentState.RECOVERED, await stage.story()
        assert "public.orders 1000 rows" in ended.reason
        assert stage.get(PVCS, OWN_CLAIM)["status"]["phase"] == "Bound"
        assert stage.policy(stage.volume(OWN_CLAIM)) == "Retain"
        assert stage.replicas() == 2
        assert stage.get(resources.STATEFULSETS, DATABASE)["spec"]["replicas"] == 1
        assert not [each for each in await stage.changes() if each.startswith("DELETE persistentvolumes")]
