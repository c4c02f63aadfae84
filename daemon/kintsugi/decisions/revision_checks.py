"""
Decides whether a revision of a workload is good, so that a rollback may lead to it, and whether a good one is good no
more.

Pure. Health alone does not make it so: pods can be ready and answer every request with an error.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from kintsugi.durations import format_duration, format_seconds
from kintsugi.model.good_state import RevisionStanding
from kintsugi.model.views import ServiceView
from kubediagnosis.facts import CheckFacts
from kubeobjects import predicates
from kubeobjects.pods import Pod

MINUTE = timedelta(minutes=1)

ON_TRIAL = 6
"""The time on trial of a good revision, in multiples of the time that made it good: an hour by default."""

_OUT_OF_MEMORY = "OOMKilled"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedRevision:
    """
    The facts about the revision with which a service is well.

    `since` is the time at which it became well with it. `adopted`: its pods were ready for long enough before.
    `unasked` are the service's checks that were not asked since, `checks` the last answers of the others, `unanswered`
    those that have none. `signals` are the rules whose signals about the service hold, and of an adopted one also those that held
    while its pods were ready.
    """

    since: datetime
    adopted: bool = False
    unasked: Collection[str] = ()
    unanswered: Collection[str] = ()
    checks: Collection[CheckFacts] = ()
    signals: Collection[str] = ()


def not_good(revision: CheckedRevision, *, lasting: timedelta, now: datetime) -> str:
    """
    Return why a revision is not good, or not yet, "" when it is: well for `lasting`, each check met, no signal that holds.

    A service that has checks must have answered one of them: pods that are ready may not answer at all.
    """
    if not revision.adopted and now - revision.since < lasting:
        return f"the service has been healthy for less than {format_duration(lasting)}"
    if unmet := next((check for check in revision.checks if not check.met), None):
        return f"the check {unmet.name} fails: {unmet.answer}"
    if revision.unasked:
        return f"{', '.join(sorted(revision.unasked))} has not been checked yet"
    if revision.unanswered and not revision.checks:
        return f"{', '.join(sorted(revision.unanswered))} had no answer yet"
    if revision.signals:
        fire = f"fired within the last {format_duration(lasting)}" if revision.adopted else "fire"
        return f"signals about the service {fire}: {', '.join(sorted(revision.signals))}"
    return ""


def none_good(why_not: str, since: datetime | None, until: datetime | None, *, lasting: timedelta) -> str:
    """Return why no revision of a workload is good; `since` and `until` are when its service was last well with one revision."""
    said, required = "no revision was seen good yet", format_duration(lasting)
    if since is None:
        return f"{said}: {required} of health are required"
    if until is not None:
        return f"{said}: healthy from {since:%H:%M:%S} to {until:%H:%M:%S}, {required} are required"
    return f"{said}: {why_not or f'healthy since {since:%H:%M:%S}, {required} are required'}"


def standing_text(standing: RevisionStanding, now: datetime | None) -> str:
    """Return a sentence for a person: whether a revision is good, or when it will be; without `now` as a time of day."""
    name = f"revision {standing.number}" if standing.number else "its revision"
    if standing.good_since is not None:
        how = "adopted as good at" if standing.adopted else "good since"
        return f"{name}: {how} {standing.good_since:%Y-%m-%d %H:%M}"
    if standing.why_not:
        return f"{name}: not good yet, {standing.why_not}"
    if standing.good_at is None:
        return f"{name}: not good yet, the service is not well"
    if now is None:
        return f"{name}: good at {standing.good_at:%H:%M:%S}"
    left = max(standing.good_at - now, timedelta(0))
    return f"{name}: good in {f'{ceil(left / MINUTE)}m' if left > MINUTE else format_seconds(left)}"


def fails_by_itself(view: ServiceView, *, since: datetime, upstream: str, now: datetime) -> str:
    """
    Return how a revision that was good `since` a moment fails by itself, "" where it does not.

    Each of its pods is ended for want of memory or in a crash loop, and no upstream is unwell (`upstream` names one): a single pod
    may fail for its node or its volume, and one that waits for an upstream crashes as well.
    """
    pods = [pod for pod in view.new_pods if not predicates.terminating(pod) and not predicates.finished(pod)]
    if upstream or not pods:
        return ""
    ends = [_end(pod, since, now) for pod in pods]
    return f"each of its pods fails by itself: {', '.join(ends)}" if all(ends) else ""


def _end(pod: Pod, since: datetime, now: datetime) -> str:
    if predicates.crash_looping(pod, now):
        return f"{pod.metadata.name} is in a crash loop"
    for status in pod.status.container_statuses:
        ended = status.state.terminated or status.last_state.terminated
        if ended is not None and ended.reason == _OUT_OF_MEMORY and (ended.finished_at or since) > since:
            return f"{pod.metadata.name} was killed for lack of memory"
    return ""
