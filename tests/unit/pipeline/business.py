"""The pipeline over told caches and an inbox in memory: what becomes of one signal."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from kintsugi.errors import KubeError, NotFound, NotRecorded
from kintsugi.guards import Limits
from kintsugi.ledger import Claim, Claimed, Decide
from kintsugi.model.documents import Catalog, Mode, RuleSource
from kintsugi.model.history import History
from kintsugi.model.records import Approval, Incident, IncidentState, RunRecord, Signal, Verdict, VerdictKind
from kintsugi.model.trigger import Trigger
from kintsugi.objects.resources import Resource
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.targets import Targets
from kintsugi.pipeline.waiting import Waiting
from kintsugi.telemetry import Containment
from tests.unit.factories import (
    catalog,
    incident,
    pod,
    rule_text,
    run,
    runbook_text,
    service_text,
    signal,
    trigger_of,
    virtual_clock,
)
from tests.unit.services.cluster import Cluster

ALERT_RULE = rule_text("web-alerts", on="alert", more="match: ['alertname=\"Down\"']")
LIMITS = Limits(protected=frozenset({"kube-system"}))


class MemoryInbox:
    """
    Keeps signals, verdicts, claims and questions; decides claims on the history that it is given.

    `answers` is what every claim is answered, whatever is decided. The signals of `unreadable` incidents raise, and the
    claims of `refused` signals; `trouble` is raised by every claim.
    """

    def __init__(self) -> None:
        self.due: list[Signal] = []
        self.settled: dict[str, Verdict] = {}
        self.batches: list[int] = []
        self.claims: list[Claim] = []
        self.asked: list[Approval] = []
        self.history = History()
        self.opened: list[Incident] = []
        self.of_incident: list[Signal] = []
        self.runs: list[RunRecord] = []
        self.closed: list[tuple[IncidentState, str]] = []
        self.next_due: datetime | None = None
        self.looks = 0
        self.told: list[tuple[IncidentState, str]] = []
        self.verdicts: dict[str, Verdict] = {}
        self.unreadable: set[str] = set()
        self.answers: Claimed | None = None
        self.refused: set[str] = set()
        self.trouble: Exception | None = None

    async def due_signals(self, now: datetime, limit: int = 500) -> tuple[Signal, ...]:
        """Give what has no verdict yet."""
        self.looks += 1
        return tuple(each for each in self.due if each.id not in self.settled)[:limit]

    async def settle(self, verdicts: Mapping[str, Verdict], now: datetime) -> None:
        """Keep verdicts."""
        self.batches.append(len(verdicts))
        self.settled |= verdicts

    async def claim(self, claim: Claim, decide: Decide, now: datetime) -> Claimed:
        """Decide a claim, and keep its verdict."""
        self.claims.append(claim)
        assert claim.signal is not None
        if self.trouble is not None:
            raise self.trouble
        if claim.signal.id in self.refused:
            raise NotRecorded(f"signal {claim.signal.id} was never accepted")
        if self.answers is not None:
            self.settled[claim.signal.id] = self.answers.verdict
            return self.answers
        verdict = decide(self.history)
        self.settled[claim.signal.id] = verdict
        started = verdict.kind is VerdictKind.STARTED
        waits = verdict.kind in (VerdictKind.HELD, VerdictKind.AWAITING_APPROVAL)
        return Claimed(
            verdict=verdict,
            incident=incident(service=claim.service) if started or waits else None,
            run=run(service=claim.service) if started else None,
        )

    async def start_held(self, incident: str, claim: Claim, decide: Decide, now: datetime) -> Claimed:
        """Decide again."""
        return await self.claim(claim, decide, now)

    async def ask(self, approval: Approval, *, told: str = "") -> None:
        """Keep a question, and what a person is told of it."""
        self.asked.append(approval)
        if told:
            self.told.append((IncidentState.AWAITING_APPROVAL, told))

    async def incidents(self, *, limit: int = 50, service: str = "", open_only: bool = False) -> tuple[Incident, ...]:
        """List the open incidents."""
        return tuple(self.opened)

    async def due_at(self) -> datetime | None:
        """Return the moment at which the next provisional verdict ends."""
        return self.next_due

    async def trigger_of(self, incident: str) -> Trigger:
        """Sum the incident's signals up."""
        return trigger_of(self.of_incident)

    async def incident(self, incident: str) -> Incident:
        """Return one of the open incidents."""
        return next(each for each in self.opened if each.id == incident)

    async def signals_of(self, incident: str) -> tuple[tuple[Signal, Verdict | None], ...]:
        """List the signals of the incident."""
        if incident in self.unreadable:
            raise ValueError(f"the signals of {incident} cannot be read")
        return tuple((each, self.verdicts.get(each.id)) for each in self.of_incident)

    async def approvals(self, incident: str) -> tuple[Approval, ...]:
        """List the questions."""
        return tuple(self.asked)

    async def runs_of(self, incident: str) -> tuple[RunRecord, ...]:
        """List the incident's runs."""
        return tuple(self.runs)

    async def open_runs(self) -> tuple[RunRecord, ...]:
        """List the runs that are not over."""
        return tuple(each for each in self.runs if each.finished is None)

    async def tell_once(self, incident: str, kind: IncidentState, text: str, now: datetime) -> None:
        """Tell a person, once for the same words."""
        if (kind, text) not in self.told:
            self.told.append((kind, text))

    async def move_incident(
        self, incident: str, state: IncidentState, reason: str, now: datetime, *, told: bool = False
    ) -> Incident:
        """Close an incident."""
        self.closed.append((state, reason))
        if told:
            self.told.append((state, reason))
        return replace(self.opened[0], state=state, reason=reason)

    async def keep_catalog(self, digest: str, texts: Mapping[str, str]) -> None:
        """Keep nothing: no restart happens here."""

    async def catalog_texts(self, digest: str) -> Mapping[str, str]:
        """Give no texts."""
        return {}


class ListedRuns:
    """The runs under way, as the test lists them."""

    def __init__(self) -> None:
        self.under_way: list[RunRecord] = []
        self.started: list[RunRecord] = []
        self.containment = Containment()

    @property
    def recovering(self) -> frozenset[str]:
        """Name the services that have a run under way."""
        return frozenset(each.service for each in self.under_way)

    def run_of(self, service: str) -> RunRecord | None:
        """Give the run of a service."""
        return next((each for each in self.under_way if each.service == service), None)

    def start(self, started: RunRecord) -> None:
        """Begin a run."""
        self.started.append(started)


class FewObjects:
    """An API that knows the objects named, and fails when told to."""

    def __init__(self) -> None:
        self.known: set[tuple[str, str, str]] = set()
        self.trouble: KubeError | None = None
        self.slow = 0.0
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, object]:
        """Read one object, which takes as long as it is `slow`."""
        self.asked.append(name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.slow)
        finally:
            self.at_once -= 1
        if self.trouble is not None:
            raise self.trouble
        if (resource.singular, namespace or "", name) not in self.known:
            raise NotFound(f"{resource.singular} {name} not found")
        return {}


class Business:
    """All of it; web has three pods, one of them bad."""

    def __init__(self, *, documents: Sequence[str] = (), mode: Mode = Mode.AUTO, known: Catalog | None = None) -> None:
        self.cluster = Cluster()
        self.cluster.deploy()
        for name, ready in (("web-1", True), ("web-2", True), ("web-3", False)):
            self.cluster.run(name, ready=ready)
        self.catalog = known or catalog(service_text(), rule_text(), ALERT_RULE, runbook_text(), *documents)
        self.cluster.services.use(self.catalog)
        self.inbox, self.roster, self.kube = MemoryInbox(), ListedRuns(), FewObjects()
        self.world = World(
            services=self.cluster.services,
            caches=self.cluster.caches,
            limits=LIMITS,
            mode=mode,
            hold_limit=timedelta(minutes=15),
            clock=virtual_clock,
        )
        self.in_force = InForce(self.catalog, self.inbox, lambda _: self.catalog)
        targets = Targets(self.kube, self.cluster.caches, self.cluster.services, LIMITS.protected)  # type: ignore[arg-type]
        self.pipeline = Pipeline(
            self.inbox,
            self.in_force,
            self.world,
            targets,
            self.roster,  # type: ignore[arg-type]
            approval_expiry=timedelta(minutes=30),
        )
        self.waiting = Waiting(self.inbox, self.pipeline, self.in_force, self.world, self.roster)  # type: ignore[arg-type]

    async def judged(self, given: Signal) -> Verdict:
        """Give the verdict on one signal."""
        self.inbox.due.append(given)
        await self.pipeline.step()
        assert given.id in self.inbox.settled, f"{given.id} has no verdict"
        return self.inbox.settled[given.id]

    def bare(self, name: str) -> None:
        """Let there be a pod that nobody would make again."""
        self.cluster.caches.pods.put(pod(name, owner="", version=self.cluster.version()))


def alert(**labels: str) -> Signal:
    """Give an alert Down with these labels."""
    return signal(kind=RuleSource.ALERT, key="fp-1", labels={"alertname": "Down", "namespace": "production", **labels})
