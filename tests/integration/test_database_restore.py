"""
The data of a real PostgreSQL are damaged on disk: the newest good backup is proposed, agreed to, restored, and taken back.

The cluster is the embedded one; the server, the backups in S3, and the worker's Jobs are real.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kintsugi.model.records import IncidentState
from kubeobjects import resources
from kubeobjects.resources import PODS, PVS
from tests.integration.database_stage import API, CLAIM, DATABASE, NIGHTLY, SHOP, DatabaseStage, postgres

pytestmark = pytest.mark.long


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[DatabaseStage]:
    """A shop whose database has a thousand orders."""
    async with DatabaseStage.set(tmp_path, database=[postgres()]) as stage:
        await stage.psql("CREATE DATABASE app")
        await stage.fill(*SHOP)
        yield stage


async def test_damaged_data_are_restored_when_a_person_agrees_and_taken_back_by_their_word(
    stage: DatabaseStage,
) -> None:
    """
    P6, P8, E12: nothing is touched before the approval, writers are stopped first and brought back, the volumes are kept
    before anything is scaled, both stay.

    The StatefulSet's claims would go with a scale-down, and their volumes with them (whenScaled, Delete).
    """
    await stage.back_up("monday.dump")
    await stage.fill("INSERT INTO orders SELECT FROM generate_series(1, 11)")
    stage.s3.put("database/tuesday.dump", b"PGDMP cut off")
    old = stage.volume()
    assert stage.policy(old) == "Delete"

    stage.corrupt()

    question = await stage.question()
    assert "Restore s3://backup-bucket/database/monday.dump into an empty volume?" in question
    assert "within the RPO of 6m. Its recorded checksum is right. Newer ones that are no good: s3://" in question
    assert "tuesday.dump" in question
    before = [each for each in await stage.changes() if "/jobs" not in each and "persistentvolumeclaims" not in each]
    assert before == [], "nothing is touched before a person agrees"
    assert stage.volume() == old

    await stage.agree()
    ended = await stage.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR, IncidentState.FAILED)

    assert ended.state is IncidentState.RECOVERED, await stage.story()
    assert await stage.psql("SELECT count(*) FROM orders", "app") == "1000"
    assert "restored to 20" in ended.reason
    assert (
        "before the failure; public.orders 1000 rows; skipped s3://backup-bucket/database/tuesday.dump" in ended.reason
    )
    assert stage.replicas() == 2
    assert not stage.get(resources.CRONJOBS, NIGHTLY)["spec"].get("suspend")
    kept = stage.get(PVS, old)
    assert (kept["status"]["phase"], stage.policy(old)) == ("Released", "Retain")
    assert kept["metadata"]["labels"]["kintsugi.dev/incident"] == ended.id
    new = stage.volume()
    assert (new != old, stage.policy(new)) == (True, "Retain")
    retention = stage.get(resources.STATEFULSETS, DATABASE)["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert retention["whenScaled"] == "Delete", "what was changed for the restore is as it was"
    await in_order(stage, old)
    steps = await stage.steps()
    remembered = steps["restore/writers[0]#0"].facts["autoscalers"]
    assert remembered == [{"name": "api", "min": 2, "max": 5}]

    await stage.fill("INSERT INTO orders SELECT FROM generate_series(1, 7)", "DELETE FROM orders WHERE id <= 2")
    await stage.until(lambda: True)
    shown = await stage.roll_back(confirmed=False)
    assert (shown.begun, len(shown.losses)) == (False, 2)
    assert "public.orders: 7 rows inserted, 2 rows deleted" in shown.losses[0]
    assert "both volumes are kept" in shown.losses[1]
    assert [each for each in shown.commands if each.startswith("kubectl create")]
    assert stage.volume() == new

    await stage.roll_back(confirmed=True)
    taken_back = await stage.reaches(IncidentState.NEEDS_OPERATOR)

    assert "; but database is not healthy" in taken_back.reason
    assert stage.volume() == old, "the old volume is bound again"
    await stage.until(lambda: stage.get(PVS, old)["status"]["phase"] == "Bound")
    assert stage.get(PVS, new)["metadata"]["name"] == new
    assert (stage.policy(old), stage.policy(new)) == ("Retain", "Retain")
    assert stage.get(resources.STATEFULSETS, DATABASE)["spec"]["replicas"] == 1
    assert stage.cluster.get(PODS, "database-0", "production") is not None


def scaled(replicas: int) -> str:
    """Return the operation that sets replicas."""
    return f'{{"op":"replace","path":"/spec/replicas","value":{replicas}}}'


async def in_order(stage: DatabaseStage, old: str) -> None:
    """See by the cluster's own log of requests what was done before what."""
    changes = await stage.changes()

    def place(method: str, what: str, words: str = "") -> int:
        found = [index for index, each in enumerate(changes) if each.startswith(f"{method} {what}") and words in each]
        assert found, f"{method} {what} {words} is not among\n" + "\n".join(changes)
        return found[0]

    kept = place("PATCH", f"persistentvolumes/{old}", "Retain")
    retained = place("PATCH", f"statefulsets/{DATABASE}", "whenScaled")
    writers = place("PATCH", f"deployments/{API}", scaled(0))
    jobs = place("PATCH", f"cronjobs/{NIGHTLY}", "suspend")
    stopped = place("PATCH", f"statefulsets/{DATABASE}", scaled(0))
    marked = place("PATCH", f"persistentvolumes/{old}", "kintsugi.dev/incident")
    replaced = place("DELETE", f"persistentvolumeclaims/{CLAIM}")
    started = place("PATCH", f"statefulsets/{DATABASE}", scaled(1))
    fetched, restored = (index for index, each in enumerate(changes) if each.startswith("POST production/jobs"))
    resumed = place("PATCH", f"deployments/{API}", scaled(2))
    order = [fetched, kept, retained, writers, jobs, stopped, marked, replaced, started, restored, resumed]
    assert order == sorted(order), order
    body = json.loads(changes[replaced].partition(" ")[2].partition(" ")[2])
    assert body["preconditions"]["uid"], "a claim is deleted by its uid"
    assert not [each for each in changes if each.startswith("DELETE persistentvolumes/")]
