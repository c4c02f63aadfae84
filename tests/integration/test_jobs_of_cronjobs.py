"""A Job of a CronJob on the embedded cluster, made with the rights that its verb names and watched to its end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kintsugi.actions.job_effect import JobStage
from kintsugi.commands import parse
from kintsugi.errors import Refused
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from kintsugi.verbs.create_job import CreateJobVerb
from kubeobjects import unstructured
from kubeobjects.resources import CRONJOBS, JOBS
from kubesim import EmbeddedCluster
from kubesim.apiserver.rights import Rule
from tests.harness.worker_stories import StoryNamespace, new_run
from tests.integration.process_stage import documented

NAMESPACE = "production"
ON = [Rule(verbs=(each.verb,), resources=(each.resource,), groups=(each.api_group,)) for each in CreateJobVerb.rules]


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedCluster]:
    """An embedded cluster with a CronJob whose Jobs end well, and one whose Jobs fail."""
    async with EmbeddedCluster.start(speed=50) as started:
        started.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for name, image in (("good", "search:task"), ("bad", "search:crash")):
            pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}
            template = {
                "metadata": {"labels": {"app": "search"}},
                "spec": {"backoffLimit": 0, "template": {"spec": pod}},
            }
            metadata = {"name": name, "namespace": NAMESPACE}
            spec = {"schedule": "0 4 * * 0", "jobTemplate": template}
            started.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec})
        yield started


@pytest.mark.parametrize(("name", "stage", "succeeded"), [("good", JobStage.DONE, 1), ("bad", JobStage.FAILED, 0)])
async def test_a_job_of_a_cronjob_is_made_and_watched_to_its_end(
    embedded: EmbeddedCluster, tmp_path: Path, name: str, stage: JobStage, succeeded: int
) -> None:
    settings = KubeSettings(kubeconfig=embedded.kubeconfig(tmp_path / "kubeconfig", "kintsugi", [*documented(), *ON]))
    async with KubeClient.connect(settings) as kube:
        place, run = StoryNamespace(kube=kube, namespace=NAMESPACE), new_run()
        plan = await place.actions().plan_effect(
            parse(f"kubectl create job now --from=cj/{name}", namespace=NAMESPACE), place.around(run, "job")
        )
        await place.actions().apply(plan)
        state = await place.ended(plan, run)
        (owner,) = unstructured.nested_maps(await kube.get(JOBS, "now", NAMESPACE), "metadata", "ownerReferences")
        assert owner["uid"] == unstructured.uid(await kube.get(CRONJOBS, name, NAMESPACE))
    assert state.stage is stage, state
    job = state.names["job"]
    assert isinstance(job, dict)
    assert (job["name"], job["succeeded"], job["failed"]) == ("now", succeeded, 1 - succeeded)
    assert ("exit code 1" in state.why) is (stage is JobStage.FAILED)


async def test_without_the_right_the_job_is_refused_though_a_restore_may_make_jobs(
    embedded: EmbeddedCluster, tmp_path: Path
) -> None:
    settings = KubeSettings(kubeconfig=embedded.kubeconfig(tmp_path / "kubeconfig", "kintsugi", documented()))
    async with KubeClient.connect(settings) as kube:
        place = StoryNamespace(kube=kube, namespace=NAMESPACE)
        command = parse("kubectl create job now --from=cronjob/good", namespace=NAMESPACE)
        with pytest.raises(Refused, match="the chart's value `cronJobs` is off"):
            await place.actions().plan_effect(command, place.around(new_run(), "job"))
