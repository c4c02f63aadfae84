"""A workload that somebody has scaled to 0 is started only by a command that says so, and never where it may rest there."""

from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode
from kintsugi.errors import Refused
from kintsugi.model.command import ObjectName, Patch
from kintsugi.model.records import Phase
from kintsugi.model.services import WorkloadRef
from kintsugi.verbs.scale import Scale
from kubeobjects.autoscalers import SCALED_OBJECTS
from kubeobjects.resources import DEPLOYMENTS, HPAS, Resource
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, autoscaler, change_context, deployment

WEB = ObjectName(resource=DEPLOYMENTS, name="web")
OWN = {"namespace": NAMESPACE, "workload": WorkloadRef(resource=DEPLOYMENTS, name="web"), "service": "web"}
"""Circumstances of a run on the service whose workload it is."""

START = Scale(objects=(WEB,), namespace=NAMESPACE, replicas=4, current=0)


def at_zero(*others: tuple[Resource, dict[str, Any]]) -> ClusterOfDicts:
    """Make a cluster in which the Deployment is scaled to 0."""
    stopped = deployment()
    stopped["spec"]["replicas"] = 0
    return ClusterOfDicts((DEPLOYMENTS, stopped), *others)


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


async def test_a_workload_is_started_by_one_write_and_its_undo_scales_it_to_zero_again() -> None:
    kube = at_zero()
    does = actions(kube)
    prepared = await does.plan_effect(START, change_context(**OWN))
    assert prepared.undo.texts == (f"kubectl scale deployment web --replicas=0 --current-replicas=4 -n {NAMESPACE}",)
    await does.apply(prepared)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["replicas"] == 4
    back = await does.plan_effect(decode(prepared.undo.commands[0]), change_context(phase=Phase.UNDO, **OWN))
    await does.apply(back)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["replicas"] == 0


async def test_a_step_that_only_wants_more_replicas_does_not_start_what_is_at_zero() -> None:
    """As the scaling of the web service's recovery: what a person has stopped stays stopped."""
    more = Scale(objects=(WEB,), namespace=NAMESPACE, replicas=5)
    patch = Patch(object=WEB, namespace=NAMESPACE, patch='{"spec":{"replicas":5}}')
    for command in (more, patch):
        with pytest.raises(
            Refused, match="deployment/web is scaled to 0: only a step with --current-replicas=0 starts it"
        ):
            await actions(at_zero()).plan_effect(command, change_context(**OWN))
    assert (await actions(at_zero()).plan_effect(more, change_context(phase=Phase.UNDO, **OWN))).write is not None
    restored = change_context(**OWN, stoppable_workloads=frozenset({"deployment/web"}))
    assert (await actions(at_zero()).plan_effect(more, restored)).write is not None


async def test_a_run_starts_only_the_workload_of_its_own_service() -> None:
    other = change_context(namespace=NAMESPACE, service="api", workload=WorkloadRef(resource=DEPLOYMENTS, name="api"))
    with pytest.raises(Refused, match="is not the workload of api"):
        await actions(at_zero()).plan_effect(START, other)


async def test_an_autoscaler_that_sleeps_while_its_workload_is_at_zero_does_not_keep_it_there() -> None:
    kube = at_zero((HPAS, autoscaler()))
    assert (await actions(kube).plan_effect(START, change_context(**OWN))).write is not None


async def test_a_workload_that_an_autoscaler_may_let_rest_at_zero_is_left_there() -> None:
    resting = autoscaler()
    resting["spec"]["minReplicas"] = 0
    scaled = {
        "metadata": {"name": "shop", "namespace": NAMESPACE},
        "spec": {"scaleTargetRef": {"name": "web"}, "minReplicaCount": 0},
    }
    for kube, why in (
        (at_zero((HPAS, resting)), "the HorizontalPodAutoscaler web-hpa may let it rest at 0"),
        (at_zero((SCALED_OBJECTS, scaled)), "the ScaledObject shop scales it and may let it rest at 0"),
    ):
        with pytest.raises(Refused, match=f"deployment/web stays at 0: {why}"):
            await actions(kube).plan_effect(START, change_context(**OWN))
