"""What authors are told: every mistake with its place, the schemas for their editors, and files that are evenly indented."""

import json
from pathlib import Path

import pytest

from kintsugi.catalog import shipped_paths
from kintsugi.cli import main

SERVICE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: shop}
spec:
  priority: 1
  namespace: shop
  selector: app=shop
  workload: deployment/shop
  healthy: reddy >= desired
  runbook: no-such-runbook
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command and give its code, stdout and stderr."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    written = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, written.out, written.err


def test_the_shipped_files_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "validate")
    assert (code, err) == (0, "")
    assert out.startswith("OK: 5 services, ")
    told = json.loads(run(capsys, "validate", "-o", "json")[1])
    assert told["ok"] is True
    assert told["services"] == 5


def test_the_catalog_of_the_settings_file_is_the_one_that_is_checked_without_paths(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.yaml").write_text(SERVICE, encoding="utf-8")
    settings = f"server: {{insecureNoToken: true}}\ncatalog: {{additions: [{tmp_path}/shop.yaml], example: false}}\n"
    (tmp_path / "settings").write_text(settings)
    monkeypatch.setenv("KINTSUGI_CONFIG", str(tmp_path / "settings"))
    code, out, _ = run(capsys, "validate")
    assert code == 1
    assert out.startswith(f"{tmp_path}/shop.yaml:9:12: spec.healthy: ")


def test_every_mistake_is_told_with_its_place_and_what_would_be_right(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "shop.yaml").write_text(SERVICE, encoding="utf-8")
    code, out, err = run(capsys, "validate", str(tmp_path))
    assert code == 1
    lines = out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{tmp_path}/shop.yaml:9:12: spec.healthy: ")
    assert "did you mean" in lines[0]
    assert "ready" in lines[0]
    assert lines[1].startswith(f"{tmp_path}/shop.yaml:10:12: spec.runbook: ")
    assert err == "error: 2 problems in 1 file\n"


def test_mistakes_as_json_have_their_places_in_columns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SERVICE, encoding="utf-8")
    code, out, _ = run(capsys, "validate", str(tmp_path), "-o", "json")
    told = json.loads(out)
    assert (code, told["ok"]) == (1, False)
    assert [(each["line"], each["column"], each["path"]) for each in told["problems"]] == [
        (9, 12, "spec.healthy"),
        (10, 12, "spec.runbook"),
    ]


def test_a_path_that_is_not_there_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "validate", "/no/such/folder")
    assert code == 1
    assert "there is no such file or folder" in out


def test_schemas_come_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capsys, "schema")[1])["title"] == "A document of Kintsugi's catalog"
    assert "spec" in json.loads(run(capsys, "schema", "--kind", "Rule")[1])["properties"]
    code, _, err = run(capsys, "schema", "--kind", "Rul")
    assert code == 2
    assert "Service, Rule, RuleTemplate, Runbook" in err


def test_schemas_are_written_one_a_kind_and_one_for_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "schemas"
    code, out, _ = run(capsys, "schema", "--write", str(folder))
    assert code == 0
    assert sorted(out.split()) == sorted(str(file) for file in folder.iterdir())
    assert {file.name for file in folder.iterdir()} >= {
        "kintsugi.schema.json",
        "rule.schema.json",
        "runbook.schema.json",
        "service.schema.json",
    }
    assert all(json.loads(file.read_text(encoding="utf-8"))["$schema"] for file in folder.iterdir())


def test_a_folder_that_cannot_be_written_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, _, err = run(capsys, "schema", "--write", str(tmp_path / "file"))
    assert code == 2
    assert "cannot be written" in err


UNEVEN = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: mend}
spec:
    title: Mend it                # as it was
    steps:
    - id: look
      formatted: kubectl get pods
"""
EVEN = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: mend}
spec:
  title: Mend it                  # as it was
  steps:
    - id: look
      formatted: kubectl get pods
"""


def formatted(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run `kintsugi fmt` and return its code and what it wrote to stdout."""
    return run(capsys, "fmt", *arguments)[:2]


def test_a_file_is_indented_evenly_and_keeps_its_comments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mend.yaml"
    file.write_text(UNEVEN)
    assert formatted(capsys, str(file)) == (0, f"{file}: rewritten\n")
    assert file.read_text() == EVEN
    assert formatted(capsys, str(file)) == (0, "")


def test_check_writes_nothing_and_tells_what_would_change(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mend.yaml"
    file.write_text(UNEVEN)
    assert formatted(capsys, "--check", str(tmp_path)) == (1, f"{file}: would be rewritten\n")
    code, out = formatted(capsys, "--check", str(tmp_path), "-o", "json")
    assert (code, json.loads(out)) == (1, {"changed": [{"file": str(file)}]})
    assert file.read_text() == UNEVEN


def test_with_one_file_that_cannot_be_read_none_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(UNEVEN)
    (tmp_path / "bad.yaml").write_text("a: [")
    code, out = formatted(capsys, str(tmp_path))
    assert (code, out.startswith(f"{tmp_path}/bad.yaml:2:1: this is not YAML")) == (1, True)
    assert (tmp_path / "all.yaml").read_text() == UNEVEN


def test_a_file_that_is_not_there_is_a_mistake_of_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert formatted(capsys, str(tmp_path / "no.yaml"))[0] == 2


def test_the_shipped_files_are_written_as_fmt_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert formatted(capsys, "--check", *map(str, shipped_paths())) == (0, "")
