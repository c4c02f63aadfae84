"""The rows of docs/faults.md about what stands around a workload: the row's cause is the first, and no surer than it may be."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kubediagnosis.facts import (
    ConfigurationType,
    FieldChange,
    HostReference,
    LogFacts,
    NameServerFacts,
    ObserverFacts,
    SharedService,
)
from tests.unit.diagnosis.around import (
    POD_LABELS,
    autoscaler,
    budget,
    check,
    claim,
    depot,
    mounting_claim,
    node,
    policy,
    service,
    written,
)
from tests.unit.diagnosis.test_checks_and_names import EXPIRED, FIELD, MAP, SILENT
from tests.unit.diagnosis.test_containers_and_probes import UNREADY
from tests.unit.diagnosis.test_nodes_and_volumes import (
    ATTACHED,
    FOLDER,
    UNBOUND,
    evicted,
    starting,
    terminating,
    unready,
)
from tests.unit.diagnosis.test_rows_of_the_faults_page import also, assert_first, new, old, refused
from tests.unit.diagnosis.workload import Workload, ago, crashes, runs, waits

APP = ("spec", "containers", 0)
AT_ZERO: dict[str, Any] = {"pods": False, "desired": 0, "scaled": FieldChange(manager="kubectl", at=ago(60))}
WAITS = waits("PodInitializing")
SHORT = 'pods "web-x" is forbidden: exceeded quota: now, requested: pods=1, used: pods=11, limited: pods=11'


def unmet(web: Workload | None = None, answer: str = "HTTP 502", **more: Any) -> Workload:
    """Let a check not be met."""
    return also(web or Workload(), checks=(check(answer=answer),), **more)


def met(web: Workload | None = None, **more: Any) -> Workload:
    """Let every check be met."""
    return also(web or Workload(), checks=(check(met=True),), **more)


def done(path: tuple[str | int, ...], value: object) -> Workload:
    """Let a rollout end well."""
    web = new(path, value, runs())
    web.pods = web.pods[2:]
    return web


def on_node(**conditions: Any) -> Workload:
    """Let the one node's pods be unready."""
    web = Workload()
    unready(web)
    return also(web, nodes=(node(**conditions),))


def on_two_nodes(**more: Any) -> Workload:
    """Let a pod on the second node be unready."""
    web = Workload()
    unready(web, 1, on="node-2")
    return also(web, nodes=(node(), node("node-2", **more)))


def pressed() -> Workload:
    """Let a node evict a pod for want of disk."""
    web = Workload()
    evicted(web, "The node was low on resource: ephemeral-storage. ")
    return also(web, nodes=(node(DiskPressure="True"),))


def held(seconds: float, *finalizers: str) -> Workload:
    """Let a pod be on its way out."""
    web = Workload()
    terminating(web, seconds, *finalizers)
    return web


def unbound(**more: Any) -> Workload:
    """Let a claim have no volume."""
    web = mounting_claim(Workload())
    web.replace_pod(waits(""), scheduling=UNBOUND)
    return also(web, claims=(claim("Pending", volume="", **more),))


def lost() -> Workload:
    """Let a claim have lost its volume."""
    web = mounting_claim(Workload())
    web.replace_pod(waits(""), scheduling='0/1 nodes are available: persistentvolumeclaim "data" bound to nothing.')
    return also(web, claims=(claim("Lost"),))


def full() -> Workload:
    """Let a container end for want of space."""
    web = mounting_claim(Workload())
    web.replace_pod(crashes(4))
    return also(web, logs=(LogFacts(pod="web-good-3", container="app", line="no space left on device"),))


def not_ready() -> Workload:
    """Let all pods be unready."""
    web = Workload()
    web.pods = [web.pod(name, "7d9f", app=runs(ready=False, seconds=300)) for name in ("web-1", "web-2")]
    for name in ("pod/web-1", "pod/web-2"):
        web.event(name, "Unhealthy", UNREADY, count=9, container="app")
    return web


def hanging_database() -> Workload:
    """Let the one pod of an upstream be unready, and so the workload's."""
    down = Workload(reference="statefulset/depot")
    down.pods = [down.pod("depot-0", "7d9f", app=runs(ready=False, seconds=300))]
    down.event("pod/depot-0", "Unhealthy", UNREADY, count=9, container="app")
    return also(not_ready(), upstreams=(down.facts(),))


def newer_pods() -> Workload:
    """Let the pods be newer than what is in their environment."""
    web = Workload()
    web.pods = [web.pod(name, "7d9f", created=ago(80), app=runs(seconds=75)) for name in ("a", "b")]
    return web


def https_alone_wrong() -> Workload:
    """Let one of two ports of a Service lead to nobody."""
    web, one = unmet(), service("web", app="web")
    other = service("web", 8444, app="web").spec.ports[0]
    spec = type(one.spec)(selector={"app": "web"}, ports=(*one.spec.ports, other))
    return also(web, services=(type(one)(metadata=one.metadata, spec=spec),))


def unrequested() -> Workload:
    """Let an autoscaler have no request to measure by."""
    return met(autoscalers=(autoscaler("ScalingActive", "False", "FailedGetResourceMetric", "missing request"),))


def without_metrics() -> Workload:
    """Let an autoscaler have no metrics."""
    web = Workload()
    for container in web.template["spec"]["containers"]:
        container["resources"] = {"requests": {"cpu": "10m"}}
    return met(web, autoscalers=(autoscaler("ScalingActive", "False", "FailedGetResourceMetric", "no metrics"),))


def waiting_for_upstream() -> Workload:
    """Let an init container wait for an upstream that is at none."""
    web = old(WAITS, migrate=runs(ready=False, seconds=200), metrics=WAITS)
    return also(web, upstreams=(depot(**AT_ZERO),))


DEPO = (HostReference(field=FIELD, host="depo", port=80),)
TO_CACHE = [{"to": [{"podSelector": {"matchLabels": {"app": "cache"}}}]}]
FROM_WEB = [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]
DENY = policy("deny-depot", POD_LABELS, policyTypes=["Ingress"])
EGRESS = policy("api-egress", {"app": "web"}, policyTypes=["Egress"], egress=TO_CACHE)
LETS_IN = policy("lets-in", {"app": "web"}, policyTypes=["Ingress"], ingress=FROM_WEB)
DNS = NameServerFacts(service="kube-dns", ready=0)
WIDE = (SharedService(name="web", pods=("depot-0",), own=("depot",)),)

BROKEN: Mapping[str, Callable[[], Workload]] = {
    "node-lost": lambda: on_two_nodes(Ready="Unknown"),
    "node-silent": lambda: on_node(Ready="Unknown"),
    "node-without-network": lambda: on_two_nodes(others=(3, 0)),
    "node-disk-pressure": pressed,
    "pod-held-by-finalizer": lambda: held(90, "parcels.test/hold"),
    "ends-slowly": lambda: held(-20),
    "claim-without-volume": lambda: unbound(class_exists=None),
    "claim-of-no-class": lambda: unbound(class_exists=False, storage_class="fast"),
    "volume-lost": lost,
    "volume-folder-gone": lambda: also(
        starting("FailedMount", FOLDER), claims=(claim(volume_field="spec.hostPath.path"),)
    ),
    "volume-full": full,
    "volume-full-can-grow": full,
    "volume-attached-elsewhere": lambda: also(starting("FailedAttachVolume", ATTACHED), claims=(claim(),)),
    "scaled-to-one": met,
    "target-port-wrong": lambda: unmet(services=(service("web", 9999, app="web"),)),
    "policy-lets-in": lambda: unmet(services=(service("web", 9999, app="web"),), policies=(LETS_IN,)),
    "https-port-wrong": https_alone_wrong,
    "service-deleted": lambda: unmet(governing="depot"),
    "selector-too-wide": lambda: also(Workload(), services=(service("web", **{"part-of": "shop"}),), shared=WIDE),
    "host-name-wrong": lambda: unmet(done((*APP, "env", 0, "value"), "http://depo"), hosts=DEPO),
    "resolver-wrong": lambda: unmet(done(("spec", "dnsPolicy"), "None"), SILENT),
    "cluster-dns-down": lambda: unmet(name_server=DNS),
    "upstream-at-zero": lambda: unmet(upstreams=(depot(**AT_ZERO),)),
    "database-hangs": hanging_database,
    "init-waits-for-upstream": waiting_for_upstream,
    "ready-and-hanging": lambda: unmet(answer="no answer within 2s"),
    "hanging-for-ever": lambda: unmet(answer="no answer within 2s"),
    "answers-500": lambda: unmet(done((*APP, "image"), "shop:deaf")),
    "routes-wrong": lambda: unmet(configurations=(written("routes", "routes", 90, kind=MAP),)),
    "token-wrong": lambda: unmet(newer_pods(), configurations=(written("token", "token", 90),)),
    "secret-rotated": lambda: unmet(configurations=(written("token", "token", 90),)),
    "setting-not-yet-read": lambda: met(
        configurations=(written("settings", "currency", 90, kind=ConfigurationType.CONFIG_MAP),)
    ),
    "policy-denies-ingress": lambda: unmet(upstreams=(depot(),), policies=(DENY,)),
    "policy-denies-egress": lambda: also(not_ready(), upstreams=(depot(),), policies=(EGRESS,)),
    "autoscaler-without-request": unrequested,
    "autoscaler-without-metrics": without_metrics,
    "autoscaler-stopped-by-quota": lambda: refused(SHORT),
    "autoscaler-at-maximum": lambda: met(autoscalers=(autoscaler("ScalingLimited", "True", "TooManyReplicas"),)),
    "budget-blocks-drain": lambda: met(nodes=(node(cordoned=True),), budgets=(budget(),)),
    "drain-is-slow": lambda: also(held(-20), nodes=(node(cordoned=True),)),
    "certificate-expired": lambda: unmet(answer=EXPIRED, configurations=(written("tls", "tls.crt", 9000),)),
    "observer-dns-down": lambda: unmet(observer=ObserverFacts(doubt="our own name server does not answer")),
    "api-server-away": lambda: met(observer=ObserverFacts(stale="the watch of pods is stale")),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_row_s_cause_is_the_first_one_and_no_surer_than_the_row_allows(fault: str) -> None:
    assert_first(fault, BROKEN[fault]().causes())
