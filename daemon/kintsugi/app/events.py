"""
Writes Kubernetes Events on the workloads concerned, so that `kubectl describe` shows our changes, too.

They are optional: one that cannot be written is logged and dropped, since the ledger has everything.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from kintsugi.errors import KubeError
from kintsugi.kube.client import Json, KubeClient
from kintsugi.kube.repeats import when_busy
from kintsugi.model.records import IncidentState, KeptDiagnosis, RunRecord, StepRecord
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kintsugi.retries import Waits, retry
from kintsugi.telemetry import SECRETS, get_logger
from kintsugi.views import ServiceViews
from kubediagnosis.headline import headline
from kubeobjects import resources
from kubeobjects.lines import line

log = get_logger(__name__)

WELL = frozenset({IncidentState.RECOVERED, IncidentState.NO_ACTION, IncidentState.CANCELLED, IncidentState.PASSED})
LONGEST = 1000
"""Characters of an Event's message; the API takes 1,024."""

WAITS = Waits(first=timedelta(seconds=1), longest=timedelta(seconds=10))
ATTEMPTS = 5
"""The number of attempts to send an Event while the API server is busy."""


class ObjectEvents:
    """Writes one Event when a run begins, one when it ends, one for each diagnosis, and one for an outage that nobody repairs."""

    def __init__(self, kube: KubeClient, services: ServiceViews, *, clock: Callable[[], datetime]) -> None:
        self._kube = kube
        self._services = services
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[ServiceView, str, str, bool]] = asyncio.Queue(maxsize=1000)

    def began(self, run: RunRecord) -> None:
        """Emit an Event that a run begins."""
        self._note(run.service, "KintsugiStarted", f"{run.runbook} ({run.incident}): {run.reason}", well=True)

    def ended(self, run: RunRecord, _steps: Sequence[StepRecord]) -> None:
        """Emit an Event of how a run ended."""
        reason = "Kintsugi" + "".join(word.capitalize() for word in run.state.split("-"))
        self._note(run.service, reason, f"{run.runbook} ({run.incident}): {run.reason}", well=run.state in WELL)

    def diagnosed(self, service: Service, found: KeptDiagnosis) -> None:
        """Emit an Event of what was found wrong. Its type is Normal: it is about a problem that others have warned of."""
        self._note(service.name, "KintsugiDiagnosed", f"({found.incident}) {headline(found.diagnosis)}", well=True)

    def down(self, service: str, text: str) -> None:
        """Emit an Event that a service is down and not repaired."""
        self._note(service, "KintsugiServiceDown", text, well=False)

    async def run(self) -> None:
        """Write what waits, for ever."""
        while True:
            view, reason, message, well = await self._waiting.get()
            event = self._event(view, reason, message, well=well)
            try:
                await retry(
                    partial(self._kube.create, resources.EVENTS, view.service.namespace, event),
                    when_busy,
                    WAITS,
                    attempts=ATTEMPTS,
                )
            except KubeError as error:
                log.info("event not written", reason=reason, error=str(error))

    def _note(self, service: str, reason: str, message: str, *, well: bool) -> None:
        view = self._services.views.get(service)
        if view is not None and view.workload is not None and not self._waiting.full():
            self._waiting.put_nowait((view, reason, message, well))

    def _event(self, view: ServiceView, reason: str, message: str, *, well: bool) -> Json:
        assert view.workload is not None, view.name
        now = self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        resource, metadata = view.service.workload.resource, view.workload.metadata
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata.name}-kintsugi-", "namespace": metadata.namespace},
            "involvedObject": {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "namespace": metadata.namespace,
                "name": metadata.name,
                "uid": metadata.uid,
            },
            "reason": reason,
            "message": line(SECRETS.text(message), LONGEST),
            "type": "Normal" if well else "Warning",
            "source": {"component": "kintsugi"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
