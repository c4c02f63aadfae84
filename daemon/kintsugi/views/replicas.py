"""
The replicas that each workload had when it last had any, so that one that was scaled to 0 can be started again.

They are kept in memory; the caller of `unsaved` saves them in the ledger, and those of an earlier process are recalled.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from kintsugi.model.known import SeenReplicas
from kintsugi.model.views import Workload
from kubeobjects.kept import DaemonSet


class ReplicaMemory:
    """The last stretch of time in which a workload had replicas, by the workload's uid. A DaemonSet has no number of them."""

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
