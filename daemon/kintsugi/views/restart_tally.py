"""The restarts of a service's containers that were seen, and the time between them."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kintsugi.views.view_builder import Restarts

CRASHES_WITHIN = timedelta(minutes=30)
"""The longest time between two restarts of one crash loop: the kubelet waits 5 minutes at most, and a start takes its time."""


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
