"""What a check asks of its service is asked of one pod alone: at the pod's own address and port, and in its own containers."""

import pytest

from kintsugi.commands import parse, render
from kintsugi.commands.registry import definition_of
from kintsugi.errors import NotFound
from kintsugi.model.command import ObjectName
from kintsugi.model.hosts import PodAddress
from kintsugi.verbs.check import read_address
from kubeobjects.resources import PODS, SERVICES
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts

POD = {
    "metadata": {"name": "web-1", "namespace": "production", "uid": "u1", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}]},
    "status": {"podIP": "10.1.0.7"},
}


def front(name: str, *, selector: str = "web", target: object = "http", ip: str = "10.0.0.7") -> dict[str, object]:
    """Describe a Service that leads from port 80."""
    ports = [{"port": 80, "targetPort": target}, {"port": 5432}]
    spec = {"selector": {"app": selector}, "clusterIP": ip, "ports": ports}
    return {"metadata": {"name": name, "namespace": "production"}, "spec": spec}


async def of_web_1(uid: str = "") -> PodAddress:
    """Read where the pod is asked."""
    services = (front("web"), front("web-headless", ip="None", target=8081), front("api", selector="api"))
    kube = ClusterOfDicts((PODS, POD), *((SERVICES, each) for each in services))
    return await read_address(kube, ObjectName(resource=PODS, name="web-1", uid=uid), "production")


@pytest.mark.parametrize(
    ("asked", "of_pod"),
    [
        ("curl http://web.production/health", "curl -H 'Host: web.production' http://10.1.0.7:8080/health"),
        ("curl http://web.production.svc/health", "curl -H 'Host: web.production.svc' http://10.1.0.7:8080/health"),
        ("curl http://10.0.0.7:80/health", "curl -H 'Host: 10.0.0.7' http://10.1.0.7:8080/health"),
        ("curl -H 'Host: shop' http://web.production/", "curl -H 'Host: shop' http://10.1.0.7:8080/"),
        ("nc -z web-headless.production 80", "nc -z 10.1.0.7 8081"),
        ("psql -h web.production -U a -c 'SELECT 1'", "psql -h 10.1.0.7 -p 5432 -U a -c 'SELECT 1'"),
        ("kubectl exec deployment/web -- redis-cli PING", "kubectl exec pod/web-1 -n production -- redis-cli PING"),
    ],
)
async def test_a_command_that_asks_the_service_asks_the_pod(asked: str, of_pod: str) -> None:
    command = parse(asked, namespace="production")
    directed = definition_of(command).at_pod(command, await of_web_1())
    assert directed is not None
    assert render(directed) == of_pod


@pytest.mark.parametrize(
    "asked",
    [
        "curl https://web.production/health",
        "curl http://api.production/health",
        "curl http://web.other/health",
        "curl http://web.production:8000/health",
        "curl -X POST http://web.production/health",
        "nc -z api.production 80",
        "kubectl exec -n other deployment/web -- redis-cli PING",
        "kubectl get pods -l app=web",
        "nslookup web.production",
    ],
)
async def test_a_command_that_asks_something_else_is_left_as_it_is(asked: str) -> None:
    command = parse(asked, namespace="production")
    assert definition_of(command).at_pod(command, await of_web_1()) is None


async def test_a_pod_without_an_address_is_not_asked() -> None:
    pod = PodAddress(name="web-1", namespace="production", ip="", ports={("web", 80): 8080})
    assert pod.port_behind("web.production", 80) is None


async def test_a_later_pod_of_the_name_is_not_asked() -> None:
    with pytest.raises(NotFound):
        await of_web_1(uid="u0")
