"""`kubectl scale`: a recovery never lowers replicas, fights no autoscaler, and starts from zero only what it is told to."""

from collections.abc import Mapping
from typing import Any

import pytest

from kintsugi.actions.effect_plan import RUN_ANNOTATION
from kintsugi.commands import decode
from kintsugi.model.records import Phase
from kintsugi.model.services import WorkloadRef
from kintsugi.verbs.scale import Scale
from kubeobjects.autoscalers import SCALED_OBJECTS
from kubeobjects.resources import DEPLOYMENTS
from tests.unit.actions.changes import Cluster, Object
from tests.unit.actions.samples import NAMESPACE, ago, autoscaler, deployment, healthy_pod, unschedulable_pod

MORE, STOP = "kubectl scale deployment web --replicas=5", "kubectl scale deployment web --replicas=0"
START = "kubectl scale deployment web --replicas=4 --current-replicas=0"
WEB = WorkloadRef(resource=DEPLOYMENTS, name="web")
STOPPABLE: Mapping[str, Any] = {"namespace": NAMESPACE, "stoppable_workloads": frozenset({"deployment/web"})}
"""Circumstances of a restore that stops the Deployment."""
OWN: Mapping[str, Any] = {"namespace": NAMESPACE, "workload": WEB, "service": "web"}
"""Circumstances of a run on the service whose workload it is."""
BACK: tuple[Mapping[str, Any], ...] = ({"phase": Phase.ROLLBACK}, {"phase": Phase.UNDO})


def replicas(kube: Cluster) -> object:
    """Return the replicas that are asked for."""
    return kube.at(DEPLOYMENTS, "web")["spec"]["replicas"]


async def test_replicas_are_raised_by_one_write_that_tests_the_old_number_and_the_undo_lowers_them() -> None:
    """P4, E14: the write holds uid, old number and our mark; the undo scales back from what we made it."""
    kube = Cluster(deployment())
    plan = await kube.plan(MORE)
    undo = decode(plan.undo.commands[0])
    assert isinstance(undo, Scale)
    assert (undo.replicas, undo.current, undo.objects[0].uid) == (3, 5, "uid-web")
    assert plan.undo.texts == (f"kubectl scale deployment web --replicas=3 --current-replicas=5 -n {NAMESPACE}",)
    result = await kube.actions.apply(plan)
    assert (result.summary, replicas(kube)) == ("deployment/web scaled from 3 to 5", 5)
    ((_, _, operations),) = kube.writes
    assert isinstance(operations, tuple)
    assert {"op": "test", "path": "/metadata/uid", "value": "uid-web"} in operations
    assert {"op": "test", "path": "/spec/replicas", "value": 3} in operations
    mark = kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"][RUN_ANNOTATION]
    assert mark == "r-1/forward/restart@2026-05-04T12:00:00+00:00"
    await kube.undo(plan)
    assert replicas(kube) == 3


async def test_a_number_that_is_there_already_is_told_with_the_object() -> None:
    kube = Cluster(deployment(), autoscaler())
    result = await kube.actions.apply(await kube.plan("kubectl scale deployment web --replicas=3"))
    assert result.summary == "nothing to do: deployment/web has 3 replicas"
    assert dict(result.names)["item"]["spec"]["replicas"] == 3  # type: ignore[index]


async def test_a_recovery_never_lowers_replicas() -> None:
    """E14; except of what a restore names to be stopped in its own namespace, and in rollback and undo."""
    kube = Cluster(deployment())
    for refused in (
        {},
        {**STOPPABLE, "stoppable_workloads": frozenset({"deployment/api"})},
        {**STOPPABLE, "namespace": "elsewhere"},
    ):
        assert "never lowers" in await kube.refusal(STOP, **refused)
    for allowed in (STOPPABLE, *BACK):
        assert await kube.refusal(STOP, **allowed) == ""


async def test_a_workload_that_an_autoscaler_scales_is_refused_with_its_name() -> None:
    """B21: but where managed fields may be changed, or the writer is stopped; only the own target is one's own."""
    kube = Cluster(deployment(), autoscaler())
    assert "HorizontalPodAutoscaler web-hpa" in await kube.refusal(MORE)
    assert await kube.refusal(MORE, allow_managed=True) == ""
    assert await Cluster(deployment(), autoscaler("api")).refusal(MORE) == ""


async def test_the_autoscaler_of_a_writer_that_is_stopped_is_remembered() -> None:
    """It sleeps while its workload stands at zero, and wakes with it."""
    kube = Cluster(deployment(), autoscaler())
    plan = await kube.make(STOP, **STOPPABLE)
    assert plan.facts["autoscalers"] == [{"name": "web-hpa", "min": 1, "max": 9}]
    await kube.undo(plan)
    assert replicas(kube) == 3


async def test_a_writer_is_stopped_whoever_else_writes_it_but_an_operator_s_database_is_not() -> None:
    """Where somebody starts it again, the restore stops."""
    obj = deployment()
    obj["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop", "cnpg.io/cluster": "main"}
    kube = Cluster(obj)
    assert "operator CloudNativePG main" in await kube.refusal(STOP, **STOPPABLE, workload=WEB)
    plan = await kube.make(STOP, **STOPPABLE)
    assert await kube.refusal(decode(plan.undo.commands[0]), phase=Phase.UNDO) == ""


async def test_more_replicas_are_refused_while_a_pod_finds_no_node() -> None:
    """More would find none either; a rollback and an undo put back what was, and fewer are no matter of room."""
    kube = Cluster(deployment(), healthy_pod(), unschedulable_pod("web-2"))
    assert "cannot be scheduled (web-2)" in await kube.refusal(MORE)
    for back in BACK:
        assert await kube.refusal(MORE, **back) == ""
    assert await kube.refusal(STOP, **STOPPABLE) == ""


async def test_pods_of_others_and_on_their_way_out_that_find_no_node_are_no_matter() -> None:
    foreign, going = unschedulable_pod("api-1"), unschedulable_pod("web-3")
    foreign["metadata"]["labels"] = {"app": "api"}
    going["metadata"]["deletionTimestamp"] = ago(seconds=1)
    assert await Cluster(deployment(), foreign, going).refusal(MORE) == ""


def at_zero(*others: Object) -> Cluster:
    """Make a cluster in which somebody has scaled the Deployment to 0."""
    return Cluster(deployment(replicas=0), *others)


async def test_a_workload_is_started_by_one_write_and_its_undo_scales_it_to_zero_again() -> None:
    """An autoscaler that sleeps while its workload is at zero does not keep it there."""
    kube = at_zero(autoscaler())
    plan = await kube.make(START, **OWN)
    assert plan.undo.texts == (f"kubectl scale deployment web --replicas=0 --current-replicas=4 -n {NAMESPACE}",)
    assert replicas(kube) == 4
    await kube.undo(plan, **OWN)
    assert replicas(kube) == 0


@pytest.mark.parametrize("command", [MORE, 'kubectl patch deployment web -p \'{"spec":{"replicas":5}}\''])
async def test_a_step_that_only_wants_more_replicas_does_not_start_what_is_at_zero(command: str) -> None:
    """As the scaling of the web service's recovery: what a person has stopped stays stopped."""
    why = "deployment/web is scaled to 0: only a step with --current-replicas=0 starts it"
    assert why in await at_zero().refusal(command, **OWN)
    assert await at_zero().refusal(MORE, phase=Phase.UNDO, **OWN) == ""
    assert await at_zero().refusal(MORE, **OWN, stoppable_workloads=frozenset({"deployment/web"})) == ""


async def test_a_run_starts_only_the_workload_of_its_own_service() -> None:
    other = {**OWN, "service": "api", "workload": WorkloadRef(resource=DEPLOYMENTS, name="api")}
    assert "is not the workload of api" in await at_zero().refusal(START, **other)


async def test_a_workload_that_an_autoscaler_may_let_rest_at_zero_is_left_there() -> None:
    resting = autoscaler()
    resting["spec"]["minReplicas"] = 0
    why = "deployment/web stays at 0: the HorizontalPodAutoscaler web-hpa may let it rest at 0"
    assert why in await at_zero(resting).refusal(START, **OWN)
    kube = at_zero()
    spec = {"scaleTargetRef": {"name": "web"}, "minReplicaCount": 0}
    kube.put(SCALED_OBJECTS, {"metadata": {"name": "shop", "namespace": NAMESPACE}, "spec": spec})
    why = "deployment/web stays at 0: the ScaledObject shop scales it and may let it rest at 0"
    assert why in await kube.refusal(START, **OWN)
