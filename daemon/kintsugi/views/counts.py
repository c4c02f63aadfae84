"""
The counts of checks while their services were healthy; a recovery is compared with them.

They are kept in memory; the caller of `unsaved` saves them in the ledger, and counts of an earlier process are recalled.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from kintsugi.model.known import GoodCount
from kintsugi.model.views import ServiceView

Key = tuple[str, str]


class CountMemory:
    """The last good count of each step, by service and the step's id."""

    def __init__(self) -> None:
        self._known: dict[Key, GoodCount] = {}
        self._unsaved: set[Key] = set()

    def note(self, count: GoodCount) -> None:
        """Note a count."""
        key = (count.service, count.name)
        known = self._known.get(key)
        if known is None or known.value != count.value:
            self._unsaved.add(key)
        self._known[key] = count

    def recall(self, found: Iterable[GoodCount]) -> None:
        """Recall the counts of an earlier process; those of this process are newer."""
        for each in found:
            self._known.setdefault((each.service, each.name), each)

    def of(self, service: str) -> Mapping[str, int]:
        """Return the counts of a service, by the step's id."""
        return {name: count.value for (owner, name), count in self._known.items() if owner == service}

    def unsaved(self) -> tuple[GoodCount, ...]:
        """List the counts that have changed since they were saved last."""
        return tuple(self._known[key] for key in sorted(self._unsaved))

    def saved(self, kept: Iterable[GoodCount]) -> None:
        """Note that these are in the ledger; counts that have changed meanwhile are not."""
        self._unsaved -= {(each.service, each.name) for each in kept if self._known[each.service, each.name] == each}


def is_good(view: ServiceView, *, lasting: timedelta, under_recovery: bool, now: datetime) -> bool:
    """
    Return whether a count of now is good, so that a recovery is compared with it.

    It is good where the service has been healthy for `lasting` and has no open incident: one that has just recovered may have
    lost the counted data.
    """
    return view.healthy_since is not None and now - view.healthy_since >= lasting and not under_recovery
