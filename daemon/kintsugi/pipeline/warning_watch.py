"""
Diagnoses services that are well, one after another: what Kubernetes' objects show to be wrong is a warning.

A view has the warnings of its service, and a rule on services has a person notified. Nothing is changed for them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from kintsugi.errors import KubeError, NotRecorded
from kintsugi.model.records import Target
from kintsugi.pipeline.incident_diagnoses import MOST_REMEMBERED
from kintsugi.telemetry import Containment, FailureScope
from kintsugi.views import ServiceViews
from kubediagnosis.causes import Diagnosis

log = structlog.get_logger(__name__)

INTERVAL = timedelta(minutes=1)
"""The shortest time between two diagnoses of a service that is well."""

SHORTEST_PAUSE = timedelta(seconds=2)
"""The pause between two diagnoses, each of some twenty reads: more than 30 services are diagnosed less often."""


@dataclass(kw_only=True)
class WarningWatch:
    """
    `diagnose_alone` diagnoses a workload without its upstreams, each of which costs as many reads again.

    `interval` is the shortest time between two diagnoses of a service, `pause` that between two of any, `within` the limit of one.
    """

    services: ServiceViews
    diagnose_alone: Callable[[Target], Awaitable[Diagnosis]]
    containment: Containment
    within: timedelta
    interval: timedelta = INTERVAL
    pause: timedelta = SHORTEST_PAUSE
    _unknown: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Diagnose one service after another, until cancelled."""
        while True:
            names = sorted(self.services.catalog.services)
            if not names:
                await asyncio.sleep(self.interval.total_seconds())
            for name in names:
                await asyncio.sleep(max(self.interval / len(names), self.pause).total_seconds())
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
                found = await self.diagnose_alone(target)
        except (KubeError, NotRecorded, TimeoutError):
            return  # what was known stays so until the next time
        self.services.note_warnings(name, tuple(each.text for each in found.causes if each.is_warning))
        self._log_unknown(name, found)

    def _log_unknown(self, name: str, found: Diagnosis) -> None:
        """Log once what could not be read, and why."""
        if len(self._unknown) > MOST_REMEMBERED:
            self._unknown.clear()
        for what in sorted(set(found.unknown) - self._unknown):
            self._unknown.add(what)
            log.info("diagnosis incomplete", service=name, unknown=what)
