"""
Keeps in memory what was seen of each service before: good counts, replicas, restarts, and since when its template is good.

The caller of `unsaved` saves counts and replicas in the ledger, and those of an earlier process are recalled.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kintsugi.model.good_state import GoodCount, GoodRevision, SeenReplicas
from kintsugi.model.views import ServiceView, Workload
from kintsugi.views.view_builder import Restarts, is_rollout_complete
from kubeobjects import predicates
from kubeobjects.kept import DaemonSet
from kubeobjects.pods import Pod

CRASHES_WITHIN = timedelta(minutes=30)
"""The longest time between two restarts of one crash loop: the kubelet waits 5 minutes at most, and a start takes its time."""


class CountMemory:
    """The last count of each name while its service was healthy, by service, the newest last: a recovery is compared with it."""

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


class ReplicaMemory:
    """
    The last stretch of time in which a workload had replicas, by the workload's uid, so that one that was scaled to 0 can
    be started again. A DaemonSet has no number of them.
    """

    def __init__(self) -> None:
        self._seen: dict[str, SeenReplicas] = {}
        self._unsaved: set[str] = set()

    def note(self, workload: Workload | None, now: datetime) -> SeenReplicas | None:
        """Take in how many replicas are asked for now; return what is known of them."""
        if workload is None or isinstance(workload, DaemonSet) or not workload.metadata.uid:
            return None
        uid = workload.metadata.uid
        known, seen = self._seen.get(uid), seen_now(self._seen.get(uid), uid, workload.spec.replicas, now)
        if seen is not None and seen != known:
            self._seen[uid] = seen
            self._unsaved.add(uid)
        return seen

    def recall(self, found: SeenReplicas) -> None:
        """Recall the replicas of an earlier process: a workload with replicas then and now counts as never having had none."""
        seen = self._seen.get(found.workload)
        if seen is None:
            self._seen[found.workload] = found
        elif found.until is None:
            self._seen[found.workload] = replace(seen, since=found.since)

    def unsaved(self) -> tuple[SeenReplicas, ...]:
        """List what has changed since it was saved last."""
        return tuple(self._seen[uid] for uid in sorted(self._unsaved))

    def saved(self, kept: Iterable[SeenReplicas]) -> None:
        """Note that these are in the ledger; replicas that have changed meanwhile are not."""
        self._unsaved -= {each.workload for each in kept if self._seen.get(each.workload) == each}

    def forget_all_but(self, workloads: Collection[str]) -> None:
        """Forget workloads that are not there any more: another one of the name has another uid."""
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in workloads}
        self._unsaved &= self._seen.keys()


def seen_now(known: SeenReplicas | None, uid: str, wanted: int, now: datetime) -> SeenReplicas | None:
    """Return what is known once `wanted` replicas are seen; nothing of a workload that was never seen with any."""
    if wanted < 1:
        return replace(known, until=now) if known is not None and known.until is None else known
    if known is None or known.until is not None:
        return SeenReplicas(workload=uid, replicas=wanted, since=now)
    return replace(known, replicas=wanted)


@dataclass(kw_only=True)
class RestartTally:
    """Restarts seen so far of one service, by container."""

    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    moments: dict[str, datetime] = field(default_factory=dict)
    restarts: Restarts = field(default_factory=Restarts)

    def restarted(self, uid: str, times: int, now: datetime) -> None:
        """Count restarts of a pod. Those more than `CRASHES_WITHIN` apart are no crash loop and ask for no longer health."""
        last, before = self.restarts.last, self.moments.get(uid)
        recent = self.restarts.interval if last is not None and now - last <= CRASHES_WITHIN else timedelta(0)
        since = now - before if before is not None and now - before <= CRASHES_WITHIN else timedelta(0)
        self.moments[uid] = now
        self.restarts = Restarts(count=self.restarts.count + times, last=now, interval=max(since, recent))

    def forget(self, uid: str) -> None:
        """Forget a pod that is gone; its restarts stay counted."""
        self.moments.pop(uid, None)
        for key in [key for key in self.seen if key[0] == uid]:
            del self.seen[key]

    def shift(self, by: timedelta) -> None:
        """Move all moments by as much as the clock was set."""
        self.moments = {uid: moment + by for uid, moment in self.moments.items()}
        if self.restarts.last is not None:
            self.restarts = replace(self.restarts, last=self.restarts.last + by)


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
    """
    The template with which each service is well, and since when. What is not known for certain starts anew.

    A rolling update breaks no health: it is the template that must show by itself that it is good.
    """

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
    moment = predicates.ready_since(pod)
    started = [each.state.running.started_at if each.state.running else None for each in pod.status.container_statuses]
    if moment is None or any(each is None or each > moment for each in started):
        return None
    return moment
