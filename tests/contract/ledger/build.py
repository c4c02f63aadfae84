"""Signals, claims and steps for the ledger's tests, and a decision for every taste."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kintsugi.ledger import Claim, Claimed, Ledger
from kintsugi.model.documents import Mode, RuleSource
from kintsugi.model.history import History
from kintsugi.model.records import (
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

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

_NUMBERS = itertools.count(1)


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


def claim(
    told: Signal | None = None, *, service: str = "web", namespace: str = "shop", locks: tuple[str, ...] | None = None
) -> Claim:
    """Make a claim of a service."""
    return Claim(
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


async def begin(ledger: Ledger, service: str = "web", *, namespace: str = "shop", now: datetime = NOW) -> RunRecord:
    """Accept a signal and start a run for it."""
    told = signal(began=now)
    await ledger.accept([told], now)
    claimed = await ledger.claim(claim(told, service=service, namespace=namespace), start, now)
    return started(claimed)


def started(claimed: Claimed) -> RunRecord:
    """Give the run of a claim that must have started one."""
    assert claimed.verdict.kind is VerdictKind.STARTED, claimed.verdict
    assert claimed.run is not None
    return claimed.run


def step(
    run: RunRecord, path: str = "delete/pods#0", state: StepState = StepState.INTENT, **more: object
) -> StepRecord:
    """Make a changing step's record."""
    given = {"namespace": run.namespace, "started": NOW, **more}
    return StepRecord(run=run.id, phase=Phase.FORWARD, path=path, state=state, changes=True, **given)  # type: ignore[arg-type]


@dataclass
class Crossings:
    """A boundary that notes who passes, and may do something there."""

    passed: list[tuple[str, str, bool]] = field(default_factory=list)

    def passing(self, kind: str, name: str, *, before: bool) -> None:
        """Note it."""
        self.passed.append((kind, name, before))
