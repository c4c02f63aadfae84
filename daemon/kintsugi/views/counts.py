"""
The counts of checks while their services were healthy; a recovery is compared with them.

They are kept in memory; the caller of `unsaved` saves them in the ledger, and counts of an earlier process are recalled.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from kintsugi.model.known import GoodCount
from kintsugi.model.views import ServiceView


class CountMemory:
    """The last good count of each name, by service, the newest last."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, GoodCount]] = defaultdict(dict)
        self._unsaved: set[tuple[str, str]] = set()

    def note(self, count: GoodCount) -> None:
        """Note a count."""
        known = self._known[count.service].pop(count.name, None)
        if known is None or known.value != count.value:
            self._unsaved.add((count.service, count.name))
        self._known[count.service][count.name] = count

    def recall(self, found: Iterable[GoodCount]) -> None:
        """Recall the counts of an earlier process; those of this process are newer."""
        for each in sorted(found, key=lambda each: each.moment):
            self._known[each.service].setdefault(each.name, each)

    def of(self, service: str) -> Mapping[str, int]:
        """Return the counts of a service by their names, the newest last."""
        return {name: count.value for name, count in self._known.get(service, {}).items()}

    def urls(self, service: str) -> tuple[str, ...]:
        """Return the URLs of derived checks of a service that were met, the newest last."""
        return tuple(name for name in self._known.get(service, {}) if "://" in name)

    def unsaved(self) -> tuple[GoodCount, ...]:
        """List the counts that have changed since they were saved last."""
        return tuple(self._known[service][name] for service, name in sorted(self._unsaved))

    def saved(self, kept: Iterable[GoodCount]) -> None:
        """Note that these are in the ledger; counts that have changed meanwhile are not."""
        self._unsaved -= {
            (each.service, each.name) for each in kept if self._known[each.service].get(each.name) == each
        }


def is_good(view: ServiceView, *, lasting: timedelta, under_recovery: bool, now: datetime) -> bool:
    """
    Return whether a count of now is good, so that a recovery is compared with it.

    It is good where the service has been healthy for `lasting` and has no open incident: one that has just recovered may have
    lost the counted data.
    """
    return view.healthy_since is not None and now - view.healthy_since >= lasting and not under_recovery
