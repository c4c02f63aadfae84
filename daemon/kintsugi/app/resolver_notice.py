"""Notifies a person that the cluster's own names do not resolve where the daemon runs."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from kintsugi.clients.resolver import log_problem
from kintsugi.ledger import Outbox


class NameResolver(Protocol):
    """The port to what resolves the cluster's names; the resolver implements it."""

    async def resolves(self) -> bool: ...

    async def recheck(self) -> None: ...


class ResolverNotice:
    """
    Logs at once that names do not resolve, and leaves a notice at the next look if they still do not.

    `problem` is why they do not resolve now, "" where they do. The breaker asks for the `sign`: where the daemon runs
    outside of the cluster none of its names ever resolves.
    """

    def __init__(self, outbox: Outbox, *, clock: Callable[[], datetime]) -> None:
        self._outbox = outbox
        self._clock = clock
        self._names: NameResolver | None = None
        self._untold = self.problem = ""
        self._resolved: bool | None = None

    @property
    def sign(self) -> str:
        """Return why names that did resolve do so no longer, "" where they do, or never did: there nothing has changed."""
        return self.problem if self._resolved else ""

    def set_names(self, names: NameResolver) -> None:
        """Set the names to check: once at first, and while names that did resolve do not, to notice their return."""
        self._names = names

    def on_answer(self, problem: str) -> None:
        """Take the reason for which the cluster's names do not resolve, or "" when they resolve again."""
        log_problem(problem)
        self._untold = self.problem = problem
        self._resolved = self._resolved or not problem

    async def step(self) -> None:
        """Ask again where due, and leave the notice. Raises StaleEpoch, LedgerUnavailable; the next step tries again."""
        if self._names is not None and self._resolved is None:
            self._resolved = await self._names.resolves()
        elif self._names is not None and self.sign:
            await self._names.recheck()
        if problem := self._untold:
            await self._outbox.put_daemon_notice(notice_of(problem), self._clock())
            self._untold = ""


def notice_of(problem: str) -> str:
    """Return the notice: what a person must repair, and what the daemon does until then."""
    return (
        "Kintsugi cannot resolve the cluster's names. Checks that use these names are unknown. Where the names resolved before, "
        f"nothing is changed until they resolve again. Check the DNS of Kintsugi's own pod or machine: {problem}"
    )
