"""A step that makes a Job ends when the Job does, whichever process watches it then (P2, P3, C1)."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.errors import Forbidden, ServerUnavailable
from kintsugi.model.records import IncidentState, Phase, RunRecord, StepState, UndoRecord
from kintsugi.verbs.create_job import CreateJob
from tests.unit.catalog.test_guides import GUIDES, examples
from tests.unit.runner.bench import RunBench, at_work, clock, cut_everywhere, worker_facts, worker_undo

pytestmark = pytest.mark.looptime

FETCH = "kintsugi backup fetch s3://backup-bucket/database/ --database=app --max-age=26h -n production"
RESTORE = "pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/a.dump"
END_FETCH, END_RESTORE = "kubectl delete job fetch -n production", "kubectl delete job restore -n production"
NEWEST = """\
- id: newest
  run: kintsugi backup fetch s3://backup-bucket/database/ --database=app --max-age=26h
  timeout: 10m
  progress: done.bytes
"""
STEPS = f"""\
{NEWEST}
- id: old
  when: now - steps.newest.backup.taken > duration("1h") && steps.newest.backup.proven
  run: kubectl get nodes
- id: restore
  run: pg_restore -e -1 -h database -U postgres -d app ${{steps.newest.backup.file}}
  timeout: 10m
  progress: done.bytes
  undo: none
- {{id: verify, run: kubectl get pods, when: "steps.restore.restored.tables.exists(t, t.rows >= 1000)"}}
"""
BACKUP = {"file": "/backups/a.dump", "taken": datetime(2020, 1, 1, tzinfo=UTC), "proven": True}
RESTORED = {"database": "app", "bytes": 9, "seconds": 1.0, "tables": [{"name": "public.orders", "rows": 1000}]}
FETCHED = JobState(stage=JobStage.DONE, names={"backup": BACKUP, "notes": []})
WHOLE = JobState(stage=JobStage.DONE, names={"restored": RESTORED, "notes": []})
NO_GOOD = JobState(stage=JobStage.FAILED, why="no backup below s3://backup-bucket/database/ is good")
Stands = Callable[[RunBench], JobState | Exception]


def restoring(
    steps: str = STEPS, *, heals: str | None = "pg_restore", fetch: Stands | None = None, restore: Stands | None = None
) -> RunBench:
    """Have a run whose workers end well after five minutes, each with progress every minute, unless told otherwise."""
    made = RunBench(steps, rollback="after: 2h", heals=heals, more="completeOnceBegun: true")
    made.actor.facts_of, made.actor.undo_of = worker_facts, worker_undo
    fetching, into = fetch or lasting(300, FETCHED), restore or lasting(300, WHOLE)
    made.prober.workers = {"kintsugi": lambda: fetching(made), "pg_restore": lambda: into(made)}
    return made


def lasting(seconds: float, end: JobState) -> Stands:
    """Let a worker be at work for so long after it was first looked at."""
    began: list[float] = []

    def stands(_: RunBench) -> JobState:
        began[:] = began or [clock()]
        passed = clock() - began[0]
        return end if passed >= seconds else at_work(int(passed // 60))

    return stands


def until_ended(before: JobState, why: str) -> Stands:
    """Let a worker stand so until its Job is ended."""
    gone = JobState(stage=JobStage.FAILED, why=why)
    return lambda bench: gone if END_FETCH in bench.effects else before


async def test_the_next_step_waits_for_the_worker_and_sees_what_it_found() -> None:
    story = restoring()
    times = story.note_times()
    await story.drive()
    assert story.ended == (IncidentState.RECOVERED, [FETCH, RESTORE]), story.reason
    assert times[RESTORE] - times[FETCH] == pytest.approx(300, abs=5)
    assert story.step("old").state is StepState.DONE, "the moment of the backup is a moment to expressions"
    assert story.step("verify").state is StepState.DONE


@pytest.mark.long
def test_every_job_is_made_once_and_its_result_taken_up_wherever_the_process_ends() -> None:
    """C1: the Jobs outlive the process; a successor watches on and makes none."""

    def check(where: str, story: RunBench, ended: RunRecord) -> None:
        assert story.ended == (IncidentState.RECOVERED, [FETCH, RESTORE]), f"{where}: {ended.reason}"
        assert story.step("verify").state is StepState.DONE, where

    assert cut_everywhere(restoring, check, down=120) > 20


def unseen_for_long(_: RunBench) -> JobState | Exception:
    """Let the API give no answer for an hour."""
    if 300 < clock() < 3600:
        return ServerUnavailable("no answer")
    return FETCHED if clock() > 3600 + 300 else at_work()


@pytest.mark.parametrize(
    ("fetch", "restore"),
    [
        (lambda _: FETCHED if clock() > 3600 else at_work(int(clock() // 480)), None),
        (unseen_for_long, None),
        (None, lambda bench: WHOLE if END_RESTORE in bench.effects else at_work()),
    ],
    ids=["progress starts the timeout anew", "unseen time does not count", "it was done when it was given up"],
)
async def test_a_worker_is_waited_for_as_long_as_that_makes_sense(fetch: Stands | None, restore: Stands | None) -> None:
    """P6: no answer from the API is no news of the worker. The database itself is asked after the end of its worker."""
    story = restoring(fetch=fetch, restore=restore)
    assert (await story.drive()).state is IncidentState.RECOVERED
    assert END_FETCH not in story.effects


NOT_STARTED = "the worker has not started within 10m: ImagePullBackOff: no such image"


@pytest.mark.parametrize(
    ("fetch", "state", "why", "effects"),
    [
        (
            until_ended(at_work(7), "job/fetch is gone: it was deleted; only the room was touched"),
            IncidentState.FAILED,
            "newest: no progress within 10m; its Job was ended",
            [FETCH, END_FETCH],
        ),
        (
            until_ended(JobState(stage=JobStage.STUCK, why=NOT_STARTED), NOT_STARTED),
            IncidentState.FAILED,
            f"newest: {NOT_STARTED}",
            [FETCH, END_FETCH],
        ),
        (
            lambda _: Forbidden('cannot get resource "jobs"', status=403),
            IncidentState.NEEDS_OPERATOR,
            'cannot get resource "jobs"',
            [FETCH],
        ),
        (lambda _: NO_GOOD, IncidentState.FAILED, f"newest: {NO_GOOD.why}", [FETCH]),
    ],
    ids=["no progress", "never started", "a right is missing", "it failed"],
)
async def test_a_worker_that_does_not_come_to_its_end_fails_the_run_with_the_reason(
    fetch: Stands, state: IncidentState, why: str, effects: list[str]
) -> None:
    """A right that is missing is told at once, since waiting would not bring it. The command counts as not done."""
    story = restoring(heals=None, fetch=fetch)
    await story.drive()
    assert story.ended == (state, effects)
    assert why in story.reason
    if END_FETCH in effects:
        assert story.step("newest#0~0", Phase.UNDO).state is StepState.DONE
    elif state is IncidentState.FAILED:
        done, _, rest = story.reason.partition("Not done:")
        assert "backup fetch" not in done
        assert "kintsugi backup fetch" in rest
        assert END_FETCH in rest, "its Job can be taken away"


async def test_a_step_may_go_on_though_its_worker_failed() -> None:
    more = "  onFailure: continue\n- {id: other, run: kubectl cordon a, when: '!steps.newest.passed'}"
    story = restoring(NEWEST + more, heals="kubectl cordon", fetch=lambda _: NO_GOOD)
    await story.drive()
    assert story.ended == (IncidentState.RECOVERED, [FETCH, "kubectl cordon a"])


@pytest.mark.parametrize(
    ("restore", "why"),
    [
        (lambda _: JobState(stage=JobStage.LOST, why="its pod is gone"), "restore: its pod is gone"),
        (lambda _: at_work(), "it did not stop within 3m"),
    ],
)
async def test_when_nobody_can_tell_how_far_a_restore_came_a_person_is_asked(restore: Stands, why: str) -> None:
    """P3: also of one that does not let go, on a node that does not answer, for instance."""
    story = restoring(heals=None, restore=restore)
    assert (await story.drive()).state is IncidentState.NEEDS_OPERATOR
    assert why in story.reason


async def test_a_person_s_rollback_ends_the_worker_first_whatever_the_runbook_says_of_its_undo() -> None:
    steps = "- {id: one, run: kubectl cordon one}\n" + STEPS
    story = restoring(steps, heals="kubectl uncordon one", restore=lasting(3600, WHOLE))
    story.at(450, story.request_rollback)
    await story.drive()
    effects = ["kubectl cordon one", FETCH, RESTORE, END_RESTORE, END_FETCH, "kubectl uncordon one"]
    assert story.ended == (IncidentState.ROLLED_BACK, effects), story.reason


async def test_a_pause_stops_no_worker_but_the_next_step() -> None:
    """A person may stop it at any step boundary."""
    story = restoring()
    times = story.note_times()
    story.pause(100, 1000)
    await story.drive()
    assert story.ended == (IncidentState.RECOVERED, [FETCH, RESTORE])
    assert times[RESTORE] >= 1000


EXAMPLE = next(each for each in examples(GUIDES[1]) if "--from=cronjob" in each)
REINDEX = "kubectl create job reindex-inc-1 --from=cronjob/reindex -n production"
END_REINDEX = "kubectl delete job reindex-inc-1 -n production"
RESTART = "kubectl rollout restart deployment/web -n production"


def reindexing(stands: Stands) -> RunBench:
    """Have a run of the page's example: a Job of a CronJob, and a restart after it."""
    made = RunBench("- {id: index, runbook: rebuild-the-index}", rollback="after: 2h", documents=(EXAMPLE,))
    made.heals = RESTART
    made.actor.facts_of = lambda command: (
        {"job": command.name, "namespace": command.namespace} if isinstance(command, CreateJob) else {}
    )
    made.actor.undo_of = lambda _: UndoRecord(note="a Job that has run cannot be undone")
    made.prober.workers = {"kubectl create job": lambda: stands(made)}
    return made


def reindexed(stage: JobStage, why: str = "", *, failed: int = 0) -> JobState:
    """Return how the Job of a CronJob stands."""
    return JobState(stage=stage, names={"job": {"name": "reindex-inc-1", "succeeded": 1, "failed": failed}}, why=why)


async def test_the_example_of_the_page_waits_for_the_job_of_a_cronjob() -> None:
    story = reindexing(lasting(600, reindexed(JobStage.DONE)))
    times = story.note_times()
    await story.drive()
    assert story.ended == (IncidentState.RECOVERED, [REINDEX, RESTART]), story.reason
    assert times[RESTART] - times[REINDEX] == pytest.approx(600, abs=5)


def gone_when_ended(bench: RunBench) -> JobState:
    """Have a Job that comes to no end, and is deleted at once."""
    return reindexed(JobStage.GONE if END_REINDEX in bench.effects else JobStage.RUNNING, "job/reindex-inc-1 is gone")


@pytest.mark.parametrize(
    ("stands", "state", "why", "effects"),
    [
        (
            gone_when_ended,
            IncidentState.FAILED,
            "no progress within 20m: job/reindex-inc-1 is gone; its Job was ended",
            2,
        ),
        (lambda _: reindexed(JobStage.FAILED, "exit code 3"), IncidentState.FAILED, "exit code 3", 1),
        (
            lambda _: reindexed(JobStage.DONE, failed=1),
            IncidentState.NEEDS_OPERATOR,
            "the run has no change to undo",
            1,
        ),
        (lambda _: reindexed(JobStage.GONE, "it was deleted"), IncidentState.NEEDS_OPERATOR, "it was deleted", 1),
    ],
    ids=["too slow", "failed", "not as expected", "deleted by others"],
)
async def test_a_job_of_a_cronjob_that_did_not_help_stops_its_run(
    stands: Stands, state: IncidentState, why: str, effects: int
) -> None:
    story = reindexing(stands)
    await story.drive()
    assert story.ended == (state, [REINDEX, END_REINDEX][:effects]), story.reason
    assert why in story.reason


async def test_a_rollback_ends_a_job_that_still_runs_though_it_has_no_undo() -> None:
    story = reindexing(gone_when_ended)
    story.at(300, story.request_rollback)
    await story.drive()
    assert story.effects == [REINDEX, END_REINDEX]
    assert f"# {REINDEX}: a Job that has run cannot be undone" in story.reason
