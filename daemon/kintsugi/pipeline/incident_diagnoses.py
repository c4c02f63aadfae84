"""
The diagnoses of incidents: one when the incident is opened, others before a rollback or a hand-over.

Each has a time limit, so that nothing waits long for it. A failure of the diagnosis is kept among what is not known.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from kintsugi.errors import KubeError, LedgerUnavailable, NotRecorded
from kintsugi.ledger import DiagnosisRepository
from kintsugi.model.records import KeptDiagnosis, Occasion, Target
from kintsugi.model.services import Service
from kintsugi.telemetry import Containment, FailureScope
from kubediagnosis.causes import Diagnosis

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Diagnoses that are made at one time: each reads a dozen times."""

MOST_WAITING = 1000
"""The most queued incidents; others are found again by the next look at open incidents."""

MOST_REMEMBERED = 10_000
"""The most incidents that are remembered as queued, and facts that are remembered as logged."""

Listener = Callable[[Service, KeptDiagnosis], None]


class WorkloadDiagnoser(Protocol):
    """The port that diagnoses a workload; `Diagnoser` implements it."""

    async def diagnose(self, target: Target) -> Diagnosis:
        """Return the diagnosis. Raises NotRecorded, KubeError."""
        ...


class IncidentDiagnoses:
    """
    Makes diagnoses and keeps them; `run` makes the queued ones in the background.

    `within` is the time limit of each.
    """

    def __init__(
        self,
        diagnoser: WorkloadDiagnoser,
        kept: DiagnosisRepository,
        *,
        clock: Callable[[], datetime],
        within: timedelta,
        containment: Containment,
    ) -> None:
        self._diagnoser = diagnoser
        self._kept = kept
        self._clock = clock
        self.within = within
        self._containment = containment
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting: asyncio.Queue[tuple[str, Service]] = asyncio.Queue(maxsize=MOST_WAITING)
        self._asked: set[str] = set()
        self._listeners: list[Listener] = []

    def on_kept(self, listener: Listener) -> None:
        """Call `listener` with each diagnosis that was made."""
        self._listeners.append(listener)

    def ask(self, incident: str, service: Service) -> None:
        """Queue the diagnosis of an incident, once, and do not wait for it."""
        if incident not in self._asked and not self._waiting.full():
            if len(self._asked) >= MOST_REMEMBERED:
                self._asked.clear()  # those that are open are asked for again, and found to be made
            self._asked.add(incident)
            self._waiting.put_nowait((incident, service))

    async def run(self) -> None:
        """Make the queued diagnoses, a few at a time, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._work(), name="diagnoses")

    async def make(self, incident: str, service: Service, occasion: Occasion) -> None:
        """
        Diagnose a service's workload and keep the result; the first diagnosis of an incident is not made twice.

        Returns within the time limit; the result then says why nothing was found. Raises LedgerUnavailable, StaleEpoch.
        """
        if occasion is Occasion.OPENED and await self._kept.of_incident(incident):
            return
        found = KeptDiagnosis(incident=incident, occasion=occasion, diagnosis=await self.diagnose(service))
        await self._kept.keep(found)
        first = found.diagnosis.causes[0] if found.diagnosis.causes else None
        cause = first.kind if first is not None else "none"
        log.info("diagnosis made", incident=incident, occasion=occasion, cause=cause, text=found.diagnosis.summary)
        for listener in self._listeners:
            with self._containment.around(FailureScope.LISTENER, incident):
                listener(service, found)

    async def diagnose(self, service: Service) -> Diagnosis:
        """Return the diagnosis of a service's workload within the time limit; it names what could not be read."""
        workload, within = service.workload, self.within
        target = Target(kind=workload.resource.singular, namespace=service.namespace, name=workload.name)
        why = ""
        with self._containment.around(FailureScope.SERVICE, service.name) as call:
            try:
                async with asyncio.timeout(within.total_seconds()), self._places:
                    return await self._diagnoser.diagnose(target)
            except TimeoutError:
                why = f"the workload was not read within {within.total_seconds():g}s"
            except (KubeError, NotRecorded) as error:
                why = str(error)
        if call.error is not None:
            why = f"{type(call.error).__name__}: {call.error}"
        return Diagnosis(
            object=str(workload),
            namespace=service.namespace,
            at=self._clock(),
            summary=f"{workload}: no cause is known",
            unknown=(f"{workload}: {why}",),
        )

    async def _work(self) -> None:
        while True:
            incident, service = await self._waiting.get()
            try:
                with self._containment.around(FailureScope.INCIDENT, incident):
                    await self.make(incident, service, Occasion.OPENED)
            except LedgerUnavailable as error:
                self._asked.discard(incident)  # the next look at open incidents asks again
                log.warning("diagnosis not kept", incident=incident, error=str(error))
