"""
Databases are restored: the newest good backup is proposed, agreed to, restored, and taken back; or a person has it, or it is another's.

The cluster is the embedded one. In the first story the server, the backups in S3 and the worker's Jobs are real; in the
others they are doubles: what counts is what is done to the cluster, to whom, and in which order.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.app.serving import operator_service
from kintsugi.model.api_types import PauseRequest
from kintsugi.model.records import IncidentState, PauseScope
from kintsugi_demo.shop import deployment, service
from kubeobjects import resources
from kubeobjects.resources import PODS, PVCS, PVS, STATEFULSETS
from tests.integration.database_doubles import OWN_CLAIM, PROBE, SERVER, images, with_a_claim_of_its_own
from tests.integration.database_stage import (
    API,
    CLAIM,
    DATABASE,
    NAMESPACE,
    NIGHTLY,
    POD,
    DatabaseStage,
    Json,
    namespace,
    stateful_set,
)
from tests.integration.process_stage import CLAIM_TEMPLATES
from tests.unit.catalog.second_database import BILLING

pytestmark = pytest.mark.long

FINANCE, LEDGER, INVOICES, FRONT = "finance", "ledger-postgres", "invoices", "ledger"
LABELS = {"app": "ledger", "tier": "data"}
LEDGER_CLAIM = f"data-{LEDGER}-0"


async def test_damaged_data_are_restored_when_a_person_agrees_and_taken_back_by_their_word(
    database: DatabaseStage,
) -> None:
    """
    P6, P8, E12: nothing is touched before the approval, writers are stopped first and brought back, the volumes are kept
    before anything is scaled, both stay.

    The StatefulSet's claims would go with a scale-down, and their volumes with them (whenScaled, Delete).
    """
    await database.back_up("monday.dump")
    await database.fill("INSERT INTO orders SELECT FROM generate_series(1, 11)")
    database.s3.put("database/tuesday.dump", b"PGDMP cut off")
    old = database.volume()
    assert database.policy(old) == "Delete"

    database.corrupt()

    question = await database.question()
    assert "Restore s3://backup-bucket/database/monday.dump into an empty volume?" in question
    assert "within the RPO of 6m. Its recorded checksum is right. Newer ones that are no good: s3://" in question
    assert "tuesday.dump" in question
    before = [each for each in await database.changes() if "/jobs" not in each and "persistentvolumeclaims" not in each]
    assert before == [], "nothing is touched before a person agrees"
    assert database.volume() == old

    await database.agree()
    ended = await database.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR, IncidentState.FAILED)

    assert ended.state is IncidentState.RECOVERED, await database.story()
    assert await database.psql("SELECT count(*) FROM orders", "app") == "1000"
    assert "restored to 20" in ended.reason
    assert (
        "before the failure; public.orders 1000 rows; skipped s3://backup-bucket/database/tuesday.dump" in ended.reason
    )
    assert database.replicas() == 2
    assert not database.get(resources.CRONJOBS, NIGHTLY)["spec"].get("suspend")
    kept = database.get(PVS, old)
    assert (kept["status"]["phase"], database.policy(old)) == ("Released", "Retain")
    assert kept["metadata"]["labels"]["kintsugi.dev/incident"] == ended.id
    new = database.volume()
    assert (new != old, database.policy(new)) == (True, "Retain")
    retention = database.get(resources.STATEFULSETS, DATABASE)["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert retention["whenScaled"] == "Delete", "what was changed for the restore is as it was"
    await in_order(database, old)
    steps = await database.steps()
    remembered = steps["restore/writers[0]#0"].facts["autoscalers"]
    assert remembered == [{"name": "api", "min": 2, "max": 5}]

    await database.fill("INSERT INTO orders SELECT FROM generate_series(1, 7)", "DELETE FROM orders WHERE id <= 2")
    await database.until(lambda: True)
    shown = await database.roll_back(confirmed=False)
    assert (shown.begun, len(shown.losses)) == (False, 2)
    assert "public.orders: 7 rows inserted, 2 rows deleted" in shown.losses[0]
    assert "both volumes are kept" in shown.losses[1]
    assert [each for each in shown.commands if each.startswith("kubectl create")]
    assert database.volume() == new

    await database.roll_back(confirmed=True)
    taken_back = await database.reaches(IncidentState.NEEDS_OPERATOR)

    assert "; but database is not healthy" in taken_back.reason
    assert database.volume() == old, "the old volume is bound again"
    await database.until(lambda: database.get(PVS, old)["status"]["phase"] == "Bound")
    assert database.get(PVS, new)["metadata"]["name"] == new
    assert (database.policy(old), database.policy(new)) == ("Retain", "Retain")
    assert database.get(resources.STATEFULSETS, DATABASE)["spec"]["replicas"] == 1
    assert database.cluster.get(PODS, "database-0", "production") is not None


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


def second() -> Sequence[Json]:
    """Return the second database with its Service, its Secrets and who writes to it, in a namespace of its own."""
    database = stateful_set(SERVER, PROBE, name=LEDGER, labels=LABELS)
    database["spec"] |= {"volumeClaimTemplates": CLAIM_TEMPLATES, "serviceName": FRONT}
    writer = deployment(INVOICES, {"app": INVOICES}, image="shop/api:good", replicas=2)
    for each in (database, writer):
        each["metadata"]["namespace"] = FINANCE
    return *namespace(FINANCE), service(FRONT, 5432, namespace=FINANCE, selector=LABELS), writer, database


def first_as_it_is(stage: DatabaseStage) -> Mapping[str, object]:
    """Return what of the first database would show that somebody has touched it."""
    pod, claim = stage.get(PODS, POD), stage.get(PVCS, OWN_CLAIM)
    return {
        "pod": pod["metadata"]["uid"],
        "restarts": [each["restartCount"] for each in pod["status"]["containerStatuses"]],
        "claim": claim["metadata"]["uid"],
        "volume": claim["spec"]["volumeName"],
        "policy": stage.policy(claim["spec"]["volumeName"]),
        "asked for": stage.get(STATEFULSETS, "database")["spec"],
        "writers": stage.replicas(),
    }


async def elsewhere(stage: DatabaseStage) -> Sequence[str]:
    """List the changes of the daemon that are neither in the second database's namespace nor about its volumes."""
    volumes = {each["metadata"]["name"] for each in stage.cluster.find(resources.PVS, None) if _is_of_ledger(each)}
    made = [each for each in stage.cluster.requests.changes() if each.user.endswith(":kintsugi")]
    paths = [each.path for each in made]
    return [path for path in paths if f"/{FINANCE}/" not in path and path.rpartition("/")[2] not in volumes]


def _is_of_ledger(volume: Json) -> bool:
    about: Json = volume["spec"].get("claimRef", {})
    return about.get("namespace") == FINANCE


async def test_the_second_database_is_restored_and_the_first_is_left_alone(tmp_path: Path) -> None:
    database = (*with_a_claim_of_its_own(), *second())
    rules = BILLING.replace("database: billing", "database: app")
    async with DatabaseStage.set(tmp_path, database=database, images=images(tmp_path), rules=rules) as stage:
        billing = replace(stage, about="billing")
        await stage.until(lambda: stage.core.services.views["billing"].healthy is True)
        before = first_as_it_is(stage)
        old = stage.cluster.get(PVCS, LEDGER_CLAIM, FINANCE)
        assert old is not None
        stage.cluster.lose_volume(LEDGER_CLAIM, FINANCE)

        assert "The data of billing are gone or corrupt." in await billing.question()
        await billing.agree()
        ended = await billing.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR)
        assert ended.state is IncidentState.RECOVERED, await stage.story()
        assert "public.orders 1000 rows" in ended.reason
        new = stage.cluster.get(PVCS, LEDGER_CLAIM, FINANCE)
        assert new is not None
        assert new["metadata"]["uid"] != old["metadata"]["uid"]
        assert new["status"]["phase"] == "Bound"
        writer = stage.cluster.get(resources.DEPLOYMENTS, INVOICES, FINANCE)
        assert writer is not None
        assert writer["spec"]["replicas"] == 2
        assert first_as_it_is(stage) == before
        assert await elsewhere(stage) == []
        assert (NAMESPACE, "jobs") not in {(each["metadata"]["namespace"], "jobs") for each in jobs(stage)}


def jobs(stage: DatabaseStage) -> Sequence[Json]:
    """List the Jobs of both namespaces."""
    return [job for namespace in (NAMESPACE, FINANCE) for job in stage.cluster.find(resources.JOBS, namespace)]
