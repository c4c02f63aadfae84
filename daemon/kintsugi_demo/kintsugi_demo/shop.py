"""
What runs on the clusters of the demonstration: the workloads that the shipped services name, as small as they can be.

Manifests, and the images of their containers: real programs, except the cache and the first two web services.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import kintsugi
import kintsugi_restore
import kubeobjects
from kintsugi_demo import web_server
from kubesim import EmbeddedCluster
from kubesim.images import ExecReply, Image, Program
from kubesim.manifest import Json
from kubesim.postgres import postgres_image, programs_folder
from kubesim.s3 import FOLDER, PORT, s3_image

NAMESPACE = "production"
WEB = "web-app-deployment"
WEB_LABELS: Mapping[str, str] = {"app": "web-app"}
API = "api-deployment"
CACHE = "redis:played"
GOOD, CRASHING, MISSING = "shop/web:good", "shop/web:crash", "shop/api:gone"

DATABASE, POSTGRES, S3 = "database", "postgres:16", "rclone:1"
DATABASE_CLAIM, BACKUPS_CLAIM = "data-database-0", "data-backups-0"
DATABASE_CREDENTIALS, DATABASE_PASSWORD = "database-credentials", "the-shop"
BACKUPS = "backups"
S3_ENDPOINT, S3_CREDENTIALS = f"http://{BACKUPS}.{NAMESPACE}:{PORT}", "s3-credentials"

SERVER, WORKER = "web-server:1", "kintsugi:demo"
INGRESS_CONTROLLER, INGRESS_NAMESPACE = "ingress-controller", "ingress"
INGRESS_LABELS: Mapping[str, str] = {"app.kubernetes.io/name": INGRESS_CONTROLLER}
CERTIFICATE, CERTIFICATES = "ingress-certificate", "/etc/tls"
HTTP_PORT, TLS_PORT = 8080, 8443
DAY: Final = timedelta(days=1)

_OFTEN: Mapping[str, int] = {"periodSeconds": 50, "timeoutSeconds": 30}
"""A probe of a real program: asked twice a second where the cluster lives a hundred times as fast, and given time to answer."""


def shop() -> Iterable[Json]:
    """Yield the manifests: a web front end behind a load balancer, and the API that it depends on."""
    yield deployment(API, {"app": "api"}, image="shop/api:good", replicas=2)
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
    yield deployment(API, {"app": "api"}, image="shop/api:good", replicas=2)
    yield api_service()


def api_service() -> Json:
    """Make the Service of the API."""
    made = service("api-service", 80, selector={"app": "api"}, target=HTTP_PORT)
    made["spec"]["ports"][0]["appProtocol"] = "http"
    return made


def stack(cluster: EmbeddedCluster) -> Iterable[Json]:
    """Yield the manifests of five services, each of which is well while its upstreams are: Services and Secrets first."""
    yield database_passwords()
    yield service(DATABASE, 5432)
    yield api_service()
    yield load_balancer("web-app-service", WEB_LABELS)
    yield service(INGRESS_CONTROLLER, 443, namespace=INGRESS_NAMESPACE, selector=INGRESS_LABELS, target=TLS_PORT)
    certificate, key = self_signed(f"{INGRESS_CONTROLLER}.{INGRESS_NAMESPACE}")
    yield secret(CERTIFICATE, namespace=INGRESS_NAMESPACE, **{"tls.crt": certificate, "tls.key": key})

    def address(name: str) -> str:
        [found] = cluster.resolve(f"{name}.{NAMESPACE}")
        return found

    yield database()
    yield stateful_set("cache", {"image": CACHE}, mounted="/data")
    yield server(API, {"app": "api"}, (address(DATABASE), 5432), replicas=2)
    yield server(WEB, WEB_LABELS, (address("api-service"), 80), replicas=3)
    ingress = server(INGRESS_CONTROLLER, INGRESS_LABELS, (address("web-app-service"), 80), replicas=1)
    ingress["metadata"]["namespace"] = INGRESS_NAMESPACE
    pod = ingress["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "tls", "secret": {"secretName": CERTIFICATE}}]
    [container] = pod["containers"]
    container["volumeMounts"] = [{"name": "tls", "mountPath": CERTIFICATES, "readOnly": True}]
    container["args"] += [str(TLS_PORT), f"{CERTIFICATES}/tls.crt", f"{CERTIFICATES}/tls.key"]
    yield ingress


def server(name: str, labels: Mapping[str, str], upstream: tuple[str, int], *, replicas: int) -> Json:
    """Make a Deployment of real web servers that are ready while their upstream takes connections."""
    made = deployment(name, labels, image=SERVER, replicas=replicas)
    pod = made["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 10
    probe = {"httpGet": {"path": "/health", "port": HTTP_PORT}, **_OFTEN, "timeoutSeconds": 10, "failureThreshold": 2}
    words = ["$(POD_ADDRESS)", HTTP_PORT, *upstream]
    pod["containers"][0] |= {"args": [*map(str, words)], "readinessProbe": probe}
    return made


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
    return secret(DATABASE_CREDENTIALS, **{"password": DATABASE_PASSWORD, "app-password": "the-orders"})


def deployment(name: str, labels: Mapping[str, str], *, image: str, replicas: int) -> Json:
    """Make a Deployment of web servers."""
    probe = {"httpGet": {"path": "/health", "port": HTTP_PORT}, "periodSeconds": 1}
    container = {"name": "web", "image": image, "ports": [{"containerPort": HTTP_PORT}], "readinessProbe": probe}
    return workload("Deployment", name, labels, {"containers": [container]}, replicas=replicas)


def stateful_set(name: str, container: Json, *, mounted: str) -> Json:
    """Make a StatefulSet of one pod with one volume."""
    mount = {"name": "data", "mountPath": mounted}
    pod = {"containers": [{"name": name, **container, "volumeMounts": [mount]}], "terminationGracePeriodSeconds": 10}
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claims = [{"metadata": {"name": "data"}, "spec": storage}]
    return workload("StatefulSet", name, {"app": name}, pod, replicas=1, serviceName=name, volumeClaimTemplates=claims)


def workload(kind: str, name: str, labels: Mapping[str, str], pod: Json, **spec: object) -> Json:
    """Make a workload of pods with some labels."""
    template = {"metadata": {"labels": dict(labels)}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": dict(labels)}, "template": template, **spec},
    }


def load_balancer(name: str, labels: Mapping[str, str]) -> Json:
    """Make a Service with an address from outside."""
    made = service(name, 80, selector=labels, target=HTTP_PORT)
    made["spec"]["type"] = "LoadBalancer"
    return made


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


def images() -> Mapping[str, Image]:
    """Return the images of real programs, and of the cache. Raises KubesimError when one of the programs is not installed."""
    web_program = (sys.executable, "-I", "-S", "-u", web_server.__file__)
    replies = {
        "redis-cli PING": ExecReply(stdout="PONG\n", needs_ready=True),
        "redis-cli DBSIZE": ExecReply(stdout="1000\n", needs_ready=True),
    }
    return {
        POSTGRES: postgres_image(),
        S3: s3_image(),
        WORKER: worker_image(),
        SERVER: Image(program=Program(entrypoint=("web-server",), programs={"web-server": web_program})),
        CACHE: Image(commands=replies, logs=("1:M * Ready to accept connections tcp",)),
    }


def worker_image() -> Image:
    """Make the image whose containers run the backup worker, or any command of this installation; raise PostgresMissing."""
    python = (sys.executable,)
    sources = (
        str(Path(file).parents[1])
        for file in (kintsugi.__file__, kintsugi_restore.__file__, kubeobjects.__file__)
        if file
    )
    return Image(
        program=Program(
            entrypoint=("kintsugi",),
            programs={"python": python, "python3": python, "kintsugi": (*python, "-m", "kintsugi.cli")},
            environment={
                "KINTSUGI_PG_BIN": str(programs_folder()),
                "PYTHONPATH": os.pathsep.join(sources),
                "TMPDIR": "/tmp",  # noqa: S108 - a folder of the container's own
                "HOME": "/tmp",  # noqa: S108
            },
            folders=("/tmp",),  # noqa: S108
        )
    )


def self_signed(host: str) -> tuple[str, str]:
    """Return a certificate for a host that holds for a day, and its private key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), own.decode()
