"""A drill from its start to its end: by the shipped runbook, on the shipped service, with workers that are told."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import cast

import pytest

from kintsugi.actions.effect_plan import undone_by
from kintsugi.actions.job_progress import WorkerStage, WorkerStatus
from kintsugi.actions.jobs import ending
from kintsugi.catalog.load import load
from kintsugi.catalog.shipped import catalog_paths
from kintsugi.decisions.drills import report_of
from kintsugi.decisions.planner import parameters_for
from kintsugi.drivers.drill import DrillDriver, DrillGate
from kintsugi.model.command import BackupFetch, Command, PgRestore
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Phase, RunKind, RunRecord, StepState, UndoRecord
from kintsugi.model.rules import Mode
from kintsugi.model.worker_results import SEARCH_PATH, owner_of
from kintsugi.runner import Journal
from tests.unit.as_ledger import as_ledger
from tests.unit.executor.power import Power
from tests.unit.factories import incident, pause, run
from tests.unit.runner.bench import RunBench, cut_everywhere
from tests.unit.runner.fakes import RunLedger, ScriptedProber, ShownState
from tests.unit.virtual import play

pytestmark = pytest.mark.looptime

CATALOG = load(catalog_paths(None))
SCRATCH = "kintsugi_drill_inc-1"
AS_OWNER = f"psql -U {owner_of(SCRATCH)} -d 'dbname={SCRATCH} options=-csearch_path={SEARCH_PATH}' -c "
ASKED = f"kubectl exec job/restore -n production -c server -- {AS_OWNER}"
RESTORE = (
    f"pg_restore --exit-on-error --single-transaction -h localhost.production -U postgres -d {SCRATCH} /backups/a.dump"
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


class DrillLedger(RunLedger):
    """The ledger of one drill; `trouble_of` is the incident that its service has open."""

    trouble_of = ""

    async def history(self, service: str, namespace: str, now: datetime) -> History:
        """Return what guards and drills look at."""
        return History(incident=self.trouble_of, pauses=(await self.constraints(namespace, now, now)).pauses)


class Drill(RunBench):
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
        self.observed = ShownState(self.catalog)
        self.prober = ScriptedProber()
        self.actor.facts_of, self.actor.undo_of, self.actor.on_change = facts_of, undo_of, lambda _: None
        self.prober.workers = {
            "kintsugi": lambda: WorkerStatus(stage=WorkerStage.DONE, names={"backup": BACKUP, "notes": []}),
            "pg_restore": lambda: WorkerStatus(stage=WorkerStage.DONE, names={"restored": RESTORED, "notes": []}),
        }
        self.look_well()
        self.drill: DrillDriver | None = None

    def look_well(self) -> None:
        """Let every look be answered as by the server of the drill's Job, with good data on it."""
        answers: dict[str, Mapping[str, object]] = {
            f"{ASKED}'SELECT count": {"rows": [{"count": 1000}], "value": 1000},
            f"{ASKED}'SELECT max": {"rows": [], "value": "2026-05-04T06:59:00+00:00"},
            f"{ASKED}'SELECT conname": {"rows": []},
            f"{ASKED}'SELECT last_value": {"rows": [{"ahead": True}], "value": True},
            f"{ASKED}'SELECT extname": {"rows": []},
        }
        for beginning, names in answers.items():
            self.prober.will(beginning, partial(dict, names))

    async def drive(self, power: Power | None = None) -> RunRecord:
        """Start a process and let it carry the drill to its end."""
        if self.drill is None:
            self.observed.show("database", ready=1, desired=1, healthy=True)
        self.power = self.actor.power = self.ledger.power = power or Power()
        journal = await Journal.read(self.ledger.record, as_ledger(self.ledger))
        self.drill = DrillDriver(
            deps=self.deps(),
            ledger=as_ledger(self.ledger),
            catalog=self.catalog,
            runbook=self.runbook,
            incident=self.ledger.incident,
            journal=journal,
            gate=DrillGate(begun_in=Mode.AUTO, deps=self.deps(), ledger=as_ledger(self.ledger), journal=journal),
        )
        return await self.drill.drive()

    def at_work(self, beginning: str) -> None:
        """Let a worker never come to its end, and make progress."""
        moved = iter(range(10**9))
        self.prober.workers[beginning] = lambda: WorkerStatus(
            stage=WorkerStage.RUNNING, names={"done": {"phase": "reading", "bytes": next(moved)}, "notes": []}
        )


def facts_of(command: Command) -> Mapping[str, object]:
    """Return where a worker's Job is."""
    match command:
        case BackupFetch():
            return {"job": "fetch", "namespace": "production"}
        case PgRestore():
            return {"job": "restore", "namespace": "production"}
        case _:
            return {}


def undo_of(command: Command) -> UndoRecord:
    """A worker is taken back by its end."""
    job = facts_of(command).get("job")
    return undone_by(ending(str(job), "production")) if job else UndoRecord(note="a worker that was ended")


def test_a_drill_passes_and_leaves_nothing() -> None:
    """P8: it is told with its intents, and all that it made is taken away: the server goes with its Job."""
    drill = Drill()
    ended = play(drill.drive())
    assert (ended.state, drill.states) == (IncidentState.PASSED, [IncidentState.PASSED]), ended.reason
    assert drill.effects == [FETCH, RESTORE, ENDS["restore"], ENDS["fetch"]]
    assert "taken 2026-05-04 07:00:00 UTC (5h before the drill)" in ended.reason
    assert "public.orders 1000 rows restored; 5 checks passed" in ended.reason
    assert "1 newer backup unusable" in ended.reason


def test_the_report_tells_what_was_restored_and_asked() -> None:
    """Read back from the records alone, as the command line does."""
    drill = Drill()
    ended = play(drill.drive())
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


def test_no_question_goes_to_the_live_server() -> None:
    """Nothing live is touched, and nothing live is asked: each check goes to the server of the Job, as the owner."""
    drill = Drill()
    play(drill.drive())
    asked = [text for _, text in drill.prober.looked if "psql" in text or "exec" in text]
    assert len(asked) == 5
    assert [text for text in asked if not text.startswith(ASKED)] == []


def test_a_check_that_is_not_met_fails_the_drill_and_its_server_goes() -> None:
    """The reason says which."""
    drill = Drill()
    drill.prober.will(f"{ASKED}'SELECT count", lambda: {"rows": [{"count": 0}], "value": 0})
    ended = play(drill.drive())
    assert ended.state is IncidentState.FAILED
    assert "the drill did not pass: verify/orders: Orders are there: not met" in ended.reason
    assert drill.effects == [FETCH, RESTORE, ENDS["restore"], ENDS["fetch"]]


def test_without_room_for_its_server_the_drill_fails_and_says_so() -> None:
    """P6: what the cluster says of a pod that cannot be placed is the reason."""
    drill = Drill()
    why = "the worker has not started within 10m: Unschedulable: 0/3 nodes are available: 3 Insufficient ephemeral-storage"
    drill.prober.workers["pg_restore"] = lambda: WorkerStatus(stage=WorkerStage.STUCK, why=why)
    ended = play(drill.drive())
    assert ended.state is IncidentState.FAILED
    assert "3 Insufficient ephemeral-storage" in ended.reason
    assert {FETCH, RESTORE, ENDS["restore"], ENDS["fetch"]} == set(drill.effects)


def test_no_good_backup_fails_the_drill() -> None:
    """The very thing that a drill is for."""
    drill = Drill()
    drill.prober.workers["kintsugi"] = lambda: WorkerStatus(
        stage=WorkerStage.FAILED, why="no-good-backup: each of 3 is cut off"
    )
    ended = play(drill.drive())
    assert ended.state is IncidentState.FAILED
    assert "each of 3 is cut off" in ended.reason
    assert drill.effects == [FETCH, ENDS["fetch"]]


def test_a_recovery_that_begins_ends_the_drill_at_once() -> None:
    """The worker's sessions are clients that a recovery waits to be gone."""
    drill = Drill()
    drill.at_work("pg_restore")

    async def story() -> RunRecord:
        drill.at(60, lambda: setattr(drill.ledger, "trouble_of", "inc-7"))
        return await drill.drive()

    ended = play(story())
    assert ended.state is IncidentState.CANCELLED
    assert (
        ended.reason == "the drill is ended: database has the open incident inc-7; a recovery has priority over a drill"
    )
    assert drill.effects == [FETCH, RESTORE, ENDS["restore"], ENDS["fetch"]]
    assert ended.finished is not None
    assert (ended.finished - ended.started).total_seconds() < 70


def test_a_service_that_is_no_longer_well_ends_it() -> None:
    """The drill may be the cause."""
    drill = Drill()
    drill.at_work("kintsugi")

    async def story() -> RunRecord:
        drill.at(60, lambda: drill.observed.show("database", ready=0))
        return await drill.drive()

    ended = play(story())
    assert (ended.state, drill.effects) == (IncidentState.CANCELLED, [FETCH, ENDS["fetch"]])
    assert "is not healthy" in ended.reason


def test_not_to_know_how_the_service_is_ends_nothing() -> None:
    """P6: the API is away for a while."""
    drill = Drill()

    async def story() -> RunRecord:
        drill.at(0.5, lambda: drill.observed.hide("database"))
        return await drill.drive()

    assert play(story()).state is IncidentState.PASSED


def test_a_pause_ends_it() -> None:
    """Pauses stop new steps, and a server of its own does not wait for days."""
    drill = Drill()
    drill.at_work("pg_restore")

    async def story() -> RunRecord:
        drill.at(30, lambda: drill.ledger.pauses.append(pause()))
        return await drill.drive()

    assert play(story()).state is IncidentState.CANCELLED
    assert ENDS["restore"] in drill.effects


@pytest.mark.parametrize("aborted", [False, True])
def test_a_person_may_end_it(aborted: bool) -> None:
    """kintsugi rollback, or abort."""
    drill = Drill()
    drill.at_work("pg_restore")

    async def story() -> RunRecord:
        drill.at(30, end)
        return await drill.drive()

    def end() -> None:
        assert drill.drill is not None
        if aborted:
            drill.drill.request_abort("aborted by ada: a deploy")
        else:
            drill.drill.request_rollback("ada")

    ended = play(story())
    why = "aborted by ada: a deploy" if aborted else "ended by ada"
    assert (ended.state, ended.reason) == (IncidentState.CANCELLED, why)


def test_at_its_deadline_it_has_failed() -> None:
    """The runbook says how long is enough."""
    drill = Drill()
    started = drill.ledger.record.started
    drill.ledger.record = replace(drill.ledger.record, deadline=started + timedelta(minutes=10))
    drill.at_work("pg_restore")
    ended = play(drill.drive())
    assert ended.state is IncidentState.FAILED
    assert "it did not finish within 10m" in ended.reason
    assert ENDS["restore"] in drill.effects


def test_a_drill_ends_the_same_wherever_the_process_ends() -> None:
    """P3, P8, C1: nothing is made twice, nothing is left, and what it found is not forgotten."""

    def check(story: str, bench: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.PASSED, (story, ended.reason)
        assert len(bench.effects) == len(set(bench.effects)), (story, bench.effects)
        assert bench.effects[-2:] == [ENDS["restore"], ENDS["fetch"]], (story, bench.effects)
        assert bench.step("restore").state is StepState.DONE, story
        assert bench.has("restore#0~0", Phase.UNDO), story

    assert cut_everywhere(Drill, check) > 30
