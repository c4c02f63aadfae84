"""Unschedulable, Node, Volume and PodCreation: who keeps a pod from a node, and who from being made."""

import pytest

from kubediagnosis.causes import CauseKind
from kubediagnosis.facts import NodeFacts, WebhookFacts
from tests.unit.diagnosis.around import bare_node, mounting_claim
from tests.unit.diagnosis.workload import APP, CERTAIN, LIKELY, NONE, Workload, new, old, row, unplaced, waits

HELP = ". preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
ASKED, ASKED_FIELD = (*APP, "resources", "requests", "memory"), "containers[app].resources.requests.memory"
TEMPLATE_S = (CauseKind.UNSCHEDULABLE, "deployment/web")


@pytest.mark.parametrize(
    ("reason", "said"), [("TriggeredScaleUp", "pod triggered scale-up"), ("Nominated", "on: node-7")]
)
def test_a_pod_for_which_a_node_is_being_made_has_no_cause_until_the_node_is_late(reason: str, said: str) -> None:
    """A rollout that needs a larger cluster is not a bad one."""
    web = new(ASKED, "900Gi", scheduling=f"{NONE}1 Insufficient memory{HELP}")
    assert web.event("pod/web-new-1", reason, said, seconds=60).causes() == ()
    web.events.clear()
    assert row(web.event("pod/web-new-1", reason, said, seconds=16 * 60).causes()[0])[2] == ASKED_FIELD


def test_a_node_selector_that_leads_away_from_the_volume_is_the_cause() -> None:
    said = "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had volume node affinity conflict."
    web = new(("spec", "nodeSelector"), {"kubernetes.io/hostname": "node-2"}, scheduling=said)
    assert row(web.causes()[0]) == (*TEMPLATE_S, "nodeSelector[kubernetes.io/hostname]", CERTAIN)


def test_a_second_obstacle_makes_the_template_only_likely() -> None:
    said = "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint {a: b}."
    assert new(ASKED, "2Gi", scheduling=said).causes()[0].confidence is LIKELY


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
@pytest.mark.parametrize("is_new", [False, True], ids=["good template", "new template"])
def test_a_node_that_is_cordoned_or_tainted_is_the_cause(said: str, node: NodeFacts, field: str, is_new: bool) -> None:
    """Also where a new template asks for too much: the scheduler names the node alone."""
    web = new(ASKED, "900Gi", scheduling=NONE + said) if is_new else unplaced(said)
    (cause,) = web.also(nodes=(node,)).causes()
    assert row(cause) == (CauseKind.NODE, "node/n1", field, CERTAIN)


def test_a_taint_of_several_is_only_likely() -> None:
    """That of the control plane is there on purpose."""
    control_plane = "node-role.kubernetes.io/control-plane"
    one, other = (f"1 node(s) had untolerated taint {{{key}}}" for key in ("dedicated: x", f"{control_plane}: "))
    web = old(waits(""), scheduling=f"0/2 nodes are available: {one}, {other}.")
    web.also(nodes=(bare_node("n1", taints=(control_plane,)), bare_node("n2", taints=("dedicated",))))
    assert {(each.object, each.confidence) for each in web.causes()} == {("node/n1", LIKELY), ("node/n2", LIKELY)}


def test_a_full_node_is_the_likely_cause_where_the_template_asks_for_what_it_always_did() -> None:
    web = unplaced(f"1 Insufficient memory{HELP}", nodes=(bare_node("n1"),))
    assert row(web.causes()[0]) == (CauseKind.NODE, "node/n1", "status.allocatable[memory]", LIKELY)


def test_a_pod_without_a_node_is_never_certain_where_nothing_shows_who_changed() -> None:
    assert row(unplaced("1 Insufficient memory").causes()[0]) == (*TEMPLATE_S, ASKED_FIELD, LIKELY)


def test_a_claim_that_a_new_template_names_and_that_is_not_there_is_the_template_s() -> None:
    web = Workload()
    web.template["spec"]["volumes"].append({"name": "cache", "persistentVolumeClaim": {"claimName": "cash"}})
    web.roll_out(scheduling='0/1 nodes are available: persistentvolumeclaim "cash" not found.')
    (cause,) = web.causes()
    assert (cause.kind, cause.object, cause.confidence) == (CauseKind.VOLUME, "deployment/web", CERTAIN)


def test_a_claim_that_has_no_volume_is_the_likely_cause() -> None:
    web = unplaced("pod has unbound immediate PersistentVolumeClaims.", mounting_claim())
    assert row(web.causes()[0]) == (CauseKind.VOLUME, "persistentvolumeclaim/data", "status.phase", LIKELY)


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


@pytest.mark.parametrize(
    ("holder", "amount", "value", "said"),
    [
        ("replicaset/web-5c4b", "limits", "512Mi", "maximum memory usage per Container is 256Mi, but limit is 512Mi"),
        (
            "deployment/web",
            "requests",
            "8Gi",
            "exceeded quota: small, requested: requests.memory=8Gi, used: requests.memory=1Gi, limited: requests.memory=4Gi",
        ),
    ],
    ids=["above the range", "beyond the quota"],
)
def test_an_amount_that_a_new_template_raised_too_far_is_the_template_s(
    holder: str, amount: str, value: str, said: str
) -> None:
    web = new((*APP, "resources", amount, "memory"), value)
    del web.pods[-1]
    web.condition(holder, POD + said)
    assert row(web.causes()[0]) == (CREATION, "deployment/web", f"containers[app].resources.{amount}.memory", CERTAIN)


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
    guard = WebhookFacts(reference="validatingwebhookconfiguration/guard", names=("guard.shop.test",))
    web = Workload().also(webhooks=(guard,) if known else ())
    del web.pods[0]
    web.condition("replicaset/web-7d9f", WEBHOOK + why)
    holder, confidence = ("validatingwebhookconfiguration/guard", CERTAIN) if known else ("", LIKELY)
    assert row(web.causes()[0]) == (kind, holder, "webhooks[guard.shop.test]", confidence)


@pytest.mark.parametrize(("seconds", "pods"), [(20, 2), (3600, 1)], ids=["all pods are there", "long ago"])
def test_a_refusal_that_is_over_is_no_cause(seconds: float, pods: int) -> None:
    web = Workload()
    web.pods = web.pods[:pods]
    said = "Error creating: " + REFUSALS[0][0]
    assert web.event("replicaset/web-7d9f", "FailedCreate", said, seconds=seconds).causes() == ()
