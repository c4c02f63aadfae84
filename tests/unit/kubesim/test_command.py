"""`kubesim`: where the kubeconfig goes, what is applied, and how it ends when it cannot begin."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
import yaml

from kubeobjects import resources
from kubesim import command
from kubesim.cluster import ClusterConfig, EmbeddedCluster

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
