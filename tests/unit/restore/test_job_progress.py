"""What is known of a worker: its own last line decides, else what the cluster says, else the target is asked (P3, P6)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.errors import ServerUnavailable
from kintsugi.model.records import UndoRecord
from kintsugi_restore.commands import BackupFetch, PgRestore
from kintsugi_restore.jobs import WorkerIntent
from tests.unit.actions.changes import Cluster
from tests.unit.actions.cluster_of_dicts import NOW
from tests.unit.actions.samples import NAMESPACE, ago, change_context
from tests.unit.restore.worker_samples import (
    BACKUP,
    DRILL,
    FETCH,
    RESTORE,
    RESTORED,
    around,
    conditions,
    line,
    pod,
    worker,
)

READING = line(progress={"phase": "reading", "bytes": 100, "of": 456, "what": "database/app.dump"})
NOTE = line(note="an older backup is taken since the newest is cut off")


def shown(
    command: BackupFetch | PgRestore | None = None, **status: object
) -> tuple[Cluster, EffectPlan, dict[str, Any]]:
    """Show a Job, without a pod."""
    name = "kintsugi-x-newest"
    job = {"metadata": {"name": name, "namespace": NAMESPACE, "uid": "uid-job", "creationTimestamp": ago(minutes=2)}}
    intent = WorkerIntent(uid="", job=name, namespace=NAMESPACE, run="", step="", claim="", digest="")
    plan = EffectPlan(command=command or FETCH, intent=intent, undo=UndoRecord())
    return Cluster({"kind": "Job", **job, "status": status}), plan, job


async def watched(kube: Cluster, prepared: EffectPlan, **changes: Any) -> JobState:
    """Look once."""
    return await kube.actions.watch(prepared, change_context(**around(**changes)))


def says(kube: Cluster, made: dict[str, Any], *lines: str) -> None:
    """Show a pod and its log."""
    kube.add(made)
    kube.logs_of[made["metadata"]["name"], "worker", False] = "".join(f"{each}\n" for each in lines).encode()


async def having_said(
    *lines: str, of: Mapping[str, object], command: BackupFetch | PgRestore | None = None, **status: object
) -> JobState:
    """Look once at a Job of this status; `of` is the status of its pod."""
    kube, prepared, job = shown(command, **status)
    says(kube, pod(job, **of), *lines)
    return await watched(kube, prepared)


RUNNING = {"phase": "Running", **worker(running={})}
SUCCEEDED = {"phase": "Succeeded", **worker(terminated={"exitCode": 0})}
COMPLETE = conditions("Complete", "CompletionsReached")
FAILED = conditions("Failed", "BackoffLimitExceeded")


async def test_progress_and_notes_are_told_while_it_works() -> None:
    standing = await having_said("Traceback: a runtime's warning", NOTE, READING, of=RUNNING)
    assert standing.stage is JobStage.RUNNING
    assert standing.names["done"] == {"phase": "reading", "bytes": 100, "of": 456, "what": "database/app.dump"}
    assert standing.names["notes"] == ["an older backup is taken since the newest is cut off"]


async def test_a_backup_is_what_its_last_line_says() -> None:
    standing = await having_said(READING, line(backup=BACKUP), of=SUCCEEDED, **COMPLETE)
    assert standing.stage is JobStage.DONE
    backup = standing.names["backup"]
    assert isinstance(backup, dict)
    assert backup["taken"] == datetime(2026, 5, 4, 2, 14, 7, tzinfo=UTC)
    assert backup["skipped"] == [{"url": "s3://backup-bucket/database/newer.dump", "reason": "it is cut off"}]
    assert (backup["proven"], backup["size"], backup["roles"]) == (True, 456, [])


async def test_the_first_lines_of_a_worker_are_told_though_it_ended_while_they_were_read() -> None:
    """Of a log that still grows only the end is read."""
    standing = await having_said(NOTE, *[READING] * 100, line(backup=BACKUP), of=RUNNING)
    assert standing.stage is JobStage.DONE
    assert standing.names["notes"] == ["an older backup is taken since the newest is cut off"]


async def test_a_restore_s_tables_are_told_and_what_is_not_known_is_absent() -> None:
    standing = await having_said(line(restored=RESTORED), of=SUCCEEDED, command=RESTORE, **COMPLETE)
    assert standing.names["restored"] == RESTORED


async def test_the_largest_of_very_many_tables_are_kept() -> None:
    """The result of a step must fit the ledger."""
    tables = [{"name": f"public.t{number:06}", "rows": number} for number in range(5000)]
    standing = await having_said(line(restored={**RESTORED, "tables": tables}), of=SUCCEEDED, command=RESTORE)
    restored = standing.names["restored"]
    assert isinstance(restored, dict)
    assert [restored["tables"][0]["name"], len(restored["tables"])] == ["public.t003000", 2000]


async def test_a_failure_is_told_in_the_worker_s_own_words() -> None:
    reason = "no backup below s3://backup-bucket/database/ is good: 3 were looked at"
    last = line(failed={"kind": "no-good-backup", "reason": reason})
    ended = {"phase": "Failed", **worker(terminated={"exitCode": 1})}
    standing = await having_said(NOTE, last, of=ended, **FAILED)
    assert (standing.stage, standing.why) == (JobStage.FAILED, reason)


async def test_the_end_of_a_log_that_is_gone_stands_in_the_pod_s_status() -> None:
    last = line(failed={"kind": "unreachable", "reason": "S3 cannot be reached"})
    kube, prepared, job = shown(**FAILED)
    kube.add(pod(job, phase="Failed", **worker(terminated={"exitCode": 1, "message": f"half a line\n{last}\n"})))
    assert (await watched(kube, prepared)).why == "S3 cannot be reached"


SCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no room"}
PULLED = {"reason": "ImagePullBackOff", "message": "no such image"}


def waits(**state: str) -> dict[str, Any]:
    """Make the status of a worker's container that waits for something."""
    return {"containerStatuses": [{"name": "worker", "state": {"waiting": state}}]}


INITIALISING = waits(reason="PodInitializing")
WAITING = [
    ({"phase": "Pending", "conditions": [SCHEDULED]}, "FailedScheduling", "Unschedulable: 0/3 nodes: no room"),
    (waits(reason="ImagePullBackOff"), "Failed", "ImagePullBackOff; Failed: what happened"),
    (
        waits(reason="CreateContainerConfigError", message='secret "s3-reader" not found'),
        "Failed",
        'CreateContainerConfigError: secret "s3-reader" not found; Failed: what happened',
    ),
    (waits(reason="ContainerCreating"), "FailedMount", "FailedMount: what happened"),
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
    return {"kind": "Event", "metadata": metadata, "involvedObject": about, **told}


@pytest.mark.parametrize(("status", "reason", "why"), WAITING, ids=[why for *_, why in WAITING])
async def test_a_pod_that_does_not_start_says_why_with_its_event(status: dict[str, Any], reason: str, why: str) -> None:
    kube, prepared, job = shown()
    made = pod(job, **status)
    kube.add(made)
    told = event(made["metadata"]["uid"], "Pod", reason)
    told["involvedObject"]["name"] = made["metadata"]["name"]
    kube.add(told)
    standing = await watched(kube, prepared)
    assert standing.stage is JobStage.STARTING
    assert why in standing.why
    late = await watched(kube, prepared, now=NOW + timedelta(minutes=9))
    assert late.stage is JobStage.STUCK
    assert late.why.startswith("the worker has not started within 10m: ")
    assert why in late.why


async def test_a_job_that_may_make_no_pod_says_so() -> None:
    """A quota, or the pod security of the namespace."""
    kube, prepared, job = shown()
    told = event("uid-job", "Job", "FailedCreate", 'pods "x" is forbidden: exceeded quota: pods')
    told["involvedObject"]["name"] = job["metadata"]["name"]
    kube.add(told)
    standing = await watched(kube, prepared)
    assert standing.stage is JobStage.STARTING
    assert standing.why == 'it has no pod; FailedCreate: pods "x" is forbidden: exceeded quota: pods'


EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"}
KILLED = {"phase": "Failed", **worker(terminated={"exitCode": 137, "reason": "OOMKilled"})}
NO_SPACE = {"exitCode": 1, "reason": "Error", "message": "initdb: error: no space left on device\n"}
NO_SERVER = {
    "phase": "Failed",
    "initContainerStatuses": [{"name": "initdb", "state": {"terminated": NO_SPACE}}],
    **INITIALISING,
}


@pytest.mark.parametrize(
    ("command", "status", "stage", "words"),
    [
        (RESTORE, EVICTED, JobStage.FAILED, ["the limit is reached; Evicted; The node was low on memory"]),
        (DRILL, NO_SERVER, JobStage.FAILED, ["initdb exited 1: initdb: error: no space left on device"]),
        (
            DRILL,
            {**KILLED, **EVICTED},
            JobStage.FAILED,
            ["The node was low on memory", "nothing but the server of its own was touched"],
        ),
        (FETCH, None, JobStage.FAILED, ["it was deleted"]),
        (FETCH, KILLED, JobStage.FAILED, ["OOMKilled; exit code 137"]),
        (RESTORE, KILLED, JobStage.LOST, ["exit code 137", "the database cannot be asked"]),
    ],
    ids=["it never ran", "no server of a drill", "a drill", "a fetch whose Job is gone", "a fetch", "a restore"],
)
async def test_a_worker_that_ended_without_a_word_is_judged_by_what_its_kind_may_have_done(
    command: BackupFetch | PgRestore, status: dict[str, Any] | None, stage: JobStage, words: list[str]
) -> None:
    """P3: a fetch touches nothing but its room, a drill its own server; of a restore a person is asked."""
    kube, prepared, job = shown(command, **conditions("Failed", "BackoffLimitExceeded", "the limit is reached"))
    if status is None:
        kube.objects.clear()
    else:
        says(kube, pod(job, **status), *([READING] if "exitCode" in str(status.get("containerStatuses")) else []))
    standing = await watched(kube, prepared)
    assert standing.stage is stage
    assert [each for each in words if each not in standing.why] == [], standing.why


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
