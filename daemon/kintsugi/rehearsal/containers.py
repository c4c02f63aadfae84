"""
One container's life: created, pulled, running, crashed, waiting to start again.

A small state machine without clocks of its own; the kubelet advances it and writes its state into the pod.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from kintsugi.rehearsal.images import Image
from kintsugi.rehearsal.pace import Pace

START_DELAY: Final = timedelta(milliseconds=300)
PULL_RETRY: Final = timedelta(seconds=2)
CONFIG_RETRY: Final = timedelta(seconds=2)
FIRST_BACK_OFF: Final = timedelta(seconds=10)
LONGEST_BACK_OFF: Final = timedelta(minutes=5)
FORGIVEN_AFTER: Final = timedelta(minutes=10)
CRASH_AFTER: Final = timedelta(milliseconds=500)


class Phase(StrEnum):
    """Where a container is; waiting phases carry the reason that Kubernetes shows."""

    CREATING = "ContainerCreating"
    CONFIG_FAILED = "CreateContainerConfigError"
    PULL_FAILED = "ErrImagePull"
    PULL_BACK_OFF = "ImagePullBackOff"
    RUNNING = "Running"
    BACK_OFF = "CrashLoopBackOff"
    EXITED = "Exited"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exit:
    """How a container ended; `message` is what its pod's status says of it."""

    code: int
    started: datetime
    finished: datetime
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lived:
    """What has become of the program of one start of a container; `exit_code` once it has ended."""

    instance: int
    ready: bool
    exit_code: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """Why a container with a program cannot be started now: `phase` is where it waits."""

    phase: Phase
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """
    What bears on a container from the outside; `image` is what a start would find.

    `lived` and `obstacle` are of containers whose image has a program.
    """

    image: Image | None
    restart_policy: str
    crashing: bool
    unready: bool
    pace: Pace
    lived: Lived | None = None
    obstacle: Obstacle | None = None


@dataclass(kw_only=True, slots=True)
class Container:
    """A container of one pod; `since` is when its phase began, on the pace's clock."""

    name: str
    since: float
    phase: Phase = Phase.CREATING
    instance: int = 0
    crashes: int = 0
    ready: bool = False
    image: Image | None = None
    started: datetime | None = None
    last_exit: Exit | None = None
    obstacle: Obstacle | None = None

    @property
    def restarts(self) -> int:
        """Count the starts after the first one."""
        return max(0, self.instance - 1)

    def advance(self, around: Surroundings) -> float | None:
        """Go on as far as the clock allows; answer at what time there is more to do."""
        while (due := self._due(around)) is not None and due <= around.pace.clock():
            self._next(around)
        ready_at = self._ready_at(around)
        self.ready = ready_at is not None and ready_at <= around.pace.clock()
        # Not by a second reading of the clock: what is due between the two would never be looked at again.
        ahead = (due, None if self.ready else ready_at)
        return min((moment for moment in ahead if moment is not None), default=None)

    def back_off(self) -> timedelta:
        """Say how long the container waits before it starts again: at once, then 10 s, doubling to 5 min."""
        if self.crashes <= 1:
            return timedelta(0)
        return min(FIRST_BACK_OFF * (1 << min(self.crashes - 2, 10)), LONGEST_BACK_OFF)

    def _due(self, around: Surroundings) -> float | None:
        delay = self._delay(around)
        return None if delay is None else self.since + around.pace.seconds(delay)

    def _delay(self, around: Surroundings) -> timedelta | None:
        match self.phase:
            case Phase.CREATING:
                return START_DELAY
            case Phase.PULL_FAILED:
                return PULL_RETRY
            case Phase.PULL_BACK_OFF:
                return FIRST_BACK_OFF
            case Phase.CONFIG_FAILED:
                return CONFIG_RETRY
            case Phase.BACK_OFF:
                return self.back_off()
            case Phase.RUNNING:
                return self._lifetime(around)
            case Phase.EXITED:
                return None

    def _next(self, around: Surroundings) -> None:
        match self.phase:
            case Phase.PULL_FAILED:
                self._enter(Phase.PULL_BACK_OFF, around)
            case Phase.CREATING | Phase.CONFIG_FAILED | Phase.PULL_BACK_OFF | Phase.BACK_OFF:
                self._start(around)
            case _:
                self._exit(around)

    def _start(self, around: Surroundings) -> None:
        if around.image is None:
            self._enter(Phase.PULL_FAILED, around)
            return
        self.obstacle = around.obstacle
        if around.obstacle is not None:
            self._enter(around.obstacle.phase, around)
            return
        self.instance += 1
        self.image = around.image
        self.started = around.pace.now()
        self._enter(Phase.RUNNING, around)

    def _exit(self, around: Surroundings) -> None:
        code = self._exit_code(around)
        finished = around.pace.now()
        self.last_exit = Exit(code=code, started=self.started or finished, finished=finished)
        ran = around.pace.clock() - self.since
        self.crashes = 1 if ran > around.pace.seconds(FORGIVEN_AFTER) else self.crashes + 1
        stays = around.restart_policy == "Never" or (around.restart_policy == "OnFailure" and code == 0)
        self._enter(Phase.EXITED if stays else Phase.BACK_OFF, around)

    def _exit_code(self, around: Surroundings) -> int:
        if self._has_program:
            lived = self._lived(around)
            return lived.exit_code if lived is not None and lived.exit_code is not None else 1
        return 1 if around.crashing or self.image is None else self.image.exit_code

    def _enter(self, phase: Phase, around: Surroundings) -> None:
        self.phase = phase
        self.since = around.pace.clock()

    def _ready_at(self, around: Surroundings) -> float | None:
        """Say when the container is ready, or since when; None when that is not known, or never."""
        if self.phase is not Phase.RUNNING or self.image is None or around.unready:
            return None
        if self._has_program:
            lived = self._lived(around)
            return self.since if lived is not None and lived.ready else None
        return self.since + around.pace.seconds(self.image.ready_after) if self.image.ready else None

    @property
    def _has_program(self) -> bool:
        return self.image is not None and self.image.program is not None

    def _lived(self, around: Surroundings) -> Lived | None:
        """Give what is known of the present start; what an earlier one came to is history."""
        return around.lived if around.lived is not None and around.lived.instance == self.instance else None

    def _lifetime(self, around: Surroundings) -> timedelta | None:
        if self._has_program:
            lived = self._lived(around)
            return timedelta(0) if lived is not None and lived.exit_code is not None else None
        if around.crashing:
            return CRASH_AFTER
        return self.image.exits_after if self.image is not None else None
