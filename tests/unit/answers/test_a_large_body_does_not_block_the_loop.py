"""
However large a foreign body is, others have their turn while it is processed: of a small one nothing is handed to a thread.

Work in a thread waits here until the loop has had a turn. Whoever blocks the loop for it waits in vain.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from kintsugi.actions import job_progress
from kintsugi.actions.actions import Actions
from kintsugi.actions.probe_context import ProbeContext
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.clients.http import HttpClient, HttpRequest
from kintsugi.clients.prometheus import PrometheusClient
from kintsugi.clients.s3 import S3Client, S3Service
from kintsugi.commands import parse
from kintsugi.errors import ProbeFailed, StoreError
from kintsugi.kube.api_errors import Request
from kintsugi.kube.client import KubeClient
from kintsugi.kube.execution import Executed
from kintsugi.kube.reflector import Reflector
from kintsugi.ledger import Ledger
from kintsugi.model.patterns import Pattern, Severity
from kintsugi.model.records import DeadLetter, Phase, SignalSource, StepRecord, StepState
from kintsugi.model.s3_objects import S3Folder
from kintsugi.objects.kept import Pod
from kintsugi.offload import MOST_ON_LOOP
from kintsugi.server.answers import answer
from kintsugi.server.webhook import WebhookHandler
from kintsugi.settings import AlertmanagerSettings, KubeSettings, ServerSettings
from kintsugi.sources.alertmanager import decode
from kintsugi.sources.poll import Poller
from kintsugi.telemetry import Metrics
from kubeobjects.resources import JOBS, PODS
from tests.contract.ledger.build import begin, signal
from tests.harness import ledgers
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, ago
from tests.unit.actions.worker_samples import line as work_line
from tests.unit.actions.worker_samples import pod as worker_pod
from tests.unit.actions.worker_samples import worker
from tests.unit.answers.wire import answering
from tests.unit.pipeline.business import PipelineBench
from tests.unit.pipeline.business import alert as judged_alert
from tests.unit.sources.test_polling_alertmanager import MemoryPollerInbox
from tests.unit.sources.webhooks import alert
from tests.unit.sources.webhooks import webhook as delivered

SMALL, LARGE = 8 * 1024, MOST_ON_LOOP + 64 * 1024
HANGS = 20.0
"""Seconds after which a loop that has no turn ends a test."""

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SOON = timedelta(seconds=60)


class TurnTakingExecutor(ThreadPoolExecutor):
    """Counts the works that it is given, and begins each only after the loop has had a turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(max_workers=4)
        self.works = 0
        self._loop = loop

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in a thread after the next turn of the loop."""
        self.works += 1
        turned = threading.Event()

        def run() -> Any:
            self._loop.call_soon_threadsafe(turned.set)
            assert turned.wait(HANGS), "the loop is blocked"
            return fn(*args, **kwargs)

        return super().submit(run)


Read = Callable[[int], Any]
"""Read so many bytes."""


class BodyTransport:
    """A transport that answers every request with `body`."""

    body = b""

    async def send(self, _request: Request, *, total: timedelta | None = None) -> bytes:
        return self.body

    @asynccontextmanager
    async def stream(self, _request: Request, *, silence: timedelta | None) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            for at in range(0, len(self.body), MOST_ON_LOOP):
                yield self.body[at : at + MOST_ON_LOOP]

        yield chunks()


def pod_of(size: int) -> Mapping[str, object]:
    """Return a pod with so long an annotation."""
    return {"metadata": {"name": "web-1", "namespace": NAMESPACE, "annotations": {"note": "x" * size}}}


def page_of(size: int) -> bytes:
    """Write a list of one pod."""
    return json.dumps({"metadata": {"resourceVersion": "5"}, "items": [pod_of(size)]}).encode()


@asynccontextmanager
async def api_object() -> AsyncIterator[Read]:
    transport = BodyTransport()

    async def read(size: int) -> None:
        transport.body = json.dumps(pod_of(size)).encode()
        await KubeClient(transport, KubeSettings()).get(PODS, "web-1", NAMESPACE)  # type: ignore[arg-type]

    yield read


@asynccontextmanager
async def api_list() -> AsyncIterator[Read]:
    transport = BodyTransport()

    async def read(size: int) -> None:
        transport.body = page_of(size)
        assert (await KubeClient(transport, KubeSettings()).list(PODS)).items  # type: ignore[arg-type]

    yield read


async def follow(page: bytes, lines: bytes) -> None:
    """Let a reflector list and watch once."""
    listing, watching = BodyTransport(), BodyTransport()
    listing.body, watching.body = page, lines
    kube = KubeClient(listing, KubeSettings())  # type: ignore[arg-type]
    kube.stream = watching.stream  # type: ignore[method-assign,assignment]
    reflector = Reflector(kube, PODS, Pod)
    assert await reflector._round() is None
    assert list(reflector.store) == [(NAMESPACE, "web-1")]


@asynccontextmanager
async def watched_list() -> AsyncIterator[Read]:
    yield lambda size: follow(page_of(size), b"")


@asynccontextmanager
async def watch_line() -> AsyncIterator[Read]:
    empty = b'{"metadata":{"resourceVersion":"4"},"items":[]}'
    yield lambda size: follow(empty, json.dumps({"type": "ADDED", "object": pod_of(size)}).encode() + b"\n")


class Delivered:
    """A request with a body."""

    content_type = "application/json"

    def __init__(self, body: bytes) -> None:
        self.headers: Mapping[str, str] = {}
        self.content_length = len(body)
        self.content = self
        self._body = body

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._body


def alerts_of(size: int, **fields: object) -> list[dict[str, object]]:
    """Return alerts of more than so many bytes together."""
    each = {**alert(status="firing", annotations={"note": "x" * 2000}), **fields}
    return [{**each, "fingerprint": f"{number:016x}"} for number in range(size // 2000)]


@asynccontextmanager
async def webhook() -> AsyncIterator[Read]:
    intake = WebhookHandler(
        ServerSettings(),
        MemoryPollerInbox(),
        decode,
        metrics=Metrics(),
        clock=lambda: NOW,
    )

    async def read(size: int) -> None:
        response = await intake.receive(Delivered(delivered(*alerts_of(size))))  # type: ignore[arg-type]
        assert response.status == 200

    yield read


@asynccontextmanager
async def poll() -> AsyncIterator[Read]:
    class Alerts:
        body = b""

        async def alerts(self, *, suppressed: bool) -> bytes:
            return self.body

        async def started(self) -> datetime:
            return NOW

    alerts = Alerts()
    poller = Poller(AlertmanagerSettings(url="http://a"), alerts, MemoryPollerInbox(), Metrics(), lambda: NOW)

    async def read(size: int) -> None:
        alerts.body = json.dumps(alerts_of(size, status={"state": "active"})).encode()
        assert (await poller.poll()).firing == size // 2000

    yield read


class Pods(ClusterOfDicts):
    """A pod whose log and whose programs say `text`."""

    def __init__(self) -> None:
        status = {"name": "main", "containerID": "c-1", "imageID": "img", "state": {"running": {}}, "ready": True}
        super().__init__(
            (
                PODS,
                {
                    "kind": "Pod",
                    "metadata": {"name": "db-0", "namespace": "production", "uid": "u-1"},
                    "spec": {"containers": [{"name": "main"}]},
                    "status": {"phase": "Running", "containerStatuses": [status]},
                },
            )
        )
        self.text = b""

    async def execute(self, *_: object, **__: object) -> Executed:
        """Run nothing, and say it."""
        return Executed(stdout=self.text, stderr=b"", exit_code=0, truncated=False)

    async def logs(self, *_: object, **__: object) -> Any:
        """Yield the log."""
        yield self.text


def commanded(line: str, context: ProbeContext = ProbeContext()) -> Callable[[], AbstractAsyncContextManager[Read]]:  # noqa: B008
    """Return how a pod is asked by a command."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Read]:
        pods = Pods()
        actions = Actions(pods, Clients.restricted_to(AddressRule()))

        async def read(size: int) -> None:
            pods.text = b"all is well\n" * (size // 12)
            pods.at(PODS, "db-0")["metadata"]["annotations"] = {"note": pods.text.decode()}
            await actions.read(parse(line, namespace="production"), deadline=SOON, probe_context=context)

        yield read

    return opened


@asynccontextmanager
async def worker_log() -> AsyncIterator[Read]:
    job = {"metadata": {"name": "j", "namespace": NAMESPACE, "uid": "u", "creationTimestamp": ago(minutes=2)}}
    kube = Pods()
    kube.put(JOBS, {**job, "status": {}})
    kube.put(PODS, worker_pod(job, phase="Running", **worker(running={})))

    async def read(size: int) -> None:
        kube.text = work_line(note="x" * size).encode() + b"\n"
        await job_progress.read(kube, "j", NAMESPACE)

    yield read


Keep = Callable[[Ledger, str, str, str], Any]
"""Keep a text under a name, in a ledger with a run."""


def kept(keep: Keep) -> Callable[[], AbstractAsyncContextManager[Read]]:
    """Return how a text is masked on its way into the ledger."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Read]:
        numbers = count()
        async with ledgers.in_memory(NOW) as ledger:
            run = (await begin(ledger)).id
            yield lambda size: keep(ledger, run, f"n{next(numbers)}", "x" * size)

    return opened


async def keep_alert(ledger: Ledger, run: str, name: str, text: str) -> None:
    await ledger.signals.accept([replace(signal(name), annotations={run: text})], NOW)


async def keep_step(ledger: Ledger, run: str, name: str, text: str) -> None:
    made = StepRecord(run=run, phase=Phase.FORWARD, path=name, state=StepState.DONE, result={"text": text})
    await ledger.runs.save_step(made, expect=None, now=NOW)


async def keep_evidence(ledger: Ledger, run: str, name: str, text: str) -> None:
    await ledger.evidence.keep(run, name, "logs", text, NOW)


async def keep_dead_letter(ledger: Ledger, run: str, name: str, text: str) -> None:
    letter = DeadLetter(id=name, source=SignalSource.POLL, received=NOW, reason=run, excerpt=text)
    await ledger.inbox.keep_dead_letters([letter])


@asynccontextmanager
async def shown() -> AsyncIterator[Read]:
    yield lambda size: answer({"text": "x" * size})


@asynccontextmanager
async def http() -> AsyncIterator[Read]:
    async with answering() as server:

        async def read(size: int) -> None:
            server.parts = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size]
            request = HttpRequest(url=f"http://127.0.0.1:{server.port}/")
            response = await HttpClient(AddressRule(allow_loopback=True)).ask(request, within=SOON)
            assert len(response.body) == min(size, MOST_ON_LOOP)

        yield read


@asynccontextmanager
async def prometheus() -> AsyncIterator[Read]:
    async with answering() as server:

        async def read(size: int) -> None:
            server.parts = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size]
            client = PrometheusClient(HttpClient(AddressRule(allow_loopback=True)))
            with pytest.raises(ProbeFailed, match="longer than 1 MiB" if size > MOST_ON_LOOP else "no answer"):
                await client.instant(f"http://127.0.0.1:{server.port}", "up", within=SOON)

        yield read


@asynccontextmanager
async def s3() -> AsyncIterator[Read]:
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("AWS_ACCESS_KEY_ID", "KEY")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
        server = await stack.enter_async_context(answering())
        endpoint = f"http://127.0.0.1:{server.port}"
        client = S3Client(S3Service(endpoint=endpoint, region="eu-central-1", connect=5, silence=5, attempts=1))

        async def read(size: int) -> None:
            listed = b"<ListBucketResult><Name>%s</Name></ListBucketResult>" % (b"x" * size)
            server.parts = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(listed), listed)]
            with suppress(StoreError):
                await client.list(S3Folder(bucket="backups", prefix="database/"))

        yield read
        client._boto().close()


SCAN = ProbeContext(patterns=(Pattern(match="FATAL", means="it failed", severity=Severity.CRITICAL),))
WAYS: Mapping[str, Callable[[], AbstractAsyncContextManager[Read]]] = {
    "webhook": webhook,
    "poll": poll,
    "object": api_object,
    "list": api_list,
    "watched list": watched_list,
    "watch line": watch_line,
    "worker's log": worker_log,
    "description": commanded("kubectl describe pod db-0"),
    "scanned log": commanded("kubectl logs db-0", SCAN),
    "output of a program": commanded("kubectl exec db-0 -- redis-cli INFO"),
    "kept alert": kept(keep_alert),
    "kept step": kept(keep_step),
    "kept evidence": kept(keep_evidence),
    "kept dead letter": kept(keep_dead_letter),
    "answer to a person": shown,
    "HTTP": http,
    "Prometheus": prometheus,
    "S3": s3,
}
CUT = frozenset({"HTTP", "Prometheus"})
"""Of these nothing larger is processed."""

ALWAYS = frozenset({"S3"})
"""The client of S3 is not made for an event loop."""


@pytest.mark.parametrize("way", WAYS)
async def test_a_large_body_does_not_block_the_loop(way: str) -> None:
    """B16."""
    loop = asyncio.get_running_loop()
    executor = TurnTakingExecutor(loop)
    async with WAYS[way]() as read, asyncio.timeout(SOON.total_seconds()):
        loop.set_default_executor(executor)
        await read(SMALL)
        works = executor.works
        assert (works > 0) == (way in ALWAYS)
        await read(LARGE)
        assert (executor.works > works) == (way not in CUT)


async def test_others_have_their_turn_between_two_alerts_that_are_evaluated() -> None:
    """B16: each may have 64 KiB of text, which rules search."""
    business = PipelineBench()
    turns = 0
    seen: list[int] = []

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    business.pipeline.on_verdict(lambda *_: seen.append(turns))
    given = [replace(judged_alert(alertname="Other"), id=f"s{each}", key=f"k{each}") for each in range(9)]
    await business.ledger.signals.accept(given, NOW)
    counting = asyncio.create_task(others())
    await business.pipeline.step()
    counting.cancel()
    assert len(set(seen)) == len(seen) == 9
