"""What is known of a worker: its own last line decides, else what the cluster says, else the target is asked (P3, P6)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.actions.job_progress import WorkerStage, WorkerStatus
from kintsugi.actions.jobs import WorkerIntent
from kintsugi.errors import ServerUnavailable
from kintsugi.model.command import BackupFetch, PgRestore
from kintsugi.model.records import UndoRecord
from kubeobjects.resources import EVENTS, JOBS, PODS
from tests.unit.actions.cluster_of_dicts import NOW, ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, ago
from tests.unit.actions.worker_samples import (
    BACKUP,
    DRILL,
    FETCH,
    RESTORE,
    RESTORED,
    around,
    conditions,
    doing,
    line,
    pod,
    worker,
)

READING = line(progress={"phase": "reading", "bytes": 100, "of": 456, "what": "database/app.dump"})
NOTE = line(note="an older backup is taken since the newest is cut off")


def shown(
    command: BackupFetch | PgRestore | None = None, **status: object
) -> tuple[ClusterOfDicts, EffectPlan, dict[str, Any]]:
    """Show a Job, without a pod."""
    name = "kintsugi-x-newest"
    job = {"metadata": {"name": name, "namespace": NAMESPACE, "uid": "uid-job", "creationTimestamp": ago(minutes=2)}}
    kube = ClusterOfDicts((JOBS, {**job, "status": status}))
    intent = WorkerIntent(uid="", job=name, namespace=NAMESPACE, run="", step="", claim="", digest="")
    return (
        kube,
        EffectPlan(command=command or FETCH, intent=intent, undo=UndoRecord()),
        job,
    )


async def watched(kube: ClusterOfDicts, prepared: EffectPlan, **changes: Any) -> WorkerStatus:
    """Look once."""
    return await doing(kube).watch(prepared, around(**changes))


def says(kube: ClusterOfDicts, made: dict[str, Any], *lines: str) -> None:
    """Show a pod and its log."""
    kube.put(PODS, made)
    kube.logs_of[made["metadata"]["name"], "worker", False] = "".join(f"{each}\n" for each in lines).encode()


async def test_progress_and_notes_are_told_while_it_works() -> None:
    kube, prepared, job = shown()
    says(kube, pod(job, phase="Running", **worker(running={})), "Traceback: a runtime's warning", NOTE, READING)
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.RUNNING
    assert standing.names["done"] == {"phase": "reading", "bytes": 100, "of": 456, "what": "database/app.dump"}
    assert standing.names["notes"] == ["an older backup is taken since the newest is cut off"]


async def test_a_backup_is_what_its_last_line_says() -> None:
    kube, prepared, job = shown(**conditions("Complete", "CompletionsReached"))
    says(kube, pod(job, phase="Succeeded", **worker(terminated={"exitCode": 0})), READING, line(backup=BACKUP))
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.DONE
    backup = standing.names["backup"]
    assert isinstance(backup, dict)
    assert backup["taken"] == datetime(2026, 5, 4, 2, 14, 7, tzinfo=UTC)
    assert backup["skipped"] == [{"url": "s3://backup-bucket/database/newer.dump", "reason": "it is cut off"}]
    assert (backup["proven"], backup["size"], backup["roles"]) == (True, 456, [])


async def test_the_first_lines_of_a_worker_are_told_though_it_ended_while_they_were_read() -> None:
    """Of a log that still grows only the end is read."""
    kube, prepared, job = shown()
    says(kube, pod(job, phase="Running", **worker(running={})), NOTE, *[READING] * 100, line(backup=BACKUP))
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.DONE
    assert standing.names["notes"] == ["an older backup is taken since the newest is cut off"]


async def test_a_restore_s_tables_are_told_and_what_is_not_known_is_absent() -> None:
    kube, prepared, job = shown(RESTORE, **conditions("Complete", "CompletionsReached"))
    says(kube, pod(job, phase="Succeeded", **worker(terminated={"exitCode": 0})), line(restored=RESTORED))
    standing = await watched(kube, prepared)
    assert standing.names["restored"] == RESTORED


async def test_the_largest_of_very_many_tables_are_kept() -> None:
    """The result of a step must fit the ledger."""
    tables = [{"name": f"public.t{number:06}", "rows": number} for number in range(5000)]
    kube, prepared, job = shown(RESTORE)
    says(kube, pod(job, **worker(terminated={"exitCode": 0})), line(restored={**RESTORED, "tables": tables}))
    restored = (await watched(kube, prepared)).names["restored"]
    assert isinstance(restored, dict)
    assert [restored["tables"][0]["name"], len(restored["tables"])] == ["public.t003000", 2000]


async def test_a_failure_is_told_in_the_worker_s_own_words() -> None:
    kube, prepared, job = shown(**conditions("Failed", "BackoffLimitExceeded"))
    reason = "no backup below s3://backup-bucket/database/ is good: 3 were looked at"
    last = line(failed={"kind": "no-good-backup", "reason": reason})
    says(kube, pod(job, phase="Failed", **worker(terminated={"exitCode": 1})), NOTE, last)
    standing = await watched(kube, prepared)
    assert (standing.stage, standing.why) == (WorkerStage.FAILED, reason)


async def test_the_end_of_a_log_that_is_gone_stands_in_the_pod_s_status() -> None:
    kube, prepared, job = shown(**conditions("Failed", "BackoffLimitExceeded"))
    last = line(failed={"kind": "unreachable", "reason": "S3 cannot be reached"})
    ended = {"exitCode": 1, "message": f"half a line\n{last}\n"}
    kube.put(PODS, pod(job, phase="Failed", **worker(terminated=ended)))
    assert (await watched(kube, prepared)).why == "S3 cannot be reached"


SCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no room"}
SECRETLESS = {"reason": "CreateContainerConfigError", "message": 'secret "s3-reader" not found'}
PULLED = {"reason": "ImagePullBackOff", "message": "no such image"}
INITIALISING = {"containerStatuses": [{"name": "worker", "state": {"waiting": {"reason": "PodInitializing"}}}]}
WAITING = [
    ({"phase": "Pending", "conditions": [SCHEDULED]}, "FailedScheduling", "Unschedulable: 0/3 nodes: no room"),
    (
        {"containerStatuses": [{"name": "worker", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
        "Failed",
        "ImagePullBackOff; Failed: what happened",
    ),
    (
        {"containerStatuses": [{"name": "worker", "state": {"waiting": SECRETLESS}}]},
        "Failed",
        'CreateContainerConfigError: secret "s3-reader" not found; Failed: what happened',
    ),
    (
        {"containerStatuses": [{"name": "worker", "state": {"waiting": {"reason": "ContainerCreating"}}}]},
        "FailedMount",
        "FailedMount: what happened",
    ),
    (
        {"initContainerStatuses": [{"name": "server", "state": {"waiting": PULLED}}], **INITIALISING},
        "Failed",
        "server: ImagePullBackOff: no such image; Failed: what happened",
    ),
    (
        {
            "initContainerStatuses": [{"name": "server", "state": {"waiting": {"reason": "PodInitializing"}}}],
            **INITIALISING,
        },
        "FailedMount",
        "FailedMount: what happened",
    ),
]


def event(uid: str, kind: str, reason: str, message: str = "what happened") -> dict[str, Any]:
    """Make a warning."""
    about = {"kind": kind, "apiVersion": "batch/v1" if kind == "Job" else "v1", "name": "", "uid": uid}
    metadata = {"name": f"event-{reason}", "namespace": NAMESPACE, "uid": reason}
    told = {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": ago(minutes=1)}
    return {"metadata": metadata, "involvedObject": about, **told}


@pytest.mark.parametrize(("status", "reason", "why"), WAITING, ids=[why for *_, why in WAITING])
async def test_a_pod_that_does_not_start_says_why_with_its_event(status: dict[str, Any], reason: str, why: str) -> None:
    kube, prepared, job = shown()
    made = pod(job, **status)
    kube.put(PODS, made)
    told = event(made["metadata"]["uid"], "Pod", reason)
    told["involvedObject"]["name"] = made["metadata"]["name"]
    kube.put(EVENTS, told)
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.STARTING
    assert why in standing.why
    late = await watched(kube, prepared, now=NOW + timedelta(minutes=9))
    assert late.stage is WorkerStage.STUCK
    assert late.why.startswith("the worker has not started within 10m: ")
    assert why in late.why


async def test_a_job_that_may_make_no_pod_says_so() -> None:
    """A quota, or the pod security of the namespace."""
    kube, prepared, job = shown()
    told = event("uid-job", "Job", "FailedCreate", 'pods "x" is forbidden: exceeded quota: pods')
    told["involvedObject"]["name"] = job["metadata"]["name"]
    kube.put(EVENTS, told)
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.STARTING
    assert standing.why == 'it has no pod; FailedCreate: pods "x" is forbidden: exceeded quota: pods'


async def test_a_pod_that_never_ran_has_surely_done_nothing() -> None:
    kube, prepared, job = shown(RESTORE, **conditions("Failed", "BackoffLimitExceeded", "the limit is reached"))
    kube.put(PODS, pod(job, phase="Failed", reason="Evicted", message="The node was low on memory"))
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.FAILED
    assert "the limit is reached; Evicted; The node was low on memory" in standing.why


async def test_a_drill_whose_server_cannot_be_made_says_what_its_program_said() -> None:
    """Whatever the image lacks."""
    kube, prepared, job = shown(DRILL, **conditions("Failed", "BackoffLimitExceeded"))
    ended = {"exitCode": 1, "reason": "Error", "message": "initdb: error: no space left on device\n"}
    first = [{"name": "initdb", "state": {"terminated": ended}}]
    kube.put(PODS, pod(job, phase="Failed", initContainerStatuses=first, **INITIALISING))
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.FAILED
    assert "initdb exited 1: initdb: error: no space left on device" in standing.why


async def test_a_drill_s_restore_that_ended_without_a_word_has_failed_and_nobody_is_asked() -> None:
    """Its server went with it: nothing is there that could be asked, and nothing that could be left."""
    kube, prepared, job = shown(DRILL, **conditions("Failed", "BackoffLimitExceeded"))
    evicted = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": 'Usage of EmptyDir volume "server-data" exceeds the limit',
    }
    says(kube, pod(job, **evicted, **worker(terminated={"exitCode": 137})), READING)
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.FAILED
    assert 'Usage of EmptyDir volume "server-data" exceeds the limit' in standing.why
    assert standing.why.endswith("nothing but the server of its own was touched")


@pytest.mark.parametrize("gone", [True, False])
async def test_a_fetch_that_ended_without_a_word_has_failed(gone: bool) -> None:
    """It touches nothing but its room."""
    kube, prepared, job = shown(**conditions("Failed", "BackoffLimitExceeded"))
    if gone:
        del kube.objects[JOBS, NAMESPACE, job["metadata"]["name"]]
    else:
        says(kube, pod(job, phase="Failed", **worker(terminated={"exitCode": 137, "reason": "OOMKilled"})), READING)
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.FAILED
    assert ("it was deleted" if gone else "OOMKilled; exit code 137") in standing.why


async def test_a_restore_that_ended_without_a_word_is_unknown_when_the_database_cannot_be_asked() -> None:
    """P3: a person is asked."""
    kube, prepared, job = shown(RESTORE, **conditions("Failed", "BackoffLimitExceeded"))
    says(kube, pod(job, phase="Failed", **worker(terminated={"exitCode": 137})), READING)
    standing = await watched(kube, prepared)
    assert standing.stage is WorkerStage.LOST
    assert "exit code 137" in standing.why
    assert "the database cannot be asked" in standing.why


async def test_a_namesake_s_pod_is_not_read() -> None:
    """Of a Job of the same name that was there before."""
    kube, prepared, job = shown()
    other = pod({"metadata": {**job["metadata"], "uid": "uid-before"}}, phase="Succeeded", **worker(terminated={}))
    says(kube, other, line(backup=BACKUP))
    assert (await watched(kube, prepared)).why == "it has no pod"


async def test_no_answer_from_the_api_says_nothing_about_the_worker() -> None:
    """P6."""
    kube, prepared, _ = shown()
    kube.broken = ServerUnavailable("no answer")
    with pytest.raises(ServerUnavailable):
        await watched(kube, prepared)
