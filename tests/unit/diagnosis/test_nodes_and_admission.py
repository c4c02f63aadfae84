"""Unschedulable, Node, Volume and PodCreation: who keeps a pod from a node, and who from being made."""

import pytest

from kubediagnosis.causes import CauseKind, Confidence
from kubediagnosis.facts import NodeFacts, WebhookFacts
from tests.unit.diagnosis.around import bare_node
from tests.unit.diagnosis.workload import Workload, row, waits

CERTAIN, LIKELY = Confidence.CERTAIN, Confidence.LIKELY
SPEC, APP = ("spec",), ("spec", "containers", 0)
NONE = "0/1 nodes are available: "
HELP = ". preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."

OBSTACLES = (
    (
        (*APP, "resources", "requests", "memory"),
        "900Gi",
        "1 Insufficient memory",
        "containers[app].resources.requests.memory",
    ),
    (
        (*SPEC, "nodeSelector"),
        {"disk": "ssd"},
        "1 node(s) didn't match Pod's node affinity/selector",
        "nodeSelector[disk]",
    ),
    (
        (*SPEC, "affinity"),
        {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "x"}]}},
        "1 node(s) didn't match pod anti-affinity rules",
        "affinity.podAntiAffinity",
    ),
    (
        (*APP, "ports"),
        [{"name": "http", "containerPort": 8080, "hostPort": 9301}],
        "1 node(s) didn't have free ports for the requested pod ports",
        "containers[app].ports[http].hostPort",
    ),
)


@pytest.mark.parametrize(
    ("reason", "said"), [("TriggeredScaleUp", "pod triggered scale-up"), ("Nominated", "on: node-7")]
)
def test_a_pod_for_which_a_node_is_being_made_has_no_cause_until_the_node_is_late(reason: str, said: str) -> None:
    """A rollout that needs a larger cluster is not a bad one."""
    path, value, why, field = OBSTACLES[0]
    web = Workload()
    web.change(path, value)
    web.roll_out(scheduling=NONE + why + HELP)
    web.event("pod/web-new-1", reason, said, seconds=60)
    assert web.causes() == ()
    web.events.clear()
    web.event("pod/web-new-1", reason, said, seconds=16 * 60)
    assert row(web.causes()[0])[2] == field


def test_a_node_selector_that_leads_away_from_the_volume_is_the_cause() -> None:
    web = Workload()
    web.change((*SPEC, "nodeSelector"), {"kubernetes.io/hostname": "node-2"})
    said = "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had volume node affinity conflict."
    web.roll_out(scheduling=said)
    field = "nodeSelector[kubernetes.io/hostname]"
    assert row(web.causes()[0]) == (CauseKind.UNSCHEDULABLE, "deployment/web", field, CERTAIN)


def test_a_second_obstacle_makes_the_template_only_likely() -> None:
    web = Workload()
    web.change((*APP, "resources", "requests", "memory"), "2Gi")
    web.roll_out(scheduling="0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint {a: b}.")
    assert web.causes()[0].confidence is LIKELY


@pytest.mark.parametrize(
    ("said", "node", "field"),
    [
        ("1 node(s) were unschedulable", bare_node("n1", cordoned=True), "spec.unschedulable"),
        (
            "1 node(s) had untolerated taint {node.kubernetes.io/unschedulable: }",
            bare_node("n1", cordoned=True, taints=("node.kubernetes.io/unschedulable",)),
            "spec.unschedulable",
        ),
        (
            "1 node(s) had untolerated taint {dedicated: batch}",
            bare_node("n1", taints=("dedicated",)),
            "spec.taints[dedicated]",
        ),
        (
            "1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }",
            bare_node("n1", taints=("node.kubernetes.io/not-ready",)),
            "status.conditions[Ready]",
        ),
    ],
)
@pytest.mark.parametrize("new", [False, True], ids=["good template", "new template"])
def test_a_node_that_is_cordoned_or_tainted_is_the_cause(said: str, node: NodeFacts, field: str, new: bool) -> None:
    """Also where a new template asks for too much: the scheduler names the node alone."""
    web = Workload()
    web.more["nodes"] = (node,)
    if new:
        web.change((*APP, "resources", "requests", "memory"), "900Gi")
        web.roll_out(scheduling=NONE + said)
    else:
        web.replace_pod(waits(""), scheduling=NONE + said)
    (cause,) = web.causes()
    assert row(cause) == (CauseKind.NODE, "node/n1", field, CERTAIN)


def test_a_taint_of_several_is_only_likely() -> None:
    """That of the control plane is there on purpose."""
    web = Workload()
    web.more["nodes"] = (
        bare_node("n1", taints=("node-role.kubernetes.io/control-plane",)),
        bare_node("n2", taints=("dedicated",)),
    )
    one, other = (
        f"1 node(s) had untolerated taint {{{key}}}"
        for key in ("dedicated: x", "node-role.kubernetes.io/control-plane: ")
    )
    web.replace_pod(waits(""), scheduling=f"0/2 nodes are available: {one}, {other}.")
    assert {(each.object, each.confidence) for each in web.causes()} == {("node/n1", LIKELY), ("node/n2", LIKELY)}


def test_a_full_node_is_the_likely_cause_where_the_template_asks_for_what_it_always_did() -> None:
    web = Workload()
    web.more["nodes"] = (bare_node("n1"),)
    web.replace_pod(waits(""), scheduling=NONE + "1 Insufficient memory" + HELP)
    assert row(web.causes()[0]) == (CauseKind.NODE, "node/n1", "status.allocatable[memory]", LIKELY)


def test_a_pod_without_a_node_is_never_certain_where_nothing_shows_who_changed() -> None:
    web = Workload()
    web.replace_pod(waits(""), scheduling=NONE + "1 Insufficient memory")
    field = "containers[app].resources.requests.memory"
    assert row(web.causes()[0]) == (CauseKind.UNSCHEDULABLE, "deployment/web", field, LIKELY)


def test_a_claim_that_a_new_template_names_and_that_is_not_there_is_the_template_s() -> None:
    web = Workload()
    web.template["spec"]["volumes"].append({"name": "cache", "persistentVolumeClaim": {"claimName": "cash"}})
    web.roll_out(scheduling='0/1 nodes are available: persistentvolumeclaim "cash" not found.')
    (cause,) = web.causes()
    assert (cause.kind, cause.object, cause.confidence) == (CauseKind.VOLUME, "deployment/web", CERTAIN)


def test_a_claim_that_has_no_volume_is_the_likely_cause() -> None:
    web = Workload()
    web.template["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}})
    web.replace_pod(waits(""), scheduling=NONE + "pod has unbound immediate PersistentVolumeClaims.")
    assert row(web.causes()[0]) == (CauseKind.VOLUME, "persistentvolumeclaim/data-web-0", "status.phase", LIKELY)


POD = 'pods "web-x" is forbidden: '
REFUSALS = (
    (
        POD + "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1",
        ("resourcequota/small", "spec.hard[pods]"),
    ),
    (
        POD + "failed quota: memory: must specify limits.memory for: app",
        ("resourcequota/memory", "spec.hard[limits.memory]"),
    ),
    (
        POD + 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
        ("namespace/shop", "metadata.labels[pod-security.kubernetes.io/enforce]"),
    ),
    (POD + 'error looking up service account shop/web: serviceaccount "web" not found', ("serviceaccount/web", "")),
)
CREATION = CauseKind.POD_CREATION


@pytest.mark.parametrize(("said", "who"), REFUSALS)
@pytest.mark.parametrize("by_event", [True, False])
def test_a_refusal_of_pods_of_a_good_template_is_of_the_object_that_refuses(
    said: str, who: tuple[str, str], by_event: bool
) -> None:
    web = Workload()
    del web.pods[0]
    if by_event:
        web.event("replicaset/web-7d9f", "FailedCreate", f"Error creating: {said}")
    else:
        web.condition("replicaset/web-7d9f", said)
    (cause,) = web.causes()
    assert row(cause) == (CREATION, *who, CERTAIN)


def test_a_limit_that_a_new_template_raised_above_the_range_is_the_template_s() -> None:
    web = Workload()
    web.change((*APP, "resources", "limits", "memory"), "512Mi")
    web.roll_out()
    del web.pods[-1]
    web.condition("replicaset/web-5c4b", POD + "maximum memory usage per Container is 256Mi, but limit is 512Mi")
    field = "containers[app].resources.limits.memory"
    assert row(web.causes()[0]) == (CREATION, "deployment/web", field, CERTAIN)


def test_a_quota_that_a_new_template_grew_beyond_is_the_template_s() -> None:
    web = Workload()
    web.change((*APP, "resources", "requests", "memory"), "8Gi")
    web.roll_out()
    del web.pods[-1]
    said = (
        "exceeded quota: small, requested: requests.memory=8Gi, used: requests.memory=1Gi, limited: requests.memory=4Gi"
    )
    web.condition("deployment/web", POD + said)
    field = "containers[app].resources.requests.memory"
    assert row(web.causes()[0]) == (CREATION, "deployment/web", field, CERTAIN)


WEBHOOK = (
    'Internal error occurred: failed calling webhook "guard.shop.test": failed to call webhook: Post "https://guard": '
)
REFUSED = "dial tcp 10.0.0.1:443: connect: connection refused"
EXPIRED = (
    "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
    "current time 2026-11-27T09:00:00Z is after 2026-11-26T00:00:00Z"
)


@pytest.mark.parametrize(("why", "kind"), [(REFUSED, CREATION), (EXPIRED, CauseKind.CERTIFICATE)])
@pytest.mark.parametrize("known", [True, False])
def test_a_webhook_that_fails_is_named_by_its_configuration_where_that_was_read(
    why: str, kind: CauseKind, known: bool
) -> None:
    web = Workload()
    del web.pods[0]
    web.condition("replicaset/web-7d9f", WEBHOOK + why)
    if known:
        guard = WebhookFacts(reference="validatingwebhookconfiguration/guard", names=("guard.shop.test",))
        web.more["webhooks"] = (guard,)
    holder, confidence = ("validatingwebhookconfiguration/guard", CERTAIN) if known else ("", LIKELY)
    assert row(web.causes()[0]) == (kind, holder, "webhooks[guard.shop.test]", confidence)


@pytest.mark.parametrize(("seconds", "pods"), [(20, 2), (3600, 1)], ids=["all pods are there", "long ago"])
def test_a_refusal_that_is_over_is_no_cause(seconds: float, pods: int) -> None:
    web = Workload()
    web.pods = web.pods[:pods]
    said = "Error creating: " + REFUSALS[0][0]
    web.event("replicaset/web-7d9f", "FailedCreate", said, seconds=seconds)
    assert web.causes() == ()
