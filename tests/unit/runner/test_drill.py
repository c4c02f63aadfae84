"""A drill from its start to its end: by the shipped runbook, on the shipped service, with workers that are told."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.catalog.library import catalog_paths
from kintsugi.catalog.load import load
from kintsugi.decisions.drills import report_of
from kintsugi.decisions.planner import parameters_for
from kintsugi.model.records import IncidentState, Phase, RunKind, RunRecord, StepState
from kintsugi.model.rules import Mode
from kintsugi.runner import Journal, RunnerDeps
from kintsugi.runner.rehearsal import DrillDriver, DrillGate
from kintsugi_restore.worker_results import SEARCH_PATH, owner_of
from tests.unit.as_ledger import as_ledger
from tests.unit.factories import pause, run
from tests.unit.runner.bench import RunBench, at_work, cut_everywhere, worker_facts, worker_undo
from tests.unit.runner.fakes import ScriptedProber
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


class Drill(RunBench):
    """A drill that passes, unless the test makes something of it worse."""

    def __init__(self) -> None:
        super().__init__("- {id: look, run: kubectl get pods}\n")
        given = dict(parameters_for(CATALOG.runbooks["database-drill"], CATALOG.services["database"]))
        record = replace(run(service="database"), runbook="database-drill", rule="drill", kind=RunKind.DRILL)
        self.begin(CATALOG, replace(record, parameters=given))
        self.prober = ScriptedProber()
        self.actor.facts_of, self.actor.undo_of, self.actor.on_change = worker_facts, worker_undo, lambda _: None
        self.prober.workers = {
            "kintsugi": lambda: JobState(stage=JobStage.DONE, names={"backup": BACKUP, "notes": []}),
            "pg_restore": lambda: JobState(stage=JobStage.DONE, names={"restored": RESTORED, "notes": []}),
        }
        self.look_well()

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

    def show_found(self) -> None:
        """Let the service be well."""
        self.observed.show("database", ready=1, desired=1, healthy=True)

    def make_driver(self, deps: RunnerDeps, journal: Journal) -> DrillDriver:
        """Make the driver of one process."""
        gate = DrillGate(begun_in=Mode.AUTO, deps=deps, ledger=as_ledger(self.ledger), journal=journal)
        return DrillDriver(**self.parts(deps, journal), gate=gate)

    def at_work(self, beginning: str) -> None:
        """Let a worker never come to its end, and make progress."""
        moved = iter(range(10**9))
        self.prober.workers[beginning] = lambda: at_work(next(moved))


TAKEN_AWAY = [ENDS["restore"], ENDS["fetch"]]
ALL = [FETCH, RESTORE, *TAKEN_AWAY]


def test_a_drill_passes_and_leaves_nothing_and_its_report_tells_what_was_restored_and_asked() -> None:
    """P8: it is told with its intents, and all that it made is taken away: the server goes with its Job."""
    drill = Drill()
    ended = play(drill.drive())
    assert (drill.states, drill.effects) == ([IncidentState.PASSED], ALL), ended.reason
    assert "taken 2026-05-04 07:00:00 UTC (5h before the drill)" in ended.reason
    assert "public.orders 1000 rows restored; 5 checks passed" in ended.reason
    assert "1 newer backup unusable" in ended.reason
    asked = [text for _, text in drill.prober.looked if "psql" in text or "exec" in text]
    assert len(asked) == 5
    assert [text for text in asked if not text.startswith(ASKED)] == [], "nothing live is asked"
    # The report is read back from the records alone, as the command line does.
    report = report_of(ended, tuple(drill.ledger.kept.values()), now=ended.started)
    assert report.backup is not None
    assert report.restored is not None
    assert (report.backup.url, report.backup.proven) == ("s3://backup-bucket/database/a.dump", True)
    (skipped,) = report.backup.skipped
    assert (skipped.url, skipped.reason) == ("s3://backup-bucket/database/b.dump", "it is cut off")
    assert [(table.name, table.rows) for table in report.restored.tables] == [("public.orders", 1000)]
    assert [check.met for check in report.checks] == [True] * 5
    assert report.checks[0].name == "Orders are there"
    assert [name for name, _ in report.stages][:1] == ["Fetch the newest backup that passes every check"]


def no_orders(drill: Drill) -> None:
    """Let a check of the restored data not be met."""
    drill.prober.will(f"{ASKED}'SELECT count", lambda: {"rows": [{"count": 0}], "value": 0})


def worker(beginning: str, stage: JobStage, why: str) -> Callable[[Drill], None]:
    """Let a worker stand so."""
    return lambda drill: drill.prober.workers.update({beginning: lambda: JobState(stage=stage, why=why)})


def late(drill: Drill) -> None:
    """Let the drill not be done at its deadline."""
    record = drill.ledger.record
    drill.ledger.record = replace(record, deadline=record.started + timedelta(minutes=10))
    drill.at_work("pg_restore")


NO_ROOM = (
    "the worker has not started within 10m: Unschedulable: 0/3 nodes are available: 3 Insufficient ephemeral-storage"
)


@pytest.mark.parametrize(
    ("spoil", "why", "effects"),
    [
        (no_orders, "the drill did not pass: verify/orders: Orders are there: not met", ALL),
        (worker("pg_restore", JobStage.STUCK, NO_ROOM), "3 Insufficient ephemeral-storage", ALL),
        (
            worker("kintsugi", JobStage.FAILED, "each of 3 is cut off"),
            "each of 3 is cut off",
            [FETCH, ENDS["fetch"]],
        ),
        (late, "it did not finish within 10m", ALL),
    ],
    ids=["a check is not met", "no room for its server", "no good backup", "the deadline"],
)
def test_a_drill_fails_with_the_reason_and_its_server_goes(
    spoil: Callable[[Drill], None], why: str, effects: list[str]
) -> None:
    """P6: what the cluster says of a pod that cannot be placed is the reason."""
    drill = Drill()
    spoil(drill)
    ended = play(drill.drive())
    assert ended.state is IncidentState.FAILED
    assert why in ended.reason
    assert sorted(drill.effects) == sorted(effects)


@pytest.mark.parametrize(
    ("busy", "act", "why"),
    [
        (
            "pg_restore",
            lambda drill: setattr(drill.ledger, "recovery", "inc-7"),
            "the drill is ended: database has the open incident inc-7; a recovery has priority",
        ),
        ("kintsugi", lambda drill: drill.observed.show("database", ready=0), "is not healthy"),
        ("pg_restore", lambda drill: drill.ledger.pauses.append(pause()), "paused by ada"),
        ("pg_restore", RunBench.request_rollback, "ended by ada"),
        ("pg_restore", RunBench.abort, "aborted by ada: a deploy"),
    ],
    ids=["a recovery that begins", "a service that is no longer well", "a pause", "a rollback", "an abort"],
)
def test_a_drill_gives_way_at_once(busy: str, act: Callable[[Drill], None], why: str) -> None:
    """The drill may be the cause, and the worker's sessions are clients that a recovery waits to be gone."""
    drill = Drill()
    drill.at_work(busy)
    drill.at(60, lambda: act(drill))
    ended = play(drill.drive())
    assert drill.ended == (IncidentState.CANCELLED, ALL if busy == "pg_restore" else [FETCH, ENDS["fetch"]])
    assert why in ended.reason
    assert ended.finished is not None
    assert (ended.finished - ended.started).total_seconds() < 70


def test_not_to_know_how_the_service_is_ends_nothing() -> None:
    """P6: the API is away for a while."""
    drill = Drill()
    drill.at(0.5, lambda: drill.observed.hide("database"))
    assert play(drill.drive()).state is IncidentState.PASSED


def test_a_drill_ends_the_same_wherever_the_process_ends() -> None:
    """P3, P8, C1: nothing is made twice, nothing is left, and what it found is not forgotten."""

    def check(story: str, bench: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.PASSED, (story, ended.reason)
        assert len(bench.effects) == len(set(bench.effects)), (story, bench.effects)
        assert bench.effects[-2:] == TAKEN_AWAY, (story, bench.effects)
        assert bench.step("restore").state is StepState.DONE, story
        assert bench.has("restore#0~0", Phase.UNDO), story

    assert cut_everywhere(Drill, check) > 30
