"""What a service does not say is derived: its selector, when it is healthy, and the check that it is asked."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest

from kintsugi.model.views import DerivedCheck, ServiceView
from kintsugi.views.derived_checks import derived_check
from kintsugi.views.service_objects import leading_services
from kubeobjects.kept import Deployment, KubeService
from kubeobjects.selectors import NOTHING
from tests.unit.factories import catalog, rule_text, runbook_text, service_text
from tests.unit.views.cluster import FakeCaches, whole_cluster

pytestmark = pytest.mark.looptime


DERIVED = catalog(service_text().replace("  selector: app=web\n", ""), runbook_text())


def pods_of(view: ServiceView) -> Sequence[str]:
    return [each.metadata.name for each in view.pods]


async def test_a_service_whose_workload_was_never_seen_has_no_pods() -> None:
    cluster = FakeCaches(DERIVED)
    cluster.run("web-1")
    view = cluster.seen()
    assert (pods_of(view), view.service.selector, view.healthy) == ([], NOTHING, False)
    assert not view.service.selector.matches({"app": "web"})


@pytest.mark.parametrize("first", ["pod", "workload"])
async def test_the_selector_is_the_workload_s_whichever_is_seen_first(first: str) -> None:
    cluster = FakeCaches(DERIVED)
    told: list[str] = []
    cluster.services.on_new_selector(lambda: told.append("anew"))
    if first == "pod":
        cluster.run("web-1")
        cluster.run("other", app="api")
        cluster.deploy()
    else:
        cluster.deploy()
        cluster.run("web-1")
        cluster.run("other", app="api")
    view = cluster.seen()
    assert (pods_of(view), str(view.service.selector)) == (["web-1"], "app=web")
    assert told == ["anew"], "what goes by pods looks at them again"


async def test_a_workload_that_is_made_anew_with_another_selector_has_other_pods() -> None:
    cluster = FakeCaches(DERIVED)
    cluster.deploy()
    cluster.run("web-1")
    cluster.run("web-2", app="web-two")
    assert pods_of(cluster.seen()) == ["web-1"]
    cluster.deploy(2, selects={"app": "web-two"})
    assert pods_of(cluster.seen()) == ["web-2"]


async def test_a_workload_that_selects_everything_gives_its_service_nothing() -> None:
    cluster = FakeCaches(DERIVED)
    cluster.deploy(selects={})
    cluster.run("web-1")
    assert pods_of(cluster.seen()) == []


async def test_a_selector_that_is_written_stays_whatever_the_workload_selects() -> None:
    cluster = FakeCaches()
    cluster.deploy(selects={"app": "web-two"})
    cluster.run("web-1")
    view = cluster.seen()
    assert (pods_of(view), str(view.service.selector)) == (["web-1"], "app=web")


CHECK = "checks: {smoke: [{id: health, run: 'curl http://web.production/', expect: status == 200}]}"
SERVICE = service_text(more=CHECK).replace("  healthy: desired > 0 && ready >= desired\n", "")
ASKED = rule_text("answers", on="check", more="check: smoke")
BY_ITSELF = catalog(SERVICE, ASKED, runbook_text())


@pytest.mark.parametrize(
    "fails",
    [
        lambda cluster: cluster.deploy(2, rolled_out=False),
        lambda cluster: cluster.run("web-3", ready=False),
        lambda cluster: cluster.answer(0),
        lambda cluster: cluster.deploy(replicas=0),
        lambda cluster: cluster.services.note_check("web", "smoke", met=False),
    ],
    ids=["an incomplete rollout", "an unready pod", "a Service without pods", "no replicas", "a check that is not met"],
)
async def test_a_service_is_healthy_unless_something_that_belongs_to_it_fails(
    fails: Callable[[FakeCaches], None],
) -> None:
    cluster = whole_cluster(BY_ITSELF)
    assert cluster.seen().healthy
    fails(cluster)
    assert cluster.seen().healthy is False


async def test_a_check_counts_until_it_is_met_again_or_no_rule_asks_it_any_more() -> None:
    cluster = whole_cluster(BY_ITSELF)
    for met in (True, False):
        cluster.services.note_check("web", "smoke", met=met)
        assert cluster.seen().healthy is met
    cluster.services.reload(catalog(SERVICE, runbook_text()))
    assert cluster.seen().healthy


HEALTH = {"path": "/health", "port": "http"}
BY_NAME = {"port": 80, "targetPort": "http"}


def deployment(probe: Mapping[str, object], which: str = "readinessProbe") -> Deployment:
    """Return a Deployment of `web` in `shop` whose container listens on 8080 (http) and 9090 (metrics)."""
    ports = [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}]
    container = {"name": "web", "ports": ports, which: {"httpGet": probe}}
    template = {"metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": {"containers": [container]}}
    return msgspec.convert(
        {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"template": template}}, Deployment
    )


def kube_service(
    port: Mapping[str, object], name: str = "web", app: str = "web", address: str = "10.0.0.7"
) -> KubeService:
    """Return a Kubernetes Service."""
    spec = {"selector": {"app": app}, "ports": [port], "clusterIP": address}
    return msgspec.convert({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}, KubeService)


@pytest.mark.parametrize(
    ("probe", "port", "url"),
    [
        (HEALTH, BY_NAME, "http://10.0.0.7/health"),
        (HEALTH, {"port": 81, "targetPort": 8080}, "http://10.0.0.7:81/health"),
        (HEALTH, {"port": 8080}, "http://10.0.0.7:8080/health"),
        ({"port": 8080, "scheme": "HTTPS"}, {"port": 443, "targetPort": "http"}, "https://10.0.0.7/"),
        ({**HEALTH, "path": "health?full=yes"}, BY_NAME, "http://10.0.0.7/health?full=yes"),
        (HEALTH, {"port": 80, "targetPort": "metrics"}, ""),
        ({**HEALTH, "host": "other"}, BY_NAME, ""),
        ({**HEALTH, "httpHeaders": [{"name": "Host", "value": "x"}]}, BY_NAME, ""),
        ({}, BY_NAME, ""),
    ],
)
@pytest.mark.parametrize("which", ["readinessProbe", "livenessProbe"])
def test_the_request_is_that_of_the_probe_at_the_service_s_port_that_leads_to_it(
    which: str, probe: Mapping[str, object], port: Mapping[str, object], url: str
) -> None:
    workload = deployment(probe, which)
    leading = leading_services(workload, [kube_service(port, "other", app="other"), kube_service(port)])
    found = derived_check(workload, leading)
    assert (found.url if found is not None else "") == url


def test_a_service_without_an_address_has_none() -> None:
    headless = kube_service(BY_NAME, "a-headless", address="None")
    assert derived_check(deployment(HEALTH), [headless]) is None
    found = derived_check(deployment(HEALTH), [headless, kube_service(BY_NAME)])
    assert found is not None
    assert found.service == "web"


@pytest.mark.parametrize(
    ("met", "probe", "url"),
    [
        (["http://10.0.0.7/health"], HEALTH, "http://10.0.0.7/health"),
        (["http://10.0.0.7:81/health", "http://10.0.0.7/health"], HEALTH, "http://10.0.0.7/health"),
        (["http://10.0.0.77/health"], HEALTH, ""),
        (["http://10.0.0.7/health"], {**HEALTH, "path": "/ready"}, ""),
        ([], HEALTH, ""),
    ],
    ids=["met there", "the last", "another Service", "another probe", "never"],
)
def test_a_port_that_leads_elsewhere_by_now_is_asked_where_the_check_was_met_before(
    met: list[str], probe: Mapping[str, object], url: str
) -> None:
    found = derived_check(deployment(probe), [kube_service({"port": 80, "targetPort": 9999})], met)
    assert (found.url if found is not None else "") == url
    assert found is None or found == DerivedCheck(
        service="web", address="10.0.0.7", scheme="http", port=80, path="/health"
    )
