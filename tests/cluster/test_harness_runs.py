"""A run of the tests: what it needs, and that nothing of it is left."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.harness import network, parts
from tests.harness.cluster import KUBECONFIG, RealCluster
from tests.harness.machine import API_SERVER
from tests.harness.network import RUN

ROOT = Path(__file__).parents[2]


def test_binaries_of_kubebuilder_assets_come_before_built_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that it holds all make a build needless."""
    for package in parts.packages(parts.MODULES / "kubernetes"):
        (tmp_path / parts.binary_name(package)).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    found = parts.parts("kubernetes")
    assert [found.binary(name).parent for name in ("etcd", "kube-apiserver", "kubelet", "kubectl")] == [tmp_path] * 4
    assert parts.obstacle("kubernetes") is None
    (tmp_path / "kubelet").unlink()
    assert parts.obstacle("kubernetes") is not None


def test_a_network_of_its_own_is_refused_without_root() -> None:
    """It says so, runs nothing, and exits with a code of its own."""
    program = (
        "import os, sys; from tests.harness import network; os.seteuid(65534); sys.exit(network.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "--", "touch", "/tmp/never"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "need root" in done.stderr) == (network.UNAVAILABLE, True)


_WHOLE_LIFE = """
import os, subprocess
from pathlib import Path
from tests.harness import cgroups, manifests
from tests.harness.cluster import RealCluster
from tests.harness.waiting import wait_for

def state():
    pids = sorted(int(each) for each in os.listdir("/proc") if each.isdigit())
    programs = [Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\\0")[0] for pid in pids]
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    # The run around this one mounts and unmounts as it likes.
    mounts = sorted(each for each in mounted if not each.startswith("/tmp/kintsugi-run-") or os.environ["KINTSUGI_TEST_RUN"] in each)
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    rules = subprocess.run(["iptables", "-t", "nat", "-S"], capture_output=True, text=True, check=True).stdout
    files = sorted(map(str, Path(os.environ["KINTSUGI_TEST_RUN"]).iterdir()))
    return programs, mounts, sorted(l.split()[0] for l in links), rules, files

subprocess.run(["iptables", "-t", "nat", "-S"], capture_output=True, check=True)
before = state()
cluster = RealCluster.start()
with cluster.namespace() as namespace:
    cluster.apply(manifests.web_deployment(namespace, replicas=1))
    wait_for(lambda: cluster.get("deployment", "web-app-deployment", namespace)["status"].get("readyReplicas"), within=60)
    if "die" in os.environ.get("HOW", ""):
        os.kill(os.getpid(), 9)
cluster.stop()
after = wait_for(lambda: state() if len(state()[0]) == len(before[0]) else None, within=5, describe=state)
assert after == before, (before, after)
"""


def traces(run: str) -> list[str]:
    """Return what a run left in this machine: processes, cgroups, mounts and files that carry its name."""
    environments = [path for path in Path("/proc").glob("[0-9]*/environ") if path.parent.name != str(os.getpid())]
    processes = [str(path) for path in environments if run.encode() in _bytes(path)]
    cgroups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{Path(run).name}*")]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if run in line]
    return [*processes, *cgroups, *mounts, *([run] if Path(run).exists() else [])]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def inside(program: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a Python program in a machine of its own; its first line of output is the run's folder."""
    show = f"import os; print(os.environ[{RUN!r}], flush=True)\n"
    command = [sys.executable, "-m", "tests.harness.network", "--", sys.executable, "-c", show + program]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=250)


@pytest.mark.cluster
def test_a_stopped_cluster_leaves_nothing_behind(own_cluster: RealCluster) -> None:
    """No process, mount, link, rule, cgroup or file: neither after `stop`, nor after the run."""
    done = inside(_WHOLE_LIFE, {})
    assert done.returncode == 0, done.stderr
    assert traces(done.stdout.splitlines()[0]) == []


@pytest.mark.cluster
def test_a_killed_run_leaves_nothing_behind(own_cluster: RealCluster) -> None:
    """The kernel ends what the run could not."""
    done = inside(_WHOLE_LIFE, {"HOW": "die"})
    assert done.returncode == 128 + 9, done.stderr
    assert traces(done.stdout.splitlines()[0]) == []


def test_a_second_run_on_the_machine_waits_for_the_first(tmp_path: Path) -> None:
    """Two real clusters at once make each other's stories late. A run that starts none waits for nobody."""
    env = {**{name: value for name, value in os.environ.items() if name != RUN}, "TMPDIR": str(tmp_path)}
    go = tmp_path / "go"

    def start(*options: str, script: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.harness.network", *options, "--", "sh", "-c", script]
        return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def line(stream: IO[str] | None) -> str:
        assert stream is not None
        return stream.readline()

    first = start(script=f"echo began; while ! test -e {go}; do sleep 0.1; done; echo ended > {tmp_path}/first")
    assert line(first.stdout) == "began\n"
    second = start(script=f"cat {tmp_path}/first")
    assert "waits for another run" in line(second.stderr)
    third = start(network.WITHOUT_CLUSTER, script="echo ran")
    assert third.communicate()[0] == "ran\n"
    assert second.poll() is None

    go.touch()

    assert second.communicate()[0] == "ended\n"
    first.communicate()
    assert first.returncode == 0


@pytest.mark.cluster
def test_a_lent_cluster_is_used_and_left_alone(own_cluster: RealCluster) -> None:
    """KINTSUGI_TEST_KUBECONFIG names it; what would stop its components does not run."""
    kubectl = own_cluster.machine.parts.binary("kubectl").parent
    kept = {name: value for name, value in os.environ.items() if name not in {RUN, "CI"}}
    lent = {KUBECONFIG: str(own_cluster.kubeconfig), "PATH": f"{kubectl}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cluster/test_harness.py"]
    command += ["-k", "test_a_crash_loop or test_a_frozen"]
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **lent}, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stdout
    assert "cluster: 1 run" in done.stdout
    assert "whose components are left alone" in done.stdout
    assert own_cluster.machine.program(API_SERVER).pid is not None
