"""
Every command that changes something does what kubectl does, by one write that holds what was judged.

Changes are made to twins, `ours` by us and `theirs` by kubectl, and the twins are compared afterwards.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import RUN_ANNOTATION, EffectPlan, EffectStatus
from kintsugi.actions.probe import Result
from kintsugi.commands import decode, parse
from kintsugi.commands.kinds import allow_changes
from kintsugi.errors import Conflict, NotYet, Refused
from kintsugi.kube.discovery import read_kinds
from kintsugi.model.command import Command, Delete, ObjectName
from kintsugi.model.records import Phase
from kintsugi.model.services import WorkloadRef
from kintsugi.settings import KubeSettings
from kubediagnosis.templates import RESTARTED
from kubeobjects import discovery
from kubeobjects.resources import PVCS, find
from tests.cluster.kubectl import FLEETS, Object, Twins, applied, fleet, kubectl, pod_of, serve_fleets, workload
from tests.harness import manifests
from tests.harness.api import ApiError
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.images import WEB_BETTER, WEB_GOOD
from tests.harness.results import named
from tests.harness.waiting import eventually, wait_for

pytestmark = pytest.mark.cluster

SOON = timedelta(seconds=20)
Made = TypeVar("Made")


@pytest.fixture(scope="module")
def place(cluster: RealCluster) -> Iterator[str]:
    """Yield a namespace with a web stack of two pods."""
    with cluster.namespace("changes") as name:
        cluster.apply(*manifests.web_stack(name, replicas=2))
        kubectl(cluster, name, f"kubectl rollout status deployment/{manifests.WEB}-deployment --timeout=60s")
        yield name


NUMBERS = itertools.count(1)


@pytest.fixture
def make_twins(cluster: RealCluster, place: str) -> Iterator[Callable[[str], Twins]]:
    """Yield what makes fresh twins of the kind that a line is about; no pods run unless they are scaled."""
    made: list[Twins] = []

    def make(line: str) -> Twins:
        twins = Twins(cluster, place, re.findall(r"deployment|statefulset|daemonset", line)[0], next(NUMBERS))
        made.append(twins)
        cluster.apply(*(workload(twins.kind, place, f"{whose}{twins.number}") for whose in ("ours", "theirs")))
        for name in (twins.ours, twins.ours.replace("ours", "theirs")):
            twins.observed(name)
        return twins

    yield make
    for twins in made:
        for whose in ("ours", "theirs"):
            cluster.api.delete(twins.kind, f"{whose}{twins.number}-{twins.kind}", place)


def change_context(**changes: Any) -> ChangeContext:
    """Make the context of a forward step."""
    usual: dict[str, Any] = {"incident": "i-1", "run": "r-1", "path": "step", "now": datetime.now(UTC)}
    return ChangeContext(**{**usual, **changes})


async def change(actions: Actions, line: str, place: str, /, **about: object) -> tuple[EffectPlan, Result]:
    """Prepare and perform a line; the probe knows before and after."""
    command, context = parse(line, namespace=place), partial(change_context, **about)

    async def attempt() -> tuple[EffectPlan, Result] | Refused:
        try:
            prepared = await actions.plan_effect(command, context())
        except Refused as refusal:
            return refusal
        assert await actions.probe(prepared) is (EffectStatus.DONE if prepared.already else EffectStatus.NOT_DONE)
        return prepared, await actions.apply(prepared)

    prepared, result = await unless_refused(attempt, line)
    assert await actions.probe(prepared) is EffectStatus.DONE
    return prepared, result


async def unless_refused(attempt: Callable[[], Awaitable[Made | Refused]], what: str) -> Made:
    """Judge and write; what a controller has overtaken in between (a Conflict) is judged anew, as the executor does."""
    made: Made | Refused = await eventually(attempt, within=30, describe=f"{what} is made")
    if isinstance(made, Refused):
        raise made
    return made


async def both(actions: Actions, twins: Twins, line: str, **about: object) -> EffectPlan:
    """Make a change to both twins, ours by us, and see that they are the same afterwards."""
    ours, theirs = twins.lines(line)
    prepared, _ = await change(actions, ours, twins.namespace, **{**of_service(twins), **about})
    kubectl(twins.cluster, twins.namespace, theirs)

    def equal() -> bool:
        assert twins.state("ours") == twins.state("theirs")
        return True

    await eventually(equal, within=20, describe="the twins are equal")
    return prepared


def of_service(twins: Twins) -> dict[str, Any]:
    """Return the context of a service whose workload ours is: no other is started from 0."""
    word, _, name = twins.ours.partition("/")
    resource = find(word)
    assert resource is not None, word
    return {"namespace": twins.namespace, "workload": WorkloadRef(resource=resource, name=name)}


async def back(actions: Actions, prepared: EffectPlan) -> None:
    """Take a change back by its recorded commands; each waits for what is about to end, as the executor does."""
    for command in map(decode, prepared.undo.commands):
        await unless_refused(partial(take_back, actions, command), str(command))


async def take_back(actions: Actions, command: Command) -> Result | Refused:
    """Judge and make a way back: a NotYet is raised, for it may be answered otherwise when it is asked again."""
    try:
        judged = await actions.plan_effect(command, change_context(phase=Phase.UNDO, path="back"))
    except NotYet:
        raise
    except Refused as refusal:
        return refusal
    return await actions.apply(judged)


# A strategic patch: the list of containers is merged by their names.
ONE_MORE_VARIABLE = json.dumps(
    {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "EXTRA", "value": "1"}]}]}}}}
)
CHANGES = (
    "kubectl scale deployment TWIN-deployment --current-replicas=0 --replicas=1",
    "kubectl scale statefulset/TWIN-statefulset --replicas=1 --current-replicas=0",
    "kubectl rollout pause deployment/TWIN-deployment",
    "kubectl label deployment TWIN-deployment tier=front example.com/x=y",
    "kubectl annotate deployment TWIN-deployment 'note=a b' example.com/slash=1",
    """kubectl patch deployment TWIN-deployment -p '{"spec":{"minReadySeconds":1}}'""",
    """kubectl patch deployment TWIN-deployment --type=merge -p '{"spec":{"revisionHistoryLimit":5}}'""",
    """kubectl patch deployment TWIN-deployment --type=json -p '[{"op":"replace","path":"/spec/revisionHistoryLimit","value":7}]'""",
    f"kubectl patch deployment TWIN-deployment -p '{ONE_MORE_VARIABLE}'",
    f"kubectl set image deployment/TWIN-deployment web={WEB_BETTER}",
    f"kubectl set image daemonset TWIN-daemonset '*={WEB_BETTER}'",
    "kubectl set env deployment/TWIN-deployment EXTRA=1 'OTHER=a && b' EMPTY=",
    "kubectl set resources deployment/TWIN-deployment --limits=memory=64Mi --requests=cpu=0.01 -c web",
)


@pytest.mark.parametrize("line", CHANGES)
async def test_a_change_leaves_the_same_object_and_its_undo_brings_the_old_one_back(
    make_twins: Callable[[str], Twins], actions: Actions, line: str
) -> None:
    """P8: what is written down as the undo is all that is needed."""
    twins = make_twins(line)
    former = without_revision(twins.state("ours"))
    prepared = await both(actions, twins, line)
    await back(actions, prepared)
    assert without_revision(twins.state("ours")) == former


OF_A_FLEET = (
    "kubectl label fleet TWIN tier=back speed=1 --overwrite",
    "kubectl annotate fleet.shop.example.com TWIN note=seen",
    """kubectl patch fleet TWIN --type=merge -p '{"spec":{"speed":null,"crew":{"size":2}}}'""",
    """kubectl patch fleet TWIN --type=json -p '[{"op":"add","path":"/spec/stops/-","value":"b"}]'""",
    "kubectl scale fleet TWIN --replicas=3",
)


@pytest.fixture(scope="module")
def fleets(cluster: RealCluster, place: str) -> Iterator[None]:
    """Serve a type of one's own, whose objects may be changed."""
    serve_fleets(cluster)
    wait_for(partial(applied, cluster, fleet(place, "ours")), within=30, describe="fleet/ours is there")
    discovery.set_served(asyncio.run(read_kinds(KubeSettings(kubeconfig=cluster.kubeconfig))))
    allow_changes([FLEETS])
    yield
    allow_changes(())
    discovery.forget()
    cluster.kubectl("delete", "crd", FLEETS)


@pytest.mark.parametrize("line", OF_A_FLEET)
@pytest.mark.usefixtures("fleets")
async def test_an_object_of_a_type_of_one_s_own_is_changed_as_kubectl_does_and_put_back(
    cluster: RealCluster, place: str, actions: Actions, line: str
) -> None:
    def state(name: str) -> Object:
        found = cluster.get("fleet", name, place)
        notes = {k: v for k, v in found["metadata"].get("annotations", {}).items() if k != RUN_ANNOTATION}
        return {"spec": found["spec"], "labels": found["metadata"]["labels"], "notes": notes, "status": found["status"]}

    cluster.kubectl("-n", place, "delete", "fleet", "--all")
    cluster.apply(fleet(place, "ours"), fleet(place, "theirs"))
    former = state("ours")
    prepared, _ = await change(actions, line.replace("TWIN", "ours"), place, namespace=place)
    kubectl(cluster, place, line.replace("TWIN", "theirs"))
    assert state("ours") == state("theirs") != former
    for command in map(decode, prepared.undo.commands):
        context = change_context(phase=Phase.UNDO, path="back", namespace=place)
        await actions.apply(await actions.plan_effect(command, context))
    assert state("ours") == former


@pytest.mark.usefixtures("fleets")
def test_the_api_server_refuses_a_strategic_merge_patch_of_a_type_of_one_s_own(
    cluster: RealCluster, place: str
) -> None:
    path = cluster.api.resource("fleet").path(place, "ours")
    with pytest.raises(ApiError, match="unknown format - accepted media types include: application/json-patch"):
        cluster.api.request("PATCH", path, {"spec": {}}, content="application/strategic-merge-patch+json")


def without_revision(state: Object) -> Object:
    """Leave out the counts of revisions that Deployments and DaemonSets have on them, which only grow."""
    counts = ("revision", "template.generation")
    annotations = {key: each for key, each in state["annotations"].items() if not key.endswith(counts)}
    return {**state, "annotations": annotations}


UNDOS = (
    "kubectl rollout undo deployment/TWIN-deployment",
    "kubectl rollout undo statefulset/TWIN-statefulset --to-revision=1",
    "kubectl rollout undo daemonset/TWIN-daemonset",
)


@pytest.mark.parametrize("line", UNDOS)
async def test_rollout_undo_writes_what_kubectl_writes(
    make_twins: Callable[[str], Twins], actions: Actions, line: str
) -> None:
    """Template and annotations, the change-cause among them; the bad revision is not gone back to."""
    twins = make_twins(line)
    good = twins.revise()
    with pytest.raises(Refused, match="seen good"):
        await change(actions, twins.lines(line)[0], twins.namespace)
    prepared = await both(actions, twins, line, good=good)
    assert prepared.undo.commands == ()
    (container,) = twins.state("ours")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == WEB_GOOD


RESTARTS = (
    "kubectl rollout restart deployment/TWIN-deployment",
    "kubectl rollout restart statefulset/TWIN-statefulset",
    "kubectl rollout restart daemonset/TWIN-daemonset",
)


@pytest.mark.parametrize("line", RESTARTS)
async def test_rollout_restart_writes_what_kubectl_writes_and_is_undone_over_the_stamp(
    make_twins: Callable[[str], Twins], actions: Actions, line: str
) -> None:
    """Nothing need be known to be good: the two revisions differ in the stamp alone."""
    twins = make_twins(line)
    twins.revise()
    prepared = await both(actions, twins, line)
    twins.observed(twins.ours)
    await back(actions, prepared)
    template = twins.state("ours")["spec"]["template"]
    assert RESTARTED not in template["metadata"].get("annotations", {})
    assert template["spec"]["containers"][0]["image"] == WEB_BETTER


async def test_an_undo_leaves_alone_a_field_that_a_person_set_after_our_patch(
    make_twins: Callable[[str], Twins], actions: Actions
) -> None:
    """E17: the real API server answers a failed test with 422."""
    twins = make_twins("deployment")
    line = """kubectl patch deployment TWIN-deployment -p '{"spec":{"minReadySeconds":1}}'"""
    prepared, _ = await change(actions, twins.lines(line)[0], twins.namespace)
    kubectl(twins.cluster, twins.namespace, twins.lines(line.replace(":1", ":2"))[0])
    with pytest.raises(Refused, match="it has been changed since"):
        await back(actions, prepared)


# What Go's encoding/json escapes: commands and addresses of everyday templates, and the two separators of Unicode.
SPECIAL = "true && test 1 <2 2>&1 # http://x/?a=1&b=2 \u2028\u2029"


async def test_a_template_with_what_html_escapes_is_changed_like_any_other(
    make_twins: Callable[[str], Twins], actions: Actions
) -> None:
    """B23: The server compares a tested string byte for byte with its own text of it: `\\u0026` for `&`."""
    twins = make_twins("deployment")
    container = {"name": "web", "command": ["sh", "-c", SPECIAL], "env": [{"name": "SPECIAL", "value": SPECIAL}]}
    special = json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
    for name in (twins.ours, twins.ours.replace("ours", "theirs")):
        kubectl(twins.cluster, twins.namespace, f"kubectl patch {name} --type=strategic", "-p", special)
        twins.observed(name)
    await both(actions, twins, f"kubectl annotate deployment TWIN-deployment kubernetes.io/change-cause='{SPECIAL}'")
    twins.observed(twins.ours)
    restarted = await both(actions, twins, "kubectl rollout restart deployment/TWIN-deployment")
    twins.observed(twins.ours)
    twins.observed(twins.ours.replace("ours", "theirs"))
    await both(actions, twins, "kubectl rollout pause deployment/TWIN-deployment")
    await both(actions, twins, "kubectl rollout resume deployment/TWIN-deployment")
    await back(actions, restarted)
    good = frozenset({twins.template(1)})
    prepared, _ = await change(
        actions, f"kubectl rollout undo {twins.ours} --to-revision=1", twins.namespace, good=good
    )
    assert prepared.facts["to"] == 1
    (left,) = twins.state("ours")["spec"]["template"]["spec"]["containers"]
    assert "command" not in left


async def test_a_pod_is_deleted_by_one_request_with_its_uid(
    own_cluster: RealCluster, place: str, actions: Actions, faults: Faults
) -> None:
    """P4: the audit log is the witness; the successor is another pod and is well."""
    cluster = own_cluster
    pod = pod_of(cluster, place, manifests.WEB)
    name = pod["metadata"]["name"]
    with pytest.raises(Refused, match="not known to be unhealthy"):
        await change(actions, f"kubectl delete pod {name}", place)
    faults.crash_loop(pod)

    async def looping() -> bool:
        status = (await actions.read(parse(f"kubectl get pod {name}", namespace=place), deadline=SOON)).summary
        return "CrashLoopBackOff" in status

    await eventually(looping, within=60, describe=lambda: kubectl(cluster, place, "kubectl get pods"))
    prepared, result = await change(actions, f"kubectl delete pod {name}", place)
    kept = {each.kind: each.text for each in prepared.evidence}
    assert "CrashLoopBackOff" in kept["describe"]
    assert "the configuration is broken" in kept["logs web --previous"]
    deletes = cluster.audit().where(verb="delete", resource="pods", namespace=place, name=name).writes()
    assert [(event.code, event.uid) for event in deletes] == [(200, pod["metadata"]["uid"])]
    kubectl(cluster, place, f"kubectl rollout status deployment/{manifests.WEB}-deployment --timeout=60s")

    async def gone() -> bool:
        return (await actions.reread(prepared)).names["items"] == []

    assert named(result)["item"]["metadata"]["deletionTimestamp"]
    await eventually(gone, within=20, describe="the deleted pod is gone")


async def test_a_change_is_one_patch_by_our_field_manager(
    own_cluster: RealCluster, make_twins: Callable[[str], Twins], actions: Actions
) -> None:
    """P4, P8: everything else was a read or a dry run."""
    twins = make_twins("deployment")
    lines = ("kubectl label {} witness=yes", """kubectl patch {} -p '{{"spec":{{"minReadySeconds":2}}}}'""")
    for line in lines:
        await change(actions, line.format(twins.ours), twins.namespace)
    name = twins.ours.partition("/")[2]
    asked = own_cluster.audit().where(verb="patch", resource="deployments", namespace=twins.namespace, name=name)
    written = [event.uri for event in asked if "kintsugi" in event.uri and "dryRun" not in event.uri]
    assert len(written) == len(lines)


async def test_a_concurrent_editor_fails_the_write_and_nothing_else(
    make_twins: Callable[[str], Twins], actions: Actions
) -> None:
    """B12: a judged field that changed is a Conflict; another field is none."""
    twins = make_twins("statefulset")
    kubectl(twins.cluster, twins.namespace, f"kubectl annotate {twins.ours} first=one")
    prepared = await actions.plan_effect(started(twins), change_context(**of_service(twins)))
    kubectl(twins.cluster, twins.namespace, f"kubectl annotate {twins.ours} someone=else")
    await actions.apply(prepared)
    prepared = await actions.plan_effect(scaled(twins, 3), change_context())
    kubectl(twins.cluster, twins.namespace, f"kubectl scale {twins.ours} --replicas=2")
    with pytest.raises(Conflict):
        await actions.apply(prepared)
    assert twins.state("ours")["spec"]["replicas"] == 2
    assert await actions.probe(prepared) is EffectStatus.NOT_DONE


def scaled(twins: Twins, replicas: int) -> Command:
    """Make the scale of ours."""
    return parse(f"kubectl scale {twins.ours} --replicas={replicas}", namespace=twins.namespace)


def started(twins: Twins) -> Command:
    """Make the start of ours from 0."""
    return parse(f"kubectl scale {twins.ours} --current-replicas=0 --replicas=1", namespace=twins.namespace)


async def test_cordon_and_uncordon_are_kubectls(cluster: RealCluster, actions: Actions) -> None:
    """A node of our own making, which no kubelet serves; the only real one is not cordoned."""
    real = cluster.list("nodes")[0]["metadata"]["name"]
    if len(cluster.list("nodes")) == 1:
        with pytest.raises(Refused, match="last node"):
            await change(actions, f"kubectl cordon {real}", "")
    for each in ("ours", "theirs"):
        cluster.api.create("node", {"metadata": {"name": f"{each}-node"}})
    try:
        for verb, expected in (("cordon", True), ("cordon", True), ("uncordon", None)):
            await change(actions, f"kubectl {verb} ours-node", "")
            cluster.kubectl(verb, "theirs-node")
            specs = [cluster.get("node", f"{each}-node")["spec"] for each in ("ours", "theirs")]
            assert [spec.get("unschedulable") for spec in specs] == [expected, expected]
    finally:
        for each in ("ours", "theirs"):
            cluster.api.delete("node", f"{each}-node")


def claim(name: str, namespace: str) -> Command:
    """Make the delete of a claim, which comes from a restore rather than from a line."""
    return Delete(objects=(ObjectName(resource=PVCS, name=name),), namespace=namespace)


async def test_a_claim_in_use_is_refused(place: str, actions: Actions) -> None:
    """kubectl would leave it Terminating."""
    with pytest.raises(Refused, match="in use by"):
        await actions.plan_effect(claim(f"{manifests.WEB}-pvc", place), change_context())
