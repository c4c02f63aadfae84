"""
The end of a worker before its time: its Job is deleted, and with it its pod and the claim that was made for it.

The worker is asked to stop and cleans up: a restore is one transaction, of which nothing is left then.
"""

from dataclasses import replace

from kintsugi.actions import live, refusals
from kintsugi.actions.evidence import of_pod
from kintsugi.actions.job_order import MANAGED_BY, OURS, RUN
from kintsugi.actions.judged import Judged
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import DeleteWrite, Evidence, Prepared
from kintsugi.actions.undo import not_undone
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Delete
from kintsugi.objects.resources import PODS

JOB_NAME = "batch.kubernetes.io/job-name"
"""The label by which the pods of a Job are found."""

_NOT_UNDONE = "a worker that was ended is not started again: run its step anew"


async def prepare(kube: KubeClient, command: Delete, judged: Judged) -> Prepared:
    """Judge the end of a worker of this very run; what it said is kept. Raises Refused for any other Job."""
    labels = live.labels(judged.obj)
    ours = labels.get(MANAGED_BY) == OURS and labels.get(RUN) == judged.circumstances.run
    refusals.check("" if ours else f"{judged.asked} is not a worker of this run: it is left alone")
    kept: list[Evidence] = []
    for pod in await pods_of(kube, judged.obj):
        kept += await of_pod(kube, pod)
    return Prepared(
        command=replace(command, objects=(judged.asked,)),
        facts=judged.identity,
        undo=not_undone(_NOT_UNDONE),
        evidence=tuple(kept),
        write=DeleteWrite(grace=command.grace),
    )


async def pods_of(kube: KubeClient, job: Live) -> list[Live]:
    """List the pods of one Job, the oldest first; a namesake's before it are not its own."""
    namespace = live.text(job, "metadata", "namespace")
    found = (await kube.list(PODS, namespace, labels=f"{JOB_NAME}={live.name(job)}")).items
    own = [pod for pod in found if any(owner.get("uid") == live.uid(job) for owner in _owners(pod))]
    return sorted(own, key=lambda pod: live.text(pod, "metadata", "creationTimestamp"))


def _owners(pod: Live) -> tuple[Live, ...]:
    return live.entries(pod, "metadata", "ownerReferences")
