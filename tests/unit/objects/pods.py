"""Pods for tests, built from few words."""

from datetime import UTC, datetime, timedelta

from kubeobjects.metadata import Condition, Metadata
from kubeobjects.pods import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Pod,
    PodSpec,
    PodStatus,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    """Return the moment that many minutes before NOW."""
    return NOW - timedelta(minutes=minutes)


def running(
    *, since: float = 60, ready: bool = True, restarts: int = 0, crashed: float | None = None, lived: float = 1
) -> ContainerStatus:
    """Make a container that runs; `crashed` is how many minutes ago its run before ended, which had `lived` so many minutes."""
    ended = (
        ContainerStateTerminated(exit_code=1, reason="Error", finished_at=ago(crashed), started_at=ago(crashed + lived))
        if crashed
        else None
    )
    last = ContainerState(terminated=ended) if ended is not None else None
    return ContainerStatus(
        name="main",
        ready=ready,
        started=True,
        restart_count=restarts,
        state=ContainerState(running=ContainerStateRunning(started_at=ago(since))),
        last_state=last or ContainerState(),
    )


def waiting(reason: str, restarts: int = 0) -> ContainerStatus:
    """Make a container that waits."""
    return ContainerStatus(
        name="main", restart_count=restarts, state=ContainerState(waiting=ContainerStateWaiting(reason=reason))
    )


def ended(code: int = 0, reason: str = "", *, signal: int = 0, restarts: int = 0) -> ContainerStatus:
    """Make a container that has ended."""
    terminated = ContainerStateTerminated(exit_code=code, signal=signal, reason=reason)
    return ContainerStatus(name="main", restart_count=restarts, state=ContainerState(terminated=terminated))


def pod(
    *statuses: ContainerStatus,
    phase: str = "Running",
    ready: str = "True",
    changed: float = 60,
    init: tuple[ContainerStatus, ...] = (),
    more: tuple[Condition, ...] = (),
) -> Pod:
    """Make a pod; `ready` is the status of its Ready condition ("" for none), which changed so many minutes ago."""
    readiness = (Condition(type="Ready", status=ready, last_transition_time=ago(changed)),) if ready else ()
    return Pod(
        metadata=Metadata(name="web-1", namespace="production", uid="u-1"),
        spec=PodSpec(
            containers=(Container(name="main"),),
            init_containers=tuple(Container(name=f"init-{index}") for index, _ in enumerate(init)),
        ),
        status=PodStatus(
            phase=phase, conditions=(*readiness, *more), container_statuses=statuses, init_container_statuses=init
        ),
    )
