"""
Every command does what kubectl does: the same line is given to the real kubectl and to us, on the real cluster.

Reads are compared as whole objects less managedFields. Changes are made to twins, `ours` by us and `theirs` by kubectl,
and the twins are compared afterwards.
"""

import itertools
import json
import re
import shlex
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.prepared import MARK, TEMPLATE, Happened, Prepared
from kintsugi.actions.result import Result
from kintsugi.actions.revisions import RESTARTED
from kintsugi.clients import Clients
from kintsugi.clients.addresses import AddressRule
from kintsugi.commands import decode, parse
from kintsugi.errors import Conflict, NotFound, ProbeFailed, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.kube.settings import KubeSettings
from kintsugi.model.command import Command
from kintsugi.model.records import Phase
from tests.harness import manifests
from tests.harness.cluster import Cluster, KubectlError
from tests.harness.faults import Faults
from tests.harness.images import WEB_BETTER, WEB_GOOD
from tests.harness.waiting import eventually

pytestmark = pytest.mark.cluster

Object = dict[str, Any]
SOON = timedelta(seconds=20)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How kubectl ended, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[str]:
    """Give a namespace with a web stack, a Deployment and a StatefulSet; the Deployment has two revisions."""
    with cluster.namespace("equivalence") as name:
        cluster.apply(*manifests.web_stack(name, replicas=2))
        cluster.apply(
            workload("deployment", name, "ours", replicas=1), workload("statefulset", name, "ours", replicas=1)
        )
        kubectl(cluster, name, "kubectl annotate deployment/ours-deployment kubernetes.io/change-cause=better")
        kubectl(cluster, name, "kubectl rollout status deployment/ours-deployment --timeout=60s")
        kubectl(cluster, name, f"kubectl set image deployment/ours-deployment web={WEB_BETTER}")
        for each in ("deployment/web-app-deployment", "deployment/ours-deployment", "statefulset/ours-statefulset"):
            kubectl(cluster, name, f"kubectl rollout status {each} --timeout=60s")
        yield name


def workload(kind: str, namespace: str, app: str, *, replicas: int = 0) -> Object:
    """Make a workload of web pods, named `APP-KIND`."""
    made = manifests.web_deployment(namespace, app=app, replicas=replicas)
    if kind == "deployment":
        return made
    made = manifests.web_deployment(namespace, app=f"{app}-set", replicas=replicas)
    spec = {**made["spec"], "serviceName": app}
    return {**made, "kind": "StatefulSet", "metadata": {**made["metadata"], "name": f"{app}-statefulset"}, "spec": spec}


@dataclass(frozen=True)
class Twins:
    """Two workloads that differ in their names only: `ours3-deployment` and `theirs3-deployment`."""

    cluster: Cluster
    namespace: str
    kind: str
    number: int

    @property
    def ours(self) -> str:
        """Name ours, with its kind."""
        return f"{self.kind}/ours{self.number}-{self.kind}"

    def lines(self, line: str) -> tuple[str, str]:
        """Write a line for each."""
        ours, theirs = (line.replace("TWIN", f"{whose}{self.number}") for whose in ("ours", "theirs"))
        return ours, theirs

    def state(self, whose: str) -> Object:
        """Give what one asks for, with all that must differ between the two left out."""
        obj = self.cluster.get(self.kind, f"{whose}{self.number}-{self.kind}", self.namespace)
        obj = json.loads(json.dumps(obj).replace("theirs", "ours"))
        annotations = dict(obj["metadata"].get("annotations", {}))
        for own in (MARK, TEMPLATE):
            annotations.pop(own, None)
        stamped = obj["spec"]["template"]["metadata"].get("annotations", {})
        if RESTARTED in stamped:
            stamped[RESTARTED] = "stamped"
        return {"spec": obj["spec"], "labels": obj["metadata"].get("labels", {}), "annotations": annotations}

    def revise(self) -> frozenset[str]:
        """Give both a second revision; return what the first one's pod template of ours is called."""
        for name in (self.ours, self.ours.replace("ours", "theirs")):
            kubectl(self.cluster, self.namespace, f"kubectl annotate {name} kubernetes.io/change-cause=first")
            self.observed(name)
            kubectl(self.cluster, self.namespace, f"kubectl set image {name} web={WEB_BETTER}")
            self.observed(name)
        return frozenset({self.template(1)})

    def observed(self, name: str) -> None:
        """Wait until the controller has made the present revision."""
        kubectl(self.cluster, self.namespace, f"kubectl rollout status {name} --timeout=60s")

    def template(self, revision: int) -> str:
        """Name the pod template of a revision of ours, as the API itself names it."""
        if self.kind == "statefulset":
            found = self.cluster.list("controllerrevision", self.namespace, selector=f"app=ours{self.number}-set")
            return str(next(each["metadata"]["name"] for each in found if each["revision"] == revision))
        found = self.cluster.list("replicaset", self.namespace, selector=f"app=ours{self.number}")
        numbered = {each["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: each for each in found}
        return str(numbered[str(revision)]["metadata"]["labels"]["pod-template-hash"])


NUMBERS = itertools.count(1)


@pytest.fixture
def make_twins(cluster: Cluster, place: str) -> Iterator[Callable[[str], Twins]]:
    """Give what makes fresh twins of the kind that a line is about; no pods run unless they are scaled."""
    made: list[Twins] = []

    def make(line: str) -> Twins:
        twins = Twins(cluster, place, re.findall(r"deployment|statefulset", line)[0], next(NUMBERS))
        made.append(twins)
        cluster.apply(*(workload(twins.kind, place, f"{whose}{twins.number}") for whose in ("ours", "theirs")))
        for name in (twins.ours, twins.ours.replace("ours", "theirs")):
            twins.observed(name)
        return twins

    yield make
    for twins in made:
        for whose in ("ours", "theirs"):
            cluster.api.delete(twins.kind, f"{whose}{twins.number}-{twins.kind}", place)


@pytest.fixture
async def actions(cluster: Cluster) -> AsyncIterator[Actions]:
    """Give the actions as the administrator."""
    async with KubeClient.connect(KubeSettings(kubeconfig=cluster.kubeconfig)) as kube:
        yield Actions(kube, Clients.under(AddressRule()))


def kubectl(cluster: Cluster, namespace: str, line: str, *more: str) -> str:
    """Give a line to the real kubectl."""
    return cluster.kubectl("-n", namespace, *shlex.split(line)[1:], *more)


def attempt(
    cluster: Cluster, namespace: str, line: str, *, kubeconfig: Path | None = None, limit: float = 20
) -> Attempt:
    """Give a line to the real kubectl and see how it ends; `limit` seconds end it, as ^C would."""
    place = (f"--kubeconfig={kubeconfig or cluster.kubeconfig}", "-n", namespace)
    command = [str(cluster.kubectl_program), *place, *shlex.split(line)[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            out, err = running.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            running.terminate()
            out, err = running.communicate()
    return Attempt(code=running.returncode, out=out, err=err)


def shown(output: str) -> Any:
    """Read kubectl's JSON; a List is its items."""
    content = json.loads(output)
    items = (
        content["items"] if content.get("kind") == "List" or str(content.get("kind")).endswith("List") else [content]
    )
    return [without_managers(item) for item in items]


def without_managers(item: Object) -> Object:
    """Leave out managedFields, which kubectl does not show either."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": metadata}


async def same(seen: Callable[[], Awaitable[object]], expected: Callable[[], object]) -> None:
    """Compare until both agree: the cluster moves between two reads."""

    async def equal() -> bool:
        ours, theirs = await seen(), expected()
        assert ours == theirs
        return True

    await eventually(equal, within=20, describe="ours and kubectl's are equal")


def pod_of(cluster: Cluster, namespace: str, app: str) -> Object:
    """Give the newest pod of an app that is not on its way out."""
    pods = cluster.list("pods", namespace, selector=f"app={app}")
    running = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return max(running, key=lambda pod: pod["metadata"]["creationTimestamp"])


GETS = (
    "kubectl get pods",
    "kubectl get po -l app=ours",
    "kubectl get pods -l 'app in (ours,web-app),app!=web-app'",
    "kubectl get pods --field-selector status.phase=Running",
    "kubectl get pods --field-selector status.phase=Failed",
    "kubectl get pods --sort-by=.metadata.name",
    "kubectl get pods --sort-by={.status.startTime}",
    "kubectl get deployments.apps",
    "kubectl get deploy ours-deployment web-app-deployment",
    "kubectl get deployment/ours-deployment svc/web-app-service",
    "kubectl get svc web-app-service",
    "kubectl get svc nobody web-app-service --ignore-not-found",
    "kubectl get statefulsets --sort-by=.spec.replicas",
    "kubectl get rs --sort-by=.metadata.creationTimestamp",
    "kubectl get endpointslices",
    "kubectl get nodes",
    "kubectl get pv --sort-by=.spec.capacity.storage",
    "kubectl get storageclasses",
    "kubectl get namespaces",
    "kubectl get configmaps -A",
    "kubectl get events",
    "kubectl get controllerrevisions",
    "kubectl get pdb",
    "kubectl get hpa -A",
    "kubectl get leases -n kube-node-lease",
)


@pytest.mark.parametrize("line", GETS)
async def test_get_reads_the_same_objects(cluster: Cluster, place: str, actions: Actions, line: str) -> None:
    """Whole objects, in the same order."""

    async def ours() -> object:
        return list((await actions.look(parse(line, namespace=place), deadline=SOON)).names["items"])

    await same(ours, lambda: shown(kubectl(cluster, place, line, "-o", "json") or '{"kind":"List","items":[]}'))


async def test_get_of_several_kinds_is_kubectls_list_taken_apart(
    cluster: Cluster, place: str, actions: Actions
) -> None:
    """Under the words that were asked with."""
    line = "kubectl get pv,pvc,svc"

    async def ours() -> object:
        names = (await actions.look(parse(line, namespace=place), deadline=SOON)).names
        assert set(names) == {"pv", "pvc", "svc"}
        return [item for word in ("pv", "pvc", "svc") for item in names[word]]

    await same(ours, lambda: shown(kubectl(cluster, place, line, "-o", "json")))


FAILURES = (
    "kubectl get pod nobody",
    "kubectl get deployment nobody",
    "kubectl rollout status deployment/nobody",
    "kubectl rollout history deployment/nobody",
    "kubectl logs nobody",
    "kubectl wait pod/nobody --for=condition=Ready --timeout=1s",
)


@pytest.mark.parametrize("line", FAILURES)
async def test_what_is_not_there_is_said_in_the_same_words(
    cluster: Cluster, place: str, actions: Actions, line: str
) -> None:
    """The API's own sentence."""
    with pytest.raises(KubectlError) as theirs:
        kubectl(cluster, place, line)
    with pytest.raises(NotFound) as ours:
        await actions.look(parse(line, namespace=place), deadline=SOON)
    assert str(ours.value) in str(theirs.value)


EVENTS = (
    "kubectl events",
    "kubectl events --types=Normal",
    "kubectl events --types=Warning",
    "kubectl events --for=deployment/ours-deployment",
)


@pytest.mark.parametrize("line", EVENTS)
async def test_events_are_the_same_and_oldest_first(cluster: Cluster, place: str, actions: Actions, line: str) -> None:
    """Events of one second have no order of their own: they are compared by uid."""

    def by_uid(items: list[Object]) -> list[Object]:
        return sorted(items, key=lambda item: item["metadata"]["uid"])

    async def ours() -> object:
        return by_uid((await actions.look(parse(line, namespace=place), deadline=SOON)).names["items"])

    await same(ours, lambda: by_uid(shown(kubectl(cluster, place, line, "-o", "json") or '{"kind":"List","items":[]}')))


async def test_describe_knows_what_kubectl_describe_says(cluster: Cluster, place: str, actions: Actions) -> None:
    """Not letter for letter: name, node, owner, image and the reasons of its events."""
    pod = pod_of(cluster, place, "ours")
    line = f"kubectl describe pod {pod['metadata']['name']}"
    theirs = kubectl(cluster, place, line)
    result = await actions.look(parse(line, namespace=place), deadline=SOON)
    reasons = re.findall(r"^  (?:Normal|Warning)\s+(\w+)", theirs, re.MULTILINE)
    assert "Started" in reasons
    for word in (*reasons, pod["metadata"]["name"], pod["spec"]["nodeName"], WEB_BETTER, "ReplicaSet/"):
        assert word in theirs
        assert word in result.names["text"]
    assert result.names["item"]["metadata"]["uid"] == pod["metadata"]["uid"]


LOGS = (
    "kubectl logs {pod}",
    "kubectl logs pod/{pod} -c web",
    "kubectl logs {pod} --all-containers",
    "kubectl logs {pod} --tail=1",
    "kubectl logs {pod} --since=1h",
    "kubectl logs {pod} --timestamps",
    "kubectl logs {pod} --prefix",
    "kubectl logs deployment/ours-deployment",
    "kubectl logs statefulset/ours-statefulset --tail=5",
    "kubectl logs -l app=ours --tail=3",
)


@pytest.mark.parametrize("line", LOGS)
async def test_logs_are_the_same_lines(cluster: Cluster, place: str, actions: Actions, line: str) -> None:
    """Of a pod, of a workload with one pod, of a selector."""
    line = line.format(pod=pod_of(cluster, place, "ours")["metadata"]["name"])

    async def ours() -> object:
        return (await actions.look(parse(line, namespace=place), deadline=SOON)).names["lines"]

    await same(ours, lambda: kubectl(cluster, place, line).splitlines())


async def test_followed_logs_end_with_their_time_and_hold_the_same_lines(
    cluster: Cluster, place: str, actions: Actions
) -> None:
    """kubectl -f never ends by itself: it is stopped after the same time."""
    line = f"kubectl logs -f {pod_of(cluster, place, 'ours')['metadata']['name']}"
    result = await actions.look(parse(line, namespace=place), deadline=timedelta(seconds=1))
    theirs = attempt(cluster, place, line, limit=3)
    assert result.names["lines"] == theirs.out.splitlines()


async def test_rollout_history_has_the_same_revisions_and_causes(
    cluster: Cluster, place: str, actions: Actions
) -> None:
    """kubectl prints them; `good` is our own knowledge."""
    for line in (
        "kubectl rollout history deployment/ours-deployment",
        "kubectl rollout history statefulset/ours-statefulset",
    ):
        theirs = re.findall(r"^(\d+)\s+(.*)$", kubectl(cluster, place, line), re.MULTILINE)
        result = await actions.look(parse(line, namespace=place), deadline=SOON)
        ours = [(str(each["number"]), each["cause"] or "<none>") for each in result.names["revisions"]]
        assert ours == theirs
        assert [each["current"] for each in result.names["revisions"]] == [False] * (len(ours) - 1) + [True]
        assert all(isinstance(each["created"], datetime) for each in result.names["revisions"])


async def test_the_history_of_one_revision_is_that_revision(cluster: Cluster, place: str, actions: Actions) -> None:
    """--revision; one that is not there fails with kubectl's words."""
    line = "kubectl rollout history deployment/ours-deployment --revision=2"
    (revision,) = (await actions.look(parse(line, namespace=place), deadline=SOON)).names["revisions"]
    assert revision["images"] == re.findall(r"Image:\s+(\S+)", kubectl(cluster, place, line))
    line = "kubectl rollout history deployment/ours-deployment --revision=77"
    with pytest.raises(KubectlError, match="unable to find the specified revision"):
        kubectl(cluster, place, line)
    result = await actions.look(parse(line, namespace=place), deadline=SOON)
    assert result.failed == "unable to find the specified revision"


STATUSES = (
    "kubectl rollout status deployment/web-app-deployment",
    "kubectl rollout status deployment/web-app-deployment --timeout=5s",
    "kubectl rollout status statefulset/ours-statefulset",
)


@pytest.mark.parametrize("line", STATUSES)
async def test_rollout_status_ends_with_the_same_words(
    cluster: Cluster, place: str, actions: Actions, line: str
) -> None:
    """When the rollout is complete."""
    result = await actions.look(parse(line, namespace=place), deadline=SOON)
    assert result.names["complete"] is True
    assert result.failed == ""
    assert kubectl(cluster, place, line).splitlines()[-1] == result.names["message"]


async def test_a_rollout_that_hangs_times_out_with_the_same_words(
    cluster: Cluster, place: str, actions: Actions
) -> None:
    """Both give up after the same time, at the same message."""
    broken = manifests.web_deployment(place, app="hanging", replicas=1, image="web:absent")
    cluster.apply(broken)
    line = "kubectl rollout status deployment/hanging-deployment --timeout=2s"
    theirs = attempt(cluster, place, line)
    result = await actions.look(parse(line, namespace=place), deadline=SOON)
    assert theirs.code == 1
    assert theirs.out.splitlines()[-1] == result.names["message"]
    assert "timed out waiting for the condition" in theirs.err
    assert "timed out waiting for the condition" in result.failed
    cluster.api.delete("deployment", "hanging-deployment", place)


WAITS = (
    ("kubectl wait deployment/web-app-deployment --for=condition=Available --timeout=5s", True),
    ("kubectl wait deployment/web-app-deployment --for=condition=Available=False --timeout=1s", False),
    ("kubectl wait pods -l app=web-app --for=condition=Ready --timeout=5s", True),
    ("kubectl wait pods -l app=nobody --for=condition=Ready --timeout=1s", False),
    ("kubectl wait pods -l app=nobody --for=delete --timeout=1s", True),
    ("kubectl wait svc/web-app-service --for=jsonpath='{.spec.type}'=LoadBalancer --timeout=5s", True),
    ("kubectl wait svc/web-app-service --for=jsonpath='{.spec.type}'=ClusterIP --timeout=1s", False),
    ("kubectl wait svc/web-app-service --for=jsonpath='{.spec.clusterIP}' --timeout=5s", True),
    ("kubectl wait pvc/web-app-pvc --for=jsonpath='{.status.phase}'=Bound --timeout=5s", True),
    ("kubectl wait pod/nobody --for=delete --timeout=1s", True),
    ("kubectl wait deployment/ours-deployment --for=delete --timeout=1s", False),
    ("kubectl wait svc/web-app-service --for=create --timeout=5s", True),
)


@pytest.mark.parametrize(("line", "met"), WAITS)
async def test_wait_comes_to_the_same_end(
    cluster: Cluster, place: str, actions: Actions, line: str, *, met: bool
) -> None:
    """Met or timed out, and in the latter case in the same words."""
    result = await actions.look(parse(line, namespace=place), deadline=SOON)
    if met:
        kubectl(cluster, place, line)
        assert result.failed == ""
    else:
        with pytest.raises(KubectlError) as theirs:
            kubectl(cluster, place, line)
        assert result.failed
        assert result.failed in str(theirs.value)


CAN_I = (
    "kubectl auth can-i delete pods",
    "kubectl auth can-i get deployments/ours-deployment",
    "kubectl auth can-i patch deployments --subresource=scale",
    "kubectl auth can-i list nodes",
    "kubectl auth can-i get pods -A",
    "kubectl auth can-i delete nodes",
)


@pytest.mark.parametrize("line", CAN_I)
async def test_can_i_gets_the_same_answer(cluster: Cluster, place: str, line: str) -> None:
    """As a service account with few rights."""
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "delete"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
    ]
    kubeconfig = cluster.kubeconfig_for("asker", rules, namespace=place)
    theirs = attempt(cluster, place, line, kubeconfig=kubeconfig)
    async with KubeClient.connect(KubeSettings(kubeconfig=kubeconfig)) as kube:
        asking = Actions(kube, Clients.under(AddressRule()))
        result = await asking.look(parse(line, namespace=place), deadline=SOON)
    assert theirs.out.split()[0] == ("yes" if result.names["allowed"] else "no")
    assert (theirs.code == 0) is (result.failed == "")


@pytest.mark.parametrize("line", ["kubectl top nodes", "kubectl top pods"])
async def test_top_gives_kubectls_figures_or_says_that_there_are_no_metrics(
    cluster: Cluster, place: str, actions: Actions, line: str
) -> None:
    """What is compared depends on whether the cluster has a metrics API."""
    theirs = attempt(cluster, place, f"{line} --no-headers")
    if theirs.code != 0:
        assert "Metrics API not available" in theirs.err or "could not find the requested resource" in theirs.err
        with pytest.raises(ProbeFailed, match="metrics API is not available"):
            await actions.look(parse(line, namespace=place), deadline=SOON)
        return
    printed = re.findall(r"^(\S+)\s+(\d+)m.*?(\d+)Mi", theirs.out, re.MULTILINE)
    uses = (await actions.look(parse(line, namespace=place), deadline=SOON)).names["items"]
    assert printed == [(use["name"], str(use["cpu_millicores"]), str(use["memory_bytes"] >> 20)) for use in uses]


def circumstances(**changes: object) -> Circumstances:
    """Make the circumstances of a forward step."""
    return Circumstances(**{"incident": "i-1", "run": "r-1", "path": "step", "now": datetime.now(UTC), **changes})


async def change(actions: Actions, line: str, namespace: str, **about: object) -> tuple[Prepared, Result]:
    """Prepare and perform a line; the probe knows before and after."""
    prepared = await actions.prepare(parse(line, namespace=namespace), circumstances(**about))
    assert await actions.probe(prepared) is (Happened.DONE if prepared.already else Happened.NOT_DONE)
    result = await actions.perform(prepared)
    assert await actions.probe(prepared) is Happened.DONE
    return prepared, result


async def both(actions: Actions, twins: Twins, line: str, **about: object) -> Prepared:
    """Make a change to both twins, ours by us, and see that they are the same afterwards."""
    ours, theirs = twins.lines(line)
    prepared, _ = await change(actions, ours, twins.namespace, **about)
    kubectl(twins.cluster, twins.namespace, theirs)

    def equal() -> bool:
        assert twins.state("ours") == twins.state("theirs")
        return True

    await eventually(equal, within=20, describe="the twins are equal")
    return prepared


async def back(actions: Actions, prepared: Prepared) -> None:
    """Take a change back by its recorded commands."""
    for command in prepared.undo.commands:
        await actions.perform(await actions.prepare(decode(command), circumstances(phase=Phase.UNDO, path="back")))


# A strategic patch: the list of containers is merged by their names.
ONE_MORE_VARIABLE = json.dumps(
    {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "EXTRA", "value": "1"}]}]}}}}
)
CHANGES = (
    "kubectl scale deployment TWIN-deployment --replicas=1",
    "kubectl scale statefulset/TWIN-statefulset --replicas=1 --current-replicas=0",
    "kubectl rollout pause deployment/TWIN-deployment",
    "kubectl label deployment TWIN-deployment tier=front example.com/x=y",
    "kubectl label deployment TWIN-deployment app=other --overwrite",
    "kubectl label deployment TWIN-deployment app-",
    "kubectl annotate deployment TWIN-deployment 'note=a b' example.com/slash=1",
    "kubectl annotate statefulset TWIN-statefulset note=first",
    """kubectl patch deployment TWIN-deployment -p '{"spec":{"minReadySeconds":1}}'""",
    """kubectl patch deployment TWIN-deployment --type=merge -p '{"spec":{"revisionHistoryLimit":5}}'""",
    """kubectl patch deployment TWIN-deployment --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1}]'""",
    """kubectl patch statefulset TWIN-statefulset --type=merge -p '{"metadata":{"annotations":{"note":"one"}}}'""",
    f"kubectl patch deployment TWIN-deployment -p '{ONE_MORE_VARIABLE}'",
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


def without_revision(state: Object) -> Object:
    """Leave out the Deployment's own count of revisions, which only grows."""
    annotations = {key: value for key, value in state["annotations"].items() if "revision" not in key}
    return {**state, "annotations": annotations}


UNDOS = (
    "kubectl rollout undo deployment/TWIN-deployment",
    "kubectl rollout undo deployment/TWIN-deployment --to-revision=1",
    "kubectl rollout undo statefulset/TWIN-statefulset",
    "kubectl rollout undo statefulset/TWIN-statefulset --to-revision=1",
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


async def test_an_undo_leaves_alone_what_a_person_deployed_after_our_restart(
    make_twins: Callable[[str], Twins], actions: Actions
) -> None:
    """E17."""
    twins = make_twins("deployment")
    prepared, _ = await change(actions, f"kubectl rollout restart {twins.ours}", twins.namespace)
    kubectl(twins.cluster, twins.namespace, f"kubectl set image {twins.ours} web={WEB_BETTER}")
    with pytest.raises(Refused, match="changed by somebody else"):
        await back(actions, prepared)


async def test_an_undo_leaves_alone_a_field_that_a_person_set_after_our_patch(
    make_twins: Callable[[str], Twins], actions: Actions
) -> None:
    """E17: the real API server answers a failed test with 422."""
    twins = make_twins("deployment")
    line = """kubectl patch deployment TWIN-deployment -p '{"spec":{"minReadySeconds":1}}'"""
    prepared, _ = await change(actions, twins.lines(line)[0], twins.namespace)
    kubectl(twins.cluster, twins.namespace, twins.lines(line.replace(":1", ":2"))[0])
    with pytest.raises(Refused, match="somebody has changed it since"):
        await back(actions, prepared)


async def test_pause_and_resume_are_kubectls(make_twins: Callable[[str], Twins], actions: Actions) -> None:
    """One after the other, on both twins; what is paused is not restarted, by kubectl neither."""
    twins = make_twins("deployment")
    await both(actions, twins, "kubectl rollout pause deployment/TWIN-deployment")
    with pytest.raises(Refused, match="resume it first"):
        await change(actions, f"kubectl rollout restart {twins.ours}", twins.namespace)
    await both(actions, twins, "kubectl rollout resume deployment/TWIN-deployment")


async def test_a_pod_is_deleted_by_one_request_with_its_uid(
    own_cluster: Cluster, place: str, actions: Actions, faults: Faults
) -> None:
    """P4: the audit log is the witness; the successor is another pod and is well."""
    cluster = own_cluster
    pod = pod_of(cluster, place, manifests.WEB)
    name = pod["metadata"]["name"]
    with pytest.raises(Refused, match="not known to be unhealthy"):
        await change(actions, f"kubectl delete pod {name}", place)
    faults.crash_loop(pod)

    async def looping() -> bool:
        status = (await actions.look(parse(f"kubectl get pod {name}", namespace=place), deadline=SOON)).summary
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
        return (await actions.look_again(prepared)).names["items"] == []

    assert result.names["item"]["metadata"]["deletionTimestamp"]
    await eventually(gone, within=20, describe="the deleted pod is gone")


async def test_a_change_is_one_patch_by_our_field_manager(
    own_cluster: Cluster, make_twins: Callable[[str], Twins], actions: Actions
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
    prepared = await actions.prepare(scaled(twins, 1), circumstances())
    kubectl(twins.cluster, twins.namespace, f"kubectl annotate {twins.ours} someone=else")
    await actions.perform(prepared)
    prepared = await actions.prepare(scaled(twins, 3), circumstances())
    kubectl(twins.cluster, twins.namespace, f"kubectl scale {twins.ours} --replicas=2")
    with pytest.raises(Conflict):
        await actions.perform(prepared)
    assert twins.state("ours")["spec"]["replicas"] == 2
    assert await actions.probe(prepared) is Happened.NOT_DONE


def scaled(twins: Twins, replicas: int) -> Command:
    """Make the scale of ours."""
    return parse(f"kubectl scale {twins.ours} --replicas={replicas}", namespace=twins.namespace)


async def test_an_object_of_another_uid_is_never_written(make_twins: Callable[[str], Twins], actions: Actions) -> None:
    """B13: the same name, made anew between intent and effect."""
    twins = make_twins("deployment")
    prepared = await actions.prepare(scaled(twins, 1), circumstances())
    kubectl(twins.cluster, twins.namespace, f"kubectl delete {twins.ours} --wait=true")
    twins.cluster.apply(workload("deployment", twins.namespace, f"ours{twins.number}"))
    with pytest.raises(Conflict):
        await actions.perform(prepared)
    assert twins.state("ours")["spec"]["replicas"] == 0
    assert await actions.probe(prepared) is Happened.UNKNOWN


async def test_cordon_and_uncordon_are_kubectls(cluster: Cluster, actions: Actions) -> None:
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


async def test_a_claim_is_kept_from_harm_until_its_volume_is_retained_and_nobody_uses_it(
    cluster: Cluster, place: str, actions: Actions
) -> None:
    """In use it is refused; kubectl would leave it Terminating."""
    with pytest.raises(Refused, match="in use by"):
        await change_claim(actions, "web-app-pvc", place)


async def change_claim(actions: Actions, name: str, namespace: str) -> Prepared:
    """Prepare the delete of a claim, which no runbook's grammar has yet."""
    command = decode(
        {
            "command": "Delete",
            "namespace": namespace,
            "objects": [{"resource": "persistentvolumeclaims", "name": name}],
        }
    )
    return await actions.prepare(command, circumstances())
