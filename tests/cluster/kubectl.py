"""The real kubectl beside ours: the same line for both, and workloads that differ in nothing but their names."""

import json
import shlex
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kintsugi.actions.effect_plan import RUN_ANNOTATION, TEMPLATE_ANNOTATION
from kubediagnosis.templates import RESTARTED
from tests.harness import manifests
from tests.harness.api import ApiError
from tests.harness.cluster import RealCluster
from tests.harness.images import WEB_BETTER
from tests.harness.waiting import eventually

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How kubectl ended, and what it printed."""

    code: int
    out: str
    err: str


def kubectl(cluster: RealCluster, namespace: str, line: str, *more: str) -> str:
    """Return a line to the real kubectl."""
    return cluster.kubectl("-n", namespace, *shlex.split(line)[1:], *more)


def attempt(
    cluster: RealCluster, namespace: str, line: str, *, kubeconfig: Path | None = None, limit: float = 20
) -> Attempt:
    """Return a line to the real kubectl and see how it ends; `limit` seconds end it, as ^C would."""
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


def pod_of(cluster: RealCluster, namespace: str, app: str) -> Object:
    """Return the newest pod of an app that is not on its way out."""
    pods = cluster.list("pods", namespace, selector=f"app={app}")
    running = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return max(running, key=lambda pod: pod["metadata"]["creationTimestamp"])


def workload(kind: str, namespace: str, app: str, *, replicas: int = 0) -> Object:
    """Make a workload of web pods, named `APP-KIND`: a deployment, statefulset or daemonset (0: no node takes it)."""
    made = manifests.web_deployment(namespace, app=app, replicas=replicas)
    if kind == "deployment":
        return made
    made = manifests.web_deployment(namespace, app=f"{app}-{kind}", replicas=replicas)
    metadata = {**made["metadata"], "name": f"{app}-{kind}"}
    if kind == "statefulset":
        spec = {**made["spec"], "serviceName": app}
        return {**made, "kind": "StatefulSet", "metadata": metadata, "spec": spec}
    pods = made["spec"]["template"]
    nowhere = {**pods, "spec": {**pods["spec"], "nodeSelector": {"example.com/no": "node"}}}
    spec = {"selector": made["spec"]["selector"], "template": nowhere if replicas == 0 else pods}
    return {**made, "kind": "DaemonSet", "metadata": metadata, "spec": spec}


FLEETS = "fleets.shop.example.com"
"""A type of one's own that can be scaled."""


def serve_fleets(cluster: RealCluster) -> None:
    """Have the API server serve that type: its specification has any fields, and its status is a field like others."""
    of_any = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": of_any, "status": of_any}}
    scale = {f"{each}ReplicasPath": f".{each}.replicas" for each in ("spec", "status")}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "fleets", "singular": "fleet", "kind": "Fleet"}
    versions = [{**version, "subresources": {"scale": scale}}]
    spec = {"group": "shop.example.com", "scope": "Namespaced", "names": names, "versions": versions}
    about = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": FLEETS}}
    cluster.apply({**about, "spec": spec})
    cluster.kubectl("wait", f"crd/{FLEETS}", "--for=condition=Established", "--timeout=60s")


def fleet(namespace: str, name: str) -> Object:
    """Return an object of it."""
    metadata = {"name": name, "namespace": namespace, "labels": {"tier": "front"}}
    spec = {"replicas": 2, "speed": "slow", "stops": ["a"]}
    about = {"apiVersion": "shop.example.com/v1", "kind": "Fleet", "metadata": metadata}
    return {**about, "spec": spec, "status": {"replicas": 2}}


def applied(cluster: RealCluster, manifest: Object) -> bool:
    """Apply an object whose type may be served in a moment only."""
    with suppress(ApiError, LookupError):
        cluster.apply(manifest)
        return True
    return False


async def same(seen: Callable[[], Awaitable[object]], expected: Callable[[], object]) -> None:
    """Compare until both agree: the cluster moves between two reads."""

    async def equal() -> bool:
        ours, theirs = await seen(), expected()
        assert ours == theirs
        return True

    await eventually(equal, within=20, describe="ours and kubectl's are equal")


@dataclass(frozen=True)
class Twins:
    """Two workloads that differ in their names only: `ours3-deployment` and `theirs3-deployment`."""

    cluster: RealCluster
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
        """Return what one asks for, with all that must differ between the two left out."""
        obj = self.cluster.get(self.kind, f"{whose}{self.number}-{self.kind}", self.namespace)
        obj = json.loads(json.dumps(obj).replace("theirs", "ours"))
        annotations = dict(obj["metadata"].get("annotations", {}))
        for own in (RUN_ANNOTATION, TEMPLATE_ANNOTATION):
            annotations.pop(own, None)
        stamped = obj["spec"]["template"]["metadata"].get("annotations", {})
        if RESTARTED in stamped:
            stamped[RESTARTED] = "stamped"
        return {"spec": obj["spec"], "labels": obj["metadata"].get("labels", {}), "annotations": annotations}

    def revise(self) -> frozenset[str]:
        """Return both a second revision; return what the first one's pod template of ours is called."""
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
        if self.kind != "deployment":
            found = self.cluster.list(
                "controllerrevision", self.namespace, selector=f"app=ours{self.number}-{self.kind}"
            )
            return str(next(each["metadata"]["name"] for each in found if each["revision"] == revision))
        found = self.cluster.list("replicaset", self.namespace, selector=f"app=ours{self.number}")
        numbered = {each["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: each for each in found}
        return str(numbered[str(revision)]["metadata"]["labels"]["pod-template-hash"])
