"""
Diagnoses services that are well, one after another: what Kubernetes' objects show to be wrong is a warning.

A view has the warnings of its service, and a rule on services has a person notified. Nothing is changed for them.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from kintsugi.errors import KubeError, NotRecorded
from kintsugi.model.causes import CauseKind, Diagnosis
from kintsugi.model.records import Target
from kintsugi.pipeline.incident_diagnoses import MOST_REMEMBERED, WorkloadDiagnoser
from kintsugi.telemetry import Containment, FailureScope
from kintsugi.views import ServiceViews

log = structlog.get_logger(__name__)

LAP = timedelta(minutes=1)
"""The shortest time between two diagnoses of a service that is well."""

SHORTEST_PAUSE = timedelta(seconds=2)
"""The pause between two diagnoses, each of some twenty reads: with more than 30 services a lap takes longer."""


@dataclass(kw_only=True)
class WarningWatch:
    """`lap` is the shortest time between two diagnoses of one service, `pause` that between two of any, `within` the limit of one."""

    services: ServiceViews
    diagnoser: WorkloadDiagnoser
    containment: Containment
    within: timedelta
    lap: timedelta = LAP
    pause: timedelta = SHORTEST_PAUSE
    _unknown: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Diagnose one service after another, until cancelled."""
        while True:
            names = sorted(self.services.catalog.services)
            for name in names or [""]:
                await asyncio.sleep(max(self.lap / max(len(names), 1), self.pause).total_seconds())
                with self.containment.around(FailureScope.SERVICE, name):
                    await self.diagnose(name)

    async def diagnose(self, name: str) -> None:
        """Diagnose a service that is well. One that is not has no warnings: others diagnose it."""
        view = self.services.views.get(name)
        if view is None or not view.is_current or self.services.stale_reason:
            return
        if not (view.healthy and view.serving and view.rollout_complete):
            self.services.note_warnings(name, ())
            return
        workload = view.service.workload
        target = Target(kind=workload.resource.singular, namespace=view.service.namespace, name=workload.name)
        try:
            async with asyncio.timeout(self.within.total_seconds()):
                found = await self.diagnoser.diagnose(target)
        except (KubeError, NotRecorded, TimeoutError):
            return  # what was known stays so; the next lap looks again
        self.services.note_warnings(name, tuple(_warnings(found)))
        self._log_unknown(name, found)

    def _log_unknown(self, name: str, found: Diagnosis) -> None:
        """Log once what could not be read, and why."""
        if len(self._unknown) > MOST_REMEMBERED:
            self._unknown.clear()
        for what in sorted(set(found.unknown) - self._unknown):
            self._unknown.add(what)
            log.info("diagnosis incomplete", service=name, unknown=what)


def _warnings(found: Diagnosis) -> Iterator[str]:
    """Yield what is wrong, a sentence each; pods that began before their configuration changed are well, too."""
    for cause in found.causes:
        if cause.is_warning or cause.kind is CauseKind.STALE_CONFIGURATION:
            yield cause.text
