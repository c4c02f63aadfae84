"""NetworkPolicy: policies are evaluated as Kubernetes defines them, and what they deny is likely why an upstream is not reached."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from kubediagnosis.causes import CauseKind
from kubediagnosis.facts import HostReference
from kubediagnosis.network_policies import Peer, denying
from kubeobjects.network import ServicePort
from tests.unit.diagnosis.around import POD_LABELS, depot, met, policy, service, unmet
from tests.unit.diagnosis.workload import Workload, row

SHOP: dict[str, Any] = {"namespace": "shop", "namespace_labels": {"team": "shop"}, "ports": {"http": 8080}}
SOURCE = Peer(labels={"app": "web"}, addresses=("10.0.1.7",), **SHOP)
TARGET = Peer(labels=POD_LABELS, addresses=("10.0.1.8",), **SHOP)
FROM_WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
PORT = {"ports": [{"port": 8080}]}


def expressed(key: str, operator: str, values: Sequence[str] = ()) -> list[Any]:
    """Return a rule for peers whose label is so."""
    expression = {"key": key, "operator": operator, **({"values": values} if values else {})}
    return [{"from": [{"podSelector": {"matchExpressions": [expression]}}]}]


@pytest.mark.parametrize(
    ("ingress", "allowed"),
    [
        ([], False),
        ([{}], True),
        ([{"from": [FROM_WEB]}], True),
        ([{"from": [{"podSelector": {"matchLabels": {"app": "other"}}}]}], False),
        ([{"from": [{"podSelector": {}}]}], True),
        ([{"from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}]}], True),
        ([{"from": [{"namespaceSelector": {"matchLabels": {"team": "x"}}}]}], False),
        ([{"from": [{**FROM_WEB, "namespaceSelector": {"matchLabels": {"team": "x"}}}]}], False),
        (expressed("app", "In", ["web"]), True),
        (expressed("app", "NotIn", ["web"]), False),
        (expressed("tier", "Exists"), False),
        (expressed("tier", "DoesNotExist"), True),
        ([{"from": [{"ipBlock": {"cidr": "10.0.0.0/16"}}]}], True),
        ([{"from": [{"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.1.0/24"]}}]}], False),
        ([{"from": [{"ipBlock": {"cidr": "192.168.0.0/16"}}]}], False),
        ([PORT], True),
        ([{"ports": [{"port": "http"}]}], True),
        ([{"ports": [{"port": 8000, "endPort": 9000}]}], True),
        ([{"ports": [{"port": 9000}]}], False),
        ([{"ports": [{"port": 8080, "protocol": "UDP"}]}], False),
        ([{"ports": [{"port": 9000}]}, {"from": [FROM_WEB], **PORT}], True),
    ],
)
def test_an_ingress_rule_lets_through_what_its_peers_and_ports_name(ingress: list[Any], allowed: bool) -> None:
    found = denying([policy("p", POD_LABELS, policyTypes=["Ingress"], ingress=ingress)], SOURCE, TARGET, 8080)
    assert (found is None) is allowed
    assert found is None or found[0] == "Ingress"


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        ({"policyTypes": ["Egress"]}, False),
        ({"policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": {"matchLabels": POD_LABELS}}]}]}, True),
        ({"egress": [{"to": [{"podSelector": {"matchLabels": {"app": "cache"}}}]}]}, False),
        ({"policyTypes": ["Ingress"]}, True),
    ],
)
def test_the_egress_of_a_pod_is_denied_only_by_a_policy_about_egress(body: dict[str, Any], allowed: bool) -> None:
    assert (denying([policy("p", {"app": "web"}, **body)], SOURCE, TARGET, 8080) is None) is allowed


def test_a_namespace_whose_labels_are_not_known_is_not_taken_for_a_denial() -> None:
    nameless = Peer(namespace="other", labels={"app": "web"})
    rule = [{"from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}]}]
    assert denying([policy("p", POD_LABELS, policyTypes=["Ingress"], ingress=rule)], nameless, TARGET, 8080) is None


DENY = policy("deny-depot", POD_LABELS, policyTypes=["Ingress"], ingress=[])
POLICY = CauseKind.NETWORK_POLICY


def behind(*policies: Any, **more: Any) -> Workload:
    """Let a check of the workload not be met, with an upstream that is well."""
    return unmet(**{"upstreams": (depot(),), "policies": policies, **more})


def test_the_last_made_policy_of_those_that_deny_together_is_the_cause() -> None:
    older = policy("older", POD_LABELS, 9000, policyTypes=["Ingress"], ingress=[{"ports": [{"port": 9102}]}])
    assert row(behind(older, DENY).causes()[0])[1] == "networkpolicy/deny-depot"


@pytest.mark.parametrize(
    "more",
    [
        {"policies": (policy("lets-in", POD_LABELS, policyTypes=["Ingress"], ingress=[{"from": [FROM_WEB]}]),)},
        {"policies": (DENY,), "upstreams": ()},
        {"policies": (policy("elsewhere", {"app": "other"}, policyTypes=["Ingress"]),)},
    ],
    ids=["it allows this", "nothing depends on it", "about other pods"],
)
def test_a_policy_that_denies_nothing_that_is_needed_is_no_cause(more: dict[str, Any]) -> None:
    assert POLICY not in {each.kind for each in behind(**more).causes()}


def test_a_policy_is_no_cause_while_every_check_is_met() -> None:
    """The cluster's network may not hold to policies at all."""
    assert met(behind(DENY)).causes() == ()


@pytest.mark.parametrize(("port", "denied"), [(80, True), (9000, False)])
def test_only_the_port_that_a_variable_names_has_to_be_let_through(port: int, denied: bool) -> None:
    """The policy lets the metrics of the upstream through, and nothing else."""
    metrics = policy("metrics", POD_LABELS, policyTypes=["Ingress"], ingress=[{"ports": [{"port": 9102}]}])
    both = service()
    ports = (*both.spec.ports, ServicePort(name="m", port=9000, target_port=9102))
    both = replace(both, spec=replace(both.spec, ports=ports))
    hosts = (HostReference(field="containers[app].env[UPSTREAM]", host="depot", port=port),)
    causes = behind(metrics, upstreams=(depot(services=(both,)),), hosts=hosts).causes()
    assert (POLICY in {each.kind for each in causes}) is denied


def test_a_policy_that_lets_nobody_in_is_the_cause_of_a_check_that_is_not_met() -> None:
    web = behind(policy("shut", {"app": "web"}, policyTypes=["Ingress"]), upstreams=())
    assert row(web.causes()[0])[:3] == (POLICY, "networkpolicy/shut", "spec.ingress")
