"""
However large a foreign body is, others have their turn while it is processed; a small one is processed on the loop.

Work in a thread waits here until the loop has had a turn. Whoever blocks the loop for it waits in vain.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kintsugi.actions.probe import ProbeContext
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.http import HttpClient, HttpRequest
from kintsugi.clients.prometheus import PrometheusClient
from kintsugi.errors import ProbeFailed
from kintsugi.kube.client import KubeClient
from kintsugi.kube.reflector import Reflector
from kintsugi.ledger import Ledger
from kintsugi.model.records import DeadLetter, Phase, RunRecord, SignalSource, StepRecord, StepState
from kintsugi.model.runbooks import Pattern, Severity
from kintsugi.offload import MOST_ON_LOOP
from kintsugi.server.answers import answer
from kintsugi.server.webhook import WebhookHandler
from kintsugi.settings import AlertmanagerSettings, KubeSettings, ServerSettings
from kintsugi.sources.alertmanager import decode
from kintsugi.sources.poll import Poller
from kintsugi.telemetry import Metrics
from kintsugi_restore import job_progress
from kintsugi_restore.s3 import S3Client, S3Service
from kintsugi_restore.s3_objects import S3Folder
from kubeobjects.kept import Pod
from kubeobjects.resources import JOBS, PODS
from tests.contract.ledger.build import begin, diagnosis, signal
from tests.contract.ledger.build import kept as kept_diagnosis
from tests.harness import ledgers
from tests.harness.ledgers import save_step
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, ago
from tests.unit.actions.test_logs import Saying
from tests.unit.answers.wire import Answering, BodyTransport, answering, http_answer
from tests.unit.restore.worker_samples import line as work_line
from tests.unit.restore.worker_samples import pod as worker_pod
from tests.unit.restore.worker_samples import worker
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

    def __init__(self) -> None:
        super().__init__(max_workers=4)
        self.works = 0
        self._loop = asyncio.get_running_loop()

    def use(self) -> None:
        """Be the executor of the loop from now on."""
        self._loop.set_default_executor(self)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in a thread after the next turn of the loop."""
        self.works += 1
        turned = threading.Event()

        def run() -> Any:
            self._loop.call_soon_threadsafe(turned.set)
            assert turned.wait(HANGS), "the loop is blocked"
            return fn(*args, **kwargs)

        return super().submit(run)


def pod_of(size: int) -> Mapping[str, object]:
    """Return a pod with so long an annotation."""
    return {"metadata": {"name": "web-1", "namespace": NAMESPACE, "annotations": {"note": "x" * size}}}


def kube(*items: object, **streamed: bytes) -> KubeClient:
    """Return the client of a cluster that lists these items."""
    page = json.dumps({"metadata": {"resourceVersion": "5"}, "items": items}).encode()
    return KubeClient(BodyTransport(page, **streamed), KubeSettings())  # type: ignore[arg-type]


async def api_object(size: int) -> None:
    transport = BodyTransport(json.dumps(pod_of(size)).encode())
    await KubeClient(transport, KubeSettings()).get(PODS, "web-1", NAMESPACE)  # type: ignore[arg-type]


async def api_list(size: int) -> None:
    assert (await kube(pod_of(size)).list(PODS)).items


async def follow(client: KubeClient) -> None:
    """Let a reflector list and watch once."""
    reflector = Reflector(client, PODS, Pod)
    assert await reflector._round() is None
    assert list(reflector.store) == [(NAMESPACE, "web-1")]


async def watched_list(size: int) -> None:
    await follow(kube(pod_of(size)))


async def watch_line(size: int) -> None:
    await follow(kube(lines=json.dumps({"type": "ADDED", "object": pod_of(size)}).encode() + b"\n"))


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


async def webhook(size: int) -> None:
    inbox, request = MemoryPollerInbox(), Delivered(delivered(*alerts_of(size)))
    intake = WebhookHandler(ServerSettings(), inbox, decode, metrics=Metrics(), clock=lambda: NOW)
    assert (await intake.receive(request)).status == 200  # type: ignore[arg-type]


async def poll(size: int) -> None:
    class Alerts:
        async def alerts(self, *, suppressed: bool) -> bytes:
            return json.dumps(alerts_of(size, status={"state": "active"})).encode()

        async def started(self) -> datetime:
            return NOW

    settings = AlertmanagerSettings(url="http://alertmanager")
    await Poller(settings, Alerts(), MemoryPollerInbox(), Metrics(), lambda: NOW).poll()


async def worker_log(size: int) -> None:
    job = {"metadata": {"name": "j", "namespace": NAMESPACE, "uid": "u", "creationTimestamp": ago(minutes=2)}}
    pod = worker_pod(job, phase="Running", **worker(running={}))
    cluster = ClusterOfDicts((JOBS, {**job, "status": {}}), (PODS, pod))
    cluster.logs_of[pod["metadata"]["name"], "worker", False] = work_line(note="x" * size).encode() + b"\n"
    await job_progress.read(cluster, "j", NAMESPACE)


def commanded(line: str, *patterns: Pattern) -> Callable[[int], Awaitable[object]]:
    """Return how a pod is asked by a command."""

    async def read(size: int) -> None:
        pods = Saying(b"all is well\n" * (size // 12))
        pods.at(PODS, "db-0")["metadata"]["annotations"] = {"note": pods.text.decode()}
        await pods.read(line, probe_context=ProbeContext(patterns=patterns))

    return read


Keep = Callable[[Ledger, RunRecord, str], Awaitable[object]]
"""Keep a text in a ledger with a run."""


def kept(keep: Keep) -> Callable[[int], Awaitable[object]]:
    """Return how a text is masked on its way into the ledger."""

    async def read(size: int) -> None:
        executor = asyncio.get_running_loop()._default_executor  # type: ignore[attr-defined]
        async with ledgers.in_memory(NOW) as ledger:
            run = await begin(ledger)
            executor.use()
            await keep(ledger, run, "x" * size)

    return read


async def keep_alert(ledger: Ledger, _run: RunRecord, text: str) -> None:
    await ledger.signals.accept([replace(signal(), annotations={"note": text})], NOW)


async def keep_step(ledger: Ledger, run: RunRecord, text: str) -> None:
    made = StepRecord(run=run.id, phase=Phase.FORWARD, path="look", state=StepState.DONE, result={"text": text})
    await save_step(ledger, made, expect=None, now=NOW)


async def keep_evidence(ledger: Ledger, run: RunRecord, text: str) -> None:
    await ledgers.keep_evidence(ledger, run.id, "delete", "logs", text, NOW)


async def keep_dead_letter(ledger: Ledger, run: RunRecord, text: str) -> None:
    letter = DeadLetter(id=run.id, source=SignalSource.POLL, received=NOW, reason="no", excerpt=text)
    await ledger.signals.keep_dead_letters([letter])


async def keep_diagnosis(ledger: Ledger, run: RunRecord, text: str) -> None:
    await ledger.incidents.keep_diagnosis(replace(kept_diagnosis(run), diagnosis=diagnosis(text=text)))


async def shown(size: int) -> None:
    await answer({"text": "x" * size})


HTTP = HttpClient(AddressRule(allow_loopback=True))


async def http(size: int) -> None:
    async with answering(Answering(parts=[http_answer(b"x" * size)])) as server:
        response = await HTTP.ask(HttpRequest(url=f"http://127.0.0.1:{server.port}/"), within=SOON)
    assert len(response.body) == min(size, MOST_ON_LOOP)


async def prometheus(size: int) -> None:
    async with answering(Answering(parts=[http_answer(b"x" * size)])) as server:
        with pytest.raises(ProbeFailed, match="longer than 1 MiB" if size > MOST_ON_LOOP else "no answer"):
            await PrometheusClient(HTTP).instant(f"http://127.0.0.1:{server.port}", "up", within=SOON)


async def s3(size: int) -> None:
    listed = b"<ListBucketResult><Name>%s</Name></ListBucketResult>" % (b"x" * size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "KEY")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
        async with answering(Answering(parts=[http_answer(listed)])) as server:
            endpoint = f"http://127.0.0.1:{server.port}"
            client = S3Client(S3Service(endpoint=endpoint, region="eu-central-1", connect=5, silence=5, attempts=1))
            assert await client.list(S3Folder(bucket="backups", prefix="database/")) == ()
            client._boto().close()


WAYS: Mapping[str, Callable[[int], Awaitable[object]]] = {
    "webhook": webhook,
    "poll": poll,
    "object": api_object,
    "list": api_list,
    "watched list": watched_list,
    "watch line": watch_line,
    "worker's log": worker_log,
    "description": commanded("kubectl describe pod db-0"),
    "scanned log": commanded(
        "kubectl logs db-0", Pattern(match="FATAL", means="it failed", severity=Severity.CRITICAL)
    ),
    "output of a program": commanded("kubectl exec db-0 -- redis-cli INFO"),
    "kept alert": kept(keep_alert),
    "kept step": kept(keep_step),
    "kept evidence": kept(keep_evidence),
    "kept dead letter": kept(keep_dead_letter),
    "kept diagnosis": kept(keep_diagnosis),
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
    executor = TurnTakingExecutor()
    executor.use()
    async with asyncio.timeout(SOON.total_seconds()):
        await WAYS[way](SMALL)
        works = executor.works
        assert (works > 0) == (way in ALWAYS)
        await WAYS[way](LARGE)
    assert (executor.works > works) == (way not in CUT)
