"""
One container's life: created, pulled, running, crashed, waiting to start again.

A small state machine without clocks of its own; the kubelet advances it and writes its state into the pod.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from kubesim.cluster_time import ClusterTime
from kubesim.images import Image
from kubesim.runtime.runtime import ContainerRun

FIRST_BACK_OFF: Final = timedelta(seconds=10)
LONGEST_BACK_OFF: Final = timedelta(minutes=5)
FORGIVEN_AFTER: Final = timedelta(minutes=10)
CRASH_AFTER: Final = timedelta(milliseconds=500)
KILLED: Final = 137


class Phase(StrEnum):
    """The phase of a container; waiting phases have Kubernetes' reason as their value."""

    CREATING = "ContainerCreating"
    INITIALISING = "PodInitializing"
    CONFIG_FAILED = "CreateContainerConfigError"
    PULL_FAILED = "ErrImagePull"
    PULL_BACK_OFF = "ImagePullBackOff"
    RUNNING = "Running"
    BACK_OFF = "CrashLoopBackOff"
    EXITED = "Exited"


DELAYS: Final = {
    Phase.CREATING: timedelta(milliseconds=300),
    Phase.INITIALISING: timedelta(milliseconds=300),
    Phase.PULL_FAILED: timedelta(seconds=2),
    Phase.PULL_BACK_OFF: FIRST_BACK_OFF,
    Phase.CONFIG_FAILED: timedelta(seconds=2),
}
"""The time after which a container goes on, by its phase."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exit:
    """The end of a container; `message` is that of its pod's status. `killed`: by the kernel, for its memory."""

    code: int
    started: datetime
    finished: datetime
    message: str = ""
    killed: bool = False

    @property
    def reason(self) -> str:
        """Return the word for it."""
        return "OOMKilled" if self.killed else "Completed" if self.code == 0 else "Error"


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingState:
    """
    The reason for which a container cannot start now: `phase` is its waiting phase; without a message it waits for its
    turn.
    """

    phase: Phase
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerContext:
    """
    The external conditions of a container; `image` is the image that a start would use.

    `run` is set for containers whose image has a program. `starved`: it needs more memory than its limit lets it have.
    """

    image: Image | None
    restart_policy: str
    crashing: bool
    unready: bool
    time: ClusterTime
    starved: bool = False
    run: ContainerRun | None = None
    waiting: WaitingState | None = None


@dataclass(kw_only=True, slots=True)
class Container:
    """
    A container of one pod; `since` is when its phase began, on the cluster's clock.

    `initialises`: those after it start when it has succeeded, or, of a `sidecar`, when it runs.
    """

    name: str
    since: float
    initialises: bool = False
    sidecar: bool = False
    phase: Phase = Phase.CREATING
    instance: int = 0
    crashes: int = 0
    ready: bool = False
    image: Image | None = None
    started: datetime | None = None
    last_exit: Exit | None = None
    waiting: WaitingState | None = None

    @property
    def restarts(self) -> int:
        """Count the starts after the first one."""
        return max(0, self.instance - 1)

    @property
    def lets_on(self) -> bool:
        """Return whether the containers after it may start."""
        if not self.initialises or self.sidecar:
            return self.instance > 0
        return self.phase is Phase.EXITED and self.last_exit is not None and self.last_exit.code == 0

    @property
    def has_failed(self) -> bool:
        """Return whether it has ended for good, and not well."""
        return self.phase is Phase.EXITED and self.last_exit is not None and self.last_exit.code != 0

    def advance(self, context: ContainerContext) -> float | None:
        """Go on as far as the clock allows; answer at what time there is more to do."""
        while (due := self._due(context)) is not None and due <= context.time.clock():
            self._next(context)
        ready_at = self._ready_at(context)
        self.ready = ready_at is not None and ready_at <= context.time.clock()
        # Not by a second reading of the clock: what is due between the two would never be looked at again.
        ahead = (due, None if self.ready else ready_at)
        return min((moment for moment in ahead if moment is not None), default=None)

    def back_off(self) -> timedelta:
        """Return how long the container waits before it starts again: at once, then 10 s, doubling to 5 min."""
        if self.crashes <= 1:
            return timedelta(0)
        return min(FIRST_BACK_OFF * (1 << min(self.crashes - 2, 10)), LONGEST_BACK_OFF)

    def _due(self, context: ContainerContext) -> float | None:
        delay = self._delay(context)
        return None if delay is None else self.since + context.time.seconds(delay)

    def _delay(self, context: ContainerContext) -> timedelta | None:
        if self.phase is Phase.BACK_OFF:
            return self.back_off()
        return self._lifetime(context) if self.phase is Phase.RUNNING else DELAYS.get(self.phase)

    def _next(self, context: ContainerContext) -> None:
        match self.phase:
            case Phase.PULL_FAILED:
                self._enter(Phase.PULL_BACK_OFF, context)
            case Phase.CREATING | Phase.INITIALISING | Phase.CONFIG_FAILED | Phase.PULL_BACK_OFF | Phase.BACK_OFF:
                self._start(context)
            case _:
                self._exit(context)

    def _start(self, context: ContainerContext) -> None:
        if context.image is None:
            self._enter(Phase.PULL_FAILED, context)
            return
        self.waiting = context.waiting
        if context.waiting is not None:
            self._enter(context.waiting.phase, context)
            return
        self.instance += 1
        self.image = context.image
        self.started = context.time.now()
        self._enter(Phase.RUNNING, context)

    def _exit(self, context: ContainerContext) -> None:
        code = self._exit_code(context)
        finished = context.time.now()
        self.last_exit = Exit(code=code, started=self.started or finished, finished=finished, killed=context.starved)
        ran = context.time.clock() - self.since
        self.crashes = 1 if ran > context.time.seconds(FORGIVEN_AFTER) else self.crashes + 1
        stays = context.restart_policy == "Never" or (context.restart_policy == "OnFailure" and code == 0)
        self._enter(Phase.EXITED if stays else Phase.BACK_OFF, context)

    def _exit_code(self, context: ContainerContext) -> int:
        if context.starved:
            return KILLED
        if self._has_program:
            run = self._run_of(context)
            return run.exit_code if run is not None and run.exit_code is not None else 1
        return 1 if context.crashing or self.image is None else self.image.exit_code

    def _enter(self, phase: Phase, context: ContainerContext) -> None:
        self.phase = phase
        self.since = context.time.clock()

    def _ready_at(self, context: ContainerContext) -> float | None:
        """Return when the container is ready, or since when; None when that is not known, or never."""
        if self.phase is not Phase.RUNNING or self.image is None or context.unready:
            return None
        if self._has_program:
            run = self._run_of(context)
            return self.since if run is not None and run.ready else None
        return self.since + context.time.seconds(self.image.ready_after) if self.image.ready else None

    @property
    def _has_program(self) -> bool:
        return self.image is not None and self.image.program is not None

    def _run_of(self, context: ContainerContext) -> ContainerRun | None:
        """Return what is known of the present start; what an earlier one came to is history."""
        return context.run if context.run is not None and context.run.instance == self.instance else None

    def _lifetime(self, context: ContainerContext) -> timedelta | None:
        if self._has_program:
            run = self._run_of(context)
            return timedelta(0) if run is not None and run.exit_code is not None else None
        if context.crashing or context.starved:
            return CRASH_AFTER
        return self.image.exits_after if self.image is not None else None
