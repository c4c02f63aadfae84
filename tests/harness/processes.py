"""One started program: its log, its end, its freezing. Everything is done to the process id that we started."""

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(kw_only=True, slots=True)
class Program:
    """A program that can be started, killed, frozen and started again with the same arguments.

    `uid`, when it is given, is the user and group under which the program runs.
    """

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    uid: int | None = None
    _child: "subprocess.Popen[bytes] | None" = None

    @property
    def pid(self) -> int | None:
        """Return the process id, or None when the program does not run."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start the program in a session of its own; what it prints is appended to its log."""
        if self.pid is not None:
            return
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
                user=self.uid,
                group=self.uid,
                extra_groups=None if self.uid is None else [],
            )

    def stop(self, number: signal.Signals = signal.SIGKILL, *, within: float = 10) -> None:
        """End the program with a signal and wait until it is gone; one that does not go in time is killed."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(number)
            child.send_signal(signal.SIGCONT)
        try:
            child.wait(within)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self._child = None

    def freeze(self) -> None:
        """Stop the program where it stands: its connections stay open and it answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen program go on."""
        self._signal(signal.SIGCONT)

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of the program's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._child is None or self._child.poll() is not None:
            raise ProcessLookupError(f"{self.name} does not run")
        self._child.send_signal(number)


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
