"""
The diagnoses of verdicts without an incident: verdicts `observed` and `refused`. They are kept with the verdict.

Of an observed one a person is notified, too, once an episode of a service: no rule may repair it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import Ledger
from kintsugi.model.records import Reason, Signal, SignalStatus, Verdict, VerdictKind
from kintsugi.model.services import Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.incident_diagnoses import IncidentDiagnoses
from kintsugi.telemetry import Containment, FailureScope
from kubediagnosis.headline import headline
from kubeobjects.lines import line, lines

log = structlog.get_logger(__name__)

MOST_WAITING = 100
"""Verdicts that wait for a diagnosis; of a storm that is enough, for all of one service say the same."""

_NOT_DIAGNOSED = frozenset(
    {Reason.FOREIGN_TARGET, Reason.NO_TARGET, Reason.NO_NAMESPACE, Reason.UNMANAGED, Reason.UNANSWERABLE}
)
"""Reasons of a refusal after which the service is not diagnosed: the signal is about something else, or its object is unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A verdict that is to have a diagnosis."""

    signal: str
    verdict: Verdict
    service: Service


class VerdictDiagnoses:
    """
    Adds the diagnosis of their service to verdicts without an incident; `run` does so in the background.

    With `on_notice`, which is called with the service then, a person is notified of observed ones.
    """

    def __init__(
        self,
        diagnoses: IncidentDiagnoses,
        ledger: Ledger,
        active_catalog: ActiveCatalog,
        *,
        clock: Callable[[], datetime],
        containment: Containment,
        on_notice: Callable[[str], None] | None,
    ) -> None:
        self._diagnoses = diagnoses
        self._ledger = ledger
        self._active_catalog = active_catalog
        self._clock = clock
        self._containment = containment
        self._on_notice = on_notice
        self._waiting: asyncio.Queue[_Asked] = asyncio.Queue(maxsize=MOST_WAITING)
        self._seen: dict[str, set[str]] = defaultdict(set)
        self._found: dict[str, tuple[str, str]] = {}

    def note(self, signal: Signal, verdict: Verdict) -> None:
        """
        Take note of a verdict. Of the signals of one service that fire together the first is diagnosed.

        One that is judged again says the same again.
        """
        rule = self._active_catalog.catalog.rules.get(verdict.rule)
        service = self._active_catalog.catalog.services.get(rule.service) if rule is not None else None
        if service is None or signal.status is not SignalStatus.FIRING or not _has_no_incident(verdict):
            return
        found, _ = self._found.get(service.name, ("", ""))
        is_unproven = signal.id not in self._seen[service.name] or signal.id == found
        if is_unproven and not self._waiting.full():
            self._seen[service.name].add(signal.id)
            self._waiting.put_nowait(_Asked(signal=signal.id, verdict=verdict, service=service))

    async def run(self) -> None:
        """Make the queued diagnoses, one after another, until cancelled."""
        while True:
            asked = await self._waiting.get()
            try:
                with self._containment.around(FailureScope.SIGNAL, asked.signal):
                    await self._diagnose(asked)
            except LedgerUnavailable as error:
                self._seen[asked.service.name].discard(asked.signal)
                log.warning("diagnosis of a verdict not kept", signal=asked.signal, error=str(error))

    async def _diagnose(self, asked: _Asked) -> None:
        name = asked.service.name
        first, text = self._found.get(name, ("", ""))
        if first == asked.signal:
            await self._ledger.signals.add_to_verdict(asked.signal, text)
            return
        firing = set(await self._ledger.signals.firing_among(self._seen[name]))
        others = firing - {asked.signal}
        self._seen[name] = firing | {asked.signal}
        if others:
            return  # the episode has its diagnosis
        found = headline(await self._diagnoses.diagnose(asked.service))
        log.info("verdict diagnosed", signal=asked.signal, service=name, text=found)
        self._found[name] = (asked.signal, f"; problem: {found}")
        await self._ledger.signals.add_to_verdict(*self._found[name])
        if self._on_notice is not None and asked.verdict.kind is VerdictKind.OBSERVED:
            observed = f"observed: {name}: rule {asked.verdict.rule}: {asked.verdict.text}"
            following = f"next: kintsugi diagnose {asked.service.workload} -n {asked.service.namespace}"
            text = lines((line(f"problem: {found}"), line(observed), line(following)))
            await self._ledger.outbox.put_observed_notice(text, self._clock())
            self._on_notice(name)


def _has_no_incident(verdict: Verdict) -> bool:
    """Return whether a verdict is about its service and has no incident."""
    if verdict.kind is VerdictKind.OBSERVED:
        return verdict.reason is Reason.MODE
    return verdict.kind is VerdictKind.REFUSED and not verdict.incident and verdict.reason not in _NOT_DIAGNOSED
