"""
The first process of a container: when it ends, all that was started below it has ended.

    python -I -S init.py LIFELINE PROGRAM [ARGUMENT]...

It replaces a PID namespace. Signals are passed on to the program; processes that the program leaves behind are killed,
and so are all processes when the other end of LIFELINE, a pipe, is closed: the cluster has stopped, or was itself
killed. It ends with the program's exit code, 128 and the signal's number when a signal has ended it. Run by itself,
hence alone.
"""

import ctypes
import fcntl
import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_ADOPT = 36
"""PR_SET_CHILD_SUBREAPER of linux/prctl.h: orphans below become children of this process."""

KILLED = 128 + signal.SIGKILL
NOT_STARTED = 127


def main(lifeline: int, command: Sequence[str]) -> int:
    """Run a program to its end, and clear up behind it; the answer is its exit code."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)
    fcntl.fcntl(lifeline, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    awake, wake = os.pipe()
    fcntl.fcntl(wake, fcntl.F_SETFL, os.O_NONBLOCK)
    signal.set_wakeup_fd(wake)
    numbers = (*_PASSED_ON, signal.SIGCHLD)
    # A signal that comes between the start and the handlers must not be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    program = _start(command, numbers)
    for number in _PASSED_ON:
        signal.signal(number, lambda got, _: _send(program, got))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    code = _wait(program, lifeline, awake)
    _end_all(program)
    return code


def _start(command: Sequence[str], blocked: Sequence[int]) -> int:
    program = os.fork()
    if program:
        return program
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - that there is no shell is the point
    except OSError as problem:
        print(f"{command[0]} cannot be started: {problem}", file=sys.stderr)  # noqa: T201
    os._exit(NOT_STARTED)


def _wait(program: int, lifeline: int, awake: int) -> int:
    while True:
        ended = _ended(program)
        if ended is not None:
            return ended
        ready, _, _ = select.select([lifeline, awake], [], [])
        if lifeline in ready:
            return KILLED
        os.read(awake, 4096)


def _ended(program: int) -> int | None:
    """Take leave of all that has ended; answer with the program's exit code when it is among them."""
    code = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == program:
                ended = os.waitstatus_to_exitcode(status)
                code = ended if ended >= 0 else 128 - ended
    return code


def _end_all(program: int) -> None:
    """Kill what is left; the children of what is killed become ours in turn."""
    with suppress(ChildProcessError):
        while True:
            for pid in _children(program):
                _send(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children(program: int) -> list[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in listed.read_text().split()] if listed.exists() else [-program, program]


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
