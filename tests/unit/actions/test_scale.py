"""A recovery never lowers replicas, nobody's autoscaler is fought, and the old number is written down first."""

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import RUN_ANNOTATION, EffectStatus
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode
from kintsugi.errors import Conflict, OutcomeUnknown, Refused
from kintsugi.model.command import ObjectName
from kintsugi.model.records import Phase
from kintsugi.model.services import WorkloadRef
from kintsugi.verbs.scale import Scale
from kubeobjects.resources import DEPLOYMENTS, HPAS, PODS
from tests.harness.results import named
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import (
    NAMESPACE,
    ago,
    autoscaler,
    change_context,
    deployment,
    healthy_pod,
    owner,
    unschedulable_pod,
)

WEB = ObjectName(resource=DEPLOYMENTS, name="web")
STOPPED = {"namespace": NAMESPACE, "stoppable_workloads": frozenset({"deployment/web"})}
"""Circumstances of a restore that stops the Deployment."""


def scale(replicas: int, current: int | None = None) -> Scale:
    """Make the command."""
    return Scale(objects=(WEB,), namespace=NAMESPACE, replicas=replicas, current=current)


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


async def test_replicas_are_raised_by_one_write_that_tests_the_old_number() -> None:
    """P4, E14: the write holds uid, old number and our mark; the undo scales back from what we made it."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    does = actions(kube)
    prepared = await does.plan_effect(scale(5), change_context())
    undo = decode(prepared.undo.commands[0])
    assert isinstance(undo, Scale)
    assert (undo.replicas, undo.current, undo.objects[0].uid) == (3, 5, "uid-web")
    assert prepared.undo.texts == (f"kubectl scale deployment web --replicas=3 --current-replicas=5 -n {NAMESPACE}",)
    result = await does.apply(prepared)
    assert result.summary == "deployment/web scaled from 3 to 5"
    assert named(result)["item"]["spec"]["replicas"] == 5
    ((_, _, operations),) = kube.writes
    assert isinstance(operations, tuple)
    assert {"op": "test", "path": "/metadata/uid", "value": "uid-web"} in operations
    assert {"op": "test", "path": "/spec/replicas", "value": 3} in operations
    assert (
        kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"][RUN_ANNOTATION]
        == "r-1/forward/restart@2026-05-04T12:00:00+00:00"
    )


async def test_the_undo_takes_the_change_back() -> None:
    """The undo is an ordinary command; in its phase it may lower."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    does = actions(kube)
    prepared = await does.plan_effect(scale(5), change_context())
    await does.apply(prepared)
    back = await does.plan_effect(decode(prepared.undo.commands[0]), change_context(phase=Phase.UNDO))
    await does.apply(back)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["replicas"] == 3


async def test_an_undo_leaves_alone_what_a_person_has_scaled_since() -> None:
    """E17."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    does = actions(kube)
    prepared = await does.plan_effect(scale(5), change_context())
    await does.apply(prepared)
    kube.at(DEPLOYMENTS, "web")["spec"]["replicas"] = 8
    with pytest.raises(Refused, match="8 replicas, not 5 as expected"):
        await does.plan_effect(decode(prepared.undo.commands[0]), change_context(phase=Phase.UNDO))


async def test_the_number_that_is_there_already_is_not_written() -> None:
    """Done without a write; nothing to undo."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()), (HPAS, autoscaler()))
    does = actions(kube)
    prepared = await does.plan_effect(scale(3), change_context())
    result = await does.apply(prepared)
    assert kube.writes == []
    assert result.summary == "nothing to do: deployment/web has 3 replicas"
    assert named(result)["item"]["spec"]["replicas"] == 3
    assert prepared.undo.commands == ()
    assert await does.probe(prepared) is EffectStatus.DONE


async def test_a_recovery_never_lowers_replicas() -> None:
    """E14; except where the run stops writers, and in rollback and undo."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    with pytest.raises(Refused, match="never lowers"):
        await actions(kube).plan_effect(scale(0), change_context())
    for allowed in (STOPPED, {"phase": Phase.ROLLBACK}, {"phase": Phase.UNDO}):
        assert (await actions(kube).plan_effect(scale(0), change_context(**allowed))).write is not None


async def test_a_workload_that_an_autoscaler_scales_is_refused_with_its_name() -> None:
    """B21."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()), (HPAS, autoscaler()))
    with pytest.raises(Refused, match="HorizontalPodAutoscaler web-hpa"):
        await actions(kube).plan_effect(scale(5), change_context())
    assert (await actions(kube).plan_effect(scale(5), change_context(allow_managed=True))).write is not None
    assert (await actions(kube).plan_effect(scale(0), change_context(**STOPPED))).write is not None


async def test_the_autoscaler_of_a_writer_that_is_stopped_is_remembered() -> None:
    """It sleeps while its workload stands at zero, and wakes with it."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()), (HPAS, autoscaler()))
    does = actions(kube)
    prepared = await does.plan_effect(scale(0), change_context(**STOPPED))
    assert prepared.facts["autoscalers"] == [{"name": "web-hpa", "min": 1, "max": 9}]
    await does.apply(prepared)
    back = await does.plan_effect(decode(prepared.undo.commands[0]), change_context(phase=Phase.UNDO))
    await does.apply(back)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["replicas"] == 3


async def test_only_what_is_named_is_stopped_and_only_in_its_own_namespace() -> None:
    """Whatever else a restoring runbook says."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    for other in ({"stoppable_workloads": frozenset({"deployment/api"})}, {"namespace": "elsewhere"}):
        with pytest.raises(Refused, match="never lowers"):
            await actions(kube).plan_effect(scale(0), change_context(**{**STOPPED, **other}))


async def test_a_writer_is_stopped_whoever_else_writes_it_but_an_operator_s_database_is_not() -> None:
    """Where somebody starts it again, the restore stops."""
    obj = deployment()
    obj["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop", "cnpg.io/cluster": "main"}
    kube = ClusterOfDicts((DEPLOYMENTS, obj))
    does = actions(kube)
    prepared = await does.plan_effect(scale(0), change_context(**STOPPED))
    with pytest.raises(Refused, match="operator CloudNativePG main"):
        await does.plan_effect(
            scale(0), change_context(**STOPPED, workload=WorkloadRef(resource=DEPLOYMENTS, name="web"))
        )
    await does.apply(prepared)
    back = await does.plan_effect(decode(prepared.undo.commands[0]), change_context(phase=Phase.UNDO))
    assert back.write is not None


async def test_more_replicas_are_refused_while_a_pod_finds_no_node() -> None:
    """More of the same would find none either; a rollback and an undo put back what was, whatever the room."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()), (PODS, healthy_pod()), (PODS, unschedulable_pod("web-2")))
    with pytest.raises(Refused, match=r"cannot be scheduled \(web-2\)"):
        await actions(kube).plan_effect(scale(5), change_context())
    for phase in (Phase.ROLLBACK, Phase.UNDO):
        assert (await actions(kube).plan_effect(scale(5), change_context(phase=phase))).write is not None


async def test_fewer_replicas_are_no_matter_of_room() -> None:
    """Writers are stopped for a restore also when one of them hangs."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()), (PODS, unschedulable_pod("web-2")))
    assert (await actions(kube).plan_effect(scale(0), change_context(**STOPPED))).write is not None


async def test_pods_of_others_that_find_no_node_are_no_matter() -> None:
    """Nor are pods that are on their way out."""
    foreign, going = unschedulable_pod("api-1"), unschedulable_pod("web-3")
    foreign["metadata"]["labels"] = {"app": "api"}
    going["metadata"]["deletionTimestamp"] = ago(seconds=1)
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()), (PODS, foreign), (PODS, going))
    assert (await actions(kube).plan_effect(scale(5), change_context())).write is not None


async def test_the_autoscaler_of_another_workload_is_no_matter() -> None:
    """Only its own target is its own."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()), (HPAS, autoscaler("api")))
    assert (await actions(kube).plan_effect(scale(5), change_context())).write is not None


@pytest.mark.parametrize(
    ("mark", "value", "name"),
    [
        ("argocd.argoproj.io/instance", "shop", "Argo CD shop"),
        ("kustomize.toolkit.fluxcd.io/name", "apps", "Flux apps"),
        ("helm.toolkit.fluxcd.io/name", "web", "Flux web"),
    ],
)
async def test_a_workload_that_gitops_keeps_is_refused_with_the_tools_name(mark: str, value: str, name: str) -> None:
    """B21: it would be taken back."""
    obj = deployment()
    obj["metadata"]["labels"] = {mark: value}
    with pytest.raises(Refused, match=name):
        await actions(ClusterOfDicts((DEPLOYMENTS, obj))).plan_effect(scale(5), change_context())


async def test_a_workload_that_an_operator_owns_is_refused_with_its_name() -> None:
    """B21."""
    obj = deployment()
    obj["metadata"]["ownerReferences"] = [owner("Shop", "main")]
    with pytest.raises(Refused, match="operator Shop/main"):
        await actions(ClusterOfDicts((DEPLOYMENTS, obj))).plan_effect(scale(5), change_context())


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"cnpg.io/cluster": "main"}, "operator CloudNativePG main"),
        ({"application": "spilo", "cluster-name": "acid-main"}, "operator Zalando Postgres acid-main"),
        ({"postgres-operator.crunchydata.com/cluster": "hippo"}, "operator Crunchy Postgres hippo"),
        ({"stackgres.io/cluster-name": "main"}, "operator StackGres main"),
    ],
)
async def test_a_workload_that_a_database_operator_has_labelled_is_its_own(labels: dict[str, str], name: str) -> None:
    """B21: not every operator owns what it runs by reference."""
    obj = deployment()
    obj["metadata"]["labels"] = labels
    with pytest.raises(Refused, match=name):
        await actions(ClusterOfDicts((DEPLOYMENTS, obj))).plan_effect(scale(5), change_context())


async def test_a_change_by_somebody_else_between_intent_and_effect_fails_the_write() -> None:
    """P4, B12: and nothing is changed."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    does = actions(kube)
    prepared = await does.plan_effect(scale(5), change_context())
    kube.at(DEPLOYMENTS, "web")["spec"]["replicas"] = 4
    with pytest.raises(Conflict):
        await does.apply(prepared)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["replicas"] == 4


async def test_a_change_of_another_field_does_not_fail_the_write() -> None:
    """Only what was judged is tested: status moves all the time."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    does = actions(kube)
    prepared = await does.plan_effect(scale(5), change_context())
    kube.at(DEPLOYMENTS, "web")["status"] = {"observedGeneration": 2, "readyReplicas": 1}
    kube.at(DEPLOYMENTS, "web")["metadata"]["resourceVersion"] = "99"
    await does.apply(prepared)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["replicas"] == 5


async def test_a_lost_answer_is_found_out_by_our_mark() -> None:
    """B9, P3: also when somebody has scaled further meanwhile; another run's mark is not ours."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    does = actions(kube)
    prepared = await does.plan_effect(scale(5), change_context())
    assert await does.probe(prepared) is EffectStatus.NOT_DONE
    kube.lost = OutcomeUnknown("504")
    with pytest.raises(OutcomeUnknown):
        await does.apply(prepared)
    assert await does.probe(prepared) is EffectStatus.DONE
    kube.at(DEPLOYMENTS, "web")["spec"]["replicas"] = 6
    assert await does.probe(prepared) is EffectStatus.DONE
    kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"][RUN_ANNOTATION] = "r-0/forward/restart"
    assert await does.probe(prepared) is EffectStatus.NOT_DONE


async def test_a_probe_of_an_object_that_is_gone_cannot_tell() -> None:
    """P3: a person is asked."""
    kube = ClusterOfDicts((DEPLOYMENTS, deployment()))
    does = actions(kube)
    prepared = await does.plan_effect(scale(5), change_context())
    kube.at(DEPLOYMENTS, "web")["metadata"]["uid"] = "uid-of-another"
    assert await does.probe(prepared) is EffectStatus.UNKNOWN
