"""The services that another service's problem affects: a person is notified of them together with their cause."""

from dataclasses import dataclass

from kintsugi.decisions.priorities import unhealthy_dependents
from kintsugi.ledger import Incidents
from kintsugi.model.history import UNRESOLVED_OUTCOMES
from kintsugi.model.records import ENDED_WELL, Incident, IncidentState, RunKind
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState

MOST_INCIDENTS = 1_000
"""Open incidents that are looked at; there is one a service at most, and one drill."""


@dataclass(frozen=True, slots=True)
class AffectedServices:
    """Finds the services that an incident's problem affects, and whether a held incident is notified with its cause."""

    incidents: Incidents
    active_catalog: ActiveCatalog
    observed: ObservedState

    async def now(self, about: Incident) -> tuple[str, ...]:
        """
        Return the dependents of an incident's service that are held, unhealthy, or fail their checks now.

        None once the incident has ended well, or is closed and its service is well. Raises LedgerUnavailable.
        """
        is_over = about.state in ENDED_WELL or (about.closed is not None and about.service not in self._unhealthy())
        return () if is_over else await self._by(about)

    def is_well(self, service: str) -> bool:
        """Return whether nothing that is seen of a service is wrong, or in doubt."""
        view = self.observed.views.get(service)
        return (view is None or (view.is_current and view.healthy is True)) and service not in self.observed.unmet()

    async def _by(self, about: Incident) -> tuple[str, ...]:
        if about.kind is not RunKind.RECOVERY:
            return ()
        opened = await self.incidents.newest(limit=MOST_INCIDENTS, open_only=True)
        held = {each.service for each in opened if each.state is IncidentState.HELD}
        return unhealthy_dependents(about.service, held | self._unhealthy(), self.active_catalog.catalog.services)

    def _unhealthy(self) -> frozenset[str]:
        """Return the services that are not well, or do not answer as their checks expect."""
        ill = {name for name, view in self.observed.views.items() if view.is_current and view.healthy is False}
        return self.observed.unmet() | ill

    async def is_notified_elsewhere(self, incident: Incident) -> bool:
        """
        Return whether an upstream explains a held incident and has an incident of its own of which a person is
        notified.
        """
        upstream = self.observed.explaining(incident.service, incident.opened)
        found = await self.incidents.newest(limit=1, service=upstream) if upstream else ()
        return any(each.closed is None or each.state in UNRESOLVED_OUTCOMES for each in found if each.id != incident.id)
