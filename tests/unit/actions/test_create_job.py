"""A Job of a CronJob is made as kubectl makes it, once for its step, and watched until its conditions say how it ended."""

from datetime import timedelta
from typing import Any

import pytest

from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.actions.job_effect import JobStage, JobState, ending
from kintsugi.actions.verb_bases import namespace_of
from kintsugi.commands import decode, encode
from kintsugi.errors import Conflict, Refused
from kintsugi.model.records import Phase
from kubeobjects.resources import CRONJOBS, JOBS
from tests.unit.actions.changes import Cluster
from tests.unit.actions.cluster_of_dicts import NOW
from tests.unit.actions.samples import NAMESPACE, ago, change_context
from tests.unit.restore.worker_samples import conditions, pod

LINE = "kubectl create job reindex-now --from=cronjob/reindex"
MADE = {"kintsugi.dev/incident": "i-1", "kintsugi.dev/run": "r-1", "kintsugi.dev/step": "restart"}


def cluster(*, on: bool = True, **metadata: object) -> Cluster:
    """Make a cluster with a CronJob, in which its Jobs may be made unless that is not `on`."""
    template = {
        "metadata": {"labels": {"app": "search"}, "annotations": {"team": "search"}},
        "spec": {"backoffLimit": 1, "template": {"spec": {"containers": [{"name": "main", "image": "search:1"}]}}},
    }
    about = {"name": "reindex", "namespace": NAMESPACE, "uid": "uid-cron", **metadata}
    spec = {"schedule": "0 4 * * 0", "suspend": True, "jobTemplate": template}
    kube = Cluster({"kind": "CronJob", "metadata": about, "spec": spec})
    kube.allowed = {("instantiate", "cronjobs")} if on else set()
    return kube


async def test_the_job_is_the_one_that_kubectl_makes_with_the_labels_of_its_step() -> None:
    kube = cluster()
    plan = await kube.make(LINE)
    job = kube.at(JOBS, "reindex-now")
    assert job["metadata"]["labels"] == {"app": "search", **MADE}
    assert job["metadata"]["annotations"] == {"team": "search", "cronjob.kubernetes.io/instantiate": "manual"}
    (owner,) = job["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": "reindex",
        "uid": "uid-cron",
        "controller": True,
    }
    assert job["spec"] == kube.at(CRONJOBS, "reindex")["spec"]["jobTemplate"]["spec"]
    assert (plan.undo.commands, plan.undo.note) == ((), "a Job that has run cannot be undone")
    assert namespace_of(plan.command) == NAMESPACE


async def test_a_step_finds_its_own_job_and_makes_no_second_one() -> None:
    """P2: also when the request of an attempt that was given up arrives after all."""
    kube = cluster()
    plan = await kube.plan(LINE)
    assert await kube.actions.probe(plan) is EffectStatus.NOT_DONE
    await kube.lose(plan)
    assert await kube.actions.probe(plan) is EffectStatus.DONE
    await kube.actions.apply(plan)
    kube.objects.pop((CRONJOBS, NAMESPACE, "reindex"))
    again = await kube.make(LINE, now=NOW + timedelta(minutes=1))
    assert (again.already, len(kube.writes)) == (True, 1)


@pytest.mark.parametrize("other", [{"run": "r-2"}, {"path": "again"}], ids=["of another run", "of another step"])
async def test_a_job_of_that_name_that_is_not_of_the_step_is_left_alone(other: dict[str, str]) -> None:
    kube = cluster()
    plan = await kube.plan(LINE)
    await kube.make(LINE, **other)
    assert "reindex-now in production that is not of this step: its name is taken" in await kube.refusal(LINE)
    with pytest.raises(Conflict, match="not of this step"):
        await kube.actions.apply(plan)
    assert await kube.actions.probe(plan) is EffectStatus.UNKNOWN


@pytest.mark.parametrize(
    ("kube", "line", "why"),
    [
        (cluster(on=False), LINE, "no Job of a CronJob in production: the chart's value `cronJobs` is off"),
        (cluster(deletionTimestamp=ago(minutes=1)), LINE, "cronjob/reindex is being deleted already"),
        (cluster(), f"{LINE} -n kube-system", "kube-system: it is protected"),
    ],
    ids=["switched off", "being deleted", "protected"],
)
async def test_a_job_is_refused_with_the_reason(kube: Cluster, line: str, why: str) -> None:
    assert why in await kube.refusal(line)


async def test_a_plan_of_the_ledger_is_judged_again_before_it_is_made() -> None:
    kube = cluster()
    plan = await kube.plan(LINE)
    command = decode(encode(plan.command))
    with pytest.raises(Refused, match="prepared before a restart"):
        await kube.actions.apply(EffectPlan(command=command, intent=plan.intent, undo=plan.undo))


async def test_its_run_may_end_it_and_no_other_run() -> None:
    kube = cluster()
    await kube.make(LINE)
    end = ending("reindex-now", NAMESPACE)
    assert "not of this run" in await kube.refusal(end, phase=Phase.UNDO, run="r-2")
    await kube.make(end, phase=Phase.UNDO)
    assert kube.at(JOBS, "reindex-now")["metadata"]["deletionTimestamp"]


def ran(**state: object) -> dict[str, Any]:
    """Make the status of a pod whose one container is or was so."""
    return {"containerStatuses": [{"name": "main", "state": state}]}


CRASHED = {"phase": "Failed", **ran(terminated={"exitCode": 3, "reason": "Error", "message": "no index\n"})}
PULLING = ran(waiting={"reason": "ImagePullBackOff", "message": "no such image"})
LIMIT = conditions("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
DONE = {**conditions("Complete", "CompletionsReached"), "succeeded": 1, "failed": 1, "startTime": ago(minutes=5)}
DONE["conditions"][0]["lastTransitionTime"] = ago(minutes=3)


@pytest.mark.parametrize(
    ("status", "pods", "stage", "why"),
    [
        ({}, [], JobStage.STARTING, "it has no pod"),
        ({}, [PULLING], JobStage.STARTING, "ImagePullBackOff: no such image"),
        ({"startTime": ago(minutes=2)}, [ran(running={})], JobStage.RUNNING, ""),
        (DONE, [CRASHED, {"phase": "Succeeded", **ran(terminated={"exitCode": 0})}], JobStage.DONE, ""),
        (
            LIMIT,
            [CRASHED, ran(running={})],
            JobStage.FAILED,
            "job/reindex-now has failed: Job has reached the specified backoff limit; Error; exit code 3; no index",
        ),
        (LIMIT, [], JobStage.FAILED, "job/reindex-now has failed: Job has reached the specified backoff limit"),
    ],
    ids=["made", "pulling", "running", "done at the second try", "failed", "failed, its pods deleted"],
)
async def test_the_conditions_of_the_job_decide_and_its_pods_say_why(
    status: dict[str, Any], pods: list[dict[str, Any]], stage: JobStage, why: str
) -> None:
    kube, plan = await made_with(status)
    for number, each in enumerate(pods):
        one = pod(kube.at(JOBS, "reindex-now"), **each)
        one["metadata"] |= {"name": f"pod-{number}", "creationTimestamp": ago(minutes=9 - number)}
        kube.add(one)
    state = await watched(kube, plan)
    assert (state.stage, state.why) == (stage, why)


async def test_an_expression_sees_the_counts_and_how_long_the_job_took() -> None:
    kube, plan = await made_with(DONE)
    result = (await watched(kube, plan)).names
    assert result == {"job": {"name": "reindex-now", "succeeded": 1, "failed": 1, "seconds": 120.0}}


async def test_a_job_that_is_gone_has_ended_nobody_knows_how() -> None:
    """P3: its CronJob's history limit may have deleted it, or a person before its end."""
    kube, plan = await made_with({})
    kube.objects.clear()
    state = await watched(kube, plan)
    assert (state.stage, state.why) == (JobStage.GONE, "job/reindex-now is gone: it was deleted")


async def made_with(status: dict[str, Any]) -> tuple[Cluster, EffectPlan]:
    """Make the Job, and show its status."""
    kube = cluster()
    plan = await kube.make(LINE)
    job = kube.at(JOBS, "reindex-now")
    job["status"] = status
    job["metadata"]["creationTimestamp"] = ago(minutes=5)
    return kube, plan


async def watched(kube: Cluster, plan: EffectPlan) -> JobState:
    """Look once."""
    return await kube.actions.watch(plan, change_context())
