"""The examples of the READMEs run as they stand there."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.project.test_documents import FENCE
from tests.unit.project.tree import DIAGNOSIS, KUBEOBJECTS, KUBESIM, RESTORE

EXAMPLES = [
    pytest.param(text, id=f"{folder.name} {number}")
    for folder in (KUBEOBJECTS, DIAGNOSIS, KUBESIM, RESTORE)
    for number, (language, text) in enumerate(FENCE.findall((folder / "README.md").read_text()))
    if language == "python"
]
README = (KUBESIM / "README.md").read_text()


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_runs(text: str, tmp_path: Path) -> None:
    """What holds tests is run by pytest, with the plugin that comes with the package and nothing of ours."""
    path = tmp_path / "test_example.py"
    path.write_text(text)
    of_pytest = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers") if "def test_" in text else ()
    done = subprocess.run(
        [sys.executable, *of_pytest, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_three_ways_are_shown() -> None:
    assert len(EXAMPLES) == 7
    assert all(word in README for word in ("kubesim_cluster", "EmbeddedCluster.start", "in_background", "$ kubesim"))


def test_the_command_runs_as_the_page_shows_it(tmp_path: Path) -> None:
    """Both lines are those of the page, but for what differs each time; the kubeconfig goes with the cluster."""
    [shown] = [text for _, text in FENCE.findall(README) if text.startswith("$ kubesim")]
    command, *wanted = shown.splitlines()
    (tmp_path / "web.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: web}}\n---\n")
    program = Path(sys.executable).with_name("kubesim")
    with subprocess.Popen(
        [program, *command.split()[2:]],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": "/tmp"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().rstrip() for _ in wanted]
        kubeconfig = Path(said[0].partition("=")[2])
        assert kubeconfig.is_file()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not kubeconfig.exists()
    assert [plain(line) for line in said] == [plain(line) for line in wanted]


def plain(line: str) -> str:
    """Take out what differs each time."""
    return re.sub(r"kubesim-\w+|:\d+", "…", line)
