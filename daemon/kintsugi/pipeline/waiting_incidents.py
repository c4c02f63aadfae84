"""Passes incidents that wait without a run on to listeners, for instance to have them diagnosed."""

from collections.abc import Callable

from kintsugi.model.records import Incident, IncidentState
from kintsugi.model.services import Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.telemetry import Containment, FailureScope

WAITING = frozenset({IncidentState.HELD, IncidentState.AWAITING_APPROVAL, IncidentState.INEFFECTIVE})
"""States in which an incident waits without a run: for an upstream, or for a person; one that returns too often is closed at once."""


class WaitingIncidents:
    """Passes each of them on to its listeners."""

    def __init__(self, active_catalog: ActiveCatalog, containment: Containment) -> None:
        self._active_catalog = active_catalog
        self._containment = containment
        self._listeners: list[Callable[[str, Service], None]] = []

    def on_each(self, listener: Callable[[str, Service], None]) -> None:
        """Call `listener` with each of them and its service; of one that goes on waiting it hears again and again."""
        self._listeners.append(listener)

    def note(self, incident: Incident | None) -> None:
        """Pass an incident on, if it waits for somebody and is about a service of the catalog."""
        if incident is None or incident.state not in WAITING:
            return
        service = self._active_catalog.catalog.services.get(incident.service)
        if service is not None:
            for listener in self._listeners:
                with self._containment.around(FailureScope.LISTENER, incident.id):
                    listener(incident.id, service)
