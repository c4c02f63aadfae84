"""`kubectl evict-pod`: one eviction, by uid, as the disruption budgets allow."""

from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse, render
from kintsugi.commands.registry import definition_of
from kintsugi.errors import CommandError, NotFound, OutcomeUnknown, Refused, TooManyRequests
from kintsugi.model.command import Command, ObjectName
from kintsugi.verbs.eviction import Evict
from kubeobjects.resources import PODS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import change_context, healthy_pod, owner


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


def cluster(*owners: dict[str, Any]) -> ClusterOfDicts:
    """Make a cluster with the pod web-1 of these owners; of a ReplicaSet, unless another is said."""
    made = healthy_pod()
    made["metadata"]["ownerReferences"] = list(owners)
    return ClusterOfDicts((PODS, made if owners else healthy_pod()))


def line(name: str = "web-1") -> Command:
    """Return the command as a runbook has it."""
    return parse(f"kubectl evict-pod {name}", namespace="production")


async def planned(kube: ClusterOfDicts, command: Command | None = None) -> EffectPlan:
    """Judge it."""
    return await actions(kube).plan_effect(command or line(), change_context())


async def test_a_pod_is_evicted_by_the_uid_that_it_has() -> None:
    kube = cluster()
    plan = await planned(kube)
    assert plan.facts["node"] == "node-1"
    assert plan.undo.commands == ()
    result = await actions(kube).apply(plan)
    assert result.summary == "pod/web-1 evicted"
    assert kube.writes == [("delete", "pod/web-1", "uid-web-1")]


async def test_the_text_of_a_very_pod_needs_no_plugin_and_names_its_uid() -> None:
    assert render(line()) == "kubectl evict-pod web-1 -n production"
    bound = (await planned(cluster())).command
    assert render(bound).startswith("kubectl create --raw /api/v1/namespaces/production/pods/web-1/eviction -f - <<<")
    assert '"preconditions":{"uid":"uid-web-1"}' in render(bound)


async def test_a_pod_that_was_meant_by_its_uid_and_is_another_one_now_stays() -> None:
    asked = Evict(object=ObjectName(resource=PODS, name="web-1", uid="uid-of-old"), namespace="production")
    assert (await planned(cluster(), asked)).already


async def test_a_name_that_nobody_has_is_an_error_and_a_uid_that_nobody_has_is_done() -> None:
    with pytest.raises(NotFound):
        await planned(cluster(), line("gone"))
    asked = Evict(object=ObjectName(resource=PODS, name="gone", uid="uid-gone"), namespace="production")
    assert (await planned(cluster(), asked)).already


async def test_an_eviction_that_a_budget_forbids_has_changed_nothing_and_is_asked_for_again() -> None:
    """That is the executor's business, until the step's time is over."""
    kube = cluster()
    kube.refused[PODS] = TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.")
    plan = await planned(kube)
    with pytest.raises(TooManyRequests):
        await actions(kube).apply(plan)
    assert kube.writes == []
    kube.refused.clear()
    await actions(kube).apply(await planned(kube))
    assert len(kube.writes) == 1


async def test_an_eviction_whose_answer_is_lost_is_found() -> None:
    kube = cluster()
    plan = await planned(kube)
    assert await actions(kube).probe(plan) is EffectStatus.NOT_DONE
    kube.lost = OutcomeUnknown("lost")
    with pytest.raises(OutcomeUnknown):
        await actions(kube).apply(plan)
    assert await actions(kube).probe(plan) is EffectStatus.DONE


@pytest.mark.parametrize(
    ("maker", "why"),
    [
        (owner("DaemonSet", "agent"), "would recreate it on the same node"),
        (owner("Node", "node-1"), "static pod"),
        ({**owner("ReplicaSet", "web"), "controller": False}, "bare pod"),
    ],
    ids=["daemonset", "static", "bare"],
)
async def test_a_pod_that_would_not_come_back_elsewhere_is_not_evicted(maker: dict[str, Any], why: str) -> None:
    kube = cluster(maker)
    with pytest.raises(Refused, match=why):
        await planned(kube)
    assert kube.writes == []


def test_an_eviction_spends_the_budget_of_the_pods_of_any_service() -> None:
    verb = definition_of(line())
    assert verb.removed_pod(line()) == "web-1"
    assert verb.concerns_any_service


@pytest.mark.parametrize("wrong", ["-l app=web", "--force", "--now", "deployment/web", "web-1 web-2", "--all"])
def test_a_line_about_several_pods_or_one_that_kills_is_refused_when_it_is_read(wrong: str) -> None:
    with pytest.raises(CommandError):
        parse(f"kubectl evict-pod {wrong}", namespace="production")
