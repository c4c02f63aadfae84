"""
The order of the services that want the same slot: by priority and name, not by the time of the request.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kintsugi.decisions.priorities import rank
from kintsugi.model.records import Reason, Verdict
from kintsugi.model.services import AllServices, Service


@dataclass(kw_only=True)
class Contention:
    """
    The services that were refused for want of a slot, or held, until they have been evaluated again.

    A service comes before no other while `is_held` says that it is held: services that are released together go by priority.
    `without_slot` are services under recovery that have given their slot away. One that is not evaluated again when it is due
    (its problem has ended) keeps its place for `grace`.
    """

    clock: Callable[[], datetime]
    grace: timedelta
    is_held: Callable[[Service], bool]
    without_slot: Callable[[], Iterable[Service]] = tuple
    _waiting: dict[str, tuple[Service, datetime]] = field(default_factory=dict)
    _soon: set[str] = field(default_factory=set)

    def note(self, service: Service | AllServices, verdict: Verdict) -> None:
        """Note the verdict on a service; a run about all services takes no slot of its own."""
        if isinstance(service, AllServices):
            return
        self._waiting.pop(service.name, None)
        self._soon.discard(service.name)
        if verdict.reason in (Reason.BUDGET, Reason.UPSTREAM) and verdict.until is not None:
            self._waiting[service.name] = (service, verdict.until + self.grace)
            # one that may change nothing more for now (a spent budget) is judged again much later
            if verdict.reason is Reason.BUDGET and verdict.until <= self.clock() + self.grace:
                self._soon.add(service.name)

    def ahead_of(self, service: Service | AllServices) -> tuple[Service, ...]:
        """Return the services that come before a service, in order."""
        if isinstance(service, AllServices):
            return ()
        before = {each.name: each for each in self._still() if not self.is_held(each)}
        before |= {each.name: each for each in self.without_slot()}
        return tuple(sorted((each for each in before.values() if rank(each) < rank(service)), key=rank))

    def for_slots(self) -> tuple[Service, ...]:
        """Return the services that wait only for a slot, and those that have given theirs away, in order."""
        waiting = {each.name: each for each in self._still() if each.name in self._soon}
        return tuple(sorted((waiting | {each.name: each for each in self.without_slot()}).values(), key=rank))

    def _still(self) -> list[Service]:
        now = self.clock()
        self._waiting = {name: each for name, each in self._waiting.items() if now < each[1]}
        return [each for each, _ in self._waiting.values()]
