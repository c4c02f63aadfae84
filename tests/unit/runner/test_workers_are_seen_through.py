"""A step that makes a worker's Job ends when the worker does, whichever process watches it then (P2, P3, C1)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from kintsugi.actions.effect_plan import undone_by
from kintsugi.actions.job_progress import WorkerStage, WorkerStatus
from kintsugi.actions.jobs import ending
from kintsugi.errors import Forbidden, ServerUnavailable
from kintsugi.model.command import BackupFetch, Command, PgRestore
from kintsugi.model.records import IncidentState, Phase, RunRecord, StepState, UndoRecord
from tests.unit.executor.scripted_actor import undo_of as usual_undo
from tests.unit.factories import pause
from tests.unit.runner.bench import RunBench, clock, cut_everywhere

pytestmark = pytest.mark.looptime

FETCH = "kintsugi backup fetch s3://backup-bucket/database/ --database=app --max-age=26h -n production"
RESTORE = "pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/a.dump"
END_FETCH, END_RESTORE = "kubectl delete job fetch -n production", "kubectl delete job restore -n production"
STEPS = """\
- id: newest
  run: kintsugi backup fetch s3://backup-bucket/database/ --database=app --max-age=26h
  timeout: 10m
  progress: done.bytes
- id: old
  when: now - steps.newest.backup.taken > duration("1h") && steps.newest.backup.proven
  run: kubectl get nodes
- id: restore
  run: pg_restore -e -1 -h database -U postgres -d app ${steps.newest.backup.file}
  timeout: 10m
  progress: done.bytes
  undo: none
- {id: verify, run: kubectl get pods, when: "steps.restore.restored.tables.exists(t, t.rows >= 1000)"}
"""
BACKUP = {"file": "/backups/a.dump", "taken": datetime(2020, 1, 1, tzinfo=UTC), "proven": True}
RESTORED = {"database": "app", "bytes": 9, "seconds": 1.0, "tables": [{"name": "public.orders", "rows": 1000}]}
FETCHED = WorkerStatus(stage=WorkerStage.DONE, names={"backup": BACKUP, "notes": []})
WHOLE = WorkerStatus(stage=WorkerStage.DONE, names={"restored": RESTORED, "notes": []})


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
    return undone_by(ending(str(job), "production")) if job else usual_undo(command)


def at_work(bytes_done: int = 0) -> WorkerStatus:
    """Make the standing of a worker that has done so much."""
    return WorkerStatus(
        stage=WorkerStage.RUNNING, names={"done": {"phase": "reading", "bytes": bytes_done}, "notes": []}
    )


def bench(steps: str = STEPS, *, rollback: str = "after: 2h", heals: str | None = "pg_restore") -> RunBench:
    """Have a run whose workers end well after five minutes, each with progress every minute."""
    made = RunBench(steps, rollback=rollback, heals=heals, more="completeOnceBegun: true")
    made.actor.facts_of, made.actor.undo_of = facts_of, undo_of
    made.prober.workers = {"kintsugi": lasting(300, FETCHED), "pg_restore": lasting(300, WHOLE)}
    return made


def lasting(seconds: float, end: WorkerStatus, *, moves: bool = True) -> Callable[[], WorkerStatus]:
    """Let a worker be at work for so long after it was first looked at."""
    began: list[float] = []

    def stands() -> WorkerStatus:
        began[:] = began or [clock()]
        passed = clock() - began[0]
        return end if passed >= seconds else at_work(int(passed // 60) if moves else 0)

    return stands


async def test_the_next_step_waits_for_the_worker_and_sees_what_it_found() -> None:
    story = bench()
    times = story.note_times()
    ended = await story.drive()
    assert ended.state is IncidentState.RECOVERED, ended.reason
    assert story.effects == [FETCH, RESTORE]
    assert times[RESTORE] - times[FETCH] == pytest.approx(300, abs=5)
    assert story.step("old").state is StepState.DONE, "the moment of the backup is a moment to expressions"
    assert story.step("verify").state is StepState.DONE


@pytest.mark.long
def test_every_job_is_made_once_and_its_result_taken_up_wherever_the_process_ends() -> None:
    """C1: the Jobs outlive the process; a successor watches on and makes none."""

    def check(where: str, story: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.RECOVERED, f"{where}: {ended.reason}"
        assert story.effects == [FETCH, RESTORE], where
        assert story.step("verify").state is StepState.DONE, where

    assert cut_everywhere(bench, check, down=120) > 20


async def test_progress_starts_the_timeout_anew() -> None:
    """Eight minutes apart each, for an hour; the timeout is ten."""
    story = bench()
    story.prober.workers["kintsugi"] = lambda: FETCHED if clock() > 3600 else at_work(int(clock() // 480))
    assert (await story.drive()).state is IncidentState.RECOVERED


async def test_a_worker_without_progress_is_ended_and_the_run_fails_with_the_reason() -> None:
    story = bench(heals=None)
    story.prober.workers["kintsugi"] = lambda: (
        WorkerStatus(stage=WorkerStage.FAILED, why="job/fetch is gone: it was deleted; only the room was touched")
        if END_FETCH in story.effects
        else at_work(7)
    )
    ended = await story.drive()
    assert ended.state is IncidentState.FAILED
    assert ended.reason.startswith("newest: no progress within 10m; its Job was ended")
    assert story.effects == [FETCH, END_FETCH]
    assert story.step("newest#0~0", Phase.UNDO).state is StepState.DONE


async def test_a_worker_that_never_started_says_why() -> None:
    """A node without room, an image that cannot be pulled, a Secret that is missing."""
    story = bench(heals=None)
    why = "the worker has not started within 10m: ImagePullBackOff: no such image"
    story.prober.workers["kintsugi"] = lambda: WorkerStatus(
        stage=WorkerStage.FAILED if END_FETCH in story.effects else WorkerStage.STUCK, why=why
    )
    ended = await story.drive()
    assert ended.state is IncidentState.FAILED
    assert why in ended.reason
    assert story.effects == [FETCH, END_FETCH]


async def test_time_in_which_nothing_can_be_seen_does_not_count() -> None:
    """P6: no answer from the API is no news of the worker."""
    story = bench()

    def stands() -> WorkerStatus | Exception:
        if 300 < clock() < 3600:
            return ServerUnavailable("no answer")
        return FETCHED if clock() > 3600 + 300 else at_work()

    story.prober.workers["kintsugi"] = stands
    assert (await story.drive()).state is IncidentState.RECOVERED
    assert END_FETCH not in story.effects


async def test_a_right_that_is_missing_is_told_at_once() -> None:
    """Waiting would not bring it."""
    story = bench(heals=None)
    story.prober.workers["kintsugi"] = lambda: Forbidden('cannot get resource "jobs"', status=403)
    ended = await story.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert 'cannot get resource "jobs"' in ended.reason


NO_GOOD = WorkerStatus(stage=WorkerStage.FAILED, why="no backup below s3://backup-bucket/database/ is good")


async def test_the_failure_of_a_worker_is_the_reason_and_its_command_counts_as_not_done() -> None:
    story = bench(heals=None)
    story.prober.workers["kintsugi"] = lambda: NO_GOOD
    ended = await story.drive()
    assert ended.state is IncidentState.FAILED
    assert ended.reason.startswith(f"newest: {NO_GOOD.why}")
    done, _, rest = ended.reason.partition("Not done:")
    assert "backup fetch" not in done
    assert "kintsugi backup fetch" in rest
    assert END_FETCH in rest, "its Job can be taken away"
    assert story.effects == [FETCH]


async def test_a_step_may_go_on_though_its_worker_failed() -> None:
    steps = (
        STEPS.partition("- id: old")[0]
        + "  onFailure: continue\n- {id: other, run: kubectl cordon a, when: '!steps.newest.passed'}"
    )
    story = bench(steps, heals="kubectl cordon")
    story.prober.workers["kintsugi"] = lambda: NO_GOOD
    assert (await story.drive()).state is IncidentState.RECOVERED
    assert story.effects == [FETCH, "kubectl cordon a"]


async def test_when_nobody_can_tell_how_far_a_restore_came_a_person_is_asked() -> None:
    """P3."""
    story = bench(heals=None)
    story.prober.workers["pg_restore"] = lambda: WorkerStatus(stage=WorkerStage.LOST, why="its pod is gone")
    ended = await story.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("restore: its pod is gone")


async def test_a_restore_that_was_done_when_it_was_given_up_is_done() -> None:
    """The database itself is asked after the end of its worker."""
    story = bench()
    story.prober.workers["pg_restore"] = lambda: WHOLE if END_RESTORE in story.effects else at_work()
    assert (await story.drive()).state is IncidentState.RECOVERED


async def test_a_worker_that_does_not_let_go_is_a_person_s() -> None:
    """On a node that does not answer, for instance."""
    story = bench(heals=None)
    story.prober.workers["pg_restore"] = at_work
    ended = await story.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "it did not stop within 3m" in ended.reason


async def test_a_person_s_rollback_ends_the_worker_first_whatever_the_runbook_says_of_its_undo() -> None:
    steps = "- {id: one, run: kubectl cordon one}\n" + STEPS
    story = bench(steps, heals="kubectl uncordon one")
    story.prober.workers["pg_restore"] = lasting(3600, WHOLE)

    def ask() -> None:
        assert story.driver is not None
        story.driver.request_rollback("ada")

    story.at(450, ask)
    ended = await story.drive()
    assert ended.state is IncidentState.ROLLED_BACK, ended.reason
    assert story.effects == ["kubectl cordon one", FETCH, RESTORE, END_RESTORE, END_FETCH, "kubectl uncordon one"]


async def test_a_pause_stops_no_worker_but_the_next_step() -> None:
    """A person may stop it at any step boundary."""
    story = bench()
    times = story.note_times()
    story.at(100, lambda: story.ledger.pauses.append(pause()))
    story.at(1000, story.ledger.pauses.clear)
    assert (await story.drive()).state is IncidentState.RECOVERED
    assert times[RESTORE] >= 1000
    assert story.effects == [FETCH, RESTORE]
