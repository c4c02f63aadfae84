"""
The five services of the shipped rules, each well while its upstreams are: real programs, except the cache.

    images = stack_images()
    for manifest in foundations(): cluster.apply(manifest)
    for manifest in workloads(lambda name, namespace: ...): cluster.apply(manifest)
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kintsugi.cli.demo import web_server
from kintsugi.cli.demo.certificates import self_signed
from kintsugi.cli.demo.shop import (
    CACHE,
    DATABASE,
    POSTGRES,
    WEB,
    WEB_LABELS,
    database,
    database_passwords,
    deployment,
    load_balancer,
    played_cache,
    secret,
    service,
    stateful_set,
)
from kubesim.images import Image, Program
from kubesim.manifest import Json
from kubesim.postgres import postgres_image

SERVER, INGRESS = "web-server:1", "ingress"
API_SERVICE, WEB_SERVICE, INGRESS_SERVICE = "api-service", "web-app-service", "ingress-controller"
INGRESS_LABELS: Final[Mapping[str, str]] = {"app.kubernetes.io/name": INGRESS_SERVICE}
PORT, TLS_PORT = 8080, 8443
CERTIFICATE, CERTIFICATES = "ingress-certificate", "/etc/tls"

PROBE: Final[Json] = {
    "httpGet": {"path": "/health", "port": PORT},
    "periodSeconds": 50,
    "timeoutSeconds": 10,
    "failureThreshold": 2,
}
"""A probe of a real program: asked twice a second where the cluster lives a hundred times as fast."""


def stack_images() -> Mapping[str, Image]:
    """Make the images; raise PostgresMissing."""
    python = (sys.executable, "-I", "-S", "-u", web_server.__file__)
    served = Program(entrypoint=("web-server",), programs={"web-server": python})
    return {
        POSTGRES: postgres_image(),
        SERVER: Image(program=served),
        CACHE: played_cache(),
    }


def foundations() -> Iterable[Json]:
    """Yield the manifests of what the workloads need: Services, Secrets."""
    yield database_passwords()
    yield service(DATABASE, 5432)
    yield service(API_SERVICE, 80, selector={"app": "api"}, target=PORT)
    yield load_balancer(WEB_SERVICE, WEB_LABELS)
    yield service(INGRESS_SERVICE, 443, namespace=INGRESS, selector=INGRESS_LABELS, target=TLS_PORT)
    certificate, key = self_signed(f"{INGRESS_SERVICE}.{INGRESS}")
    yield secret(CERTIFICATE, namespace=INGRESS, **{"tls.crt": certificate, "tls.key": key})


def workloads(address: Callable[[str], str]) -> Iterable[Json]:
    """Yield the manifests of the five workloads; `address` is the cluster IP of a Service in the namespace of the shop."""
    yield database()
    yield stateful_set("cache", {"image": CACHE}, mounted="/data")
    yield _server("api-deployment", {"app": "api"}, f"{address(DATABASE)}:5432", replicas=2)
    yield _server(WEB, WEB_LABELS, f"http://{address(API_SERVICE)}:80/health", replicas=3)
    ingress = _server(INGRESS_SERVICE, INGRESS_LABELS, f"http://{address(WEB_SERVICE)}:80/health", replicas=1)
    ingress["metadata"]["namespace"] = INGRESS
    pod = ingress["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "tls", "secret": {"secretName": CERTIFICATE}}]
    [container] = pod["containers"]
    container["volumeMounts"] = [{"name": "tls", "mountPath": CERTIFICATES, "readOnly": True}]
    container["args"] += [str(TLS_PORT), f"{CERTIFICATES}/tls.crt", f"{CERTIFICATES}/tls.key"]
    yield ingress


def _server(name: str, labels: Mapping[str, str], upstream: str, *, replicas: int) -> Json:
    """Make a Deployment of servers that are ready while their upstream answers."""
    made = deployment(name, labels, image=SERVER, replicas=replicas)
    pod = made["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 10
    pod["containers"][0] |= {"args": ["$(POD_ADDRESS)", str(PORT), upstream], "readinessProbe": PROBE}
    return made
