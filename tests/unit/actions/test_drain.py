"""`kubectl drain`: what it refuses as kubectl does, and that each eviction is a change of its own."""

from datetime import timedelta

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode, parse, render
from kintsugi.errors import CommandError, Conflict, NotFound, NotYet, OutcomeUnknown, Refused, TooManyRequests
from kintsugi.executor import is_obsolete
from kintsugi.model.command import Command
from kintsugi.model.records import Phase, StepRecord, StepState
from kubeobjects.resources import NODES, PODS
from tests.unit.actions.cluster_of_dicts import NOW, ClusterOfDicts
from tests.unit.actions.samples import change_context, healthy_pod, node, owner


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


def cluster(*pods: dict[str, object]) -> ClusterOfDicts:
    """Make a cluster of two nodes, the pods on the first."""
    return ClusterOfDicts((NODES, node()), (NODES, node("node-2")), *((PODS, each) for each in pods))


def owned(name: str, kind: str) -> dict[str, object]:
    """Make a pod of a controller."""
    made = healthy_pod(name)
    made["metadata"]["ownerReferences"] = [owner(kind, "maker")]
    return made


def bare(name: str) -> dict[str, object]:
    """Make a pod without a controller."""
    made = healthy_pod(name)
    made["metadata"]["ownerReferences"] = []
    return made


def with_emptydir(name: str) -> dict[str, object]:
    """Make a pod with a volume that goes with it."""
    made = healthy_pod(name)
    made["spec"]["volumes"] = [{"name": "cache", "emptyDir": {}}]
    return made


async def planned(kube: ClusterOfDicts, flags: str = "", **context: object) -> EffectPlan:
    """Judge a drain of the first node."""
    return await actions(kube).plan_effect(parse(f"kubectl drain node-1 {flags}"), change_context(**context))


def follow(plan: EffectPlan) -> list[Command]:
    """Return the changes that complete a drain."""
    then = plan.facts["then"]
    assert isinstance(then, list)
    return [decode(each) for each in then]


async def test_a_drain_cordons_the_node_and_evicts_each_pod_by_a_change_of_its_own() -> None:
    kube = cluster(healthy_pod("web-1"), healthy_pod("web-2"))
    does = actions(kube)
    plan = await planned(kube)
    assert plan.undo.texts == ("kubectl uncordon node-1",)
    result = await does.apply(plan)
    assert result.summary == "node/node-1 cordoned to be drained of 2 pods"
    assert [what for what, _, _ in kube.writes] == ["patch"]
    first, second, last = follow(plan)
    for command in (first, second):
        await does.apply(await does.plan_effect(command, change_context()))
    assert [(what, which) for what, which, _ in kube.writes[1:]] == [("delete", "pod/web-1"), ("delete", "pod/web-2")]
    with pytest.raises(NotYet, match="production/web-1, production/web-2 of node/node-1 are still stopping"):
        await does.plan_effect(last, change_context())
    for name in ("web-1", "web-2"):
        del kube.objects[PODS, "production", name]
    assert (await does.apply(await does.plan_effect(last, change_context()))).summary.endswith("node/node-1 is drained")


async def test_a_node_that_was_cordoned_before_stays_so() -> None:
    kube = ClusterOfDicts((NODES, node(cordoned=True)), (NODES, node("node-2")), (PODS, healthy_pod()))
    plan = await planned(kube)
    assert plan.already
    assert plan.undo.commands == ()
    assert len(follow(plan)) == 2


@pytest.mark.parametrize(
    ("pod", "flag", "why"),
    [
        pytest.param(owned("log-1", "DaemonSet"), "--ignore-daemonsets", "belongs to a DaemonSet", id="daemonset"),
        pytest.param(with_emptydir("web-1"), "--delete-emptydir-data", "has an emptyDir", id="emptydir"),
        pytest.param(bare("alone"), "", "has no controller", id="bare"),
    ],
)
async def test_a_drain_that_kubectl_refuses_changes_nothing(pod: dict[str, object], flag: str, why: str) -> None:
    """One such pod holds all of it up; with its flag it does not."""
    kube = cluster(healthy_pod("web-2"), pod)
    with pytest.raises(Refused, match=why):
        await planned(kube)
    assert kube.writes == []
    if flag:
        assert await planned(kube, flag)


async def test_the_pods_of_a_daemonset_and_static_ones_stay() -> None:
    static = healthy_pod("kube-proxy-node-1")
    static["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    static["metadata"]["ownerReferences"] = [owner("Node", "node-1")]
    plan = await planned(cluster(owned("log-1", "DaemonSet"), static), "--ignore-daemonsets")
    assert [type(each).__name__ for each in follow(plan)] == ["AwaitDrained"]


async def test_a_node_with_a_pod_of_a_protected_namespace_is_not_drained() -> None:
    """Half of a drain would be worse than none."""
    foreign = healthy_pod("dns")
    foreign["metadata"]["namespace"] = "kube-system"
    kube = cluster(healthy_pod(), foreign)
    with pytest.raises(Refused, match="nothing is changed in the namespace kube-system"):
        await planned(kube)


async def test_the_last_node_that_takes_pods_is_not_drained() -> None:
    kube = ClusterOfDicts((NODES, node()), (NODES, node("node-2", cordoned=True)), (PODS, healthy_pod()))
    with pytest.raises(Refused, match="last node that takes new pods"):
        await planned(kube)


async def test_an_eviction_that_a_budget_forbids_has_changed_nothing() -> None:
    """The API server's answer is the executor's business: it asks again, until the step's time is over."""
    kube = cluster(healthy_pod())
    kube.refused[PODS] = TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.")
    does = actions(kube)
    evict = follow(await planned(kube))[0]
    plan = await does.plan_effect(evict, change_context())
    with pytest.raises(TooManyRequests, match="disruption budget"):
        await does.apply(plan)
    assert kube.writes == []


async def test_an_eviction_whose_answer_was_lost_is_found() -> None:
    """P3: it is not asked for a second time."""
    kube = cluster(healthy_pod())
    does = actions(kube)
    evict = follow(await planned(kube))[0]
    plan = await does.plan_effect(evict, change_context())
    assert await does.probe(plan) is EffectStatus.NOT_DONE
    kube.lost = OutcomeUnknown("lost")
    with pytest.raises(OutcomeUnknown):
        await does.apply(plan)
    assert await does.probe(plan) is EffectStatus.DONE
    assert (await does.plan_effect(evict, change_context())).already


async def test_a_namesake_of_an_evicted_pod_is_left_alone() -> None:
    kube = cluster(healthy_pod())
    evict = follow(await planned(kube))[0]
    kube.at(PODS, "web-1")["metadata"]["uid"] = "another"
    assert (await actions(kube).plan_effect(evict, change_context())).already


async def test_the_timeout_of_a_drain_holds_for_all_of_it() -> None:
    kube = cluster(healthy_pod())
    evict, last = follow(await planned(kube, "--timeout=5m"))
    late = change_context(now=NOW + timedelta(minutes=5))
    with pytest.raises(Refused, match="was not evicted within the drain's --timeout"):
        await actions(kube).plan_effect(evict, late)
    kube.at(PODS, "web-1")["metadata"]["deletionTimestamp"] = NOW.isoformat()
    with pytest.raises(Refused, match="did not stop within the drain's --timeout"):
        await actions(kube).plan_effect(last, late)


async def test_a_pod_that_came_before_the_cordon_is_told() -> None:
    kube = cluster()
    (last,) = follow(await planned(kube))
    kube.put(PODS, healthy_pod("late"))
    with pytest.raises(Refused, match="production/late came onto node/node-1 before it was cordoned"):
        await actions(kube).plan_effect(last, change_context())


async def test_only_the_pods_that_are_chosen_are_evicted() -> None:
    other = healthy_pod("other")
    other["metadata"]["labels"] = {"app": "other"}
    plan = await planned(cluster(healthy_pod(), other), "--pod-selector=app=web")
    assert plan.facts["pods"] == 1


@pytest.mark.parametrize("flag", ["--force", "--disable-eviction", "--grace-period=0", "-l x=y"])
def test_a_drain_that_would_kill_or_pass_a_budget_over_is_refused_when_it_is_read(flag: str) -> None:
    with pytest.raises(CommandError):
        parse(f"kubectl drain node-1 {flag}")


async def test_an_eviction_can_be_pasted() -> None:
    """kubectl has no verb for it: the subresource is created."""
    evict = follow(await planned(cluster(healthy_pod()), "--grace-period=20"))[0]
    assert render(evict) == (
        "kubectl create --raw /api/v1/namespaces/production/pods/web-1/eviction -f - "
        '<<<\'{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"web-1","namespace":"production"},'
        '"deleteOptions":{"preconditions":{"uid":"uid-web-1"},"gracePeriodSeconds":20}}\''
    )


@pytest.mark.parametrize("overtaken", [NotFound("gone", status=404), Conflict("another uid", status=409)])
async def test_a_pod_that_somebody_else_has_removed_is_as_it_was_meant_to_be(overtaken: NotFound | Conflict) -> None:
    """The probe will say so; the drain goes on."""
    kube = cluster(healthy_pod())
    evict = follow(await planned(kube))[0]
    plan = await actions(kube).plan_effect(evict, change_context())
    record = StepRecord(run="r-1", phase=Phase.FORWARD, path="drain#0+0", name="Drain it", state=StepState.INTENT)
    assert not is_obsolete(record, plan, overtaken)
