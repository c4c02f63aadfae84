"""
The stacks of the demonstration: the namespaces and workloads that the shipped services name, as small as they can be.
"""

from collections.abc import Iterable, Mapping

from kubesim.images import ExecReply, Image
from kubesim.manifest import Json
from kubesim.s3 import FOLDER, PORT

NAMESPACE = "production"
WEB = "web-app-deployment"
WEB_LABELS: Mapping[str, str] = {"app": "web-app"}
API = "api-deployment"
CACHE = "redis:played"
GOOD, CRASHING, MISSING = "shop/web:good", "shop/web:crash", "shop/api:gone"

DATABASE, POSTGRES, S3 = "database", "postgres:16", "rclone:1"
DATABASE_POD, DATABASE_CLAIM, BACKUPS_CLAIM = "database-0", "data-database-0", "data-backups-0"
BACKUPS = "backups"
S3_ENDPOINT = f"http://{BACKUPS}.{NAMESPACE}:{PORT}"
S3_CREDENTIALS, DATABASE_CREDENTIALS = "s3-credentials", "database-credentials"


def shop() -> Iterable[Json]:
    """Yield the manifests: a web front end behind a load balancer, and the API that it depends on."""
    yield deployment("api-deployment", {"app": "api"}, image="shop/api:good", replicas=2)
    yield api_service()
    yield deployment(WEB, WEB_LABELS, image=GOOD, replicas=3)
    yield load_balancer("web-app-service", WEB_LABELS)


def back_office() -> Iterable[Json]:
    """Yield the manifests: a real database, a real S3 server with its backups, the API that writes, its cache."""
    yield database_passwords()
    yield secret(S3_CREDENTIALS, AWS_ACCESS_KEY_ID="THESHOP", AWS_SECRET_ACCESS_KEY="the-shop-s-secret")  # noqa: S106
    yield service(DATABASE, 5432)
    yield service(BACKUPS, PORT)
    yield database()
    yield stateful_set(
        BACKUPS,
        {
            "image": S3,
            "envFrom": [{"secretRef": {"name": S3_CREDENTIALS}}],
            "readinessProbe": {"tcpSocket": {"port": PORT}, **_OFTEN},
        },
        mounted=FOLDER,
    )
    yield stateful_set("cache", {"image": CACHE}, mounted="/data")
    yield deployment("api-deployment", {"app": "api"}, image="shop/api:good", replicas=2)
    yield api_service()


def api_service() -> Json:
    """Make the Service of the API."""
    made = service("api-service", 80, selector={"app": "api"}, target=8080)
    made["spec"]["ports"][0]["appProtocol"] = "http"
    return made


def played_cache() -> Image:
    """Make the image of a cache that answers what is asked of it."""
    replies = {
        "redis-cli PING": ExecReply(stdout="PONG\n", needs_ready=True),
        "redis-cli DBSIZE": ExecReply(stdout="1000\n", needs_ready=True),
    }
    return Image(commands=replies, logs=("1:M * Ready to accept connections tcp",))


def database() -> Json:
    """Make a StatefulSet of one PostgreSQL; it needs the Secret of `database_passwords`."""
    password = {"secretKeyRef": {"name": DATABASE_CREDENTIALS, "key": "password"}}
    container = {
        "image": POSTGRES,
        "env": [{"name": "POSTGRES_PASSWORD", "valueFrom": password}],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-U", "postgres"]}, **_OFTEN},
    }
    return stateful_set(DATABASE, container, mounted="/var/lib/postgresql/data")


def database_passwords() -> Json:
    """Make the Secret that the passwords of the database's roles are in."""
    return secret(DATABASE_CREDENTIALS, **{"password": "the-shop", "app-password": "the-orders"})


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
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
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
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": storage}],
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


def service(
    name: str,
    port: int,
    *,
    namespace: str = NAMESPACE,
    selector: Mapping[str, str] | None = None,
    target: int | None = None,
) -> Json:
    """Make a Service; its pods are labelled with its name, and listen on its port, unless something else is said."""
    metadata = {"name": name, "namespace": namespace}
    spec = {"selector": dict(selector or {"app": name}), "ports": [{"port": port, "targetPort": target or port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def secret(name: str, *, namespace: str = NAMESPACE, **content: str) -> Json:
    """Make a Secret."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}
