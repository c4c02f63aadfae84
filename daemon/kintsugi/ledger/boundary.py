"""Where crash points are numbered: told right before and right after every COMMIT."""

from typing import Protocol


class Boundary(Protocol):
    """
    Hears of every commit, and may end the process there.

    `kind` is "commit", `name` the transaction's (accept, claim …) and for a run's own what it is about (save-step PATH
    STATE, move-run STATE …). Between the two calls the database decides; whatever is raised here passes through to the caller.
    """

    def passing(self, kind: str, name: str, *, before: bool) -> None:
        """Take note that the boundary is being passed."""
        ...


class Quiet:
    """The boundary of production: nothing happens at it."""

    def passing(self, kind: str, name: str, *, before: bool) -> None:
        """Do nothing."""


QUIET = Quiet()
