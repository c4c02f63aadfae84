"""
The newest backup of a real PostgreSQL is tried: restored into a server of the drill's own, asked, and gone with it.

The cluster is the embedded one; the server, the backups in S3, and the worker's Jobs are real.
"""

import pytest

from kintsugi.app.serving import operator_service
from kintsugi.decisions.drills import report_of
from kintsugi.errors import WrongState
from kintsugi.model.drills import DrillReport
from kintsugi.model.records import Incident, IncidentState
from kubeobjects.resources import JOBS, PODS, PVCS
from tests.harness.waiting import eventually
from tests.integration.database_stage import DATABASE, DRILL_ENDS, NAMESPACE, POD, DatabaseStage

pytestmark = pytest.mark.long


DATABASES = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate"
LIVE = "SELECT md5(string_agg(orders::text, '' ORDER BY id)) FROM orders"


async def report(stage: DatabaseStage, incident: Incident) -> DrillReport:
    """Put the report together as the command line does."""
    (run,) = await stage.core.ledger.incidents.runs_of(incident.id)
    return report_of(run, await stage.core.ledger.incidents.steps(run.id), now=run.started)


async def nothing_is_left(stage: DatabaseStage, live: str) -> None:
    """Nothing of the drill is on the server or in the cluster, and the live data are as they were."""
    assert await stage.psql(DATABASES) == "app postgres"
    assert await stage.psql(LIVE, "app") == live

    def gone() -> bool:
        rooms = [each for each in stage.cluster.find(PVCS, NAMESPACE) if "backups" in each["metadata"]["name"]]
        pods = [each for each in stage.cluster.find(PODS, NAMESPACE) if "restore" in each["metadata"]["name"]]
        return not rooms and not pods and not stage.cluster.find(JOBS, NAMESPACE)

    await stage.until(gone)


async def test_a_good_backup_passes_and_nothing_live_is_touched(database: DatabaseStage) -> None:
    """
    P2, P7, P8: no lock, no lasting change, remembered; a backup that is none is passed over and told.

    The live server's log tells of every connection: there are none but those of probes and of the service's own checks.
    """
    await database.back_up("monday.dump")
    database.s3.put("database/tuesday.dump", b"PGDMP cut off")
    await database.fill("INSERT INTO orders SELECT FROM generate_series(1, 11)")
    live, volume = await database.psql(LIVE, "app"), database.volume()
    await database.tell_connections()
    before = await database.connections()

    ended = await database.drilled()

    assert ended.state is IncidentState.PASSED, await database.story()
    assert await database.connections(since=before) == []
    told = await report(database, ended)
    assert told.backup is not None
    assert told.restored is not None
    assert told.backup.url.endswith("/database/monday.dump")
    assert [each.url.rpartition("/")[2] for each in told.backup.skipped] == ["tuesday.dump"]
    assert [(each.name, each.rows) for each in told.restored.tables] == [("public.orders", 1000)]
    assert [(check.name, check.met) for check in told.checks if not check.met] == []
    assert len(told.checks) == 5
    assert "public.orders 1000 rows restored; 5 checks passed" in ended.reason
    assert (database.volume(), database.replicas()) == (volume, 2)
    await nothing_is_left(database, live)
    touched = [each for each in await database.changes() if "jobs" not in each and "persistentvolumeclaims" not in each]
    assert touched == []
    assert (await database.core.ledger.incidents.history(DATABASE, NAMESPACE, ended.opened)).disruptions == ()
    assert (await database.core.ledger.good_state.drills())[DATABASE].passed == ended.closed


async def test_a_backup_that_does_not_hold_what_it_should_fails_and_a_person_is_told(database: DatabaseStage) -> None:
    """The very thing that a drill is for: the dump is whole, and its data are not."""
    await database.fill("CREATE TABLE kept AS TABLE orders", "DELETE FROM orders")
    await database.back_up("monday.dump")
    await database.fill("INSERT INTO orders SELECT * FROM kept", "DROP TABLE kept")
    live = await database.psql(LIVE, "app")

    ended = await database.drilled()

    assert ended.state is IncidentState.FAILED, await database.story()
    assert "verify/orders: Orders are there: not met" in ended.reason
    await nothing_is_left(database, live)
    assert "app" in await database.psql(DATABASES)
    notices = await database.core.ledger.outbox.due_notices(database.core.observed.clock())
    about = [(notice.incident, notice.kind) for notice in notices if notice.incident is not None]
    assert about == [(ended.id, IncidentState.FAILED)]
    assert DATABASE not in await database.core.ledger.good_state.drills()


async def until_restoring(stage: DatabaseStage) -> None:
    """Wait until the worker that restores is there."""

    def there() -> bool:
        return any("restore" in each["metadata"]["name"] for each in stage.cluster.find(JOBS, NAMESPACE))

    await stage.until(there)


async def test_a_drill_is_taken_up_by_the_next_process(database: DatabaseStage) -> None:
    """P2, P3, C1: its worker goes on meanwhile, nothing is made twice, nothing is left; no other one begins beside it."""
    await database.back_up("monday.dump")
    live = await database.psql(LIVE, "app")
    await operator_service(database.core).drill(DATABASE, who="ada")
    with pytest.raises(WrongState, match="a drill is already running"):
        await operator_service(database.core).drill(DATABASE, who="eve")
    await until_restoring(database)
    await database.core.supervisor.stop()
    await database.core.supervisor.resume()

    ended = await database.reaches(*DRILL_ENDS)

    assert ended.state is IncidentState.PASSED, await database.story()
    made = [each.split()[1] for each in await database.changes() if each.startswith("POST") and "jobs" in each]
    assert len(made) == 2, made
    await nothing_is_left(database, live)


async def test_a_drill_gives_way_when_the_live_server_ends(database: DatabaseStage) -> None:
    """
    Its own server goes at once: a recovery needs the node, the room and the bucket more.

    While the service is not well, none is begun either: it would only burden it.
    """
    await database.fill("INSERT INTO orders SELECT FROM generate_series(1, 200000)")
    await database.back_up("monday.dump")
    live = await database.psql(LIVE, "app")
    await operator_service(database.core).drill(DATABASE, who="ada")
    await until_restoring(database)
    database.cluster.delete(PODS, POD, NAMESPACE, grace=0)

    ended = await database.reaches(*DRILL_ENDS)

    assert ended.state in (IncidentState.CANCELLED, IncidentState.PASSED), await database.story()

    async def well() -> bool:
        return database.core.services.views[DATABASE].healthy is True

    await eventually(well, within=240, describe=database.story, every=0.2)
    await nothing_is_left(database, live)
    database.corrupt()
    await database.until(lambda: database.core.services.views[DATABASE].healthy is False)
    with pytest.raises(WrongState, match=r"is not healthy|has the open incident"):
        await operator_service(database.core).drill(DATABASE, who="ada")
