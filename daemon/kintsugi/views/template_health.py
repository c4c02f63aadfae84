"""
Keeps since when each service has been well with the very template that its workload asks for.

A rolling update breaks no health: it is the template that must show by itself that it is good.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kintsugi.model.known import GoodRevision
from kintsugi.model.views import ServiceView
from kintsugi.views.view_builder import is_rollout_complete
from kubeobjects import predicates
from kubeobjects.pods import Pod


@dataclass(frozen=True, kw_only=True, slots=True)
class WellTime:
    """
    The time in which a service was last well with one template, to this day where `until` is None.

    `ready_since`: its pods had been ready since then when the daemon saw the service first; None for any later time.
    """

    template: str
    number: int
    since: datetime
    until: datetime | None = None
    ready_since: datetime | None = None

    def adopts(self, lasting: timedelta) -> bool:
        """Return whether the pods had been ready for `lasting` before they were watched."""
        return self.ready_since is not None and self.since - self.ready_since >= lasting


class TemplateHealth:
    """The template with which each service is well, and since when. What is not known for certain starts anew."""

    def __init__(self) -> None:
        self._times: dict[str, WellTime] = {}
        self._seen: set[str] = set()
        self.times: Mapping[str, WellTime] = self._times

    def note(self, view: ServiceView, now: datetime) -> None:
        """
        Take in a new view. One that is not current says nothing, and what was known before goes on.

        Whatever its author calls healthy: what does not serve, or does not answer its checks, shows no template to be good.
        """
        if not view.is_current:
            return
        is_first, known = view.name not in self._seen, self._times.get(view.name)
        self._seen.add(view.name)
        is_well = view.healthy and view.serving and not view.unmet
        if not is_well or not view.template or not is_rollout_complete(view):
            if known is not None and known.until is None:
                self._times[view.name] = replace(known, until=now)
        elif known is None or known.until is not None or known.template != view.template:
            ready = ready_since(view) if is_first else None
            self._times[view.name] = WellTime(
                template=view.template, number=view.revision, since=now, ready_since=ready
            )

    def forget(self, service: str) -> None:
        """Count anew from the next view on."""
        self._times.pop(service, None)

    def forget_all(self) -> None:
        """Count anew for all services."""
        self._times.clear()

    def good(self, views: Iterable[ServiceView], lasting: timedelta, now: datetime) -> tuple[GoodRevision, ...]:
        """Return the revisions of these views that have been healthy for `lasting` with all of their pods, or are adopted."""
        found = list[GoodRevision]()
        for view in views:
            time = self._times.get(view.name)
            if time is None or time.until is not None or not view.is_current or view.workload is None:
                continue
            watched = now - time.since >= lasting
            if watched or time.adopts(lasting):
                found.append(
                    GoodRevision(
                        workload=view.workload.metadata.uid,
                        template=view.template,
                        number=view.revision,
                        first_good=time.since,
                        last_good=now,
                        adopted=not watched,
                    )
                )
        return tuple(found)


def ready_since(view: ServiceView) -> datetime | None:
    """Return since when all pods of the template in force are ready without a restart, None where that is not so."""
    pods = [pod for pod in view.new_pods if not predicates.terminating(pod) and not predicates.finished(pod)]
    moments = [moment for pod in pods if (moment := _ready_since(pod)) is not None]
    return max(moments) if moments and len(moments) == len(pods) >= view.desired else None


def _ready_since(pod: Pod) -> datetime | None:
    condition = predicates.condition_of(pod.status.conditions, "Ready")
    moment = condition.last_transition_time if condition is not None and condition.status == "True" else None
    started = [each.state.running.started_at if each.state.running else None for each in pod.status.container_statuses]
    if moment is None or any(each is None or each > moment for each in started):
        return None
    return moment
