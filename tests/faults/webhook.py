"""A server for the webhook of guard.yaml whose certificate has expired, behind the Service that the page names."""

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from tests.harness.certificates import Authority
from tests.harness.cluster import RealCluster
from tests.harness.network import NODE_ADDRESS
from tests.harness.notices import serving

NAME = "guard"
_PORT = 9443
AGO = timedelta(days=10)
"""Certificates of the harness are valid for three days: one from so long ago has expired."""


@contextmanager
def expired_webhook(cluster: RealCluster, namespace: str, folder: Path) -> Iterator[None]:
    """Have it serve, and guard.yaml in the folder trust the authority that has signed its certificate."""
    authority = Authority(folder / "webhook", valid_from=datetime.now(UTC) - AGO)
    pair = authority.server(NAME, f"{NAME}.{namespace}.svc")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = ThreadingHTTPServer((NODE_ADDRESS, _PORT), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        cluster.apply(*_service(namespace))
        _trust(folder / "guard.yaml", authority)
        try:
            yield
        finally:
            for kind in ("service", "endpointslice"):
                cluster.api.delete(kind, NAME, namespace)


def _trust(file: Path, authority: Authority) -> None:
    document = yaml.safe_load(file.read_text())
    bundle = base64.b64encode(authority.own.certificate.read_bytes()).decode()
    for each in document["webhooks"]:
        each["clientConfig"]["caBundle"] = bundle
    file.write_text(yaml.safe_dump(document))


def _service(namespace: str) -> Iterator[dict[str, object]]:
    metadata = {"name": NAME, "namespace": namespace}
    port = {"name": "https", "port": 443, "protocol": "TCP"}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": [{**port, "targetPort": _PORT}]},
    }
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{**port, "port": _PORT}],
    }
