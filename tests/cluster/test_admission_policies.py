"""
docs/admission-policies.yaml on a real Kubernetes: what Kintsugi's service account may do with its rights, whoever has its token.

Each forged request is sent twice as a dry run: without the policies it is accepted, with them it is denied by the one it is for.
"""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.change_context import RUN, ChangeContext
from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.actions.job_effect import ending
from kintsugi.actions.psql import words
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode, parse
from kintsugi.commands.kinds import allow_changes
from kintsugi.errors import Forbidden
from kintsugi.kube.client import KubeClient
from kintsugi.kube.discovery import read_kinds
from kintsugi.model.command import Command, Psql
from kintsugi.model.records import Phase
from kintsugi.settings import KubeSettings, RestoreSettings
from kintsugi.verbs.create_job import CreateJobVerb, manifest
from kintsugi_restore.jobs import JobWrite
from kubeobjects import discovery
from tests.cluster import bound_account, forgeries
from tests.cluster.forgeries import WEB, Forged, template
from tests.cluster.kubectl import FLEETS, applied, fleet, kubectl, serve_fleets
from tests.harness import admission_policies, manifests
from tests.harness.access import Access
from tests.harness.api import ApiClient
from tests.harness.cluster import RealCluster
from tests.harness.images import PAUSE, POSTGRES, WEB_BETTER, WEB_GOOD
from tests.harness.waiting import eventually, wait_for
from tests.harness.worker_stories import IMAGE, SETTINGS, StoryNamespace, new_run
from tests.unit.commands.test_programs_in_containers import TAKEN

pytestmark = pytest.mark.cluster

Object = dict[str, Any]

POD: Object = {
    "containers": [{"name": "main", "image": PAUSE, "imagePullPolicy": "Never"}],
    "terminationGracePeriodSeconds": 1,
}
JOB: Object = {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}}
RULES = CreateJobVerb.rules
QUESTIONS = (
    ("pg_isready", "-h", "127.0.0.1", "-p", "5432"),
    ("df", "-P", "-k", "/var/lib/postgresql/data"),
    ("redis-cli", "-p", "6379", "PING"),
    *(tuple(shlex.split(line)) for line in TAKEN),
)

ROOM = "kintsugi-drill-backups"
"""The claim of a drill's Job."""


@pytest.fixture(scope="module")
def place(cluster: RealCluster) -> Iterator[str]:
    """Return a namespace that the account is bound in, with a web service, a StatefulSet, a CronJob and volumes in it."""
    with cluster.namespace("held") as name:
        cluster.apply(*manifests.web_stack(name, replicas=1), *others(name))
        for workload in (f"deployment/{WEB}", "statefulset/steady"):
            kubectl(cluster, name, f"kubectl rollout status {workload} --timeout=60s")
        yield name
        for volume in (f"{name}-{manifests.WEB}-pvc", f"elsewhere-of-{name}"):
            cluster.api.delete("persistentvolume", volume)


@pytest.fixture(scope="module")
def mended(cluster: RealCluster) -> Iterator[str]:
    """
    Return a namespace in which nothing is restored: the account may patch workloads there, and delete no claim.

    It may make Jobs of CronJobs there, as with the chart's value `cronJobs`, and change a type of one's own, as with
    `rbac.changeKinds`.
    """
    with cluster.namespace("mended") as name:
        cluster.apply(steady(name, replicas=0), nightly(name))
        serve_fleets(cluster)
        wait_for(lambda: applied(cluster, fleet(name, "fleet")), within=30, describe="fleet/fleet is there")
        rules = [{"apiGroups": [each.api_group], "resources": [each.resource], "verbs": [each.verb]} for each in RULES]
        types = {"apiGroups": ["shop.example.com"], "resources": ["fleets", "fleets/scale"], "verbs": ["get", "patch"]}
        role = about("rbac.authorization.k8s.io/v1", "Role", name, "cronjobs")
        subject = {"kind": "ServiceAccount", "name": bound_account.ACCOUNT, "namespace": bound_account.NAMESPACE}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "cronjobs"}
        bound = {**role, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
        cluster.apply({**role, "rules": [*rules, types]}, bound)
        yield name
        cluster.kubectl("delete", "crd", FLEETS)


def others(namespace: str) -> list[Object]:
    """Return what there is beside the web service, and a volume of a namespace that the account is not bound in."""
    volume, _ = manifests.volume(namespace, claim="elsewhere")
    volume["metadata"]["name"] = f"elsewhere-of-{namespace}"
    volume["spec"]["claimRef"]["namespace"] = "kube-system"
    excepted = labelled("excepted", {"replicas": 0})
    room = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return [
        volume,
        nightly(namespace),
        {**about("batch/v1", "Job", namespace, "of-people"), **JOB},
        {**about("v1", "PersistentVolumeClaim", namespace, ROOM), "spec": {**room, "storageClassName": ""}},
        steady(namespace, replicas=2),
        {**about("apps/v1", "Deployment", namespace, "excepted", **{"kintsugi.dev/changes": "any"}), "spec": excepted},
    ]


def nightly(namespace: str) -> Object:
    """Return a CronJob."""
    spec = {"schedule": "0 4 * * 0", "jobTemplate": JOB}
    return {**about("batch/v1", "CronJob", namespace, "nightly"), "spec": spec}


def steady(namespace: str, *, replicas: int) -> Object:
    """Return a StatefulSet."""
    spec = labelled("steady", {"replicas": replicas, "serviceName": "steady"})
    return {**about("apps/v1", "StatefulSet", namespace, "steady"), "spec": spec}


def labelled(app: str, spec: Object) -> Object:
    """Return the specification of a workload with pods that do nothing."""
    labels = {"app": app}
    return {**spec, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": POD}}


def about(version: str, kind: str, namespace: str, name: str, **labels: str) -> Object:
    """Return what an object says of itself."""
    metadata = {"namespace": namespace, "name": name, "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


@pytest.fixture(scope="module")
def token(cluster: RealCluster, place: str, mended: str) -> Path:
    """Return the kubeconfig of whoever has the account's token."""
    return bound_account.login(cluster, changes=(place, mended), restore=(place,))


@pytest.fixture(scope="module")
def true_job(place: str, token: Path) -> Object:
    """Return the Job of a worker as Kintsugi writes it."""
    fetch = {"command": "BackupFetch", "url": "s3://backup-bucket/good/", "database": "app", "namespace": place}
    return written(place, token, decode(fetch), SETTINGS)


@pytest.fixture(scope="module")
def true_drill(place: str, token: Path) -> Object:
    """Return the Job of a drill, with its server, as Kintsugi writes it."""
    words = {"file": "/backups/good.dump", "user": "postgres", "database": "kintsugi_drill_x"}
    restore = decode({"command": "PgRestore", "host": f"localhost.{place}", **words})
    return written(place, token, restore, replace(SETTINGS, drill_image=POSTGRES, existing_claim=ROOM))


def written(place: str, token: Path, command: Command, settings: RestoreSettings) -> Object:
    """Return the Job that Kintsugi writes for a worker's command."""

    async def write() -> object:
        async with KubeClient.connect(KubeSettings(kubeconfig=token)) as kube:
            there = StoryNamespace(kube=kube, namespace=place)
            prepared = await there.actions(settings).plan_effect(command, there.around(new_run(), "step"))
        assert isinstance(prepared.write, JobWrite)
        return prepared.write.job

    made: Object = json.loads(json.dumps(asyncio.run(write())))
    return made


@pytest.fixture(scope="module")
def forged(cluster: RealCluster, place: str, mended: str, true_job: Object, true_drill: Object) -> list[Forged]:
    """Return every forged request."""
    (pod,) = cluster.list("pod", place, selector=f"app={manifests.WEB}")
    now = manifest("now", mended, cluster.get("cronjob", "nightly", mended), {RUN: "run-1"})
    return [
        *forgeries.of_workloads(place, mended),
        *forgeries.of_jobs(place, true_job),
        *forgeries.of_drills(place, true_drill),
        *forgeries.of_cronjobs(place, mended, dict(now)),
        *forgeries.of_exec(place, pod["metadata"]["name"]),
        *forgeries.of_volumes(f"{place}-{manifests.WEB}-pvc", f"elsewhere-of-{place}"),
        *forgeries.of_claims(place),
        *forgeries.of_other_types(mended),
    ]


@pytest.fixture(scope="module")
def answers(cluster: RealCluster, token: Path, forged: list[Forged]) -> Iterator[Mapping[str, tuple[str, str]]]:
    """Return what became of each forged request without the policies and with them; they stay in force for this module."""
    api = ApiClient(Access.read(token))
    admission_policies.lift(cluster)
    before = {each.what: each.send(api) for each in forged}
    admission_policies.enforce(cluster, admission_policies.Held(image=IMAGE, server=POSTGRES))
    yield {each.what: (before[each.what], each.send(api)) for each in forged}
    admission_policies.lift(cluster)


@pytest.fixture
async def held(answers: object, token: Path) -> AsyncIterator[KubeClient]:
    """Return a client of the account while the policies are in force."""
    async with KubeClient.connect(KubeSettings(kubeconfig=token)) as kube:
        yield kube


@pytest.mark.parametrize("policy", admission_policies.NAMES)
def test_each_forged_request_is_accepted_without_the_policies_and_denied_by_its_own_with_them(
    answers: Mapping[str, tuple[str, str]], forged: list[Forged], policy: str
) -> None:
    """The rights alone are as strong as any image, any Secret, any volume; with the policies they are not."""
    its = [each for each in forged if each.policy == policy]
    assert its
    assert len(answers) == len(forged)
    wrong = {each.what: answers[each.what] for each in its if not is_denied(each, *answers[each.what])}
    assert wrong == {}


def is_denied(forged: Forged, before: str, after: str) -> bool:
    """Return whether a request was accepted at first, and then denied by the policy that it is for, in its words."""
    return before == "" and f"'{forged.policy}'" in after and forged.says in after


def test_the_cluster_finds_nothing_wrong_with_the_expressions(cluster: RealCluster, answers: object) -> None:
    assert admission_policies.warnings(cluster) == []


def test_the_policies_hold_no_other_account(cluster: RealCluster, answers: object, place: str) -> None:
    cluster.kubectl(
        "-n", place, "patch", f"deployment/{WEB}", "--dry-run=server", "-p", json.dumps(template(hostPID=True))
    )


LINES = (
    f"kubectl scale deployment/{WEB} --replicas=2",
    f"kubectl rollout restart deployment/{WEB}",
    f"kubectl rollout pause deployment/{WEB}",
    f"kubectl rollout resume deployment/{WEB}",
    "kubectl rollout restart statefulset/steady",
    """kubectl patch statefulset/steady -p '{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete"}}}'""",
    """kubectl patch cronjob/nightly -p '{"spec":{"suspend":true}}'""",
    """kubectl patch pv OWN -p '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'""",
    "kubectl label pv OWN kintsugi.dev/incident=inc-1",
    """kubectl patch pv OWN --type=merge -p '{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}'""",
    """kubectl patch deployment/excepted -p '{"spec":{"template":{"spec":{"hostPID":true}}}}'""",
)
"""What the commands of the shipped runbooks and their undo do, and one of a workload that is excepted."""


@pytest.mark.parametrize("line", LINES)
async def test_the_policies_let_every_change_of_kintsugi_through(held: KubeClient, place: str, line: str) -> None:
    """Each is judged and written by the action that the daemon takes, and taken back where its undo says how."""
    line = line.replace("OWN", f"{place}-{manifests.WEB}-pvc")
    prepared = await made(held, parse(line, namespace=place))
    if "claimRef" in line:
        return  # a step back itself
    for back in map(decode, prepared.undo.commands):
        await made(held, back, phase=Phase.UNDO)


async def test_a_worker_s_job_and_its_room_are_made_and_ended(
    held: KubeClient, cluster: RealCluster, place: str
) -> None:
    there = StoryNamespace(kube=held, namespace=place, volume_for=lambda _: None)
    run = new_run()
    prepared = await there.made(there.fetch("good"), there.around(run, "newest"))
    assert cluster.list("pvc", place, selector="app.kubernetes.io/managed-by=kintsugi")
    for back in map(decode, prepared.undo.commands):
        await made(held, back, run=run, path="newest#0", phase=Phase.UNDO)
    assert [each for each in cluster.list("job", place) if each["metadata"]["name"] != "of-people"] == []


async def test_a_job_of_a_cronjob_is_made_and_ended_where_that_is_granted(
    held: KubeClient, cluster: RealCluster, mended: str
) -> None:
    run = new_run()
    await made(held, parse("kubectl create job now --from=cronjob/nightly", namespace=mended), run=run)
    assert cluster.get("job", "now", mended)["metadata"]["labels"][RUN] == run
    await made(held, ending("now", mended), run=run, phase=Phase.UNDO)


OF_A_FLEET = (
    "kubectl label fleet fleet a=b",
    "kubectl annotate fleet fleet a=b",
    """kubectl patch fleet fleet --type=merge -p '{"spec":{"speed":"fast"}}'""",
    "kubectl scale fleet fleet --replicas=3",
)


async def test_the_changes_of_an_object_of_another_type_and_their_undo_are_let_in(
    held: KubeClient, cluster: RealCluster, mended: str
) -> None:
    discovery.set_served(await read_kinds(KubeSettings(kubeconfig=cluster.kubeconfig)))
    allow_changes([FLEETS])
    for line in OF_A_FLEET:
        prepared = await made(held, parse(line, namespace=mended), namespace=mended)
        for back in map(decode, prepared.undo.commands):
            await made(held, back, namespace=mended, phase=Phase.UNDO)
    allow_changes(())
    discovery.forget()


def test_a_drill_s_job_is_let_in_with_its_server(answers: object, token: Path, place: str, true_drill: Object) -> None:
    path = f"/apis/batch/v1/namespaces/{place}/jobs"
    let_in = Forged(what="a drill", policy="", says="", path=path, body=true_drill, method="POST")
    assert let_in.send(ApiClient(Access.read(token))) == ""


async def test_the_questions_that_kintsugi_asks_in_containers_are_let_in(
    answers: object, token: Path, cluster: RealCluster, place: str
) -> None:
    """In the very words that it sends, with what ends them in time and without."""
    api = ApiClient(Access.read(token))
    pod = cluster.list("pod", place, selector="app=steady")[0]
    asked = words(Psql(statement="SELECT pg_is_in_recovery() AS standby", user="postgres"), timedelta(seconds=10))
    for line in (asked, *QUESTIONS):
        for argv in (line, ("timeout", "-k", "2", "8", *line)):
            path = f"/api/v1/namespaces/{place}/pods/{pod['metadata']['name']}/exec"
            query = urlencode({"command": argv, "stdout": "true"}, doseq=True)
            let_in = Forged(what=str(argv), policy="", says="", path=f"{path}?{query}", method="POST")
            assert let_in.send(api) == "", argv


async def test_a_rollback_goes_over_a_version_and_over_all_that_was_added_with_it(
    held: KubeClient, cluster: RealCluster, place: str
) -> None:
    """P5: another tag of the image, and a container, a volume and a variable less than now."""
    more = {"name": "more", "image": PAUSE, "volumeMounts": [{"name": "new", "mountPath": "/new"}]}
    added = template(
        containers=[{"name": "web", "image": WEB_BETTER, "env": [{"name": "NEW", "value": "1"}]}, more],
        volumes=[{"name": "new", "emptyDir": {}}],
    )
    name, good = rolled_over(cluster, place, "added", added)
    line = f"kubectl rollout undo deployment/{name} --to-revision=1"

    await made(held, parse(line, namespace=place), phase=Phase.ROLLBACK, good=good)

    (container,) = cluster.get("deployment", name, place)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == WEB_GOOD


async def test_a_rollback_that_would_bring_back_more_than_there_is_is_denied_unless_the_owner_excepts_the_workload(
    held: KubeClient, cluster: RealCluster, place: str
) -> None:
    """What was taken out of a template may have been taken out for a reason; the policy cannot see revisions."""
    taken_out = template(containers=[{"name": "web", "env": [{"name": "POD_UID", "$patch": "delete"}]}])
    name, good = rolled_over(cluster, place, "less", taken_out)
    command = parse(f"kubectl rollout undo deployment/{name} --to-revision=1", namespace=place)

    with pytest.raises(Forbidden, match=r"'kintsugi-workloads'.*no variable and no mount.*kintsugi.dev/changes=any"):
        await made(held, command, phase=Phase.ROLLBACK, good=good)

    cluster.kubectl("-n", place, "label", f"deployment/{name}", "kintsugi.dev/changes=any")
    await made(held, command, phase=Phase.ROLLBACK, good=good)
    (container,) = cluster.get("deployment", name, place)["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in container["env"]] == ["POD_UID"]


def rolled_over(cluster: RealCluster, namespace: str, app: str, change: Object) -> tuple[str, frozenset[str]]:
    """Roll a Deployment without pods over to a second revision; return its name, and the first one's hash."""
    name = f"{app}-deployment"
    cluster.apply(manifests.web_deployment(namespace, app=app, replicas=0))

    def revisions() -> list[Object]:
        return cluster.list("replicaset", namespace, selector=f"app={app}")

    (first,) = wait_for(revisions, within=30, describe=f"{name} has a revision")
    cluster.kubectl("-n", namespace, "patch", f"deployment/{name}", "-p", json.dumps(change))
    wait_for(lambda: len(revisions()) == 2, within=30, describe=revisions)
    return name, frozenset({first["metadata"]["labels"]["pod-template-hash"]})


async def made(kube: KubeClient, command: Command, **about: Any) -> EffectPlan:
    """Judge and make a change as the daemon does: anew when a controller came before it. Raises Forbidden."""
    actions = Actions(kube, Clients.restricted_to(AddressRule()))

    async def attempt() -> EffectPlan | Forbidden:
        usual: dict[str, Any] = {"incident": "inc-1", "run": new_run(), "path": "step#0", "now": datetime.now(UTC)}
        prepared = await actions.plan_effect(command, ChangeContext(**{**usual, **about}))
        try:
            await actions.apply(prepared)
        except Forbidden as denial:
            return denial
        return prepared

    answer: EffectPlan | Forbidden = await eventually(attempt, within=60, describe=f"{command} is made")
    if isinstance(answer, Forbidden):
        raise answer
    return answer
