"""
Tells a person that the cluster's own names do not resolve where the daemon runs: nobody else would notice.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from kintsugi.clients.resolver import log_problem


class Outbox(Protocol):
    """Where notices about the daemon itself wait: the ledger."""

    async def tell_of_daemon(self, text: str, now: datetime) -> None: ...


class ResolverNotice:
    """What the resolver says is in the log at once, and in the outbox by the next look if it is so still."""

    def __init__(self, outbox: Outbox, *, clock: Callable[[], datetime]) -> None:
        self._outbox = outbox
        self._clock = clock
        self._untold = ""

    def hear(self, problem: str) -> None:
        """Take why the cluster's names do not resolve, or "" that they do again."""
        log_problem(problem)
        self._untold = problem

    async def step(self) -> None:
        """Leave the notice. Raises StaleEpoch, LedgerUnavailable; the next look tries again."""
        if problem := self._untold:
            await self._outbox.tell_of_daemon(notice_of(problem), self._clock())
            self._untold = ""


def notice_of(problem: str) -> str:
    """Tell what a person has to mend, and what the daemon does until then."""
    return (
        "names of the cluster do not resolve where Kintsugi runs: checks that go by them are unknown, all else goes on. "
        f"Look at the DNS of Kintsugi's own pod or machine: {problem}"
    )
