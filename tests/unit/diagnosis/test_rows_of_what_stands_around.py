"""The rows of docs/faults.md about what stands around a workload: the row's cause is the first, and no surer than it may be."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kubediagnosis.facts import (
    ConfigurationType,
    HostReference,
    LogFacts,
    NameServerFacts,
    ObserverFacts,
    SharedService,
)
from tests.unit.diagnosis.around import (
    AT_ZERO,
    POD_LABELS,
    autoscaler,
    budget,
    claim,
    depot,
    met,
    mounting_claim,
    node,
    policy,
    service,
    unmet,
    written,
)
from tests.unit.diagnosis.test_checks_and_names import EXPIRED, FIELD, MAP, SILENT
from tests.unit.diagnosis.test_nodes_and_volumes import (
    ATTACHED,
    FOLDER,
    FOLDER_S,
    UNBOUND,
    evicted,
    starting,
    terminating,
    unseen,
)
from tests.unit.diagnosis.test_rows_of_the_faults_page import assert_first, refused
from tests.unit.diagnosis.workload import APP, Workload, ago, crashes, old, rolled_out, runs, unplaced, unready, waits

SHORT = 'pods "web-x" is forbidden: exceeded quota: now, requested: pods=1, used: pods=11, limited: pods=11'


def on_two_nodes(**more: Any) -> Workload:
    """Let a pod on the second node be unready."""
    return unseen(Workload(), 1, on="node-2").also(nodes=(node(), node("node-2", **more)))


def unbound(**more: Any) -> Workload:
    """Let a claim have no volume."""
    return unplaced(UNBOUND, mounting_claim(), claims=(claim("Pending", volume="", **more),))


def full() -> Workload:
    """Let a container end for want of space."""
    said = LogFacts(pod="web-good-3", container="app", line="no space left on device")
    return mounting_claim().replace_pod(crashes(4)).also(logs=(said,))


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
    return web.also(services=(type(one)(metadata=one.metadata, spec=spec),))


def unmeasured(web: Workload, message: str) -> Workload:
    """Let an autoscaler have nothing to measure by."""
    return met(web, autoscalers=(autoscaler("ScalingActive", "False", "FailedGetResourceMetric", message),))


def without_metrics() -> Workload:
    """Let an autoscaler have no metrics."""
    web = Workload()
    for container in web.template["spec"]["containers"]:
        container["resources"] = {"requests": {"cpu": "10m"}}
    return unmeasured(web, "no metrics")


def waiting_for_upstream() -> Workload:
    """Let an init container wait for an upstream that is at none."""
    first = waits("PodInitializing")
    return old(first, migrate=runs(ready=False, seconds=200), metrics=first).also(upstreams=(depot(**AT_ZERO),))


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
    "node-silent": lambda: unseen(Workload()).also(nodes=(node(Ready="Unknown"),)),
    "node-without-network": lambda: on_two_nodes(others=(3, 0)),
    "node-disk-pressure": lambda: evicted("The node was low on resource: ephemeral-storage. ").also(
        nodes=(node(DiskPressure="True"),)
    ),
    "pod-held-by-finalizer": lambda: terminating(90, "parcels.test/hold"),
    "ends-slowly": lambda: terminating(-20),
    "claim-without-volume": lambda: unbound(class_exists=None),
    "claim-of-no-class": lambda: unbound(class_exists=False, storage_class="fast"),
    "volume-lost": lambda: unplaced(
        'persistentvolumeclaim "data" bound to nothing.', mounting_claim(), claims=(claim("Lost"),)
    ),
    "volume-folder-gone": lambda: starting("FailedMount", FOLDER, claims=(FOLDER_S,)),
    "volume-full": full,
    "volume-full-can-grow": full,
    "volume-attached-elsewhere": lambda: starting("FailedAttachVolume", ATTACHED, claims=(claim(),)),
    "scaled-to-one": met,
    "target-port-wrong": lambda: unmet(services=(service("web", 9999, app="web"),)),
    "policy-lets-in": lambda: unmet(services=(service("web", 9999, app="web"),), policies=(LETS_IN,)),
    "https-port-wrong": https_alone_wrong,
    "service-deleted": lambda: unmet(governing="depot"),
    "selector-too-wide": lambda: Workload().also(services=(service("web", **{"part-of": "shop"}),), shared=WIDE),
    "host-name-wrong": lambda: unmet(rolled_out((*APP, "env", 0, "value"), "http://depo"), hosts=DEPO),
    "resolver-wrong": lambda: unmet(rolled_out(("spec", "dnsPolicy"), "None"), answer=SILENT),
    "cluster-dns-down": lambda: unmet(name_server=DNS),
    "upstream-at-zero": lambda: unmet(upstreams=(depot(**AT_ZERO),)),
    "database-hangs": lambda: unready("a", "b").also(
        upstreams=(unready("depot-0", reference="statefulset/depot").facts(),)
    ),
    "init-waits-for-upstream": waiting_for_upstream,
    "ready-and-hanging": lambda: unmet(answer="no answer within 2s"),
    "hanging-for-ever": lambda: unmet(answer="no answer within 2s"),
    "answers-500": lambda: unmet(rolled_out((*APP, "image"), "shop:deaf")),
    "routes-wrong": lambda: unmet(configurations=(written("routes", "routes", 90, kind=MAP),)),
    "token-wrong": lambda: unmet(newer_pods(), configurations=(written("token", "token", 90),)),
    "secret-rotated": lambda: unmet(configurations=(written("token", "token", 90),)),
    "setting-not-yet-read": lambda: met(
        configurations=(written("settings", "currency", 90, kind=ConfigurationType.CONFIG_MAP),)
    ),
    "policy-denies-ingress": lambda: unmet(upstreams=(depot(),), policies=(DENY,)),
    "policy-denies-egress": lambda: unready("a", "b").also(upstreams=(depot(),), policies=(EGRESS,)),
    "autoscaler-without-request": lambda: unmeasured(Workload(), "missing request"),
    "autoscaler-without-metrics": without_metrics,
    "autoscaler-stopped-by-quota": lambda: refused(SHORT),
    "autoscaler-at-maximum": lambda: met(autoscalers=(autoscaler("ScalingLimited", "True", "TooManyReplicas"),)),
    "budget-blocks-drain": lambda: met(nodes=(node(cordoned=True),), budgets=(budget(),)),
    "drain-is-slow": lambda: terminating(-20).also(nodes=(node(cordoned=True),)),
    "certificate-expired": lambda: unmet(answer=EXPIRED, configurations=(written("tls", "tls.crt", 9000),)),
    "observer-dns-down": lambda: unmet(observer=ObserverFacts(doubt="our own name server does not answer")),
    "api-server-away": lambda: met(observer=ObserverFacts(stale="the watch of pods is stale")),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_row_s_cause_is_the_first_one_and_no_surer_than_the_row_allows(fault: str) -> None:
    assert_first(fault, BROKEN[fault]().causes())
