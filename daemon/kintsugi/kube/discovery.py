"""Reads the kinds that the API server serves besides the built-in ones, from its aggregated discovery."""

from collections.abc import Mapping
from functools import partial

import orjson

from kintsugi.errors import KubeError
from kintsugi.kube.api_errors import Request
from kintsugi.kube.transport import Transport
from kintsugi.offload import processed
from kintsugi.settings import KubeSettings
from kubeobjects.discovery import KIND, kinds_in
from kubeobjects.errors import ReadError
from kubeobjects.resources import Resource

_ACCEPT = ",".join(f"application/json;g=apidiscovery.k8s.io;v={each};as={KIND}" for each in ("v2", "v2beta1"))
_PATHS = ("/api", "/apis")
"""The core group, and all others (kubernetes.io, *Aggregated discovery*): two answers, however many kinds there are."""


async def read_kinds(settings: KubeSettings) -> tuple[Resource, ...]:
    """
    Ask once for the kinds that can be read: there is no second try, so that a start does not wait for the API server.

    Raises KubeError, also where a server older than Kubernetes 1.27 does not know this form of an answer.
    """
    async with Transport.connect(settings) as transport:
        bodies = [await transport.send(Request(method="GET", path=path, accept=_ACCEPT)) for path in _PATHS]
    return await processed(sum(map(len, bodies)), partial(_kinds, bodies))


def _kinds(bodies: list[bytes]) -> tuple[Resource, ...]:
    try:
        documents = [orjson.loads(body) for body in bodies]
        if not all(isinstance(each, Mapping) and each.get("kind") == KIND for each in documents):
            raise KubeError("the API server does not list its types in one answer, as Kubernetes 1.27 and newer do")
        return kinds_in(documents)
    except (orjson.JSONDecodeError, ReadError) as error:
        raise KubeError(f"the API server's list of its types cannot be read: {error}") from error
