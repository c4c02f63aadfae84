"""The cluster's DNS and the ledger's database are changed by nobody's runbook, wherever they run (E23, P8)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.preconditions import refuse_essential
from kintsugi.clients.resolver import nameservers
from kintsugi.commands import parse
from kintsugi.decisions.guards import Limits, check
from kintsugi.decisions.planner import plan
from kintsugi.errors import Refused
from kintsugi.model.command import ObjectName
from kintsugi.model.essentials import DNS, LEDGER
from kintsugi.model.history import History
from kintsugi.model.records import Phase, Reason, StepRecord, StepState, VerdictKind
from kintsugi.runner.context import StepScope
from kubeobjects.kept import EndpointSlice, KubeService, Metadata
from kubeobjects.metadata import OwnerReference
from kubeobjects.network import SERVICE_NAME, Endpoint, ServicePort, ServiceSpec
from kubeobjects.pods import ClaimVolume, PodSpec, Volume
from kubeobjects.resources import DEPLOYMENTS, PODS, PVCS, PVS, STATEFULSETS, Resource
from tests.unit.actions.changes import Cluster
from tests.unit.factories import NOW, pod, run
from tests.unit.pipeline.business import PipelineBench

pytestmark = pytest.mark.looptime

STEP = StepRecord(run="run-1", path="x", state=StepState.PLANNED)
AT = StepScope(phase=Phase.FORWARD, service="web", runbook="mend")


def front(
    name: str, selector: dict[str, str], *, ip: str = "", ip6: str = "", stands_for: str = "", app: str = ""
) -> KubeService:
    spec = ServiceSpec(cluster_ip=ip, cluster_ips=(ip, ip6), external_name=stands_for, selector=selector)
    labels = {"k8s-app": app} if app else {}
    return KubeService(metadata=Metadata(name=name, namespace="production", labels=labels), spec=spec)


def endpoints(service: str, address: str) -> EndpointSlice:
    metadata = Metadata(name=f"{service}-1", namespace="production", labels={SERVICE_NAME: service})
    return EndpointSlice(metadata=metadata, endpoints=(Endpoint(addresses=(address,)),))


def around(*fronts: KubeService | EndpointSlice, ledger: str = "", asks: frozenset[str] = frozenset()) -> ChangeContext:
    """Return the circumstances of a change that web's run makes in a cluster with these Services."""
    business = PipelineBench()
    for each in fronts:
        caches = business.cluster.caches
        if isinstance(each, EndpointSlice):
            caches.endpoints.put(each)
        else:
            caches.services.put(each)
    claim = Volume(name="data", persistent_volume_claim=ClaimVolume(claim_name="data-pg-0"))
    database = pod("pg-0", labels={"app": "pg", "role": "master"}, version="9")
    metadata = structs.replace(
        database.metadata, owner_references=(OwnerReference(kind="StatefulSet", name="pg", controller=True),)
    )
    database = type(database)(
        metadata=metadata,
        spec=PodSpec(volumes=(claim,), containers=database.spec.containers),
        status=structs.replace(database.status, pod_ip="10.9.9.9"),
    )
    business.cluster.caches.pods.put(database)
    business.observed.limits = replace(business.observed.limits, ledger_host=ledger, nameservers=asks)
    return business.observed.change_context(run(), AT, STEP)


def refused(resource: Resource, name: str, obj: Mapping[str, object], change_context: ChangeContext) -> str:
    return refuse_essential(ObjectName(resource=resource, name=name), obj, "production", change_context)


POD: Mapping[str, object] = {"metadata": {"labels": {"app": "pg", "team": "data"}}}
WORKLOAD: Mapping[str, object] = {"metadata": {}, "spec": {"template": {"metadata": {"labels": {"app": "pg"}}}}}
VOLUME: Mapping[str, object] = {"spec": {"claimRef": {"namespace": "production", "name": "data-pg-0"}}}
OTHER: Mapping[str, object] = {"metadata": {"labels": {"app": "api"}}}


def assert_off_limits(database: Mapping[str, object], change_context: ChangeContext) -> None:
    """Hold that nothing of the ledger may be changed, its pod looking like `database`."""
    for resource, name, obj in (
        (PODS, "pg-0", database),
        (STATEFULSETS, "pg", WORKLOAD),
        (PVCS, "data-pg-0", OTHER),
        (PVS, "pv-1", VOLUME),
    ):
        said = refused(resource, name, obj, change_context)
        assert said == f"{resource.singular}/{name} belongs to {LEDGER}: nothing is ever changed there"


@pytest.mark.parametrize(
    ("host", "fronts"),
    [
        ("ledger.production.svc.cluster.local", (front("ledger", {"app": "pg"}),)),
        ("pg-0.ledger.production.svc", (front("ledger", {"app": "pg"}),)),
        ("10.0.0.9", (front("ledger", {"app": "pg"}, ip="10.0.0.9"),)),
        ("fd00::9", (front("ledger", {"app": "pg"}, ip="10.0.0.9", ip6="fd00::9"),)),
        (
            "alias.production",
            (front("alias", {}, stands_for="ledger.production.svc.cluster.local"), front("ledger", {"app": "pg"})),
        ),
    ],
)
async def test_the_ledger_s_pods_workload_claims_and_volumes_are_off_limits_to_every_runbook(
    host: str, fronts: tuple[KubeService, ...]
) -> None:
    """P8: also to the runbook of another service that names them, and where no service of the catalog is about them."""
    change_context = around(*fronts, ledger=host)
    assert_off_limits(POD, change_context)
    assert refused(PODS, "api-1", OTHER, change_context) == ""
    assert refused(PVCS, "data-api-0", OTHER, change_context) == ""


@pytest.mark.parametrize(
    "fronts",
    [
        (front("ledger", {"app": "pg", "role": "master"}),),
        (front("ledger", {}), endpoints("ledger", "10.9.9.9")),
    ],
    ids=["a selector by the role", "endpoints that the operator writes"],
)
async def test_a_ledger_that_an_operator_leads_to_by_role_protects_its_stateful_set(
    fronts: tuple[KubeService | EndpointSlice, ...],
) -> None:
    """P8: Patroni marks the primary's pod; the template of its StatefulSet has no such label."""
    change_context = around(*fronts, ledger="ledger.production")
    replica: Mapping[str, object] = {"metadata": {"labels": {"app": "pg", "role": "replica"}}}
    assert_off_limits({"metadata": {"labels": {}}}, change_context)
    assert refused(PODS, "pg-1", replica, change_context) == ""
    assert refused(STATEFULSETS, "api", {"spec": {"template": OTHER}}, change_context) == ""


async def test_no_request_that_changes_goes_to_the_addresses_of_what_is_never_changed() -> None:
    """P8: by a Service's address and by those behind it; other Services are no concern of it."""
    ledger, dns = front("ledger", {"app": "pg"}, ip="10.0.0.9"), front("kube-dns", {"app": "dns"}, ip="10.0.0.10")
    api = front("api", {"app": "api"}, ip="10.0.0.11")
    guarded = KubeService(
        metadata=Metadata(name="metrics", namespace="kube-system"),
        spec=ServiceSpec(
            cluster_ip="10.0.0.12",
            cluster_ips=("10.0.0.12", "fd00::12"),
            ports=(ServicePort(port=443, node_port=30443), ServicePort(port=80)),
            health_check_node_port=31000,
        ),
    )
    ends = endpoints("ledger", "10.9.9.9"), endpoints("kube-dns", "10.9.9.10"), endpoints("api", "10.9.9.11")
    found = around(ledger, dns, api, guarded, *ends, ledger="ledger.production").denied_addresses
    assert found == {
        "10.0.0.9": f"{LEDGER}, where nothing is ever changed",
        "10.9.9.9": f"{LEDGER}, where nothing is ever changed",
        "10.0.0.10": f"{DNS}, where nothing is ever changed",
        "10.9.9.10": f"{DNS}, where nothing is ever changed",
        "10.0.0.12": "in the namespace kube-system, which is protected",
        "fd00::12": "in the namespace kube-system, which is protected",
        ":30443": "at a node's port, in the namespace kube-system, which is protected",
        ":31000": "at a node's port, in the namespace kube-system, which is protected",
    }


async def test_no_request_that_changes_is_sent_while_an_address_of_what_is_never_changed_cannot_be_read() -> None:
    """P6, P8: a Service or endpoints of a protected namespace that were set aside may have the very address."""
    business = PipelineBench()
    command = parse("curl -X POST http://10.0.0.12/")
    caches = business.cluster.caches
    actions = Cluster().actions
    caches.endpoints.mirror.mark_undecodable(("staging", "odd"), "too new")
    await actions.plan_effect(command, business.observed.change_context(run(), AT, STEP))
    caches.endpoints.mirror.mark_undecodable(("kube-system", "metrics-1"), "too new")
    with pytest.raises(Refused, match=r"EndpointSlice metrics-1 in kube-system cannot be read \(too new\)"):
        await actions.plan_effect(command, business.observed.change_context(run(), AT, STEP))


async def test_a_ledger_that_is_a_file_or_elsewhere_protects_no_object() -> None:
    for host in ("", "db.example.com", "ledger.staging", "10.0.0.8"):
        change_context = around(front("ledger", {"app": "pg"}, ip="10.0.0.9"), ledger=host)
        assert refused(PODS, "pg-0", POD, change_context) == ""
        assert refused(PVCS, "data-pg-0", OTHER, change_context) == ""


@pytest.mark.parametrize(
    "service",
    [
        front("kube-dns", {"app": "pg"}),
        front("names", {"app": "pg"}, app="kube-dns"),
        front("rke2-coredns", {"app": "pg"}, ip="10.43.0.10"),
    ],
    ids=["by-name", "by-label", "by-the-address-that-we-ask"],
)
async def test_the_dns_is_off_limits_in_whatever_namespace_it_runs(service: KubeService) -> None:
    """E23: a mistake there is seen as everybody's."""
    change_context = around(service, asks=frozenset({"10.43.0.10"}))
    for resource, obj in ((PODS, POD), (DEPLOYMENTS, WORKLOAD)):
        assert refused(resource, "x", obj, change_context) == (
            f"{resource.singular}/x belongs to {DNS}: nothing is ever changed there"
        )
    assert refused(PODS, "api-1", OTHER, change_context) == ""


@pytest.mark.parametrize(
    "labels",
    [
        {"k8s-app": "kube-dns"},
        {"k8s-app": "coredns"},
        {"app.kubernetes.io/name": "coredns"},
        {"dns.operator.openshift.io/daemonset-dns": "default"},
    ],
)
async def test_the_dns_is_known_by_its_labels_though_its_service_is_gone(labels: dict[str, str]) -> None:
    obj = {"spec": {"template": {"metadata": {"labels": labels}}}}
    assert DNS in refused(DEPLOYMENTS, "coredns", obj, around())
    assert DNS in refused(PODS, "coredns-1", {"metadata": {"labels": labels}}, around())


@pytest.mark.parametrize(
    ("name", "host", "essential"),
    [
        ("kube-dns", "", DNS),
        ("web-front", "", ""),
        ("web-front", "web-front.production.svc.cluster.local", LEDGER),
        ("web-front", "WEB-FRONT.production.svc.", LEDGER),
        ("web-front", "web-1.web-front.production.svc.cluster.local", LEDGER),
        ("web-front", "10.0.0.7", LEDGER),
        ("web-front", "web-front.staging", ""),
        ("web-front", "other.production", ""),
        ("web-front", "10.0.0.8", ""),
    ],
)
async def test_no_run_starts_for_a_service_of_the_catalog_that_is_the_dns_or_holds_the_ledger(
    name: str, host: str, essential: str
) -> None:
    """E23, P8: nor does a drill, or the runbook of another service that comes to it. What is done is written down first."""
    business, limits = PipelineBench(), Limits(ledger_host=host)
    business.cluster.expose(name)
    business.observed.limits = limits
    web, rule = business.catalog.services["web"], business.catalog.rules["web-pods"]
    request = business.observed.guard_context(rule, plan(rule, web, business.catalog, now=NOW), (), approved=True)
    verdict = check(request, History(), limits, now=NOW)
    refused = (VerdictKind.REFUSED, Reason.PROTECTED)
    assert ((verdict.kind, verdict.reason) == refused) is bool(essential), verdict
    off_limits = business.observed.change_context(run(), AT, STEP).off_limits
    assert (bool(off_limits), DNS in off_limits) == (bool(essential), essential == DNS)
    assert (DNS in business.observed.drill(web, scheduled=False).holds_ledger) is (essential == DNS)


def test_the_addresses_that_are_asked_for_names_are_read_from_the_resolver_s_file(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# written by the kubelet\nsearch x.svc\nnameserver 10.43.0.10\nnameserver fd00::a\nnameserver\n")
    assert nameservers(file) == {"10.43.0.10", "fd00::a"}
    assert nameservers(tmp_path / "none") == frozenset()
