"""The ids of docs/faults.md that are not run yet, each with its reason."""

from collections.abc import Iterable, Iterator, Mapping


def _all(ids: str, reason: str) -> Iterator[tuple[str, str]]:
    return ((each, reason) for each in ids.split())


def _together(*groups: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    return dict(pair for group in groups for pair in group)


NOT_RUN: Mapping[str, str] = _together(
    _all("volume-attached-elsewhere volume-full-can-grow", "it is shown on the embedded cluster"),
    _all("move-forbidden-by-budget", "its command beside the rows has not been tried"),
    _all("api-server-away alert-alone", "it is seen by a daemon alone"),
    _all("nothing", "the row has no cause, and its end has not been checked so far"),
    _all(
        "observe",
        "each row is run beside a daemon that observes and writes nothing; the absence of a recovery is not checked",
    ),
)
