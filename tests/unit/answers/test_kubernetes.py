"""Whatever the Kubernetes API answers: what was asked for, or one KubeError that names the request."""

import asyncio
import base64
import hashlib
import json
import re
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from kintsugi.actions.actions import Actions
from kintsugi.actions.probe import ProbeContext
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import KintsugiError, KubeError, OutcomeUnknown
from kintsugi.kube.api_errors import LONGEST_RETRY_AFTER, Request, refusal
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.kube.execution import Executed
from kintsugi.kube.transport import RawAnswer, Transport
from kintsugi.settings import KubeSettings
from kubeobjects import resources
from kubeobjects.resources import PODS, Resource
from tests.integration.scripted_api import kubeconfig
from tests.unit.answers.mutations import FUZZ, written, wrong_bytes, wrong_json
from tests.unit.answers.objects import seen
from tests.unit.answers.wire import Answering, BodyTransport, answering, http_answer, refused_by_name

SOON = timedelta(seconds=20)
BRIEFLY = timedelta(seconds=0.1)
STATUSES: Sequence[Mapping[str, object]] = (
    {
        "kind": "Status",
        "status": "Failure",
        "message": "Cannot evict pod as it would violate the pod's disruption budget.",
        "reason": "TooManyRequests",
        "details": {"causes": [{"reason": "DisruptionBudget", "message": "needs 3"}], "retryAfterSeconds": 10},
        "code": 429,
    },
    {"kind": "Status", "status": "Failure", "message": "too old resource version", "reason": "Expired", "code": 410},
    {
        "status": "Failure",
        "message": "command terminated with non-zero exit code: exit status 3",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    },
    {"metadata": {}, "status": "Success"},
)
REQUEST = Request(method="GET", path="/api/v1/namespaces/production/pods/web-1", params={})


@FUZZ
@given(
    body=st.one_of([wrong_json(status) for status in STATUSES]),
    code=st.sampled_from((0, 400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 503, 504, 999)),
    retry_after=st.sampled_from((None, "1", "²", "9" * 5000, "99999999999", "-1", "", "Thu, 26 Nov 2026 04:00:00 GMT")),
    changes=st.booleans(),
)
def test_any_refusal_of_the_api_is_read_or_refused_by_name(
    body: bytes, code: int, retry_after: str | None, *, changes: bool
) -> None:
    """B16."""
    error = refusal(Request(method="PATCH", path="/x", changes=changes, tests=changes), code, body, retry_after)
    assert isinstance(error, KubeError)
    assert 0 < len(str(error)) < 5000
    waits = getattr(error, "retry_after", None)
    assert waits is None or timedelta(0) <= waits <= LONGEST_RETRY_AFTER


def a_list(resource: Resource) -> dict[str, object]:
    """Return a list of a kind, as it is answered."""
    return {"kind": "List", "metadata": {"resourceVersion": "500"}, "items": [dict(each) for each in seen()[resource]]}


RIGHTS = {"resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}], "incomplete": False}
BODIES = (
    a_list(PODS),
    a_list(resources.DEPLOYMENTS),
    dict(seen()[PODS][0]),
    {"kind": "Table", "columnDefinitions": [{"name": "Name"}], "rows": [{"cells": ["web-tls"], "object": None}]},
    {"kind": "SelfSubjectAccessReview", "status": {"allowed": True}},
    {"kind": "SelfSubjectRulesReview", "status": RIGHTS},
)


@FUZZ
@given(body=st.one_of([wrong_json(body) for body in BODIES]))
async def test_any_answer_to_a_request_is_read_or_refused_by_name(body: bytes) -> None:
    """B16."""
    kube = KubeClient(BodyTransport(body), KubeSettings())  # type: ignore[arg-type]
    with refused_by_name("/api/v1/namespaces/production/pods"):
        assert isinstance((await kube.list(PODS, "production")).items, list)
    with refused_by_name("/api/v1/namespaces/production/pods/web-1"):
        assert isinstance(await kube.get(PODS, "web-1", "production"), dict)
    with refused_by_name("/api/v1/namespaces/production/secrets"):
        assert all(isinstance(each, dict) for each in await kube.table(resources.SECRETS, "production"))
    with refused_by_name("selfsubjectaccessreviews"):
        assert await kube.can_i("get", PODS, "production") in (True, False)
    with refused_by_name("selfsubjectrulesreviews"):
        assert isinstance(await kube.rules("production"), dict)
    try:
        await kube.patch(PODS, "web-1", "production", {}, kind=PatchKind.MERGE)
    except OutcomeUnknown as error:
        assert "pods/web-1" in str(error)  # noqa: PT017 - most answers are none that raises


LOOKS = (
    "kubectl get pods -l app=web-app",
    "kubectl get pods --sort-by=.metadata.creationTimestamp",
    "kubectl describe pod web-1",
    "kubectl top pods",
    "kubectl top nodes",
    "kubectl rollout history deployment/web-app-deployment",
    "kubectl rollout status deployment/web-app-deployment --timeout=1s",
    "kubectl events",
    "kubectl wait pod/web-1 --for=condition=Ready --timeout=1s",
    "kubectl exec deployment/web-app-deployment -- df -P -k /data",
    "kubectl exec database-0 -- psql -U postgres -c 'SELECT 1'",
    "kubectl logs deployment/web-app-deployment",
    "kubectl auth can-i get pods",
    "kubectl auth can-i --list",
    "kubectl get secrets",
    "kubectl get --raw /readyz",
)


class Anything:
    """A cluster that shows the objects of an example in place of whatever it is asked for."""

    def __init__(self, objects: Sequence[dict[str, object]], said: bytes) -> None:
        self._objects, self._said = objects, said

    async def get(self, *_: object) -> dict[str, object]:
        return self._objects[0]

    get_metadata = get

    async def list(self, *_: object, **__: object) -> object:
        return SimpleNamespace(items=list(self._objects), resource_version="1")

    async def can_i(self, *_: object, **__: object) -> bool:
        return True

    async def rules(self, *_: object) -> object:
        return self._objects[0]

    async def table(self, *_: object, **__: object) -> object:
        return list(self._objects)

    async def raw(self, *_: object, **__: object) -> RawAnswer:
        return RawAnswer(status=200, reason="OK", body=self._said)

    async def logs(self, *_: object, **__: object) -> AsyncIterator[bytes]:
        yield self._said

    async def execute(self, *_: object, **__: object) -> Executed:
        return Executed(stdout=self._said, stderr=self._said, exit_code=0, truncated=False)


OBJECTS = st.one_of([wrong_json(each) for resource in seen() for each in seen()[resource]])


def objects_of(bodies: Sequence[bytes]) -> list[dict[str, object]]:
    """Return those bodies that the client takes for objects."""
    read: list[dict[str, object]] = []
    for body in bodies:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            read.append(found)
    return read or [{}]


@FUZZ
@given(line=st.sampled_from(LOOKS), bodies=st.lists(OBJECTS, min_size=1, max_size=3), said=st.binary(max_size=200))
async def test_any_object_in_a_look_is_read_or_refused_by_name(line: str, bodies: Sequence[bytes], said: bytes) -> None:
    """B16."""
    kube = Anything(objects_of(bodies), said)
    actions = Actions(kube, Clients.restricted_to(AddressRule()))  # type: ignore[arg-type]
    command = parse(line, namespace="production")
    try:
        result = await actions.read(command, deadline=BRIEFLY, probe_context=ProbeContext(namespace="production"))
    except KintsugiError as error:
        assert str(error)  # noqa: PT017 - most answers are none that raises
    else:
        assert isinstance(result.summary, str)


@asynccontextmanager
async def connected(server: Answering, folder: Path) -> AsyncIterator[Transport]:
    """Speak to the server as to an API server."""
    settings = KubeSettings(kubeconfig=kubeconfig(folder, f"http://127.0.0.1:{server.port}"))
    async with Transport.connect(settings) as transport:
        yield transport


SENTENCES = ("disruption", "Cannot evict")
"""Of the server's own message, which is passed on as it is: it names the object, and a spoilt one may lack a part."""

ANSWERS = (
    http_answer(written(seen()[PODS][0])),
    http_answer(written(STATUSES[0]), b"429 Too Many Requests"),
    http_answer(b"<html>bad gateway</html>", b"502 Bad Gateway"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
)


@FUZZ
@given(answer=st.one_of([wrong_bytes(answer) for answer in ANSWERS]))
async def test_any_bytes_in_answer_to_a_request_are_read_or_refused_by_name(
    server: Answering, tmp_path: Path, answer: bytes
) -> None:
    """B16."""
    server.parts = [answer, answer]
    async with connected(server, tmp_path) as transport:
        with refused_by_name("pods/web-1", *SENTENCES):
            assert isinstance(await transport.send(REQUEST, total=BRIEFLY), bytes)
        with refused_by_name("pods/web-1", *SENTENCES):
            async with transport.stream(REQUEST, silence=BRIEFLY) as chunks:
                async for chunk in chunks:
                    assert chunk
    await server.silent()


def frame(payload: bytes, opcode: int = 2) -> bytes:
    """Write a WebSocket frame as a server does."""
    size = len(payload)
    head = bytes([0x80 | opcode]) + (bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size))
    return head + payload


STREAM = (
    frame(b"\x01" + b"hello\n") + frame(b"\x02" + b"careful\n") + frame(b"\x03" + written(STATUSES[2])) + frame(b"", 8)
)


class Upgrading(Answering):
    """Takes every connection over to the WebSocket's protocol, then sends what the example holds."""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"Sec-WebSocket-Key: (\S+)", head, re.IGNORECASE)
            assert found is not None
            accept = base64.b64encode(
                hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
            )
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            writer.write(self.first)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@FUZZ
@given(
    said=st.one_of(
        wrong_bytes(STREAM),
        st.one_of([wrong_json(status) for status in STATUSES]).map(lambda body: frame(b"\x03" + body[:60_000])),
    )
)
async def test_any_answer_to_a_program_in_a_container_is_read_or_refused_by_name(tmp_path: Path, said: bytes) -> None:
    """B16."""
    async with answering(Upgrading(first=said)) as server:
        settings = KubeSettings(kubeconfig=kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}"))
        async with KubeClient.connect(settings) as kube:
            with refused_by_name("pods/web-1/exec"):
                done = await kube.execute("web-1", "production", ["true"], deadline=BRIEFLY)
                assert isinstance(done.exit_code, int)
