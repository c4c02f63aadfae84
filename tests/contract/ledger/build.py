"""Signals, claims and steps for the ledger's tests, and a decision for every taste."""

import itertools
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kintsugi.errors import LedgerError
from kintsugi.ledger import Decide, Ledger, RunRequest, RunRequestResult
from kintsugi.model.good_state import GoodRevision, GoodTemplate
from kintsugi.model.history import History
from kintsugi.model.questions import Question
from kintsugi.model.records import (
    DeadLetter,
    Incident,
    IncidentState,
    KeptDiagnosis,
    Occasion,
    Pause,
    Phase,
    Reason,
    RunRecord,
    Signal,
    SignalSource,
    SignalStatus,
    StepRecord,
    StepState,
    Verdict,
    VerdictKind,
)
from kintsugi.model.rules import Mode, RuleSource
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis, EvidenceItem, EvidenceSource, RegistryAnswer
from tests.harness.ledgers import save_step

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

_NUMBERS = itertools.count(1)


@asynccontextmanager
async def leading(url: str, **more: Any) -> AsyncIterator[Ledger]:
    """Open a ledger that this process leads."""
    async with Ledger.open(url, holder="kintsugi-0", **more) as ledger:
        await ledger.lead(NOW)
        yield ledger


async def not_opened(opening: AbstractAsyncContextManager[Ledger], error: type[LedgerError], why: str) -> None:
    """Check that a ledger is not opened."""
    with pytest.raises(error, match=why):
        async with opening:
            raise AssertionError("it was opened")


def signal(
    key: str = "",
    *,
    began: datetime = NOW,
    ended: datetime | None = None,
    source: SignalSource = SignalSource.ALERTMANAGER,
    received: datetime | None = None,
    labels: dict[str, str] | None = None,
) -> Signal:
    """Make a delivery: firing, or resolved when it has an end."""
    number = next(_NUMBERS)
    return Signal(
        id=f"sig-{number:012d}",
        source=source,
        kind=RuleSource.ALERT,
        key=key or f"key-{number}",
        status=SignalStatus.FIRING if ended is None else SignalStatus.RESOLVED,
        labels=labels or {"alertname": "PodDown", "namespace": "shop"},
        began=began,
        ended=ended,
        received=received or began,
    )


def run_request(
    told: Signal | None = None,
    *,
    service: str = "web",
    namespace: str = "shop",
    locks: tuple[str, ...] | None = None,
    **more: Any,
) -> RunRequest:
    """Make a request for a run on a service."""
    wanted = RunRequest(
        signal=told,
        service=service,
        namespace=namespace,
        rule="web-down",
        runbook="web-service-recovery",
        mode=Mode.AUTO,
        catalog="digest-1",
        parameters={"replicas": 3},
        deadline=NOW + 30 * MINUTE,
        locks=(f"service/{service}",) if locks is None else locks,
    )
    return replace(wanted, **more)


def verdict(kind: VerdictKind, reason: Reason = Reason.MATCHED, until: datetime | None = None) -> Verdict:
    """Make a verdict."""
    return Verdict(kind=kind, reason=reason, text=f"it is {kind}", until=until, rule="web-down")


def start(_history: History) -> Verdict:
    """Decide to start, whatever happened."""
    return verdict(VerdictKind.STARTED)


def hold(_history: History) -> Verdict:
    """Decide to hold for a minute."""
    return verdict(VerdictKind.HELD, Reason.UPSTREAM, NOW + MINUTE)


def refuse_to_decide(_history: History) -> Verdict:
    """Fail the test: nothing was to be decided here."""
    raise AssertionError("this claim was decided before and must not be decided again")


class Noted:
    """A decision that notes the histories that it is made by."""

    def __init__(self, decide: Decide) -> None:
        self.histories: list[History] = []
        self._decide = decide

    def __call__(self, history: History) -> Verdict:
        """Note it, and decide."""
        self.histories.append(history)
        return self._decide(history)


async def accepted(ledger: Ledger, key: str = "", **more: Any) -> Signal:
    """Accept a signal that fires, and return it."""
    told = signal(key, **more)
    await ledger.signals.accept([told], told.received)
    return told


async def request(
    ledger: Ledger, told: Signal | None = None, decide: Decide = start, now: datetime = NOW, **more: Any
) -> RunRequestResult:
    """Request a run, for a signal or for none."""
    return await ledger.incidents.request_run(run_request(told, **more), decide, now)


async def begin(ledger: Ledger, service: str = "web", *, namespace: str = "shop", now: datetime = NOW) -> RunRecord:
    """Accept a signal and start a run for it."""
    told = await accepted(ledger, began=now)
    return started(await request(ledger, told, now=now, service=service, namespace=namespace))


async def end(
    ledger: Ledger, run: RunRecord, state: IncidentState, now: datetime = NOW, reason: str = "that is all"
) -> RunRecord:
    """Move a run and its incident to a state."""
    return await ledger.incidents.move_run(run.id, state, reason, now)


async def resolve(ledger: Ledger, incident: str, now: datetime = NOW + MINUTE) -> None:
    """Accept the end of each signal of an incident."""
    found = await ledger.signals.of_incident(incident)
    await ledger.signals.accept([signal(fired.key, began=fired.began, ended=now) for fired, _ in found], now)


async def write(ledger: Ledger, *steps: StepRecord, expect: StepState | None = None) -> None:
    """Write steps that are in this state in the ledger, as a rule in none."""
    for each in steps:
        await save_step(ledger, each, expect=expect, now=NOW)


def started(requested: RunRequestResult) -> RunRecord:
    """Return the run of a claim that must have started one."""
    assert requested.verdict.kind is VerdictKind.STARTED, requested.verdict
    assert requested.run is not None
    return requested.run


def incident_of(requested: RunRequestResult) -> Incident:
    """Return the incident of a claim that must have opened or found one."""
    assert requested.incident is not None, requested.verdict
    return requested.incident


async def judged(ledger: Ledger, incident: str) -> VerdictKind:
    """Return the verdict on the one signal of an incident."""
    ((_, given),) = await ledger.signals.of_incident(incident)
    assert given is not None
    return given.kind


def diagnosis(summary: str = "web: it cannot start", *, at: datetime = NOW, text: str = "it says no") -> Diagnosis:
    """Make a diagnosis with a cause, its evidence and what is not known."""
    seen = EvidenceItem(source=EvidenceSource.EVENT, object="pod/web-1", field="Failed", text=text, at=at)
    cause = Cause(
        kind=CauseKind.IMAGE_PULL,
        object="deployment/web",
        field="containers[web].image",
        confidence=Confidence.CERTAIN,
        text=text,
        evidence=(seen,),
        registry=RegistryAnswer.NOT_FOUND,
    )
    return Diagnosis(
        object="deployment/web", namespace="shop", at=at, summary=summary, causes=(cause,), unknown=(f"Events: {text}",)
    )


def kept(run: RunRecord, occasion: Occasion = Occasion.OPENED, *, at: datetime = NOW) -> KeptDiagnosis:
    """Make what is kept of a diagnosis with a run's incident."""
    return KeptDiagnosis(incident=run.incident, occasion=occasion, diagnosis=diagnosis(at=at))


def question(incident: str, plan: str = "plan-1", *, path: str = "restore", asked: datetime = NOW) -> Question:
    """Make a question about a step, which may be answered for half an hour."""
    return Question(
        incident=incident, path=path, text="Restore it?", plan=plan, asked=asked, expires=asked + 30 * MINUTE
    )


async def end_rest(ledger: Ledger, ended: Pause, rules: Collection[str]) -> None:
    """End the rest after a hand-over, in the name of who began `ended`, and then."""
    await ledger.people.end_rest(ended, rules, ended.who, ended.why, ended.since)


def dead_letter(name: str, text: str = "malformed", *, at: datetime = NOW, payload: bytes | None = None) -> DeadLetter:
    """Make a dead letter with the same text for its reason and its excerpt."""
    return DeadLetter(
        id=name, source=SignalSource.ALERTMANAGER, received=at, reason=text, excerpt=text, payload=payload
    )


def good_revision(
    workload: str = "uid-1", template: str = "abc", number: int = 3, *, at: datetime = NOW
) -> GoodRevision:
    """Make a revision that was good at one moment."""
    return GoodRevision(workload=workload, template=template, number=number, first_good=at, last_good=at)


def good_template(name: str = "web") -> GoodTemplate:
    """Make the last good template of a Deployment."""
    return GoodTemplate(
        kind="deployment",
        namespace="shop",
        name=name,
        workload="uid-1",
        template="abc",
        number=3,
        seen=NOW,
        document='{"spec":{"containers":[{"name":"web","image":"shop:2.0","args":null}]}}',
        withheld="enc:aesgcm:v1:0123456789abcdef:c2VhbGVk",
        fingerprint="scrypt:v1:c2FsdA==:ZGVyaXZlZA==",
        remainder='{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":3}}',
    )


def step(run: RunRecord, path: str = "delete/pods#0", state: StepState = StepState.INTENT, **more: Any) -> StepRecord:
    """Make a changing step's record."""
    given: dict[str, Any] = {"namespace": run.namespace, "started": NOW, **more}
    return StepRecord(run=run.id, phase=Phase.FORWARD, path=path, state=state, changes=True, **given)


@dataclass
class Crossings:
    """A boundary that notes who passes, and may do something there."""

    passed: list[tuple[str, str, bool]] = field(default_factory=list)

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Note it."""
        self.passed.append((kind, name, before))
