"""A cluster on a thread of its own, by its command, and the columns that it prints."""

import asyncio
import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from kubeobjects import resources
from kubesim import BackgroundCluster, EmbeddedCluster, KubesimError, command, in_background
from kubesim.apiserver.tables import table_of
from kubesim.cluster import ClusterConfig
from tests.contract.kube.objects import config, deployment


def test_calls_are_made_on_the_thread_of_the_cluster(kubesim_cluster: BackgroundCluster) -> None:
    assert kubesim_cluster.call(lambda _: threading.current_thread().name).startswith("kubesim")
    with pytest.raises(KubesimError, match="no resource is served"):
        kubesim_cluster.apply({"apiVersion": "v1", "kind": "Strange"})


def test_an_answer_is_the_callers_own(kubesim_cluster: BackgroundCluster) -> None:
    made = kubesim_cluster.apply(config("settings", a="1"))
    made["data"]["a"] = "2"
    found = kubesim_cluster.get(resources.CONFIGMAPS, "settings")
    assert found is not None
    assert found["data"] == {"a": "1"}
    found["data"]["a"] = "3"
    [listed] = kubesim_cluster.find(resources.CONFIGMAPS, "default")
    assert listed["data"] == {"a": "1"}
    kubesim_cluster.delete(resources.CONFIGMAPS, "settings")
    assert kubesim_cluster.get(resources.CONFIGMAPS, "settings") is None


def test_a_condition_that_never_comes_is_named(kubesim_cluster: BackgroundCluster) -> None:
    with pytest.raises(TimeoutError, match=r"not within 0.1 s: a pod"):
        kubesim_cluster.until(lambda inside: inside.find(resources.PODS), within=0.1, what="a pod")


@pytest.mark.kubesim(speed=50, nodes=("one", "two"))
async def test_the_fixture_serves_a_test_with_a_loop_of_its_own(kubesim_cluster: BackgroundCluster) -> None:
    """The marker says what the cluster starts with."""
    kubesim_cluster.apply(deployment(replicas=2))
    pods = kubesim_cluster.until(lambda inside: [each for each in inside.find(resources.PODS) if phase(each)][:1])
    assert pods[0]["spec"]["nodeName"] in ("one", "two")


def phase(pod: dict[str, dict[str, str]]) -> bool:
    """Return whether a pod runs."""
    return pod["status"].get("phase") == "Running"


def test_the_kubeconfig_goes_with_the_cluster() -> None:
    with in_background() as cluster:
        kept: Path = cluster.kubeconfig
        assert kept.is_file()
        assert cluster.token in kept.read_text()
    assert not kept.exists()
    assert not any(each.name.startswith("kubesim") for each in threading.enumerate())


def test_a_port_that_is_taken_is_said_at_the_beginning() -> None:
    with in_background() as cluster, pytest.raises(OSError, match="address already in use"):  # noqa: SIM117
        with in_background(port=int(cluster.url.rpartition(":")[2])):
            pass


def test_a_controller_that_failed_is_told_at_the_end() -> None:
    def break_it(inside: EmbeddedCluster) -> None:
        inside._loop.failures.append(RuntimeError("lost"))

    with pytest.raises(KubesimError, match="lost"), in_background() as cluster:
        cluster.call(break_it)


TIMEOUT = 120.0
CONFIG = "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}\n"


async def test_the_command_applies_its_manifests_and_leaves_the_kubeconfig_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[EmbeddedCluster] = []
    begin = EmbeddedCluster.__init__

    def keep(self: EmbeddedCluster, setting: ClusterConfig) -> None:
        begin(self, setting)
        kept.append(self)

    monkeypatch.setattr(EmbeddedCluster, "__init__", keep)
    (tmp_path / "all.yaml").write_text(f"{CONFIG % 'one'}---\n{CONFIG % 'two'}---\n")
    wanted = tmp_path / "kubeconfig"
    given = command.parser().parse_args(["--kubeconfig", str(wanted), "--speed", "5", "--node", "a", "--node", "b"])
    serving = asyncio.create_task(command.serve(given, command.manifests_of(tmp_path / "all.yaml")))
    async with asyncio.timeout(TIMEOUT):
        while "export" not in (said := capsys.readouterr().out):
            await asyncio.sleep(0.01)
    [cluster] = kept
    assert said == f"export KUBECONFIG={wanted}\n"
    assert yaml.safe_load(wanted.read_text())["clusters"][0]["cluster"]["server"].startswith(cluster.url)
    assert [each["metadata"]["name"] for each in cluster.find(resources.CONFIGMAPS)] == ["one", "two"]
    assert [each["metadata"]["name"] for each in cluster.find(resources.NODES)] == ["a", "b"]
    assert cluster.time.speed == 5
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, TIMEOUT)
    assert wanted.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--apply", "none-such.yaml"), command.USAGE, "none-such.yaml"),
        (("--apply", "broken.yaml"), command.USAGE, "broken.yaml"),
        (("--apply", "strange.yaml"), command.FAILED, "no resource is served for 'example.com/v1' 'Strange'"),
        (("--kubeconfig", "missing/kubeconfig"), command.FAILED, "missing/kubeconfig"),
        (("--speed", "0"), command.USAGE, "--speed"),
        (("--port", "x"), command.USAGE, "--port"),
    ],
)
def test_the_command_says_its_errors_in_one_line(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text("a: [\n")
    (tmp_path / "strange.yaml").write_text("{apiVersion: example.com/v1, kind: Strange}\n")
    with pytest.raises(SystemExit) as left:
        command.main(arguments)
    assert left.value.code == code
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith("kubesim: ")


def test_the_columns_of_a_pod_are_kubectls() -> None:
    """tests/unit/objects has all cases of STATUS and RESTARTS."""
    web = {"name": "web", "ready": False, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    status = {"phase": "Running", "containerStatuses": [web]}
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web"}]}, "status": status}
    evicted = {"metadata": {"name": "gone"}, "spec": {}, "status": {"phase": "Failed", "reason": "Evicted"}}
    shown = table_of(resources.PODS, [pod, evicted], {}, datetime.now(UTC))
    assert [row["cells"][:4] for row in shown["rows"]] == [
        ["web", "0/1", "CrashLoopBackOff", "2"],
        ["gone", "0/0", "Evicted", "0"],
    ]
