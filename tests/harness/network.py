"""Run a command in a machine of its own, as far as the kernel can give one: network, processes and mounts.

`python -m tests.harness.network -- COMMAND…` is how the Makefile runs the tests that need a Kubernetes. The command
finds loopback up and a bridge with the node's address; no packet of it can leave. Whatever it started, mounted or
routed is gone when it ends, because the namespaces are gone; its cgroups and its scratch folder are removed after it.

A machine has one real cluster at a time: a second run waits before its command starts, where no test's time limit counts. With
`--without-cluster` it does not: that command starts none. With `--files-only` a command, of whichever user, has no machine of
its own, only a scratch folder for its temporary files, in memory where there is some.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType

from tests.harness import cgroups

NODE_ADDRESS = "10.88.0.1"
BRIDGE = "node0"
# sysexits.h: EX_UNAVAILABLE. Nothing was run; the reason is on standard error.
UNAVAILABLE = 69
# Names the scratch folder of this run to everything inside; its last element is also the name of the run's cgroup.
RUN = "KINTSUGI_TEST_RUN"
WITHOUT_CLUSTER = "--without-cluster"
FILES_ONLY = "--files-only"

_PREFIX = "kintsugi-run-"
_CLONE_NEWNS, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
_PR_SET_PDEATHSIG = 1
# The node's folder for what pods share with the tests: volumes, faults.
NODE_FOLDER = "/var/tmp/kintsugi"
# Kubernetes and containerd keep state in these whatever they are told; inside, each is an empty tmpfs. So is the scratch
# folder where there is memory for it (a cluster keeps 1 GiB): nothing of it outlives the run, and half of what the tests
# cost was a disk that makes data safe.
_HARD_CODED = ("/run/containerd", "/run/netns", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", NODE_FOLDER)
_ENOUGH_MEMORY = 16 << 30
# Where every user may keep files in memory, and how much of it the tests that need no cluster want: ten times what they use.
_SHARED_MEMORY, _ENOUGH_SHARED = Path("/dev/shm"), 4 << 30
_SETTINGS = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
_LINKS = (
    "ip link set lo up",
    f"ip link add {BRIDGE} type bridge",
    f"ip addr add {NODE_ADDRESS}/32 dev {BRIDGE}",
    f"ip link set {BRIDGE} up",
    f"ip route add default dev {BRIDGE}",
)


def obstacle() -> str | None:
    """Return why no network namespace can be had here, or None."""
    if sys.platform != "linux":
        return f"network namespaces need Linux, this is {sys.platform}"
    if os.geteuid() != 0:
        return f"network namespaces need root, this is uid {os.geteuid()}"
    missing = [tool for tool in ("ip", "iptables", "mount") if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)} (tests/harness/setup installs them)" if missing else None


def run_folder() -> Path | None:
    """Return the scratch folder of the run that we are inside of, or None outside of any."""
    named = os.environ.get(RUN)
    return Path(named) if named else None


def run(command: Sequence[str]) -> int:
    """Run a command inside, wait for it, clean up, and return its exit code (128 + signal when it was killed)."""
    with _mount_points(), _scratch() as scratch:
        _libc("unshare", _CLONE_NEWPID)
        inside = [sys.executable, "-m", "tests.harness.network", "--inside", *command]
        child = subprocess.Popen(inside, env={**os.environ, RUN: str(scratch), "TMPDIR": str(scratch), **_at_ease()})
        try:
            _pass_signals_to(child)
            return _exit_code(child.wait())
        finally:
            child.kill()
            child.wait()


def run_here(command: Sequence[str]) -> int:
    """Run a command on this machine as it is, but for where its temporary files are, and return its exit code."""
    with _scratch(_SHARED_MEMORY if has_shared_memory() else None) as scratch:
        child = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(scratch)})
        try:
            _pass_signals_to(child)
            return _exit_code(child.wait())
        finally:
            child.kill()
            child.wait()


@contextmanager
def turn() -> Iterator[None]:
    """Have the machine's only real cluster, once all other runs that may have one are over; a run inside of a run has its turn."""
    if run_folder() is not None:
        yield
        return
    with Path(tempfile.gettempdir(), "kintsugi-cluster.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("network: waits for another run on this machine to end", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _scratch(parent: Path | None = None) -> Iterator[Path]:
    """Have a folder and a name for this run; its files and cgroups go with it, and those of runs that were killed."""
    scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    scratch.chmod(0o755)
    lock = _locked(scratch)
    for other in scratch.parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            # A younger one may be about to take its lock.
            if time.time() - other.stat().st_mtime > 60:
                os.close(_locked(other))
                _remove(other)
    try:
        yield scratch
    finally:
        _remove(scratch)
        os.close(lock)


def _locked(folder: Path) -> int:
    """Open and lock a folder for as long as its run is alive. Raises OSError when another holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _remove(scratch: Path) -> None:
    cgroups.remove(scratch.name)
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _mount_points() -> Iterator[None]:
    """Have the folders that are mounted over inside; those that we made are removed again.

    Not while another run is under way: removing a folder unmounts what others have mounted over it.
    """
    lock = os.open("/run", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    made = [path for path in map(Path, _HARD_CODED) if not path.exists()]
    for path in made:
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in made:
                path.rmdir()
        os.close(lock)


def _pass_signals_to(child: "subprocess.Popen[bytes]") -> None:
    """Hand signals on to a child. An interrupt is left alone: the terminal sends it to the child by itself."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGHUP, pass_on)


def _exit_code(status: int) -> int:
    return 128 - status if status < 0 else status


def _inside(command: Sequence[str]) -> int:
    """Be process 1: prepare the namespaces, run the command, and reap what it leaves behind until it ends."""
    _libc("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
    _libc("unshare", _CLONE_NEWNET | _CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    for path in (*_HARD_CODED, *_scratch_in_memory()):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
    _configure(_SETTINGS)
    child = subprocess.Popen(command)
    _pass_signals_to(child)
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return _exit_code(child.returncode)


def _scratch_in_memory() -> Sequence[str]:
    """Name the scratch folder of this run where it may be kept in memory."""
    return [os.environ[RUN]] if _has_memory() else []


def _at_ease() -> Mapping[str, str]:
    """Let the programs of Kubernetes, which are written in Go, keep more garbage: collecting it is a tenth of their work."""
    return {"GOGC": "400"} if _has_memory() else {}


def _has_memory() -> bool:
    """Return whether this is a machine of some size."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >= _ENOUGH_MEMORY


def has_shared_memory() -> bool:
    """Return whether files may be kept there, programs that are run among them."""
    if not _SHARED_MEMORY.is_dir():
        return False
    found = os.statvfs(_SHARED_MEMORY)
    return found.f_bavail * found.f_frsize >= _ENOUGH_SHARED and not found.f_flag & os.ST_NOEXEC


def _configure(settings: Mapping[str, str]) -> None:
    for link in _LINKS:
        subprocess.run(link.split(), check=True)
    for key, value in settings.items():
        setting = Path("/proc/sys", key)
        # The bridge's settings are there only where the kernel has the bridge's netfilter; without it they are not needed.
        if setting.exists():
            setting.write_text(value)


def _libc(function: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function}: {os.strerror(code)}")


def main(arguments: Sequence[str]) -> int:
    """Run `[--without-cluster | --files-only] -- COMMAND…`; exit with its code, or with 69 when no namespace can be had."""
    if arguments[:1] == ["--inside"]:
        return _inside(arguments[1:])
    option = next((each for each in arguments[:1] if each in (WITHOUT_CLUSTER, FILES_ONLY)), None)
    arguments = arguments[1:] if option else arguments
    if arguments[:1] != ["--"] or len(arguments) < 2:
        usage = f"python -m tests.harness.network [{WITHOUT_CLUSTER} | {FILES_ONLY}] -- COMMAND [ARGUMENT…]"
        print(f"usage: {usage}", file=sys.stderr)
        return 2
    if option == FILES_ONLY:
        return run_here(arguments[1:])
    reason = obstacle()
    if reason:
        print(f"network: {reason}; nothing was run", file=sys.stderr)
        return UNAVAILABLE
    with nullcontext() if option else turn():
        return run(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
