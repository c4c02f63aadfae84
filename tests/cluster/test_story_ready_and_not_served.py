"""
A service of three lines on a real Kubernetes that is not there, or whose pods are all ready while nobody is served.

Its near misses are in the last test: what looks alike and is meant so is told to nobody.
"""

import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest

from tests.cluster.conftest import TIME_FOR_PODS, StartDaemon
from tests.cluster.small_catalog import write
from tests.cluster.story import ClusterStory
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.daemon import OPERATOR, kubeconfig, rights
from tests.harness.notices import NoticeReceiver

MARKET, FRONT, BACK = "market", "front", "back"
SHARED = {"part-of": "market"}
THREE_LINES = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: {app}}}
spec: {{namespace: {namespace}, workload: deployment/{app}-deployment}}
"""
READER = "reads-configuration"
READS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
"""What the chart grants by `reads.configMaps`, and not by itself."""

MARKET_CATALOG = {"KINTSUGI_CATALOG__EXAMPLE": "false"}

Deed = Callable[[ClusterStory], object]


@pytest.fixture
def story(cluster: RealCluster, daemon: StartDaemon, tmp_path: Path, notices: NoticeReceiver) -> Any:
    """Have a front end of two pods and a back end, each behind its Service, and a daemon that has seen them answer."""
    with cluster.namespace(MARKET) as namespace:
        for app, replicas in ((FRONT, 2), (BACK, 1)):
            deployment, service = manifests.tier(namespace, app, replicas=replicas)
            metadata = deployment["spec"]["template"]["metadata"]
            metadata["labels"] = {**metadata["labels"], **SHARED}
            container = deployment["spec"]["template"]["spec"]["containers"][0]
            container["env"].append({"name": "CURRENCY", **from_settings("currency")})
            cluster.apply(settings(namespace, "EUR"), deployment, service)
        for app in (FRONT, BACK):
            cluster.kubectl("rollout", "status", f"deployment/{app}-deployment", "-n", namespace, "--timeout=120s")
        documents = (THREE_LINES.format(app=app, namespace=namespace) for app in (FRONT, BACK))
        catalog = write(tmp_path / "catalog", *documents)
        keys = tmp_path / "keys"
        keys.write_text(b64encode(token_bytes(32)).decode())
        own = {
            **MARKET_CATALOG,
            "KINTSUGI_CATALOG__ADDITIONS": str(catalog),
            "KINTSUGI_LEDGER__ENCRYPTION_KEY_FILE": str(keys),
        }
        login = kubeconfig(cluster, "default", account=READER, rules=[*rights(), READS])
        environment = {**TIME_FOR_PODS, **own, **notices.environment}
        started = daemon(kubeconfig=login, durations=0.01, environment=environment)
        user = f"system:serviceaccount:default:{READER}"
        begun = ClusterStory(cluster, namespace, started, app=FRONT, user=user).begin(good=FRONT)
        begun.within(30).sees("the daemon was answered", lambda: answered(begun) == {FRONT, BACK})
        yield begun


def settings(namespace: str, currency: str) -> dict[str, Any]:
    """Return the ConfigMap that both read."""
    metadata = {"name": "settings", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"currency": currency}}


def from_settings(key: str) -> dict[str, Any]:
    """Return a variable's source in it."""
    return {"valueFrom": {"configMapKeyRef": {"name": "settings", "key": key}}}


def answered(story: ClusterStory) -> set[str]:
    """Return the services whose derived check counts."""
    found = {app: story.daemon.get(f"/api/v1/services/{app}")[1]["values"] for app in (FRONT, BACK)}
    checks = {app: next(each["value"] for each in values if each["key"] == "checks") for app, values in found.items()}
    return {app for app, text in checks.items() if text.endswith(f"through service/{app}-service")}


def service(story: ClusterStory, app: str = FRONT, **spec: Any) -> None:
    """Change a Kubernetes Service as a person would."""
    story.cluster.api.patch("service", f"{app}-service", {"spec": spec}, story.namespace)


def ports(target: int | str) -> list[dict[str, Any]]:
    """Return the one port of a Service, which leads there."""
    return [{"name": "main", "port": 80, "targetPort": target, "protocol": "TCP"}]


def template(story: ClusterStory, **spec: Any) -> None:
    """Change the front end's template, and wait until it is rolled out."""
    story.patch({"spec": {"template": {"spec": spec}}})
    story.cluster.kubectl("rollout", "status", "deployment/front-deployment", "-n", story.namespace, "--timeout=60s")


def delete(story: ClusterStory) -> None:
    """Delete the front end's Service."""
    story.cluster.api.delete("service", "front-service", story.namespace)


def rename(story: ClusterStory) -> None:
    """Let the front end's Service lead to a port by a name that no container has."""
    service(story, ports=ports("grpc"))


def change_settings(story: ClusterStory) -> None:
    """Change what pods have read at their start."""
    story.cluster.apply(settings(story.namespace, "USD"))


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        (lambda story: service(story, ports=ports(9999)), "Service front-service routes to port 9999"),
        (rename, "Service front-service routes to the port grpc, but no container has a port with this name"),
        (delete, "Service front-service, which led to the pods, does not exist any more"),
        (
            lambda story: service(story, selector={"app": None, **SHARED}),
            "Service front-service selects part-of=market, and therefore also routes to pods of other Services",
        ),
        (
            lambda story: story.set_variable("BACK_URL=http://back-service:8079"),
            "names port 8079 of back-service, but Service back-service has 80",
        ),
        (lambda story: story.set_variable("BACK_URL=http://bakc-service"), "the Service bakc-service does not exist"),
        (
            lambda story: template(story, dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.1"]}),
            "the pods use their own name server (dnsPolicy)",
        ),
        (change_settings, "pods started before key currency of configmap/settings"),
    ],
    ids=[
        "wrong target port",
        "renamed port",
        "missing Service",
        "two workloads",
        "wrong port of an upstream",
        "wrong name of an upstream",
        "name server of its own",
        "stale configuration",
    ],
)
def test_a_ready_service_that_is_not_served_is_told_to_a_person_and_changed_by_nobody(
    story: ClusterStory, notices: NoticeReceiver, deed: Deed, told: str
) -> None:
    story.at(told, lambda: deed(story))
    story.within(90).sees("a person is notified", lambda: any(told in each["text"] for each in notices.taken))
    assert story.writes() == []
    assert story.deployment()["status"]["readyReplicas"] == 2


def test_a_workload_that_somebody_deletes_is_made_again_by_the_command_that_a_person_gets(
    story: ClusterStory, notices: NoticeReceiver
) -> None:
    workload = "deployment/front-deployment"
    story.within(60).sees("its manifest is kept", lambda: "good template kept" in story.daemon.log.read_text())
    wanted = story.deployment()["spec"]
    story.at("somebody deletes it", lambda: story.cluster.kubectl("delete", workload, "-n", story.namespace))
    command = "kintsugi manifest front | kubectl apply -f -"
    story.within(60).sees("a person is notified", lambda: any(command in each["text"] for each in notices.taken))
    (text,) = [each["text"] for each in notices.taken if command in each["text"]]
    assert (
        f"MissingWorkload (certain): {workload}: {workload}: the workload does not exist; it was there until " in text
    )
    assert story.daemon.get("/api/v1/readiness")[1] == {"ready": True, "waiting_for": {}, "missing_workloads": [FRONT]}

    operator = ("--server", story.daemon.url, "--token-file", str(story.daemon.folder / "token"))
    (story.daemon.folder / "token").write_text(OPERATOR)
    printed = subprocess.run(
        [sys.executable, "-m", "kintsugi.cli", "manifest", FRONT, *operator], capture_output=True, text=True, check=True
    )
    story.at("the person makes it again", lambda: story.cluster.kubectl("apply", "-f", "-", stdin=printed.stdout))
    story.within(60).ready(2)
    assert story.deployment()["spec"] == wanted
    story.within(60).sees("the daemon sees it", lambda: bool(story.service(FRONT)["healthy"]))
    assert story.writes() == []


def test_a_canary_a_port_that_is_not_declared_and_an_address_that_never_answered_are_told_to_nobody(
    story: ClusterStory, notices: NoticeReceiver
) -> None:
    canary = manifests.web_deployment(story.namespace, app="front-canary", replicas=1)
    labels = {"app": FRONT, "track": "canary"}
    canary["spec"]["selector"] = {"matchLabels": labels}
    canary["spec"]["template"]["metadata"]["labels"] = labels
    hidden = manifests.service(story.namespace, app=BACK, kind="ClusterIP", port=8443, target=8443)
    hidden["metadata"]["name"] = "back-admin"
    (container,) = story.deployment()["spec"]["template"]["spec"]["containers"]
    story.at("a canary beside it", lambda: story.cluster.apply(canary))
    story.at("a port that no container declares", lambda: story.cluster.apply(hidden))
    story.at("a port less", lambda: template(story, containers=[{**container, "ports": None}]))
    story.within(60).ready(2)
    story.stays(lambda: notices.taken == [], 20, lambda: str(notices.taken))
    assert story.daemon.incidents() == []
