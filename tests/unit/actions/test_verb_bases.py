"""What holds for the change of every verb: found out when its answer was lost, and never made or undone over somebody else's."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.errors import CommandError, Conflict, NotFound, Refused, ServerUnavailable
from kintsugi.model.command import Command, Create, Delete, ObjectName, Patch
from kintsugi.model.essentials import LEDGER, EssentialService
from kintsugi.model.records import Phase
from kintsugi.model.services import MaxAllowed
from kintsugi.verbs.curl import Curl
from kubeobjects.resources import CONFIGMAPS, DEPLOYMENTS, PODS, PVCS
from tests.unit.actions.changes import Cluster, Object
from tests.unit.actions.samples import (
    NAMESPACE,
    ago,
    autoscaler,
    claim,
    controller_revision,
    deployment,
    healthy_pod,
    node,
    owner,
    pod,
    replica_set,
    revision_of,
    shop,
    stateful_set,
)

SCALE = "kubectl scale deployment web --replicas=5"
RESTART = "kubectl rollout restart deployment/web"
LABEL = "kubectl label deployment web tier=back"
CORDON = "kubectl cordon node-1"
SETS = (
    "kubectl set image deployment/web web=nginx:1.27",
    "kubectl set env deployment/web TRACE=on",
    "kubectl set resources deployment/web --limits=memory=512Mi -c web",
)
GROW = 'kubectl patch pvc data -p \'{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}\''
RESIZE = (
    "kubectl patch pod web-1 --subresource=resize --type=json"
    ' -p \'[{"op":"replace","path":"/spec/containers/0/resources/limits/memory","value":"164Mi"}]\''
)
CREATE = Create(
    object=ObjectName(resource=PVCS, name="data"),
    namespace=NAMESPACE,
    manifest=f'{{"metadata":{{"name":"data","namespace":"{NAMESPACE}"}},"spec":{{}}}}',
)
ALLOWED = MaxAllowed(storage="4Gi", memory="256Mi")


def cluster() -> Cluster:
    """Make a Deployment at revision 2, two nodes, a failing pod with little memory, a pod that is well, and a claim."""
    small = pod()
    small["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi"}}
    revisions = (replica_set(1, "web:1"), replica_set(2, "web:2"))
    return Cluster(deployment(), *revisions, small, healthy_pod("web-2"), claim(), node(), node("node-2"))


def of_shop(**metadata: object) -> Cluster:
    """Make a Deployment of several containers with the ReplicaSet of its revision."""
    made = shop(**metadata)
    return Cluster(made, revision_of(made))


def web(kube: Cluster) -> Object:
    """Return the Deployment as it is now."""
    return kube.at(DEPLOYMENTS, "web")


@pytest.mark.parametrize(
    ("make", "command"),
    [
        *((cluster, each) for each in (SCALE, RESTART, LABEL, CORDON, GROW, RESIZE)),
        (cluster, "kubectl delete pod web-1"),
        (cluster, "kubectl evict-pod web-2"),
        *((of_shop, each) for each in SETS),
        (Cluster, CREATE),
    ],
)
async def test_a_change_whose_answer_was_lost_is_found_and_not_made_twice(
    make: Callable[[], Cluster], command: Command | str
) -> None:
    """B9, P3."""
    kube = make()
    plan = await kube.plan(command, max_allowed=ALLOWED)
    assert await kube.actions.probe(plan) is EffectStatus.NOT_DONE
    await kube.lose(plan)
    assert await kube.actions.probe(plan) is EffectStatus.DONE
    assert len(kube.writes) == 1
    if command in (GROW, RESIZE):
        assert (await kube.plan(command, max_allowed=ALLOWED)).already


async def test_a_change_is_known_by_the_mark_of_its_step_and_not_by_its_value() -> None:
    """P3: also when somebody has scaled further meanwhile. Of an object that is gone it cannot be told: a person is asked."""
    kube = cluster()
    plan = await kube.make(SCALE)
    web(kube)["spec"]["replicas"] = 6
    assert await kube.actions.probe(plan) is EffectStatus.DONE
    web(kube)["metadata"]["annotations"]["kintsugi.dev/run"] = "r-0/forward/restart"
    assert await kube.actions.probe(plan) is EffectStatus.NOT_DONE
    web(kube)["metadata"]["uid"] = "uid-of-another"
    assert await kube.actions.probe(plan) is EffectStatus.UNKNOWN


async def test_a_pod_is_known_to_be_deleted_by_its_uid() -> None:
    """B9, B13."""
    kube = cluster()
    plan = await kube.make("kubectl delete pod web-1")
    kube.at(PODS, "web-1")["metadata"] |= {"uid": "uid-successor", "deletionTimestamp": None}
    assert await kube.actions.probe(plan) is EffectStatus.DONE
    assert (await kube.actions.reread(plan)).names["items"] == []


async def test_a_probe_that_cannot_ask_says_so() -> None:
    """P3, P6: no answer is neither yes nor no; it can be asked again."""
    kube = cluster()
    plan = await kube.plan("kubectl delete pod web-1")
    kube.broken = ServerUnavailable("no answer")
    with pytest.raises(ServerUnavailable):
        await kube.actions.probe(plan)


async def test_a_change_that_was_planned_before_a_crash_is_probed_and_not_performed() -> None:
    kube = cluster()
    plan = await kube.plan(CORDON)
    remembered = EffectPlan(command=plan.command, intent=plan.intent, undo=plan.undo)
    assert await kube.actions.probe(remembered) is EffectStatus.NOT_DONE
    with pytest.raises(Refused, match="prepare it again"):
        await kube.actions.apply(remembered)


def by_a_person(kube: Cluster) -> None:
    """Change every container of the Deployment."""
    for each in web(kube)["spec"]["template"]["spec"]["containers"]:
        each["image"] = "by-a-person:1"
        each["env"] = [{"name": "TRACE", "value": "by a person"}]
        each["resources"] = {"limits": {"memory": "1Gi"}}


def resized(kube: Cluster) -> None:
    """Change the limit of the pod."""
    kube.at(PODS, "web-1")["spec"]["containers"][0]["resources"]["limits"]["memory"] = "200Mi"


@pytest.mark.parametrize(
    ("make", "command", "tamper", "why"),
    [
        (cluster, SCALE, lambda kube: web(kube)["spec"].update(replicas=8), "8 replicas, not 5 as expected"),
        (cluster, LABEL, lambda kube: web(kube)["metadata"]["labels"].update(tier="edge"), "changed since"),
        (cluster, RESIZE, resized, "has been changed since"),
        *((of_shop, each, by_a_person, "changed by another client since") for each in SETS),
    ],
)
async def test_a_change_over_which_somebody_has_written_since_is_not_undone(
    make: Callable[[], Cluster], command: str, tamper: Callable[[Cluster], None], why: str
) -> None:
    """E17."""
    kube = make()
    plan = await kube.make(command, max_allowed=ALLOWED)
    tamper(kube)
    with pytest.raises(Refused, match=why):
        await kube.undo(plan, max_allowed=ALLOWED)
    assert len(kube.writes) == 1


@pytest.mark.parametrize(
    ("make", "command", "tamper"),
    [
        (cluster, SCALE, lambda kube: web(kube)["spec"].update(replicas=4)),
        (
            cluster,
            "kubectl rollout undo deployment/web",
            lambda kube: web(kube)["spec"]["template"]["spec"].update(priorityClassName="high"),
        ),
        (cluster, "kubectl delete pod web-1", lambda kube: kube.at(PODS, "web-1")["metadata"].update(uid="successor")),
        *((of_shop, each, lambda kube: web(kube)["spec"]["template"]["spec"]["containers"].reverse()) for each in SETS),
    ],
)
async def test_an_object_that_is_changed_between_intent_and_effect_fails_the_write(
    make: Callable[[], Cluster], command: str, tamper: Callable[[Cluster], None]
) -> None:
    """P4, B12, B13: the one write tests every field that was judged, and the uid."""
    kube = make()
    plan = await kube.plan(command, good=frozenset({"hash-1"}))
    tamper(kube)
    with pytest.raises(Conflict):
        await kube.actions.apply(plan)
    assert kube.writes == []


async def test_a_field_that_was_not_judged_may_change_before_the_write() -> None:
    """Status moves all the time."""
    kube = cluster()
    plan = await kube.plan(SCALE)
    web(kube)["status"] = {"observedGeneration": 2, "readyReplicas": 1}
    web(kube)["metadata"]["resourceVersion"] = "99"
    await kube.actions.apply(plan)
    assert web(kube)["spec"]["replicas"] == 5


@pytest.mark.parametrize(
    ("make", "command"),
    [
        (cluster, "kubectl scale deployment web --replicas=3"),
        (cluster, "kubectl rollout resume deployment/web"),
        (cluster, 'kubectl patch deployment web -p \'{"spec":{"replicas":3}}\''),
        (of_shop, "kubectl set image deployment/web web=nginx:1.26"),
        (of_shop, "kubectl set env deployment/web LOG_LEVEL=info -c web"),
        (of_shop, "kubectl set resources deployment/web --limits=memory=256Mi -c web"),
    ],
)
async def test_a_change_that_is_so_already_is_done_without_a_write_and_without_an_undo(
    make: Callable[[], Cluster], command: str
) -> None:
    kube = make()
    plan = await kube.make(command)
    assert plan.already
    assert plan.undo.commands == ()
    assert await kube.actions.probe(plan) is EffectStatus.DONE
    assert kube.writes == []


MANAGERS = [
    ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD shop"),
    ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux apps"),
    ({"labels": {"helm.toolkit.fluxcd.io/name": "web"}}, "Flux web"),
    ({"labels": {"cnpg.io/cluster": "main"}}, "operator CloudNativePG main"),
    ({"labels": {"application": "spilo", "cluster-name": "acid-main"}}, "operator Zalando Postgres acid-main"),
    ({"labels": {"postgres-operator.crunchydata.com/cluster": "hippo"}}, "operator Crunchy Postgres hippo"),
    ({"labels": {"stackgres.io/cluster-name": "main"}}, "operator StackGres main"),
    ({"ownerReferences": [owner("Shop", "main")]}, "operator Shop/main"),
]


@pytest.mark.parametrize(("metadata", "name"), MANAGERS, ids=[name for _, name in MANAGERS])
async def test_a_workload_that_somebody_else_writes_is_refused_with_their_name(
    metadata: Mapping[str, Any], name: str
) -> None:
    """B21: it would be reverted. Not every operator owns what it runs by reference."""
    kube = of_shop(**metadata)
    assert name in await kube.refusal(SCALE)
    assert name in await kube.refusal("kubectl rollout undo deployment/web", good=frozenset({"hash-1"}))
    for line in SETS:
        assert "would be reverted" in await kube.refusal(line)


async def test_a_restart_is_refused_under_an_operator_but_not_under_gitops() -> None:
    """B21: GitOps tools leave the stamp alone."""
    assert await of_shop(labels={"argocd.argoproj.io/instance": "shop"}).refusal(RESTART) == ""
    assert "operator Shop/main" in await of_shop(ownerReferences=[owner("Shop", "main")]).refusal(RESTART)


SETTINGS = Delete(objects=(ObjectName(resource=CONFIGMAPS, name="settings"),), namespace=NAMESPACE)
LEDGERS = EssentialService(service="ledger", namespace=NAMESPACE, labels=frozenset({("app", "web")}), what=LEDGER)


@pytest.mark.parametrize(
    ("command", "about", "why"),
    [
        ("kubectl delete pod dns -n kube-system", {}, "the namespace kube-system: it is protected"),
        ("kubectl delete pod web-1", {"off_limits": "it contains Kintsugi's own ledger"}, "Kintsugi's own ledger"),
        ("kubectl delete pod web-1", {"essentials": (LEDGERS,)}, "the database of our own ledger"),
        ("kubectl delete pod web-1", {"namespace": "shop"}, "not one of the pods of web-service (app=web in shop)"),
        (SETTINGS, {}, "only pods are recreated"),
        ('kubectl patch deployment web -p \'{"spec":{"replicas":1}}\'', {}, "never lowers"),
        ('kubectl patch deployment web -p \'{"spec":{"replicas":9}}\'', {}, "web-hpa"),
        ("kubectl annotate deployment web kintsugi.dev/run=r-9", {}, "Kintsugi's own"),
        (Curl(url="http://x"), {}, "is a probe"),
    ],
)
async def test_a_change_that_is_never_made_is_refused(
    command: Command | str, about: Mapping[str, Any], why: str
) -> None:
    """E23, E14, B21, P8: protected namespaces, the ledger's own database, ways around a check, our own mark."""
    kube = cluster()
    kube.add(autoscaler())
    assert why in await kube.refusal(command, **about)


async def test_a_change_is_no_probe_and_a_patch_that_is_not_json_is_an_error_of_the_command() -> None:
    with pytest.raises(Refused, match="not a probe"):
        await cluster().read(CORDON)
    with pytest.raises(CommandError, match="not JSON"):
        await cluster().plan(Patch(object=CREATE.object, namespace=NAMESPACE, patch="{spec"))


@pytest.mark.parametrize("command", ["kubectl delete pod {}", "kubectl evict-pod {}", "kubectl cordon {}"])
async def test_a_name_that_nobody_has_is_kubectl_s_error(command: str) -> None:
    with pytest.raises(NotFound):
        await cluster().plan(command.format("gone"))


ENDING = [
    "kubectl delete pod db-0",
    "kubectl evict-pod db-0",
    "kubectl rollout restart statefulset/db",
    "kubectl rollout undo statefulset/db --to-revision=1",
    "kubectl set image statefulset/db web=db:3",
    "kubectl set env statefulset/db MODE=safe",
    "kubectl set resources statefulset/db --limits=memory=1Gi",
    'kubectl patch statefulset db -p \'{"spec":{"template":{"metadata":{"labels":{"tier":"db"}}}}}\'',
    "kubectl scale statefulset db --replicas=0",
]
ENDING_NONE = ["kubectl scale statefulset db --replicas=2", "kubectl label statefulset db tier=db"]


@pytest.mark.parametrize(
    ("command", "ends"), [*((each, True) for each in ENDING), *((each, False) for each in ENDING_NONE)]
)
async def test_a_change_that_ends_a_pod_is_refused_while_a_claim_of_the_pod_is_being_deleted(
    command: str, ends: bool
) -> None:
    """The claim would go with the pod, and perhaps its volume."""
    member = pod("db-0")
    member["metadata"] |= {"labels": {"app": "db"}, "ownerReferences": [owner("StatefulSet", "db", "uid-db")]}
    member["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    workload = {**stateful_set(), "status": {"observedGeneration": 2, "updateRevision": "db-2"}}
    revisions = (controller_revision(1, "db:1"), controller_revision(2, "db:2"))
    kube = Cluster(workload, *revisions, member, node(), claim())
    about = {"good": frozenset({"db-1"}), "selector": None, "phase": Phase.UNDO}
    assert await kube.refusal(command, **about) == ""
    kube.at(PVCS, "data")["metadata"]["deletionTimestamp"] = ago(minutes=1)
    why = await kube.refusal(command, **about)
    assert ("pod/db-0" in why and "persistentvolumeclaim/data is being deleted" in why) is ends, why
