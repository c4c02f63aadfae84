"""A drill from its start to its end: by the shipped runbook, on the shipped service, with workers that are told."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from kintsugi.actions.job_progress import Stage, Standing
from kintsugi.actions.jobs import ending
from kintsugi.actions.undo import undone_by
from kintsugi.catalog.load import load
from kintsugi.catalog.shipped import catalog_paths
from kintsugi.drills import report_of
from kintsugi.model.command import BackupFetch, Command, Dropdb, PgRestore
from kintsugi.model.documents import Mode
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Phase, RunKind, RunRecord, StepState, UndoRecord
from kintsugi.model.restore import SEARCH_PATH, owner_of
from kintsugi.planner import parameters_for
from kintsugi.runner import Journal
from kintsugi.runner.drill import DrillCarrier
from kintsugi.runner.drill_gate import DrillGate
from tests.unit.executor.power import Power
from tests.unit.factories import incident, pause, run
from tests.unit.runner.bench import Bench, cut_everywhere
from tests.unit.runner.fakes import RunLedger, ScriptedLooker, ShownWorld
from tests.unit.virtual import play

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(600)]

CATALOG = load(catalog_paths(None))
SCRATCH = "kintsugi_drill_inc-1"
AS_OWNER = f"psql -U {owner_of(SCRATCH)} -d 'dbname={SCRATCH} options=-csearch_path={SEARCH_PATH}' -c "
DROP = f"dropdb --if-exists -h database.production -U postgres {SCRATCH}"
RESTORE = (
    f"pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d {SCRATCH} /backups/a.dump"
)
FETCH = "kintsugi backup fetch s3://backup-bucket/database/ --database=app --max-age=26h -n production"
ENDS = {"fetch": "kubectl delete job fetch -n production", "restore": "kubectl delete job restore -n production"}
BACKUP: Mapping[str, object] = {
    "url": "s3://backup-bucket/database/a.dump",
    "file": "/backups/a.dump",
    "key": "database/a.dump",
    "size": 1_000_000,
    "taken": datetime(2026, 5, 4, 7, 0, tzinfo=UTC),
    "sha256": "0" * 64,
    "proven": True,
    "database": "app",
    "server_major": 16,
    "roles": [],
    "extensions": [],
    "skipped": [{"url": "s3://backup-bucket/database/b.dump", "reason": "it is cut off"}],
    "age_seconds": 18_000.0,
}
RESTORED: Mapping[str, object] = {
    "database": SCRATCH,
    "bytes": 1_000_000,
    "seconds": 3.0,
    "tables": [{"name": "public.orders", "rows": 1000}],
}
GIGABYTE = 1024**3


class DrillLedger(RunLedger):
    """The ledger of one drill; `trouble_of` is the incident that its service has open."""

    trouble_of = ""

    async def history(self, service: str, namespace: str, now: datetime) -> History:
        """Tell what guards and drills look at."""
        return History(incident=self.trouble_of, pauses=(await self.stops(namespace, now, now)).pauses)


class Drill(Bench):
    """A drill that passes, unless the test makes something of it worse."""

    def __init__(self) -> None:
        super().__init__("- {id: look, run: kubectl get pods}\n")
        self.catalog, self.runbook = CATALOG, CATALOG.runbooks["database-drill"]
        service = CATALOG.services["database"]
        record = replace(
            run(service="database"),
            runbook=self.runbook.name,
            rule="drill",
            kind=RunKind.DRILL,
            parameters=cast("Mapping[str, object]", parameters_for(self.runbook, service)),
        )
        record = replace(record, deadline=record.started + self.runbook.rollback.after)
        self.ledger: DrillLedger = DrillLedger(record, replace(incident(service="database"), kind=RunKind.DRILL))
        self.world = ShownWorld(self.catalog)
        self.looker = ScriptedLooker()
        self.actor.facts_of, self.actor.undo_of, self.actor.on_change = facts_of, undo_of, lambda _: None
        self.looker.workers = {
            "kintsugi": lambda: Standing(stage=Stage.DONE, names={"backup": BACKUP, "notes": []}),
            "pg_restore": lambda: Standing(stage=Stage.DONE, names={"restored": RESTORED, "notes": []}),
            "dropdb": lambda: Standing(stage=Stage.DONE, names={"notes": []}),
        }
        self.look_well()
        self.drill: DrillCarrier | None = None

    def look_well(self) -> None:
        """Let every look be answered as on a server that is well."""
        ask = "kubectl exec statefulset/database -n production -- "
        scratch = f"{ask}{AS_OWNER}"
        answers: dict[str, Mapping[str, object]] = {
            f"{scratch}'SELECT count": {"rows": [{"count": 1000}], "value": 1000},
            f"{scratch}'SELECT max": {"rows": [], "value": "2026-05-04T06:59:00+00:00"},
            f"{scratch}'SELECT conname": {"rows": []},
            f"{scratch}'SELECT last_value": {"rows": [{"ahead": True}], "value": True},
            f"{scratch}'SELECT extname": {"rows": []},
            f'{ask}psql -U postgres -c "SELECT DISTINCT': {"rows": []},
            f"{ask}psql -U postgres -c 'SELECT DISTINCT": {"rows": []},
            f"{ask}psql -U postgres -d app -c 'SELECT pg_database_size": {"rows": [], "value": 5_000_000},
            f"{ask}psql -U postgres -c 'SHOW": {"rows": [], "value": "/var/lib/postgresql/data"},
            f"{ask}df -P -k /var/lib/postgresql/data": {"disk": {"size": GIGABYTE, "used": 0, "free": GIGABYTE}},
        }
        for beginning, names in answers.items():
            self.looker.will(beginning, lambda names=names: names)  # type: ignore[misc]

    async def carry(self, power: Power | None = None) -> RunRecord:
        """Start a process and let it carry the drill to its end."""
        if self.drill is None:
            self.world.show("database", ready=1, desired=1, healthy=True)
        self.power = self.actor.power = self.ledger.power = power or Power()
        journal = await Journal.read(self.ledger.record, self.ledger)
        self.drill = DrillCarrier(
            tools=self.tools(),
            ledger=self.ledger,
            catalog=self.catalog,
            runbook=self.runbook,
            incident=self.ledger.incident,
            journal=journal,
            gate=DrillGate(begun_in=Mode.AUTO, tools=self.tools(), ledger=self.ledger, journal=journal),
        )
        return await self.drill.carry()

    def at_work(self, beginning: str) -> None:
        """Let a worker never come to its end, and make progress."""
        moved = iter(range(10**9))
        self.looker.workers[beginning] = lambda: Standing(
            stage=Stage.RUNNING, names={"done": {"phase": "reading", "bytes": next(moved)}, "notes": []}
        )


def facts_of(command: Command) -> Mapping[str, object]:
    """Say where a worker's Job is."""
    match command:
        case BackupFetch():
            return {"job": "fetch", "namespace": "production"}
        case PgRestore():
            return {"job": "restore", "namespace": "production"}
        case Dropdb():
            return {"job": "drop", "namespace": "production"}
        case _:
            return {}


def undo_of(command: Command) -> UndoRecord:
    """A worker is taken back by its end."""
    job = facts_of(command).get("job")
    return undone_by(ending(str(job), "production")) if job else UndoRecord(note="a worker that was ended")


def test_a_drill_passes_and_leaves_nothing() -> None:
    """P8: it is told with its intents, and all that it made is taken away, the scratch database first."""
    drill = Drill()
    ended = play(drill.carry())
    assert (ended.state, drill.states) == (IncidentState.PASSED, [IncidentState.PASSED]), ended.reason
    assert drill.effects == [FETCH, RESTORE, DROP, ENDS["restore"], ENDS["fetch"]]
    assert "taken 2026-05-04 07:00:00 UTC (5h before the drill)" in ended.reason
    assert "public.orders 1000 rows restored; 5 checks held" in ended.reason
    assert "1 newer backup no good" in ended.reason


def test_the_report_tells_what_was_restored_and_asked() -> None:
    """Read back from the records alone, as the command line does."""
    drill = Drill()
    ended = play(drill.carry())
    report = report_of(ended, tuple(drill.ledger.kept.values()), now=ended.started)
    assert report.backup is not None
    assert report.restored is not None
    assert (report.backup.url, report.backup.proven) == ("s3://backup-bucket/database/a.dump", True)
    assert [(each.url, each.reason) for each in report.backup.skipped] == [
        ("s3://backup-bucket/database/b.dump", "it is cut off")
    ]
    assert [(table.name, table.rows) for table in report.restored.tables] == [("public.orders", 1000)]
    assert [check.met for check in report.checks] == [True] * 5
    assert report.checks[0].name == "Orders are there"
    assert [name for name, _ in report.stages][:1] == ["Fetch the newest backup that passes every check"]


def test_no_question_of_the_checks_goes_to_the_live_database() -> None:
    """Nothing live is touched, and the size is all that is asked of it."""
    drill = Drill()
    play(drill.carry())
    asked = [text for _, text in drill.looker.looked if "-d app" in text]
    assert [text for text in asked if "pg_database_size" not in text] == []


def test_a_check_that_is_not_met_fails_the_drill_and_the_scratch_database_is_dropped() -> None:
    """The reason says which."""
    drill = Drill()
    drill.looker.will(
        f"kubectl exec statefulset/database -n production -- {AS_OWNER}'SELECT count",
        lambda: {"rows": [{"count": 0}], "value": 0},
    )
    ended = play(drill.carry())
    assert ended.state is IncidentState.FAILED
    assert "the drill did not pass: verify/orders: Orders are there: not met: value > 0" in ended.reason
    assert drill.effects[-3:] == [DROP, ENDS["restore"], ENDS["fetch"]]


@pytest.mark.parametrize("disk", [{"free": 9_000_000}, {"free": 7_999_999, "size": 1}, None])
def test_without_room_for_it_nothing_is_restored(disk: Mapping[str, int] | None) -> None:
    """P6: a disk that cannot be asked has no room."""
    drill = Drill()
    names = {"lines": [], "text": ""} if disk is None else {"disk": {"size": 0, "used": 0, **disk}}
    drill.looker.will(
        "kubectl exec statefulset/database -n production -- df -P -k /var/lib/postgresql/data", lambda: names
    )
    ended = play(drill.carry())
    assert ended.state is IncidentState.FAILED
    assert "did not pass: room" in ended.reason
    assert drill.effects == [FETCH, ENDS["fetch"]]


def test_no_good_backup_fails_the_drill() -> None:
    """The very thing that a drill is for."""
    drill = Drill()
    drill.looker.workers["kintsugi"] = lambda: Standing(stage=Stage.FAILED, why="no-good-backup: each of 3 is cut off")
    ended = play(drill.carry())
    assert ended.state is IncidentState.FAILED
    assert "each of 3 is cut off" in ended.reason
    assert drill.effects == [FETCH, ENDS["fetch"]]


def test_a_recovery_that_begins_ends_the_drill_at_once() -> None:
    """The worker's sessions are clients that a recovery waits to be gone."""
    drill = Drill()
    drill.at_work("pg_restore")

    async def story() -> RunRecord:
        drill.at(60, lambda: setattr(drill.ledger, "trouble_of", "inc-7"))
        return await drill.carry()

    ended = play(story())
    assert ended.state is IncidentState.CANCELLED
    assert ended.reason == "the drill gives way: database has incident inc-7 open: a recovery comes first"
    assert drill.effects == [FETCH, RESTORE, ENDS["restore"], DROP, ENDS["fetch"]]
    assert ended.finished is not None
    assert (ended.finished - ended.started).total_seconds() < 70


def test_a_service_that_is_no_longer_well_ends_it() -> None:
    """The drill may be the cause."""
    drill = Drill()
    drill.at_work("kintsugi")

    async def story() -> RunRecord:
        drill.at(60, lambda: drill.world.show("database", ready=0))
        return await drill.carry()

    ended = play(story())
    assert (ended.state, drill.effects) == (IncidentState.CANCELLED, [FETCH, ENDS["fetch"]])
    assert "is not healthy" in ended.reason


def test_not_to_know_how_the_service_is_ends_nothing() -> None:
    """P6: the API is away for a while."""
    drill = Drill()

    async def story() -> RunRecord:
        drill.at(0.5, lambda: drill.world.hide("database"))
        return await drill.carry()

    assert play(story()).state is IncidentState.PASSED


def test_a_pause_ends_it() -> None:
    """Pauses stop new steps, and a scratch database does not wait for days."""
    drill = Drill()
    drill.at_work("pg_restore")

    async def story() -> RunRecord:
        drill.at(30, lambda: drill.ledger.pauses.append(pause()))
        return await drill.carry()

    assert play(story()).state is IncidentState.CANCELLED
    assert DROP in drill.effects


def test_a_person_may_end_it() -> None:
    """kintsugi rollback."""
    drill = Drill()
    drill.at_work("pg_restore")

    async def story() -> RunRecord:
        drill.at(30, lambda: drill.drill.ask_rollback("ada") if drill.drill else None)
        return await drill.carry()

    ended = play(story())
    assert (ended.state, ended.reason) == (IncidentState.CANCELLED, "ended by ada")


def test_at_its_deadline_it_has_failed() -> None:
    """The runbook says how long is enough."""
    drill = Drill()
    started = drill.ledger.record.started
    drill.ledger.record = replace(drill.ledger.record, deadline=started + timedelta(minutes=10))
    drill.at_work("pg_restore")
    ended = play(drill.carry())
    assert ended.state is IncidentState.FAILED
    assert "it has not come to its end within 10m" in ended.reason
    assert DROP in drill.effects


def test_what_cannot_be_dropped_is_told_and_no_drill_passes_that_leaves_anything() -> None:
    """The next one drops it by its mark."""
    drill = Drill()
    drill.looker.workers["dropdb"] = lambda: Standing(stage=Stage.FAILED, why="unreachable: the server is away")
    ended = play(drill.carry())
    assert ended.state is IncidentState.FAILED
    assert "the next drill tries again: drop: unreachable: the server is away" in ended.reason
    assert drill.effects[-2:] == [ENDS["restore"], ENDS["fetch"]]


def test_what_an_earlier_drill_left_is_dropped_first() -> None:
    """Found by name and mark, before the room is looked at."""
    drill = Drill()
    left = [{"name": "kintsugi_drill_inc-0"}]
    for quote in ("'", '"'):
        drill.looker.will(
            f"kubectl exec statefulset/database -n production -- psql -U postgres -c {quote}SELECT DISTINCT",
            lambda: {"rows": left, "value": "kintsugi_drill_inc-0"},
        )
    ended = play(drill.carry())
    assert ended.state is IncidentState.PASSED, ended.reason
    assert drill.effects[1] == "dropdb --if-exists -h database.production -U postgres kintsugi_drill_inc-0"


def test_a_drill_ends_the_same_wherever_the_process_ends() -> None:
    """P3, P8, C1: nothing is made twice, nothing is left, and what it found is not forgotten."""

    def check(story: str, bench: Bench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.PASSED, (story, ended.reason)
        assert len(bench.effects) == len(set(bench.effects)), (story, bench.effects)
        assert bench.effects[-3:] == [DROP, ENDS["restore"], ENDS["fetch"]], (story, bench.effects)
        assert bench.step("restore").state is StepState.DONE, story
        assert bench.has("restore#0~0", Phase.UNDO), story

    assert cut_everywhere(Drill, check) > 30
