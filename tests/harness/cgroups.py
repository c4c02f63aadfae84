"""The cgroups that one run of a cluster uses: made for the kubelet, emptied and removed after it."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_TOP = Path("/sys/fs/cgroup")
PROCESSES = 20
"""Where the tests of several lanes run beside each other, a pod else waits for all of them before its turn comes."""


def make(name: str) -> None:
    """Make a cgroup of this name (a path) in every hierarchy, ready for the kubelet to make others below it."""
    for hierarchy in _hierarchies():
        parent = hierarchy
        for element in Path(name).parts:
            _prepare(parent)
            (parent / element).mkdir(exist_ok=True)
            _copy_cpuset(parent, parent / element)
            _weigh(parent / element)
            parent /= element


def _prepare(parent: Path) -> None:
    """Let the children of a cgroup have all controllers, where there is one hierarchy for all (cgroup v2)."""
    if (parent / "cgroup.controllers").exists() and parent.name != "unified":
        controllers = (parent / "cgroup.controllers").read_text().split()
        (parent / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in controllers))


def _copy_cpuset(parent: Path, child: Path) -> None:
    """Provide a new cpuset (cgroup v1) with its processors and memory: nothing can be put into it until it has some."""
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (parent / setting).exists() and not (parent / "cgroup.controllers").exists():
            (child / setting).write_text((parent / setting).read_text())


def _weigh(cgroup: Path) -> None:
    """Let all pods of a run together have what so many processes outside have: by default they have what one of those has."""
    for setting, one in (("cpu.shares", 1024), ("cpu.weight", 100)):
        if (cgroup / setting).exists():
            (cgroup / setting).write_text(str(one * PROCESSES))


def kill(name: str) -> None:
    """Kill every process in the cgroups of this name and below."""
    for path in _folders(name):
        with suppress(OSError):
            for pid in (path / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


def remove(name: str, *, within: float = 5) -> None:
    """Remove the cgroups of this name and below, once the kernel has let their last processes go."""
    deadline = time.monotonic() + within
    while folders := list(_folders(name)):
        for path in folders:
            with suppress(OSError):
                path.rmdir()
        if time.monotonic() > deadline:
            raise TimeoutError(f"cgroups still busy after {within} s: {', '.join(map(str, folders[:5]))}")
        time.sleep(0.02)


def _hierarchies() -> Iterator[Path]:
    if (_TOP / "cgroup.controllers").exists():
        yield _TOP
    elif _TOP.is_dir():
        yield from (path for path in _TOP.iterdir() if path.is_dir() and not path.is_symlink())


def _folders(name: str) -> Iterator[Path]:
    """Yield the cgroups of this name, the deepest first."""
    for hierarchy in _hierarchies():
        root = hierarchy / name
        if root.is_dir():
            yield from sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True)
            yield root
