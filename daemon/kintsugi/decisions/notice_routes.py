"""
Decides which routes a notice takes, and whether it is a message of its own. Pure: the routes, the subject of the notice and
`now` are arguments.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto

from kintsugi.decisions.matcher import difference
from kintsugi.model.notices import Hours, MessageLimit, NoticeRoute, NoticeSubject
from kintsugi.model.records import IncidentState, Notice
from kintsugi.model.runbooks import Severity

_CRITICAL = frozenset({IncidentState.NEEDS_OPERATOR, IncidentState.FAILED, IncidentState.INEFFECTIVE})
_WARNING = frozenset({IncidentState.OPEN, IncidentState.HELD, IncidentState.AWAITING_APPROVAL})


def severity_of(kind: IncidentState) -> Severity:
    """Return the severity of a notice: critical if a person must act, warning if a person is asked or may have to act."""
    if kind in _CRITICAL:
        return Severity.CRITICAL
    return Severity.WARNING if kind in _WARNING else Severity.INFO


def calls_a_person(notice: Notice) -> bool:
    """
    Return whether a pager is called for a notice: a person is needed.

    A problem that is only observed has no incident whose end would close the page: Alertmanager's own page is about it.
    """
    severity = severity_of(notice.kind)
    return severity is Severity.CRITICAL or (severity is Severity.WARNING and notice.incident is not None)


def routes_of(
    kind: IncidentState, subject: NoticeSubject, routes: Iterable[NoticeRoute], now: datetime
) -> tuple[NoticeRoute, ...]:
    """Return the routes that a notice takes at `now`, in the order of their names."""
    severity = severity_of(kind)
    taken = (
        route
        for route in routes
        if (not route.services or subject.service in route.services)
        and (not route.severities or severity in route.severities)
        and (not route.matchers or any(difference(route.matchers, labels) is None for labels in subject.labels))
        and (route.hours is None or is_within(route.hours, now))
    )
    return tuple(sorted(taken, key=lambda route: route.name))


def is_within(hours: Hours, now: datetime) -> bool:
    """Return whether a moment is within some hours; those over midnight belong to the day on which they begin."""
    local = now.astimezone(hours.zone)
    at, today = local.time(), local.weekday()
    if hours.begin < hours.end:
        return hours.begin <= at < hours.end and today in hours.days
    yesterday = (local - timedelta(days=1)).weekday()
    return (at >= hours.begin and today in hours.days) or (at < hours.end and yesterday in hours.days)


BETWEEN_SUMMARIES = timedelta(minutes=1)
"""The least time between two summaries of a route."""


class Sending(Enum):
    """How the notices that a route has due are sent."""

    EACH = auto()
    SUMMARY = auto()
    LATER = auto()


def sending(
    due: int, sent: Sequence[datetime], summarized: datetime | None, limit: MessageLimit, now: datetime
) -> Sending:
    """Return how so many due notices are sent to a route, whose messages were `sent`, and whose last summary was at `summarized`."""
    recent = sum(at > now - limit.within for at in sent)
    if recent + due <= limit.messages:
        return Sending.EACH
    if summarized is not None and now < summarized + BETWEEN_SUMMARIES:
        return Sending.LATER
    return Sending.SUMMARY
