"""Failpoints: hit right before and right after every COMMIT, and by the executor around every effect."""

from typing import Protocol


class Failpoints(Protocol):
    """
    Is called at every commit and effect, and may end the process there.

    `kind` is "commit" (or "effect"), `name` the transaction's (accept, request-run …) and for a run's own what it is about (save-step PATH
    STATE, move-run STATE …). Between the two calls the database decides; whatever is raised here passes through to the caller.
    """

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Take note that a failpoint is hit."""
        ...


class NoFailpoints:
    """The failpoints of production: nothing happens at them."""

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Do nothing."""


NO_FAILPOINTS = NoFailpoints()
