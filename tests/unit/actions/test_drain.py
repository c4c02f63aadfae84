"""`kubectl drain` and `kubectl cordon`: what they refuse as kubectl does, and that each eviction is a change of its own."""

from datetime import timedelta

import pytest

from kintsugi.actions.effect_plan import EffectStatus
from kintsugi.commands import parse, render
from kintsugi.errors import CommandError, Conflict, NotFound, NotYet
from kintsugi.executor import is_obsolete
from kintsugi.model.command import ObjectName
from kintsugi.model.records import Phase, StepRecord, StepState
from kintsugi.verbs.drain import Cordon
from kubeobjects.resources import NODES, PODS
from tests.unit.actions.changes import Cluster, Object, follow
from tests.unit.actions.cluster_of_dicts import NOW
from tests.unit.actions.samples import healthy_pod, node, owner, with_metadata

DRAIN, CORDON = "kubectl drain node-1", "kubectl cordon node-1"


def cluster(*pods: Object, others: tuple[Object, ...] = (node("node-2"),), cordoned: bool = False) -> Cluster:
    """Make a cluster of two nodes, the pods on the first."""
    return Cluster(node(cordoned=cordoned), *others, *pods)


def made_by(name: str, *owners: Object, **metadata: object) -> Object:
    """Make a pod of these controllers."""
    return with_metadata(healthy_pod(name), ownerReferences=list(owners), **metadata)


def with_emptydir(name: str) -> Object:
    """Make a pod with a volume that goes with it."""
    made = healthy_pod(name)
    made["spec"]["volumes"] = [{"name": "cache", "emptyDir": {}}]
    return made


async def test_a_cordon_is_undone_by_an_uncordon_and_a_node_that_was_cordoned_before_is_left_as_it_was() -> None:
    kube = cluster()
    plan = await kube.make(CORDON)
    assert kube.at(NODES, "node-1")["spec"]["unschedulable"] is True
    assert (await kube.plan(CORDON)).undo.commands == ()
    assert plan.undo.texts == ("kubectl uncordon node-1",)
    await kube.undo(plan)
    assert "unschedulable" not in kube.at(NODES, "node-1")["spec"]


async def test_a_machine_that_has_taken_the_name_of_the_node_that_was_meant_is_not_cordoned() -> None:
    meant = Cordon(objects=(ObjectName(resource=NODES, name="node-1", uid="uid-before"),), on=True)
    assert "another object now" in await cluster().refusal(meant)


@pytest.mark.parametrize("command", [CORDON, DRAIN])
async def test_the_last_node_that_takes_pods_is_neither_cordoned_nor_drained(command: str) -> None:
    """Nothing could start anywhere."""
    kube = cluster(healthy_pod(), others=(node("node-2", cordoned=True), node("node-3", "Unknown")))
    assert "last node that takes new pods" in await kube.refusal(command)


async def test_a_drain_cordons_the_node_and_evicts_each_pod_by_a_change_of_its_own() -> None:
    kube = cluster(healthy_pod("web-1"), healthy_pod("web-2"))
    plan = await kube.plan(DRAIN)
    assert plan.undo.texts == ("kubectl uncordon node-1",)
    assert (await kube.actions.apply(plan)).summary == "node/node-1 cordoned to be drained of 2 pods"
    *evictions, last = follow(plan)
    for command in evictions:
        await kube.make(command)
    assert [(what, which) for what, which, _ in kube.writes] == [
        ("patch", "node/node-1"),
        ("delete", "pod/web-1"),
        ("delete", "pod/web-2"),
    ]
    with pytest.raises(NotYet, match="production/web-1, production/web-2 of node/node-1 are still stopping"):
        await kube.plan(last)
    for name in ("web-1", "web-2"):
        del kube.objects[PODS, "production", name]
    assert (await kube.actions.apply(await kube.plan(last))).summary.endswith("node/node-1 is drained")


async def test_a_node_that_was_cordoned_before_a_drain_stays_so() -> None:
    plan = await cluster(healthy_pod(), cordoned=True).plan(DRAIN)
    assert (plan.already, plan.undo.commands, len(follow(plan))) == (True, (), 2)


@pytest.mark.parametrize(
    ("pod", "flag", "why"),
    [
        (made_by("log-1", owner("DaemonSet", "maker")), "--ignore-daemonsets", "belongs to a DaemonSet"),
        (with_emptydir("web-1"), "--delete-emptydir-data", "has an emptyDir"),
        (made_by("alone"), "", "has no controller"),
        (
            made_by("dns", owner("ReplicaSet", "dns"), namespace="kube-system"),
            "",
            "nothing is changed in the namespace kube-system",
        ),
    ],
    ids=["daemonset", "emptydir", "bare", "protected"],
)
async def test_a_drain_that_kubectl_refuses_changes_nothing(pod: Object, flag: str, why: str) -> None:
    """One such pod holds all of it up, since half of a drain would be worse than none; with its flag it does not."""
    kube = cluster(healthy_pod("web-2"), pod)
    assert why in await kube.refusal(DRAIN)
    if flag:
        assert await kube.refusal(f"{DRAIN} {flag}") == ""


async def test_the_pods_of_a_daemonset_and_static_ones_stay() -> None:
    static = made_by("proxy", owner("Node", "node-1"), annotations={"kubernetes.io/config.mirror": "x"})
    kube = cluster(made_by("log-1", owner("DaemonSet", "maker")), static)
    plan = await kube.plan(f"{DRAIN} --ignore-daemonsets")
    assert [type(each).__name__ for each in follow(plan)] == ["AwaitDrained"]


async def test_an_eviction_of_a_drain_whose_answer_was_lost_is_found() -> None:
    """P3: it is not asked for a second time."""
    kube = cluster(healthy_pod())
    evict, _ = follow(await kube.plan(DRAIN))
    plan = await kube.plan(evict)
    await kube.lose(plan)
    assert await kube.actions.probe(plan) is EffectStatus.DONE
    assert (await kube.plan(evict)).already
    kube.at(PODS, "web-1")["metadata"] |= {"uid": "another", "deletionTimestamp": None}
    assert (await kube.plan(evict)).already, "a namesake is left alone"


async def test_the_timeout_of_a_drain_holds_for_all_of_it() -> None:
    kube = cluster(healthy_pod())
    evict, last = follow(await kube.plan(f"{DRAIN} --timeout=5m"))
    late = NOW + timedelta(minutes=5)
    assert "was not evicted within the drain's --timeout" in await kube.refusal(evict, now=late)
    kube.at(PODS, "web-1")["metadata"]["deletionTimestamp"] = NOW.isoformat()
    assert "did not stop within the drain's --timeout" in await kube.refusal(last, now=late)


async def test_a_pod_that_came_before_the_cordon_is_told() -> None:
    kube = cluster()
    (last,) = follow(await kube.plan(DRAIN))
    kube.add(healthy_pod("late"))
    assert "production/late came onto node/node-1 before it was cordoned" in await kube.refusal(last)


async def test_only_the_pods_that_are_chosen_are_evicted() -> None:
    other = made_by("other", owner("ReplicaSet", "other"), labels={"app": "other"})
    plan = await cluster(healthy_pod(), other).plan(f"{DRAIN} --pod-selector=app=web")
    assert plan.facts["pods"] == 1


@pytest.mark.parametrize("flag", ["--force", "--disable-eviction", "--grace-period=0", "-l x=y"])
def test_a_drain_that_would_kill_or_pass_a_budget_over_is_refused_when_it_is_read(flag: str) -> None:
    with pytest.raises(CommandError):
        parse(f"{DRAIN} {flag}")


async def test_an_eviction_can_be_pasted() -> None:
    """kubectl has no verb for it: the subresource is created."""
    evict = follow(await cluster(healthy_pod()).plan(f"{DRAIN} --grace-period=20"))[0]
    assert render(evict) == (
        "kubectl create --raw /api/v1/namespaces/production/pods/web-1/eviction -f - "
        '<<<\'{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"web-1","namespace":"production"},'
        '"deleteOptions":{"preconditions":{"uid":"uid-web-1"},"gracePeriodSeconds":20}}\''
    )


@pytest.mark.parametrize("overtaken", [NotFound("gone", status=404), Conflict("another uid", status=409)])
async def test_a_pod_that_somebody_else_has_removed_is_as_it_was_meant_to_be(overtaken: NotFound | Conflict) -> None:
    """The probe will say so; the drain goes on."""
    kube = cluster(healthy_pod())
    plan = await kube.plan(follow(await kube.plan(DRAIN))[0])
    record = StepRecord(run="r-1", phase=Phase.FORWARD, path="drain#0+0", name="Drain it", state=StepState.INTENT)
    assert not is_obsolete(record, plan, overtaken)
