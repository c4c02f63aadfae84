"""
The stack of the demonstration: the namespaces and workloads that the shipped services name, as small as they can be.
"""

from collections.abc import Iterable, Mapping

from kintsugi.rehearsal.manifest import Json

NAMESPACE = "production"
WEB = "web-app-deployment"
WEB_LABELS: Mapping[str, str] = {"app": "web-app"}
GOOD, CRASHING = "shop/web:good", "shop/web:crash"


def shop() -> Iterable[Json]:
    """Give the manifests: a web front end behind a load balancer, and the API that it depends on."""
    yield deployment("api-deployment", {"app": "api"}, image="shop/api:good", replicas=2)
    yield deployment(WEB, WEB_LABELS, image=GOOD, replicas=3)
    yield load_balancer("web-app-service", WEB_LABELS)


def deployment(name: str, labels: Mapping[str, str], *, image: str, replicas: int) -> Json:
    """Make a Deployment of web servers."""
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1}
    container = {"name": "web", "image": image, "ports": [{"containerPort": 8080}], "readinessProbe": probe}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": dict(labels)},
            "template": {"metadata": {"labels": dict(labels)}, "spec": {"containers": [container]}},
        },
    }


def load_balancer(name: str, labels: Mapping[str, str]) -> Json:
    """Make a Service with an address from outside."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"type": "LoadBalancer", "selector": dict(labels), "ports": [{"port": 80, "targetPort": 8080}]},
    }
