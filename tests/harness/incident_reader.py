"""Incidents whole, as messages and notices read them, from a ledger alone."""

from dataclasses import dataclass

from kintsugi.ledger import Ledger
from kintsugi.model.api_types import IncidentDetail, RunDetail


@dataclass(frozen=True)
class LedgerIncidents:
    """Reads incidents of a ledger; each of them affects the same services."""

    ledger: Ledger
    affected: tuple[str, ...] = ()
    cluster_name: str = ""

    async def incident(self, incident: str, *, signals: int, skip: int = 0) -> IncidentDetail:
        """Return an incident without its signals, and without what only a live daemon knows."""
        known, people = self.ledger.incidents, self.ledger.people
        return IncidentDetail(
            incident=await known.get(incident),
            runs=tuple([RunDetail(run=run, steps=await known.steps(run.id)) for run in await known.runs_of(incident)]),
            questions=await people.questions_of(incident),
            diagnoses=await known.diagnoses_of(incident),
            affected=self.affected,
            taken=await people.taken(incident),
            cluster_name=self.cluster_name,
        )
