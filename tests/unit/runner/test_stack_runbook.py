"""The shipped full-stack runbook, carried from its first look to its end: what each look decides, and whose runs are started."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kintsugi.catalog import load, shipped_paths
from kintsugi.errors import ProbeFailed
from kintsugi.model.records import IncidentState
from kintsugi.model.services import STACK
from kintsugi.model.views import SocketAddress
from kintsugi.runner.context import ChildCall
from kintsugi.runner.journal import recalled
from kubeobjects.kept import EndpointSlice, Metadata, PersistentVolumeClaim
from kubeobjects.storage import ClaimStatus
from tests.unit.actions.samples import healthy_pod, node
from tests.unit.factories import NOW, deployment, run
from tests.unit.runner.test_stack import NAMES, StackBench

pytestmark = pytest.mark.looptime

CATALOG = load(shipped_paths())
PSQL = "kubectl exec statefulset/database -n production -- psql -U"
PROMETHEUS = "http://prometheus.monitoring:9090"
IN_ORDER = ["database", "cache-service", "api-service", "web-service", "ingress-controller"]
CLAIM = PersistentVolumeClaim(
    metadata=Metadata(name="data-database-0", namespace="production", uid="uid-claim"),
    status=ClaimStatus(phase="Bound"),
)
BALANCER = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web-app-service"},
    "status": {"loadBalancer": {"ingress": [{"ip": "10.9.9.9"}]}},
}
ANSWERS: Mapping[str, Mapping[str, object]] = {
    "kubectl get nodes": {"items": [node()]},
    "kubectl get pvc,sc": {"pvc": [], "sc": [{"metadata": {"name": "standard"}}]},
    "kubectl get pods": {"items": [healthy_pod()]},
    "kubectl get service": {"item": BALANCER, "items": [BALANCER]},
    "nslookup kubernetes.default.svc": {"addresses": ["10.0.0.1"]},
    "nc -z": {"open": True},
    "curl": {"status": 200, "body": "", "headers": {}},
    "kubectl exec statefulset/cache": {"lines": ["PONG"], "text": "PONG", "exit_code": 0},
    f"{PSQL} app -d app -c 'SELECT count": {"rows": [{"count": 1000}], "value": 1000},
    f"{PSQL} app -d app -c 'SELECT max": {"rows": [{"newest": NOW.isoformat()}], "value": NOW.isoformat()},
    f"{PSQL} app -d app -c 'SELECT conname": {"rows": []},
    f"{PSQL} app -d app -c 'SELECT last_value": {"rows": [{"ahead": True}], "value": True},
    f"{PSQL} app -d app -c 'SELECT extname": {"rows": []},
    f"{PSQL} postgres -c 'SELECT 1'": {"rows": [{"one": 1}], "value": 1},
}


class Shipped(StackBench):
    """A run of the shipped runbook about the five services, which are all down; every look is answered as if all were well."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(CATALOG, replace(run(service=STACK), runbook="full-stack-recovery"))
        self.ends = dict.fromkeys(IN_ORDER, IncidentState.RECOVERED)
        self.well |= set(NAMES)  # whose states this bench shows itself
        for number, name in enumerate(IN_ORDER, 1):
            self._stand(name, f"10.0.0.{number}")
        for beginning, answer in ANSWERS.items():
            self.prober.will(beginning, lambda answer=answer: answer)  # type: ignore[misc]
        self.prober.will("kubectl top nodes", lambda: ProbeFailed("the metrics API is not available"))
        self.prober.will(
            "kubectl get events", lambda: {"items": [warning("web-app-deployment-1"), warning("nobody-1")]}
        )
        self.prober.will("kubectl get endpointslices", lambda: {"items": self.slices()})

    def _stand(self, name: str, address: str) -> None:
        """Let a service be down, with its Service."""
        host = f"{name}.{CATALOG.services[name].namespace}.svc"
        self.prober.will(f"nslookup {host}", lambda: {"addresses": [address]})
        self.observed.views[name] = replace(
            self.observed.views[name],
            host=host,
            cluster_ip=address,
            addresses=(SocketAddress(host=address, port=80),),
            pvcs=(CLAIM,) if name == "database" else (),
            endpoints=(EndpointSlice(metadata=Metadata(name=name, uid=f"uid-of-{name}")),),
        )
        self.observed.show(name, ready=0)

    def slices(self) -> list[Mapping[str, object]]:
        """Return the EndpointSlices: ready where the service is."""
        return [
            {
                "metadata": {"uid": f"uid-of-{name}", "name": name},
                "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": view.ready > 0}}],
            }
            for name, view in self.observed.views.items()
        ]

    def asked(self, beginning: str) -> list[str]:
        """List the looks that begin so."""
        return [text for _, text in self.prober.looked if text.startswith(beginning)]


def warning(about: str) -> Mapping[str, Any]:
    """Return an Event about a pod."""
    involved = {"kind": "Pod", "namespace": "production", "name": about, "uid": f"uid-{about}"}
    event = {"metadata": {"name": about}, "type": "Warning", "reason": "BackOff", "involvedObject": involved}
    return {"apiVersion": "v1", "kind": "Event", **event}


async def test_all_five_are_recovered_in_the_order_of_the_page_and_what_nobody_watched_is_said() -> None:
    bench = Shipped()
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED, ended.reason
    assert [child.service for child in bench.ledger.started] == IN_ORDER
    assert bench.calls["cache-service"][0] < bench.calls["database"][1], "these two go at once"
    assert ended.reason.endswith("not watched: Every volume has room, Watch the metrics")
    assert bench.asked("promtool") == []
    assert bench.step("before/top").error == "the metrics API is not available"
    kept: Any = recalled(bench.step("before/events").result)["kept"]
    assert [each["metadata"]["name"] for each in kept] == ["web-app-deployment-1"]
    assert sorted(bench.asked("nc -z")) == sorted([f"nc -z 10.0.0.{number} 80 -w 5" for number in range(1, 6)] * 2)


@pytest.mark.parametrize(
    ("name", "step"), [("database", "data/database_at_zero"), ("cache-service", "data/cache_at_zero")]
)
async def test_data_that_somebody_has_scaled_to_0_are_started_once_a_person_agrees(name: str, step: str) -> None:
    """No recovery of theirs starts what is stopped on purpose; what needs them waits for the answer."""
    bench = Shipped()
    bench.observed.views[name] = replace(
        bench.observed.views[name], workload=deployment(CATALOG.services[name], desired=0, ready=0)
    )
    bench.ledger.answers_after = timedelta(minutes=3)
    calls: list[ChildCall] = []
    bench.before_child = calls.append
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED, ended.reason
    assert [each.path for each in bench.ledger.questions] == [step]
    assert [each.runbook.name for each in calls if each.service == name] == ["start-service"]
    assert bench.calls["api-service"][0] >= bench.calls[name][1] >= 180


async def test_a_service_that_is_well_again_because_its_upstream_is_needs_no_run() -> None:
    bench = Shipped()

    def repair_dependents(call: ChildCall) -> None:
        if call.service == "database":
            for name in ("api-service", "web-service", "ingress-controller"):
                bench.observed.show(name, ready=3)

    bench.before_child = repair_dependents
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED, ended.reason
    assert set(bench.calls) == {"database", "cache-service"}


ALL_DATA = {"database", "cache-service"}
LOOKUP = "nslookup kubernetes.default.svc"


@pytest.mark.parametrize(
    ("look", "answer", "step", "calls"),
    [
        (LOOKUP, ProbeFailed("it has no address"), "infrastructure/network/dns", set()),
        (
            "kubectl get nodes",
            {"items": [node(cordoned=True)]},
            "infrastructure/node_health",
            set(),
        ),
        (
            f"{PSQL} app -d app -c 'SELECT count",
            {"rows": [{"count": 0}], "value": 0},
            "data/integrity/orders",
            ALL_DATA,
        ),
        (
            "nslookup api-service",
            {"addresses": ["10.7.7.7"]},
            "applications/discovery/answers",
            {*ALL_DATA, "api-service"},
        ),
    ],
    ids=["the cluster's DNS", "a node that takes pods", "data that are whole", "what front ends need"],
)
async def test_without_what_the_next_services_need_they_are_not_started(
    look: str, answer: Mapping[str, object] | Exception, step: str, calls: set[str]
) -> None:
    """P6."""
    bench = Shipped()
    bench.prober.answers = {
        look: lambda: answer,
        **{each: told for each, told in bench.prober.answers.items() if each != look},
    }
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith(f"stopped at {step}")
    assert set(bench.calls) == calls


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({}, IncidentState.NEEDS_OPERATOR),
        ({"value": 0.5}, IncidentState.NEEDS_OPERATOR),
        ({"value": 0.001}, IncidentState.RECOVERED),
    ],
    ids=["no sample", "many errors", "few errors"],
)
async def test_with_a_prometheus_no_sample_is_not_success(answer: Mapping[str, object], state: IncidentState) -> None:
    """P6."""
    bench = Shipped()
    bench.prometheus = PROMETHEUS
    bench.prober.will("promtool query instant", lambda: {"samples": [], "warnings": [], **answer})
    ended = await bench.drive()
    assert ended.state is state, ended.reason
    if state is IncidentState.NEEDS_OPERATOR:
        assert ended.reason.startswith("stopped at verification/metrics: Watch the metrics: ")
    assert "not watched" not in ended.reason
    assert bench.asked("promtool")[-1].startswith(f"promtool query instant {PROMETHEUS} '(sum(rate(")
