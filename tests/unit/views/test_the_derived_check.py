"""A service without checks of its own is asked what its kubelets ask, through the Kubernetes Service that leads to its pods."""

from collections.abc import Mapping

import msgspec
import pytest

from kintsugi.model.views import DerivedCheck
from kintsugi.views.derived_checks import derived_check
from kintsugi.views.service_objects import leading_services
from kubeobjects.kept import Deployment, KubeService

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
