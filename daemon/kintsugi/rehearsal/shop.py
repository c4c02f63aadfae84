"""
The stacks of the demonstration: the namespaces and workloads that the shipped services name, as small as they can be.
"""

from collections.abc import Iterable, Mapping

from kintsugi.rehearsal.manifest import Json
from kintsugi.rehearsal.s3 import FOLDER, PORT

NAMESPACE = "production"
WEB = "web-app-deployment"
WEB_LABELS: Mapping[str, str] = {"app": "web-app"}
GOOD, CRASHING = "shop/web:good", "shop/web:crash"

DATABASE, POSTGRES, S3 = "database", "postgres:16", "rclone:1"
DATABASE_POD, DATABASE_CLAIM, BACKUPS_CLAIM = "database-0", "data-database-0", "data-backups-0"
BACKUPS = "backups"
S3_ENDPOINT = f"http://{BACKUPS}.{NAMESPACE}:{PORT}"
S3_CREDENTIALS, DATABASE_CREDENTIALS = "s3-credentials", "database-credentials"


def shop() -> Iterable[Json]:
    """Give the manifests: a web front end behind a load balancer, and the API that it depends on."""
    yield deployment("api-deployment", {"app": "api"}, image="shop/api:good", replicas=2)
    yield deployment(WEB, WEB_LABELS, image=GOOD, replicas=3)
    yield load_balancer("web-app-service", WEB_LABELS)


def back_office() -> Iterable[Json]:
    """Give the manifests: a real database, a real S3 server with its backups, the API that writes, its cache."""
    yield _secret(DATABASE_CREDENTIALS, password="the-shop")  # noqa: S106 - of the demonstration alone
    yield _secret(S3_CREDENTIALS, AWS_ACCESS_KEY_ID="THESHOP", AWS_SECRET_ACCESS_KEY="the-shop-s-secret")  # noqa: S106
    yield _service(DATABASE, 5432)
    yield _service(BACKUPS, PORT)
    password = {"secretKeyRef": {"name": DATABASE_CREDENTIALS, "key": "password"}}
    yield stateful_set(
        DATABASE,
        {
            "image": POSTGRES,
            "env": [{"name": "POSTGRES_PASSWORD", "valueFrom": password}],
            "readinessProbe": {"exec": {"command": ["pg_isready", "-U", "postgres"]}, **_OFTEN},
        },
        mounted="/var/lib/postgresql/data",
    )
    yield stateful_set(
        BACKUPS,
        {
            "image": S3,
            "envFrom": [{"secretRef": {"name": S3_CREDENTIALS}}],
            "readinessProbe": {"tcpSocket": {"port": PORT}, **_OFTEN},
        },
        mounted=FOLDER,
    )
    yield stateful_set("cache", {"image": "shop/cache:good"}, mounted="/data")
    yield deployment("api-deployment", {"app": "api"}, image="shop/api:good", replicas=2)


_OFTEN: Mapping[str, int] = {"periodSeconds": 50, "timeoutSeconds": 30}
"""A probe of a real program: asked twice a second where the cluster lives a hundred times as fast, and given time to answer."""


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


def stateful_set(name: str, container: Json, *, mounted: str) -> Json:
    """Make a StatefulSet of one pod with one volume."""
    labels, mount = {"app": name}, {"name": "data", "mountPath": mounted}
    room = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    spec = {"containers": [{"name": name, **container, "volumeMounts": [mount]}], "terminationGracePeriodSeconds": 10}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "serviceName": name,
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": room}],
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


def _service(name: str, port: int) -> Json:
    metadata = {"name": name, "namespace": NAMESPACE}
    spec = {"selector": {"app": name}, "ports": [{"port": port, "targetPort": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _secret(name: str, **content: str) -> Json:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}
