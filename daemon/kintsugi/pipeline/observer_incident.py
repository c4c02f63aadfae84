"""
Opens and closes the one incident about the observer itself: the observed state is in doubt, and nothing is changed.
"""

import asyncio
from datetime import timedelta

import structlog

from kintsugi.decisions.breaker import doubt
from kintsugi.errors import WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.records import Incident, IncidentState
from kintsugi.pipeline.observed_state import ObservedState

log = structlog.get_logger(__name__)


class ObserverIncident:
    """
    Looks again and again whether what is seen is in doubt.

    A doubt, and its end, count only after `notify_after`: an observer that comes and goes is one incident.
    """

    def __init__(self, ledger: Ledger, observed: ObservedState, *, notify_after: timedelta) -> None:
        self._ledger = ledger
        self._observed = observed
        self._notify_after = notify_after
        self._in_doubt: bool | None = None
        self._since = 0.0

    async def step(self) -> None:
        """Look, and open or close the incident where that is owed. Raises LedgerUnavailable, StaleEpoch."""
        problem = doubt(self._observed.observer(), self._observed.limits.breaker_share)
        now = asyncio.get_running_loop().time()
        if bool(problem) is not self._in_doubt:
            self._in_doubt, self._since = bool(problem), now
        lasting = timedelta(seconds=now - self._since)
        if lasting < self._notify_after:
            return
        known = await self._ledger.incidents.observer_incident()
        if problem and known is None:
            await self._open(problem)
        if known is not None and not problem:
            await self._close(known)

    async def _open(self, problem: str) -> None:
        reason = f"nothing is changed while the observed state is in doubt: {problem}"
        opened = await self._ledger.incidents.open_observer_incident(
            reason, self._observed.mode, self._observed.clock()
        )
        log.warning("observer in doubt", incident=opened.id, why=problem)

    async def _close(self, known: Incident) -> None:
        reason = (
            f"the observed state can be trusted again; it was in doubt since {known.opened:%H:%M:%S}: {known.reason}"
        )
        try:
            await self._ledger.incidents.move_incident(
                known.id, IncidentState.NO_ACTION, reason, self._observed.clock(), notify=True
            )
        except WrongState as moved:
            log.info("incident moved meanwhile", incident=known.id, error=str(moved))
            return
        log.info("observer trusted again", incident=known.id)
