"""Requests that Kintsugi never sends, with the token of its service account: all that its rights alone would let in."""

import copy
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.harness import manifests
from tests.harness.api import ApiClient, ApiError
from tests.harness.worker_stories import IMAGE
from tests.unit.commands.test_programs_in_containers import REFUSED

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
WEB = "web-app-deployment"

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Forged:
    """A request that Kintsugi never sends, and the words with which a policy denies it."""

    what: str
    policy: str
    says: str
    path: str
    body: Any = None
    method: str = "PATCH"
    content: str = STRATEGIC

    def send(self, api: ApiClient) -> str:
        """Send it, as a dry run where there is one, and return why it was refused, "" when it was not."""
        path = self.path if "/exec?" in self.path else f"{self.path}?dryRun=All"
        content = self.content if self.method == "PATCH" else "application/json"
        try:
            api.request(self.method, path, self.body, content=content)
        except ApiError as error:
            # What an exec that was let in is told.
            return "" if "Upgrade request required" in str(error) else str(error)
        return ""


def template(**pod: object) -> Object:
    """Return a patch of a pod template."""
    return {"spec": {"template": {"spec": pod}}}


def container(**fields: object) -> Object:
    """Return a patch of the web service's container."""
    return template(containers=[{"name": "web", **fields}])


WORKLOAD_FORGERIES: Mapping[str, tuple[str, Object]] = {
    "a folder of the node": ("no volume", template(volumes=[{"name": "node", "hostPath": {"path": "/"}}])),
    "a Secret as a volume": ("no volume", template(volumes=[{"name": "s", "secret": {"secretName": "others"}}])),
    "another service account": ("service account", template(serviceAccountName="admin", serviceAccount="admin")),
    "the network of the host": ("service account", template(hostNetwork=True)),
    "the processes of the host": ("service account", template(hostPID=True)),
    "a node by its name": ("service account", template(nodeName="node-1")),
    "a further container": ("no further container", template(containers=[{"name": "more", "image": "web:good"}])),
    "a further init container": ("no further container", template(initContainers=[{"name": "i", "image": "web:good"}])),
    "another image": ("another image", container(image="docker.io/evil/web:good")),
    "an image of a longer name": ("another image", container(image="web:good/evil")),
    "another command": ("keeps its command", container(command=["sh", "-c", "env"])),
    "a privileged container": ("security context", container(securityContext={"privileged": True})),
    "a program at its start": ("command", container(lifecycle={"postStart": {"exec": {"command": ["id"]}}})),
    "a program as its probe": ("runs no other program", container(livenessProbe={"exec": {"command": ["id"]}})),
    "a probe of another host": (
        "asks no other host",
        container(startupProbe={"httpGet": {"host": "169.254.169.254", "port": 80}}),
    ),
    "a Secret as a variable": (
        "no variable",
        container(env=[{"name": "S", "valueFrom": {"secretKeyRef": {"name": "others", "key": "password"}}}]),
    ),
    "a whole Secret as variables": ("no variable", container(envFrom=[{"secretRef": {"name": "others"}}])),
    "a variable that the linker reads": ("no variable", container(env=[{"name": "LD_PRELOAD", "value": "/x.so"}])),
    "an annotation that injects": (
        "no other labels and annotations",
        {"spec": {"template": {"metadata": {"annotations": {"vault.hashicorp.com/agent-inject": "true"}}}}},
    ),
    "a label of its pods": (
        "no other labels and annotations",
        {"spec": {"template": {"metadata": {"labels": {"tier": "front"}}}}},
    ),
    "the label that excepts it": ("only replicas", {"metadata": {"labels": {"kintsugi.dev/changes": "any"}}}),
    "its finalizers": ("only replicas", {"metadata": {"finalizers": ["example.com/held"]}}),
    "its strategy": ("only replicas", {"spec": {"minReadySeconds": 9}}),
    "an annotation by itself": ("only together", {"metadata": {"annotations": {"example.com/owner": "me"}}}),
}


def job_forgeries(true: Object) -> Iterator[tuple[str, str, Object]]:
    """Make Jobs that are no worker's of a true one."""

    def other(change: Any) -> Object:
        made = copy.deepcopy(true)
        change(made, made["spec"]["template"]["spec"], made["spec"]["template"]["spec"]["containers"][0])
        return made

    secret = {"name": "s", "secret": {"secretName": "others"}}
    reference = {"secretKeyRef": {"name": "others", "key": "password"}}
    yield "a Secret as a volume", "staging volume of backups", other(lambda j, p, c: p["volumes"].append(secret))
    yield (
        "another claim",
        "staging volume of backups",
        other(lambda j, p, c: p["volumes"][0].update(persistentVolumeClaim={"claimName": "data-database-0"})),
    )
    yield "many pods", "one pod, once", other(lambda j, p, c: j["spec"].update(parallelism=99, completions=99))
    yield (
        "pods of others",
        "takes no pods",
        other(
            lambda j, p, c: (
                j["spec"].update(manualSelector=True, selector={"matchLabels": {"app": "steady"}}),
                j["spec"]["template"]["metadata"]["labels"].update(app="steady"),
            )
        ),
    )
    yield "another image", "worker of Kintsugi's own image", other(lambda j, p, c: c.update(image="evil:1"))
    yield (
        "another program",
        "worker of Kintsugi's own image",
        other(lambda j, p, c: c.update(command=["sh", "-c", "id"])),
    )
    yield (
        "a second container",
        "one container",
        other(lambda j, p, c: p["containers"].append({"name": "more", "image": IMAGE})),
    )
    yield (
        "a program at its start",
        "nothing beside it",
        other(lambda j, p, c: c.update(lifecycle={"postStart": {"exec": {"command": ["id"]}}})),
    )
    yield "a token", "no token", other(lambda j, p, c: p.update(automountServiceAccountToken=True))
    yield "another service account", "no other service account", other(lambda j, p, c: p.update(serviceAccountName="a"))
    yield "the node's network", "nothing of its node", other(lambda j, p, c: p.update(hostNetwork=True))
    yield (
        "a privileged container",
        "no rights of root",
        other(lambda j, p, c: c.update(securityContext={"privileged": True})),
    )
    yield (
        "another Secret",
        "from Secrets that the policy names",
        other(lambda j, p, c: c["env"].append({"name": "PGPASSWORD", "valueFrom": reference})),
    )
    yield (
        "a variable that Python reads",
        "only variables of",
        other(lambda j, p, c: c["env"].append({"name": "PYTHONPATH", "value": "/backups"})),
    )
    yield (
        "annotations of its pod",
        "no annotations but",
        other(
            lambda j, p, c: j["spec"]["template"]["metadata"].update(annotations={"sidecar.istio.io/inject": "true"})
        ),
    )
    yield (
        "no label",
        "labelled as ours",
        other(lambda j, p, c: [each["metadata"].update(labels={}) for each in (j, j["spec"]["template"])]),
    )


def drill_forgeries(true: Object) -> Iterator[tuple[str, Object]]:
    """Make Jobs whose server is no drill's of a true one."""

    def other(change: Any) -> Object:
        made = copy.deepcopy(true)
        change(made["spec"]["template"]["spec"], made["spec"]["template"]["spec"]["initContainers"][1])
        return made

    reference = {"secretKeyRef": {"name": "others", "key": "password"}}
    yield "another image", other(lambda p, c: c.update(image="evil:1"))
    yield "another program", other(lambda p, c: c.update(command=["sh", "-c", "id"]))
    yield "a Secret", other(lambda p, c: c["env"].append({"name": "PGDATA", "valueFrom": reference}))
    yield "the room for backups", other(lambda p, c: c["volumeMounts"].append({"name": "backups", "mountPath": "/b"}))
    yield "a third program", other(lambda p, c: p["initContainers"].append({**c, "name": "more"}))
    yield "rights of root", other(lambda p, c: c.update(securityContext={"privileged": True}))
    yield "a program at its start", other(lambda p, c: c.update(lifecycle={"postStart": {"exec": {"command": ["id"]}}}))


PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "a shell": ("sh", "-c", "env"),
    "a shell in time": ("timeout", "-k", "2", "9", "sh", "-c", "env"),
    "a file of SQL": ("psql", "-f", "/etc/passwd"),
    "SQL that writes": ("psql", "-c", "DROP TABLE orders"),
    "a change of Redis": ("redis-cli", "FLUSHALL"),
    "a change behind a question": ("redis-cli", "FLUSHALL", "PING"),
    **{line: tuple(shlex.split(line)) for line, _ in REFUSED},
}


def of_workloads(namespace: str, mended: str) -> Iterator[Forged]:
    """Patch the web service's Deployment, and StatefulSets; in `mended` the account may not delete claims."""
    apps = f"/apis/apps/v1/namespaces/{namespace}"
    for what, (says, body) in WORKLOAD_FORGERIES.items():
        yield Forged(what=what, policy="kintsugi-workloads", says=says, path=f"{apps}/deployments/{WEB}", body=body)
    says, body = WORKLOAD_FORGERIES["a folder of the node"]
    path = f"{apps}/statefulsets/steady"
    yield Forged(what="a StatefulSet's volume", policy="kintsugi-workloads", says=says, path=path, body=body)
    for place, key in ((namespace, "whenDeleted"), (mended, "whenScaled")):
        yield Forged(
            what=f"claims that go {key}",
            policy="kintsugi-workloads",
            says="a StatefulSet's claims",
            path=f"/apis/apps/v1/namespaces/{place}/statefulsets/steady",
            body={"spec": {"persistentVolumeClaimRetentionPolicy": {key: "Delete"}}},
        )


def of_drills(namespace: str, true: Object) -> Iterator[Forged]:
    """Make Jobs with a server that is no drill's."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    for what, body in drill_forgeries(true):
        of_drill = {"what": f"a drill's server: {what}", "policy": "kintsugi-jobs", "says": "a drill's server"}
        yield Forged(**of_drill, path=path, body=body, method="POST")


def of_jobs(namespace: str, true: Object) -> Iterator[Forged]:
    """Make Jobs that are no worker's, end one of people, and change what a CronJob runs."""
    batch = f"/apis/batch/v1/namespaces/{namespace}"
    for what, says, body in job_forgeries(true):
        of_job = {"what": f"a Job: {what}", "policy": "kintsugi-jobs", "says": says}
        yield Forged(**of_job, path=f"{batch}/jobs", body=body, method="POST")
    yield Forged(
        what="the end of a Job of people",
        policy="kintsugi-jobs",
        says="labelled as ours",
        path=f"{batch}/jobs/of-people",
        method="DELETE",
    )
    yield Forged(
        what="what a CronJob runs",
        policy="kintsugi-cronjobs",
        says="only `suspend`",
        path=f"{batch}/cronjobs/nightly",
        body={"spec": {"jobTemplate": {"spec": template(serviceAccountName="admin")["spec"]}}},
    )


def of_cronjobs(off: str, on: str, true: Object) -> Iterator[Forged]:
    """Make a Job of a CronJob where that is switched `off`, and Jobs that only resemble one where it is `on`."""

    def other(**metadata: object) -> Object:
        return {**true, "metadata": {**true["metadata"], **metadata}}

    (owner,) = true["metadata"]["ownerReferences"]
    bodies = {
        "switched off": other(namespace=off),
        "no label of a run": other(labels={}),
        "no annotation": other(annotations={}),
        "no owner": other(ownerReferences=[]),
        "an owner that is no controller": other(ownerReferences=[{**owner, "controller": False}]),
        "another owner": other(ownerReferences=[{**owner, "kind": "Job"}]),
    }
    for what, body in bodies.items():
        path = f"/apis/batch/v1/namespaces/{body['metadata']['namespace']}/jobs"
        of_job = {"what": f"a Job of a CronJob: {what}", "policy": "kintsugi-jobs", "says": "labelled as ours"}
        yield Forged(**of_job, path=path, body=body, method="POST")


def of_exec(namespace: str, pod: str) -> Iterator[Forged]:
    """Run programs in a container, and type into one."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
    for what, argv in PROGRAMS.items():
        query = urlencode({"command": argv, "stdout": "true"}, doseq=True)
        says = "of programs in containers"
        yield Forged(what=f"exec: {what}", policy="kintsugi-exec", says=says, path=f"{path}?{query}", method="POST")
    yield Forged(
        what="exec: a prompt",
        policy="kintsugi-exec",
        says="nothing is typed",
        path=f"{path}?command=redis-cli&command=PING&stdin=true&stdout=true",
        method="POST",
    )


def of_volumes(own: str, elsewhere: str) -> Iterator[Forged]:
    """Patch a volume of another namespace, and one of its own in ways that a restore does not."""
    volumes = "/api/v1/persistentvolumes"
    keep = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    says = "in a namespace whose claims Kintsugi may replace"
    path = f"{volumes}/{elsewhere}"
    yield Forged(what="a volume of another namespace", policy="kintsugi-volumes", says=says, path=path, body=keep)
    of_own: Mapping[str, tuple[str, Object]] = {
        "a volume for another claim": (
            "stays with the claim",
            {"spec": {"claimRef": {"namespace": "kube-system", "name": "mine", "uid": None}}},
        ),
        "a volume that goes with its claim": (
            "only to Retain",
            {"spec": {"persistentVolumeReclaimPolicy": "Delete"}},
        ),
        "a volume's protection": ("labels and annotations", {"metadata": {"finalizers": None}}),
        "a volume's other labels": ("labels and annotations", {"metadata": {"labels": {"tier": "fast"}}}),
    }
    for what, (says, body) in of_own.items():
        path = f"{volumes}/{own}"
        yield Forged(what=what, policy="kintsugi-volumes", says=says, path=path, body=body, content=MERGE)


def of_claims(namespace: str) -> Iterator[Forged]:
    """Make a claim that is filled from another."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "dataSource": {"kind": "PersistentVolumeClaim", "name": f"{manifests.WEB}-pvc"},
    }
    yield Forged(
        what="a copy of another claim",
        policy="kintsugi-claims",
        says="without a source",
        path=f"/api/v1/namespaces/{namespace}/persistentvolumeclaims",
        body={"metadata": {"name": "copy"}, "spec": spec},
        method="POST",
    )


def of_other_types(namespace: str) -> Iterator[Forged]:
    """Patch more of an object of a type that is not built in than its specification, labels and annotations."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": "0"}
    bodies: Mapping[str, Object] = {
        "finalizers": {"metadata": {"finalizers": ["example.com/held"]}},
        "owners": {"metadata": {"ownerReferences": [owner]}},
        "status": {"status": {"replicas": 9}},
    }
    for what, body in bodies.items():
        yield Forged(
            what=f"{what} of an object of another type",
            policy="kintsugi-other-types",
            says="only its labels, its annotations and its specification",
            path=f"/apis/shop.example.com/v1/namespaces/{namespace}/fleets/fleet",
            body=body,
            content=MERGE,
        )
