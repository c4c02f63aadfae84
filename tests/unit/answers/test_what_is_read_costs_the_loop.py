"""
However much the cluster, a worker or Alertmanager says, the event loop has its turn soon: none takes longer than ten ordinary answers.

Counted is the processor time of the loop's thread between two moments at which others had their turn, compared with the whole
cost of an ordinary 64 KiB in the same run: how fast or busy the machine is does not matter.
"""

import asyncio
import gc
import json
import selectors
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text as statement

from kintsugi.actions import job_progress
from kintsugi.actions.evaluation import computed_over
from kintsugi.actions.probe_context import ProbeContext
from kintsugi.actions.reads import run
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.decisions.matcher import Matcher
from kintsugi.errors import KubeError, ProbeFailed
from kintsugi.expressions import BOOL, Bindings, ListOf, compile_expression
from kintsugi.kube.api_errors import Request
from kintsugi.kube.client import KubeClient
from kintsugi.kube.reflector import Reflector
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import SignalQuery
from kintsugi.model.records import StepState
from kintsugi.objects.kept import Pod
from kintsugi.offload import MOST_DECODED_ON_LOOP
from kintsugi.runner.journal import storable
from kintsugi.runner.wait import Expectation, poll_until
from kintsugi.scope.types import object_type
from kintsugi.server.answers import answer
from kintsugi.server.responses import SignalList
from kintsugi.server.webhook import WebhookHandler
from kintsugi.settings import AlertmanagerSettings, KubeSettings, ServerSettings
from kintsugi.sources.alertmanager import decode
from kintsugi.sources.cluster import ClusterWatch
from kintsugi.sources.poll import Poller
from kintsugi.telemetry import Metrics
from kintsugi.verbs.get import Get
from kintsugi.views import Caches, ServiceViews
from kubeobjects.resources import JOBS, PODS
from tests.contract.ledger.build import begin, signal, step
from tests.integration.intake_server import ledger_in
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, ago
from tests.unit.actions.worker_samples import line as work_line
from tests.unit.actions.worker_samples import pod as worker_pod
from tests.unit.actions.worker_samples import worker
from tests.unit.answers.mutations import FUZZ, written, wrong_json
from tests.unit.answers.objects import seen
from tests.unit.factories import catalog, rule_text, runbook_text, service_text
from tests.unit.pipeline.business import PipelineBench
from tests.unit.pipeline.handed_signals import HandedSignals
from tests.unit.sources.webhooks import alert
from tests.unit.sources.webhooks import webhook as delivered

pytestmark = pytest.mark.long


SMALL, ORDINARY, LARGE = MOST_DECODED_ON_LOOP - (1 << 10), 64 << 10, 2 << 20
TIMES = 10
LARGEST = {
    "look": 1 << 20,
    "looked at": 1 << 18,
    "webhook": 1 << 19,
    "poll": 1 << 19,
    "worker's log": 1 << 20,
    "stray": 1 << 20,
    "due": 1 << 24,
}
"""
Where less must do, or more is possible: committing alerts and searching for secrets take their time, wherever that is, and of a
larger look nothing is taken in.
"""
FEW = 1 << 17
"""Bytes of alerts that take the longest to be searched for secrets, each of which is about as large as one may be."""

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SOON = 60.0
"""Seconds after which what does not end is taken for a hang."""


class MeasuringSelector(selectors.DefaultSelector):
    """Notes how much processor time each turn of the loop takes, and all of them together."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = self.total = 0.0
        self._began: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """End a turn, wait, and begin the next."""
        if self._began is not None:
            taken = time.thread_time() - self._began
            self.longest, self.total = max(self.longest, taken), self.total + taken
        found = super().select(timeout)
        self._began = time.thread_time()
        return found

    def forget(self) -> None:
        """Begin anew."""
        self.longest = self.total = 0.0


@dataclass(frozen=True, kw_only=True)
class LoopCost:
    """Processor time of the loop's thread in seconds: of the longest turn, and of all."""

    longest: float
    total: float


Read = Callable[[bytes], Awaitable[object]]
"""
Reads a text and returns what it has come to: freeing that belongs to the whole cost. To the longest turn it belongs where whoever
has asked lets go of the answer at once; what is kept of a watch is let go of object by object.
"""

Opened = AbstractAsyncContextManager[Read]


class MeasuredLoop:
    """A loop of its own in which one way of reading is measured."""

    def __init__(self, way: str, folder: Path) -> None:
        self._turns = MeasuringSelector()
        self._runner = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(self._turns))
        self._open = WAYS[way](folder)
        self._let_go = way in LET_GO
        self._read = self._runner.run(self._open.__aenter__())

    def close(self) -> None:
        self._runner.run(self._open.__aexit__(None, None, None))
        self._runner.close()

    def cost(self, text: bytes, times: int = 1) -> LoopCost:
        """Return the least that it costs, of so many times."""
        costs = [self._once(text) for _ in range(times)]
        return LoopCost(longest=min(each.longest for each in costs), total=min(each.total for each in costs))

    def _once(self, text: bytes) -> LoopCost:
        async def read() -> LoopCost:
            async with asyncio.timeout(SOON):
                await asyncio.sleep(0)
                self._turns.forget()
                found: object = None
                with suppress(KubeError, ProbeFailed):  # a refusal is an answer, too
                    found = await self._read(text)
                await asyncio.sleep(0)
                longest = self._turns.longest
                del found
                await asyncio.sleep(0)
                return LoopCost(longest=self._turns.longest if self._let_go else longest, total=self._turns.total)

        gc.disable()
        try:
            return self._runner.run(read())
        finally:
            gc.enable()


class StreamedBodyTransport:
    """A transport that answers with one body, and streams it in pieces as large as a buffer holds."""

    def __init__(self) -> None:
        self.body = b""

    async def send(self, _request: Request, *, total: timedelta | None = None) -> bytes:
        return self.body

    @asynccontextmanager
    async def stream(self, _request: Request, *, silence: timedelta | None) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            for at in range(0, len(self.body), ORDINARY):
                yield self.body[at : at + ORDINARY]

        yield chunks()


@asynccontextmanager
async def one_object(_folder: Path) -> AsyncIterator[Read]:
    """Read an object that is asked for by name."""
    transport = StreamedBodyTransport()
    kube = KubeClient(transport, KubeSettings())  # type: ignore[arg-type]

    async def read(text: bytes) -> object:
        transport.body = text
        return await kube.get(PODS, "web-1", NAMESPACE)

    yield read


@asynccontextmanager
async def listed(_folder: Path) -> AsyncIterator[Read]:
    """Read a list for a look."""
    transport = StreamedBodyTransport()
    kube = KubeClient(transport, KubeSettings())  # type: ignore[arg-type]

    async def read(text: bytes) -> object:
        transport.body = text
        return await kube.list(PODS, NAMESPACE)

    yield read


@asynccontextmanager
async def every_one(_folder: Path) -> AsyncIterator[Read]:
    """Go through all objects of a kind for a decision."""
    transport = StreamedBodyTransport()
    kube = KubeClient(transport, KubeSettings())  # type: ignore[arg-type]

    async def read(text: bytes) -> object:
        transport.body = text
        return [pod.metadata.name async for pod in kube.iter_objects(PODS, Pod, NAMESPACE)]

    yield read


GET_PODS = Get(resources=(PODS,), namespace=NAMESPACE)
RUNNING = compile_expression(
    "items.all(p, p.status.phase == 'Running')", result=BOOL, names={"items": ListOf(object_type(PODS))}
)


@asynccontextmanager
async def looked_and_asked(_folder: Path) -> AsyncIterator[Read]:
    """Look as a step does, ask what is expected of it, and keep the result."""
    transport = StreamedBodyTransport()
    kube = KubeClient(transport, KubeSettings())  # type: ignore[arg-type]
    means = VerbClients(kube=kube, clients=None, containers=None)  # type: ignore[arg-type]
    probe_context = ProbeContext(namespace=NAMESPACE, env={})
    once = Expectation(
        expect=RUNNING, within=timedelta(0), for_duration=timedelta(0), progress=None, every=timedelta(0)
    )

    async def read(text: bytes) -> object:
        transport.body = text

        async def ask() -> Mapping[str, object]:
            return (await run(means, GET_PODS, deadline=timedelta(minutes=1), probe_context=probe_context)).names

        seen = await poll_until(once, ask, Bindings, lambda: NOW)
        return seen, await computed_over((seen.result,), partial(storable, seen.result))

    yield read


class OneRound:
    """A cluster that is listed and watched once: of the two one is what the example holds."""

    def __init__(self, page: bytes, lines: bytes) -> None:
        self.listing, self.watched = StreamedBodyTransport(), StreamedBodyTransport()
        self.listing.body, self.watched.body = page, lines
        self._kube = KubeClient(self.listing, KubeSettings())  # type: ignore[arg-type]
        self.pages = self._kube.pages
        self.stream = self.watched.stream


EMPTY = b'{"kind":"PodList","metadata":{"resourceVersion":"500"},"items":[]}'


def followed(page: Callable[[bytes], bytes], lines: Callable[[bytes], bytes]) -> Callable[[Path], Opened]:
    """Return how a reflector follows what is made of a text."""

    @asynccontextmanager
    async def opened(_folder: Path) -> AsyncIterator[Read]:
        async def read(text: bytes) -> object:
            server = OneRound(page(text), lines(text))
            reflector = Reflector(server, PODS, Pod)  # type: ignore[arg-type]
            heard: list[object] = []
            reflector.subscribe(heard.append)
            with_failure = await reflector._round()
            assert with_failure is None or isinstance(with_failure, KubeError)
            return reflector, heard

        yield read

    return opened


@asynccontextmanager
async def looked_at(folder: Path) -> AsyncIterator[Read]:
    """Follow a watch of pods, and look at those that are kept as a rule on pods does."""
    rules = catalog(service_text("agent"), rule_text(service="agent"), runbook_text())

    async with ledger_in(folder) as ledger:

        async def read(text: bytes) -> object:
            caches = Caches.of(OneRound(EMPTY, text))  # type: ignore[arg-type]
            services = ServiceViews(caches, rules, clock=lambda: NOW, stale_after=timedelta(hours=1))
            watch = ClusterWatch(caches, services, ledger, clock=lambda: NOW)
            watch.reload(rules, Matcher(rules))
            await caches.pods._round()
            await watch._check_pods()
            return caches, services, watch

        yield read


@asynccontextmanager
async def worker_log(_folder: Path) -> AsyncIterator[Read]:
    """Read what a backup worker has said."""
    job = {"metadata": {"name": "j", "namespace": NAMESPACE, "uid": "u", "creationTimestamp": ago(minutes=2)}}
    kube = ClusterOfDicts((JOBS, {**job, "status": {}}))
    made = worker_pod(job, phase="Running", **worker(running={}))
    kube.put(PODS, made)

    class Logs:
        """Shows the cluster, and the log as it stands."""

        text = b""
        get, list = staticmethod(kube.get), staticmethod(kube.list)

        async def logs(self, *_: object, **__: object) -> AsyncIterator[bytes]:
            for at in range(0, len(self.text), ORDINARY):
                yield self.text[at : at + ORDINARY]

    logs = Logs()

    async def read(text: bytes) -> None:
        logs.text = text
        await job_progress.read(logs, "j", NAMESPACE)  # type: ignore[arg-type]

    yield read


@asynccontextmanager
async def stray(folder: Path) -> AsyncIterator[Read]:
    """Put a signal aside whose row cannot be read."""
    async with ledger_in(folder) as ledger:
        await ledger.lead(NOW)

        async def read(text: bytes) -> None:
            (accepted,) = (await ledger.signals.accept([signal("bad")], NOW)).ids
            async with ledger._store.engines.writer.begin() as connection:
                change = statement("UPDATE signals SET annotations = :text WHERE id = :id")
                await connection.execute(change, {"text": "x" + text.decode(errors="replace"), "id": accepted})
            await ledger.signals.set_aside_unreadable(NOW)

        yield read


@asynccontextmanager
async def due(folder: Path) -> AsyncIterator[Read]:
    """Read signals that are to be judged back from the ledger, with 60 KiB of the text each, about the most that an alert may have."""
    async with ledger_in(folder) as ledger:
        await ledger.signals.accept([signal("one")], NOW)
        with closing(sqlite3.connect(folder / "ledger.db", check_same_thread=False)) as database:
            names = [row[1] for row in database.execute("PRAGMA table_info(signals)")]
            template = dict(zip(names, database.execute("SELECT * FROM signals").fetchone(), strict=True))

            def keep(text: bytes) -> None:
                parts = [text[at : at + 60_000].decode(errors="replace") for at in range(0, len(text), 60_000)]
                rows = [
                    {**template, "id": f"s{number}", "key": f"{number:016x}", "annotations": json.dumps({"note": part})}
                    for number, part in enumerate(parts)
                ]
                places = ", ".join(f":{name}" for name in names)
                with database:
                    database.execute("DELETE FROM signals")
                    database.executemany(f"INSERT INTO signals ({', '.join(names)}) VALUES ({places})", rows)

            async def read(text: bytes) -> None:
                await asyncio.to_thread(keep, text)
                assert await ledger.signals.due(NOW)

            yield read


@asynccontextmanager
async def judged(_folder: Path) -> AsyncIterator[Read]:
    """Judge the alerts of a delivery: a rule looks through each of them, and matches none."""
    looks = "matchers: ['alertname=~\"Pod.*\"', 'note!~\".*nothing.*\"']\nwhen: alert.labels.exists(name, name == 'nothing')"
    business = PipelineBench(documents=(rule_text("looks", on="alert", more=looks),))
    business.ledger.signals = handed = HandedSignals(business.ledger._store)

    async def read(text: bytes) -> None:
        handed.given = (await asyncio.to_thread(decode, text, NOW)).signals
        handed.settled.clear()
        await business.pipeline.step()
        assert len(handed.settled) == min(500, len(handed.given))

    yield read


class Delivered:
    """A request with a body."""

    content_type = "application/json"

    def __init__(self, body: bytes) -> None:
        self.content_length = len(body)
        self.content = self
        self._body = body

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._body


@asynccontextmanager
async def webhook(folder: Path) -> AsyncIterator[Read]:
    """Take a delivery of Alertmanager."""
    async with ledger_in(folder) as ledger:
        intake = WebhookHandler(ServerSettings(), ledger.inbox, decode, metrics=Metrics(), clock=lambda: NOW)

        async def read(text: bytes) -> None:
            response = await intake.receive(Delivered(text))  # type: ignore[arg-type]
            assert isinstance(response, web.Response)
            await forget(ledger)

        yield read


@asynccontextmanager
async def poll(folder: Path) -> AsyncIterator[Read]:
    """Ask Alertmanager what fires."""

    class Alerts:
        text = b""

        async def alerts(self, *, suppressed: bool) -> bytes:
            return self.text

        async def started(self) -> datetime:
            return NOW - timedelta(days=1)

    alerts = Alerts()
    settings = AlertmanagerSettings(url="http://alertmanager")
    async with ledger_in(folder) as ledger:
        poller = Poller(settings, alerts, ledger.inbox, Metrics(), lambda: NOW)

        async def read(text: bytes) -> None:
            alerts.text = text
            await poller.poll()
            await forget(ledger)

        yield read


@asynccontextmanager
async def step_end(folder: Path) -> AsyncIterator[Read]:
    """End a step with what its command has answered: its result is kept without secrets."""
    async with ledger_in(folder) as ledger:
        await ledger.lead(NOW)
        run = await begin(ledger)
        numbers = count()

        async def read(text: bytes) -> None:
            found = step(run, f"logs-{next(numbers)}", StepState.DONE, result={"output": text.decode(errors="replace")})
            await ledger.runs.save_step(found, expect=None, now=NOW)

        yield read


@asynccontextmanager
async def evidence(folder: Path) -> AsyncIterator[Read]:
    """Keep the log of a pod that is to be deleted."""
    async with ledger_in(folder) as ledger:
        await ledger.lead(NOW)
        run = await begin(ledger)

        async def read(text: bytes) -> None:
            await ledger.evidence.keep(run.id, "delete", "logs", text.decode(errors="replace"), NOW)
            async with ledger._store.engines.writer.begin() as connection:
                await connection.execute(statement("DELETE FROM evidence"))

        yield read


@asynccontextmanager
async def shown_steps(folder: Path) -> AsyncIterator[Read]:
    """Answer a request for a run's steps, one of which has the text as its result."""
    async with ledger_in(folder) as ledger:
        await ledger.lead(NOW)
        run = await begin(ledger)

        async def read(text: bytes) -> None:
            found = step(run, state=StepState.DONE, result={"output": text.decode(errors="replace")})
            await answer((found,))

        yield read


@asynccontextmanager
async def shown_signals(folder: Path) -> AsyncIterator[Read]:
    """Take alerts, and answer a request for a page of them."""
    async with ledger_in(folder) as ledger:

        async def read(text: bytes) -> None:
            accepted = (await asyncio.to_thread(decode, text, NOW)).signals
            await ledger.signals.accept(accepted, NOW)
            await answer(SignalList(signals=tuple(await ledger.signal_pages.list_signals(SignalQuery(limit=500)))))
            await forget(ledger)

        yield read


async def forget(ledger: Ledger) -> None:
    """Make the ledger empty again, so that what was told before costs nothing."""
    async with ledger._store.engines.writer.begin() as connection:
        await connection.execute(statement("DELETE FROM signals"))


def as_it_is(text: bytes) -> bytes:
    return text


def nothing(_text: bytes) -> bytes:
    return b""


WAYS: Mapping[str, Callable[[Path], Opened]] = {
    "object": one_object,
    "list": listed,
    "each": every_one,
    "look": looked_and_asked,
    "watched list": followed(as_it_is, nothing),
    "watch": followed(lambda _: EMPTY, as_it_is),
    "looked at": looked_at,
    "worker's log": worker_log,
    "stray": stray,
    "due": due,
    "judged": judged,
    "webhook": webhook,
    "poll": poll,
    "end of a step": step_end,
    "evidence": evidence,
    "shown steps": shown_steps,
    "shown signals": shown_signals,
}

LET_GO = frozenset({"object", "list", "each", "look"})

POD = dict(seen()[PODS][0])


def pods(size: int, **fields: object) -> list[bytes]:
    """Return pods of about so many bytes together, each with a name of its own."""
    each = written({**POD, **fields})
    names = (f"web-{number}" for number in range(max(1, size // len(each))))
    return [each.replace(POD["metadata"]["name"].encode(), name.encode()) for name in names]


def many_parts(size: int) -> Iterator[bytes]:
    """Yield pods that have as much of one thing as goes into so many bytes: next to nothing each, or all that is read of it."""
    time = "2026-05-04T11:00:00Z"
    ended = {"reason": "Error", "message": "x", "startedAt": time, "finishedAt": time}
    state = {"waiting": {"reason": "x", "message": "x"}, "running": {"startedAt": time}, "terminated": ended}
    container = {"name": "x", "resources": {}, "startupProbe": {}, "readinessProbe": {}, "livenessProbe": {}}
    condition = {"type": "x", "status": "True", "reason": "x", "message": "x", "lastTransitionTime": time}
    several: Sequence[tuple[str, str, object]] = (
        ("status", "containerStatuses", {}),
        ("status", "containerStatuses", {"name": "x", "state": state, "lastState": state}),
        ("status", "conditions", condition),
        ("spec", "containers", {}),
        ("spec", "containers", container),
        ("spec", "containers", {"ports": [{}] * 99}),
        ("spec", "volumes", {}),
        ("metadata", "finalizers", "x"),
        ("metadata", "ownerReferences", {}),
    )
    for part, name, each in several:
        many = [each] * (size // (len(json.dumps(each)) + 1))
        yield written({**POD, part: {**POD[part], name: many}})
    for name in ("labels", "annotations"):
        labels = {f"l{number}": "" for number in range(size // 12)}
        yield written({**POD, "metadata": {**POD["metadata"], name: {**labels, "app": "agent"}}})
    yield written({**POD, "status": {**POD["status"], "message": "x" * size}})


def page(items: Sequence[bytes]) -> bytes:
    """Write a list."""
    return b'{"kind":"PodList","metadata":{"resourceVersion":"500"},"items":[%s]}' % b",".join(items)


def events(items: Sequence[bytes]) -> bytes:
    """Write the lines of a watch."""
    return b"".join(b'{"type":"ADDED","object":%s}\n' % item for item in items)


def alerts(size: int, **fields: object) -> list[dict[str, object]]:
    """Return alerts of about so many bytes together."""
    each = alert(status="firing", **fields)
    many = max(1, size // len(json.dumps(each)))
    return [{**each, "fingerprint": f"{number:016x}"} for number in range(many)]


def labels(filler: str, size: int) -> Sequence[Mapping[str, str]]:
    """Return labels of so many bytes, about the most that an alert may have: a large one, and many, each like a secret's text."""
    size, written = min(size, 58_000), len(json.dumps(filler).strip('"'))
    named = {"alertname": "PodDown", "namespace": "shop", "pod": "web-1"}
    many = {f"l{number}": filler for number in range(size // (written + len('"l1000": "", ')))}
    return {**named, "note": filler * (size // written)}, {**named, **many}


def polled(size: int, **fields: object) -> bytes:
    """Write what the API answers."""
    return json.dumps([{**each, "status": {"state": "active"}} for each in alerts(size, **fields)]).encode()


PROGRESS = work_line(progress={"phase": "reading", "bytes": 100, "of": 456, "what": "database/app.dump"}).encode()
SAID = PROGRESS + b"\n" + work_line(note="an older backup is taken since the newest is cut off").encode() + b"\n"


def ordinary(way: str, size: int = ORDINARY) -> bytes:
    """Return so many bytes of what is usually read in this way."""
    match way:
        case "object":
            containers = [{"name": f"c-{number}", "image": "registry/shop:1"} for number in range(size // 40)]
            return written({**POD, "spec": {"containers": containers}})
        case "list" | "each" | "look" | "watched list":
            return page(pods(size))
        case "watch" | "looked at":
            return events(pods(size))
        case "worker's log":
            return SAID * (size // len(SAID))
        case "webhook" | "judged" | "shown signals":
            return delivered(*alerts(size))
        case "poll":
            return polled(size)
        case _:
            return (b"10.0.0.7 GET /orders?page=2 200\n" * size)[:size]


FILLERS = ("a", "\n", "x\n", "\r", "[],", "{},", "token=x ", "password: x\n", "bearer xxxxxxxx ")
"""What parsers take for one thing more, and the redaction for a secret."""


def hostile_alerts(way: str, filler: str, note: str, size: int) -> Iterator[bytes]:
    """Yield alerts of about so many bytes, with a note of as many or with large labels."""
    match way:
        case "webhook" | "shown signals":
            yield delivered(*alerts(size, annotations={"note": note[:1000]}))
            yield delivered(*alerts(size, startsAt=None, annotations={"note": note[:1000]}))
            yield delivered(*alerts(size, startsAt=note))
            yield from (delivered(*alerts(min(size, FEW), labels=each)) for each in labels(filler, size))
        case "poll":
            yield polled(size, annotations={"note": note[:1000]})
            yield polled(size, startsAt=note[:3000])
            yield from (polled(min(size, FEW), labels=each) for each in labels(filler, size))
        case "judged" if len(filler) == 1:
            yield from (delivered(*alerts(size, labels=each)) for each in labels(filler, size))


def hostile(way: str, size: int) -> Iterator[bytes]:
    """Yield texts of about so many bytes that are not as they should be, or hold much of what costs."""
    for filler in FILLERS:
        yield (filler * (size // len(filler))).encode()
        note = filler * (size // len(json.dumps(filler).strip('"')))
        match way:
            case "object":
                yield written({**POD, "metadata": {"name": "web-1", "annotations": {"note": note}}})
            case "list" | "each" | "look" | "watched list":
                yield page(pods(size, metadata={**POD["metadata"], "annotations": {"note": note}}))
            case "watch":
                yield events(pods(size, metadata={**POD["metadata"], "annotations": {"note": note}}))
            case "worker's log":
                yield work_line(note=note).encode() + b"\n"
            case "looked at" if filler == FILLERS[0]:
                yield from (events([each]) for each in many_parts(size))
            case "webhook" | "poll" | "judged" | "shown signals":
                yield from hostile_alerts(way, filler, note, size)
    yield from next_to_nothing(way, size)
    if way in {"object", "watch", *LISTS}:
        many = [{"type": "Ready", "status": "True"}] * (size // 40)
        spoilt = pods(size, status={**POD["status"], "conditions": many})
        yield {"object": spoilt[0], "watch": events(spoilt)}.get(way, page(spoilt))
        yield {"object": pods(size, spec=[])[0], "watch": events(pods(size, spec=[]))}.get(
            way, page(pods(size, spec=[]))
        )


LISTS = frozenset({"list", "each", "look", "watched list"})
NOTHING_MUCH = (b"{}", b'{"a":"b"}', b"[]", b'"a"', b"1", b'{"metadata":{"labels":{"a":"b"}}}')
"""Values that take far more room, and time to be freed, than text."""


def nested(size: int) -> Iterator[bytes]:
    """Yield lists and objects of about so many bytes that are made of next to nothing."""
    yield from (b"[%s]" % b",".join([each] * (size // (len(each) + 1))) for each in NOTHING_MUCH)
    yield b"{%s}" % b",".join(b'"%06x":{}' % number for number in range(size // 12))


def next_to_nothing(way: str, size: int) -> Iterator[bytes]:
    """Yield answers whose values, or items, are next to nothing each."""
    if way in LISTS:
        yield from (page([b",".join([each] * (size // (len(each) + 1)))]) for each in NOTHING_MUCH)
        yield from (page(pods(size, metadata={"name": "x", "a": json.loads(many)})) for many in nested(size))
    if way == "object":
        yield from nested(size)
        yield from (b'{"metadata":{"name":"x"},"a":%s}' % many for many in nested(size))


@pytest.fixture
def measured(way: str, tmp_path: Path) -> Iterator[MeasuredLoop]:
    """The way of reading that a test is about."""
    made = MeasuredLoop(way, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("way", WAYS)
def test_no_text_holds_the_loop_longer_than_ten_ordinary_ones(way: str, measured: MeasuredLoop) -> None:
    """B16: whatever its size, and whatever it holds."""
    usual = measured.cost(ordinary(way), times=5).total
    sizes = (SMALL, ORDINARY, LARGEST.get(way, LARGE))
    texts = [text for size in sizes for text in [ordinary(way, size), *hostile(way, size)]]
    costs = {number: measured.cost(text).longest for number, text in enumerate(texts)}
    worst = sorted(costs, key=lambda number: costs[number])[-3:]
    again = {texts[number][:60]: measured.cost(texts[number], times=5).longest for number in worst}
    assert max(again.values()) <= TIMES * usual, (usual, again)


@pytest.mark.parametrize("way", WAYS)
def test_twice_the_text_costs_the_loop_no_more_than_twice_as_much(way: str, measured: MeasuredLoop) -> None:
    """B16: nothing goes through what came before again; some more is allowed for what the machine does besides."""
    large = LARGEST.get(way, LARGE)
    once, twice = (measured.cost(ordinary(way, size), times=5).total for size in (large // 2, large))
    usual = measured.cost(ordinary(way), times=5).total
    assert twice <= 2 * once + TIMES * usual


WRONG = {
    "object": wrong_json(POD),
    **dict.fromkeys(
        ("list", "each", "look", "watched list"),
        wrong_json({"metadata": {"resourceVersion": "5"}, "items": [dict(each) for each in seen()[PODS]]}),
    ),
    "watch": wrong_json({"type": "ADDED", "object": POD}).map(lambda text: text + b"\n"),
    "webhook": wrong_json(json.loads(delivered(alert(), alert()))),
    "poll": wrong_json(json.loads(polled(1000))),
}


@pytest.mark.parametrize("way", WRONG)
@FUZZ
@given(data=st.data())
def test_no_wrong_answer_holds_the_loop_longer_than_ten_ordinary_ones(
    way: str, measured: MeasuredLoop, data: st.DataObject
) -> None:
    """B16."""
    text = data.draw(WRONG[way])
    if way not in USUAL:
        USUAL[way] = measured.cost(ordinary(way), times=5).total
    taken = measured.cost(text).longest
    if taken > TIMES * USUAL[way]:
        taken = measured.cost(text, times=5).longest
    assert taken <= TIMES * USUAL[way]


USUAL: dict[str, float] = {}
"""What an ordinary answer costs, in this run."""
