"""`kintsugi fmt`: files evenly indented; `--check` writes nothing."""

import json
from pathlib import Path

import pytest

from kintsugi.catalog import shipped_paths
from kintsugi.cli import main

UNEVEN = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: mend}
spec:
    title: Mend it                # as it was
    steps:
    - id: look
      run: kubectl get pods
"""
EVEN = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: mend}
spec:
  title: Mend it                  # as it was
  steps:
    - id: look
      run: kubectl get pods
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run `kintsugi fmt` and return its code and what it wrote to stdout."""
    with pytest.raises(SystemExit) as left:
        main(["fmt", *arguments])
    assert isinstance(left.value.code, int)
    return left.value.code, capsys.readouterr().out


def test_a_file_is_indented_evenly_and_keeps_its_comments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mend.yaml"
    file.write_text(UNEVEN)
    assert run(capsys, str(file)) == (0, f"{file}: rewritten\n")
    assert file.read_text() == EVEN
    assert run(capsys, str(file)) == (0, "")


def test_check_writes_nothing_and_tells_what_would_change(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mend.yaml"
    file.write_text(UNEVEN)
    assert run(capsys, "--check", str(tmp_path)) == (1, f"{file}: would be rewritten\n")
    code, out = run(capsys, "--check", str(tmp_path), "-o", "json")
    assert (code, json.loads(out)) == (1, {"changed": [{"file": str(file)}]})
    assert file.read_text() == UNEVEN


def test_with_one_file_that_cannot_be_read_none_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(UNEVEN)
    (tmp_path / "bad.yaml").write_text("a: [")
    code, out = run(capsys, str(tmp_path))
    assert (code, out.startswith(f"{tmp_path}/bad.yaml:2:1: this is not YAML")) == (1, True)
    assert (tmp_path / "all.yaml").read_text() == UNEVEN


def test_a_file_that_is_not_there_is_a_mistake_of_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, str(tmp_path / "no.yaml"))[0] == 2


def test_the_shipped_files_are_written_as_fmt_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--check", *map(str, shipped_paths())) == (0, "")
