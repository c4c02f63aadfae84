"""The rows of docs/faults.md: of a workload that is broken as a row says, the row's cause is the first, and no surer than it may be."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import (
    ConfigurationFacts,
    ConfigurationType,
    FieldChange,
    WebhookFacts,
)
from tests.faults import page
from tests.faults.page import Row
from tests.unit.diagnosis.around import bare_node, service
from tests.unit.diagnosis.test_containers_and_probes import NOT_RUN, OOM, killed, setting
from tests.unit.diagnosis.test_images_and_configuration import new_image
from tests.unit.diagnosis.test_nodes_and_admission import EXPIRED, POD, REFUSED, WEBHOOK
from tests.unit.diagnosis.workload import APP, NONE, Workload, ago, crashes, ends, new, old, runs, unplaced, waits

SPEC, NEW_POD = ("spec",), "pod/web-new-1"
HTTP = "unexpected status from HEAD request to http://r/v2/: "
CONFIG = "CreateContainerConfigError"
Path = tuple[str | int, ...]


def refused(said: str, web: Workload | None = None, **more: Any) -> Workload:
    """Let the controller be refused a pod."""
    web = web or Workload()
    del web.pods[-1 if len(web.pods) > 2 else 0]
    return web.condition("replicaset/web", said).also(**more)


def gated(web: Workload) -> Workload:
    """Let the new pod wait for its readiness gate, its containers being ready."""
    condition = web.pods[-1]["status"]["conditions"][0]
    said = f'corresponding condition of pod readiness gate "{GATE}" does not exist.'
    condition |= {"status": "False", "reason": "ReadinessGatesNotReady", "message": said}
    return web


NO_PULL_SECRET = ConfigurationFacts(type=ConfigurationType.SECRET, name="registry", exists=False)
GUARD = WebhookFacts(reference="validatingwebhookconfiguration/guard", names=("guard.shop.test",))
SECRET_REF = (*APP, "env", 2, "valueFrom", "secretKeyRef", "name")
MEMORY = (*APP, "resources", "limits", "memory")
ANTI = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "x"}]}}
HOST_PORT = [{"containerPort": 8080, "hostPort": 9301}]
PORT_NAME = [{"name": "web", "containerPort": 8080}]
LIVE_PORT = (*APP, "livenessProbe", "httpGet", "port")
GATES, GATE = (*SPEC, "readinessGates"), "shop.test/checked"
READY_PATH = (*APP, "readinessProbe", "httpGet", "path")
UNSTARTED = waits("PodInitializing")
SHORT = "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"

BROKEN: Mapping[str, Callable[[], Workload]] = {
    "image-not-found": lambda: new_image("r/shop:2: not found"),
    "image-denied": lambda: new_image(f"{HTTP}403 Forbidden"),
    "image-registry-busy": lambda: new_image(f"{HTTP}429 Too Many Requests"),
    "image-registry-down": lambda: new_image(f"{HTTP}503 Service Unavailable", in_state=False),
    "image-of-good-revision-gone": lambda: old(UNSTARTED, migrate=waits("ImagePullBackOff", "shop:1: not found")),
    "pull-secret-deleted": lambda: new_image(f"{HTTP}401 Unauthorized").also(configurations=(NO_PULL_SECRET,)),
    "configmap-deleted": lambda: old(waits(CONFIG, 'configmap "settings" not found')),
    "configmap-key-gone": lambda: old(waits(CONFIG, "couldn't find key currency in ConfigMap shop/settings")),
    "secret-deleted": lambda: old(waits(CONFIG, 'secret "token" not found')),
    "secret-reference-wrong": lambda: new(SECRET_REF, "tokens", waits(CONFIG, 'secret "tokens" not found')),
    "command-not-found": lambda: new((*APP, "command"), ["/bin/shopp"], waits("RunContainerError", NOT_RUN)),
    "runs-as-root": lambda: new(
        (*APP, "securityContext"),
        {"runAsNonRoot": True},
        waits(CONFIG, "container has runAsNonRoot and image will run as root"),
    ),
    "bad-version": lambda: new((*APP, "image"), "web:bad", crashes(1)),
    "variable-removed": lambda: new((*APP, "env", 0), None, crashes(3)),
    "setting-not-known": lambda: old(crashes(3)).also(configurations=(setting(90),)),
    "sidecar-port-taken": lambda: new(("spec", "containers", 1, "env", 0, "value"), "8080", runs(), metrics=crashes(5)),
    "one-pod-crashes": lambda: old(crashes(1)),
    "killed-once": lambda: old(runs(restarts=1, ended=ends(137))),
    "exit-137-without-oom": lambda: new((*APP, "command"), ["/bin/sh", "-c", "exit 137"], crashes(137)),
    "memory-limit-lowered": lambda: new(MEMORY, "24Mi", waits("CrashLoopBackOff", restarts=3, ended=OOM)),
    "memory-need-grew": lambda: old(waits("CrashLoopBackOff", restarts=3, ended=OOM)),
    "liveness-wrong-port": lambda: killed(
        new(LIVE_PORT, 8081, runs(restarts=3, seconds=5)), NEW_POD, "liveness", count=3
    ),
    "process-hangs-once": lambda: old(runs(restarts=1, ended=ends(137))),
    "readiness-gate-unset": lambda: gated(new(GATES, [{"conditionType": GATE}], runs(seconds=300))),
    "readiness-wrong-path": lambda: new(READY_PATH, "/healthz", runs(ready=False, seconds=300)).unhealthy("web-new-1"),
    "one-pod-unready": lambda: old(runs(ready=False, seconds=300)).unhealthy("web-good-3"),
    "start-too-slow": lambda: killed(
        new((*APP, "env", 0, "value"), "120", runs(ready=False, started=False, restarts=1)), NEW_POD, "startup", count=3
    ),
    "start-slow-in-time": lambda: new((*APP, "env", 0, "value"), "20", runs(ready=False, started=False, seconds=20)),
    "init-fails": lambda: new(
        ("spec", "initContainers", 0, "image"), "web:bad", UNSTARTED, migrate=crashes(1), metrics=UNSTARTED
    ),
    "requests-too-large": lambda: new(
        (*APP, "resources", "requests", "memory"), "900Gi", scheduling=f"{NONE}1 Insufficient memory."
    ),
    "node-selector-wrong": lambda: new(
        (*SPEC, "nodeSelector"),
        {"disk": "ssd"},
        scheduling=f"{NONE}1 node(s) didn't match Pod's node affinity/selector.",
    ),
    "anti-affinity": lambda: new(
        (*SPEC, "affinity"), ANTI, scheduling=f"{NONE}1 node(s) didn't match pod anti-affinity rules."
    ),
    "host-port-taken": lambda: new(
        (*APP, "ports"), HOST_PORT, scheduling=f"{NONE}1 node(s) didn't have free ports for the requested pod ports."
    ),
    "node-cordoned": lambda: unplaced("1 node(s) were unschedulable.", nodes=(bare_node(cordoned=True),)),
    "node-tainted": lambda: unplaced(
        "1 node(s) had untolerated taint {dedicated: batch}.", nodes=(bare_node(taints=("dedicated",)),)
    ),
    "node-full": lambda: unplaced("1 Insufficient memory.", nodes=(bare_node(),)),
    "quota-used-up": lambda: refused(POD + SHORT),
    "quota-wants-limits": lambda: refused(f"{POD}failed quota: memory: must specify limits.memory for: app"),
    "limit-range": lambda: refused(
        f"{POD}maximum memory usage per Container is 256Mi, but limit is 512Mi", new(MEMORY, "512Mi")
    ),
    "webhook-down": lambda: refused(WEBHOOK + REFUSED, webhooks=(GUARD,)),
    "webhook-certificate-expired": lambda: refused(WEBHOOK + EXPIRED, webhooks=(GUARD,)),
    "pod-security": lambda: refused(f'{POD}violates PodSecurity "restricted:latest": x'),
    "service-account-deleted": lambda: refused(
        f'{POD}error looking up service account shop/web: serviceaccount "web" not found'
    ),
    "scaled-to-zero": lambda: Workload().also(pods=(), desired=0, scaled=FieldChange(manager="kubectl", at=ago(60))),
    "selector-wrong": lambda: Workload().also(services=(service("web", app="wep"),)),
    "port-renamed": lambda: new((*APP, "ports"), PORT_NAME, runs()).also(services=(service("web", "http", app="web"),)),
}
ROWS = {row.id: row for row in page.rows()}


def shape(thing: str, field: str) -> tuple[str, str]:
    """Return object and field without names: the page's applications are not the one of these tests."""
    word = thing.partition("/")[0].removesuffix("-")
    workload = word in ("deployment", "statefulset", "daemonset")
    return "workload" if workload else word, re.sub(r"\[[^]]*\]", "[]", field).removesuffix("-")


def assert_first(fault: str, causes: Sequence[Cause]) -> None:
    """Hold the first of the causes to a row: kind, object, field, and no surer than the row allows."""
    row: Row = ROWS[fault]
    if row.cause == page.NONE:
        assert not causes
        return
    expected = (row.cause, shape(row.object, row.field))
    assert (causes[0].kind, shape(causes[0].object, causes[0].field)) == expected, causes[0]
    assert causes[0].confidence is Confidence.LIKELY or row.confidence == Confidence.CERTAIN


@pytest.mark.parametrize("fault", BROKEN)
def test_a_row_s_cause_is_the_first_one_and_no_surer_than_the_row_allows(fault: str) -> None:
    assert_first(fault, BROKEN[fault]().causes())


def test_each_cause_that_is_looked_for_is_a_word_of_the_page() -> None:
    assert {each.value for each in CauseKind} <= set(page.causes())
