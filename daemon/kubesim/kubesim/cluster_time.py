"""The time of the embedded cluster: every delay of Kubernetes, divided by one speed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


def wall_clock() -> datetime:
    """Read the wall clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterTime:
    """Time of the cluster: `clock` is monotonic, in seconds; `now` is what objects are stamped with."""

    clock: Callable[[], float]
    speed: float = 1.0
    now: Callable[[], datetime] = wall_clock

    def seconds(self, delay: timedelta) -> float:
        """Return how many seconds of the clock a delay of Kubernetes takes here."""
        return delay.total_seconds() / self.speed
