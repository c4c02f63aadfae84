"""A page that is imported again: what its page says anew comes in, and what a person has written stays."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kintsugi.catalog import load
from kintsugi.cli.documents import validate
from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.errors import UsageError
from kintsugi_import.command import register
from kintsugi_import.files import BASES
from kubeobjects import discovery

PAGE = """\
# Cache is slow

## Check

- Look at the pods: `kubectl get pods -n shop -l app=cache`

## Repair

- Restart it: `kubectl rollout restart statefulset/cache -n shop`
"""
BY_HAND = "      expect: items.all(p, p.ready)\n"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "cache.md"
    path.write_text(PAGE)
    return path


def imported(*arguments: object) -> tuple[int, str]:
    """Run `kintsugi import`, and return its exit code and what it printed."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    done = CliRunner().invoke(app, ["import", *map(str, arguments)])
    return done.exit_code, done.output


def test_a_page_without_a_change_leaves_the_file_as_a_person_has_written_it(page: Path) -> None:
    folder = page.parent / "runbooks"
    assert imported(page, "-o", folder)[0] == ExitCode.DONE
    file = folder / "cache.yaml"
    own = file.read_text().replace("      onFailure: continue\n", BY_HAND, 1)
    file.write_text(own)
    code, said = imported(page, "-o", folder)
    assert (code, file.read_text()) == (ExitCode.DONE, own)
    assert "2 commands: 2 run, 0 for a person, 0 left out" in said
    assert "+" not in said, "it shows no change"


def test_a_changed_page_is_merged_with_the_lines_of_a_person_and_shown(page: Path) -> None:
    folder = page.parent / "runbooks"
    imported(page, "-o", folder)
    file = folder / "cache.yaml"
    file.write_text(file.read_text().replace("      onFailure: continue\n", BY_HAND, 1))
    page.write_text(PAGE.replace("statefulset/cache -n shop", "statefulset/cache -n store"))
    code, said = imported(page, "-o", folder)
    assert code == ExitCode.DONE
    assert "+      run: kubectl rollout restart statefulset/cache -n store" in said
    assert BY_HAND in file.read_text()
    assert "-n store" in file.read_text()
    assert list(load([folder]).runbooks) == ["cache"]
    assert not (folder / "kinds.yaml").exists(), "all kinds of the page are built in"


def test_lines_that_a_person_and_the_page_have_changed_stay_a_person_s(page: Path) -> None:
    folder = page.parent / "runbooks"
    imported(page, "-o", folder)
    file = folder / "cache.yaml"
    file.write_text(file.read_text().replace("run: kubectl get pods -n shop -l app=cache", "run: kubectl get pods"))
    page.write_text(PAGE.replace("-l app=cache", "-l app=redis"))
    code, said = imported(page, "-o", folder)
    assert (code, "      run: kubectl get pods\n" in file.read_text()) == (ExitCode.DONE, True)
    assert "your lines stay" in said
    assert "-l app=redis" in said


def test_a_file_whose_first_import_is_not_known_stays_as_it_is(page: Path) -> None:
    folder = page.parent / "runbooks"
    imported(page, "-o", folder)
    file = folder / "cache.yaml"
    own = file.read_text().replace("      onFailure: continue\n", BY_HAND, 1)
    file.write_text(own)
    (folder / BASES / "cache.yaml").unlink()
    code, said = imported(page, "-o", folder)
    assert (code, file.read_text()) == (ExitCode.FINDINGS, own)
    assert "stays as it is" in said


def test_a_check_writes_nothing(page: Path) -> None:
    folder = page.parent / "runbooks"
    code, said = imported("--check", page, "-o", folder)
    assert (code, folder.exists()) == (ExitCode.DONE, False)
    assert "cache: 2 commands: 2 run" in said


def test_a_folder_gets_the_kinds_that_its_pages_name_and_loads_alone(page: Path) -> None:
    other = page.with_name("certificates.md")
    other.write_text("# Certificates\n\n`kubectl get certificates -n shop`\n")
    folder = page.parent / "runbooks"
    imported(page, other, "-o", folder)
    assert "cert-manager.io" in (folder / "kinds.yaml").read_text()
    page.write_text(PAGE + "\n- `kubectl get servicemonitors -n shop`\n")
    imported(page, "-o", folder)
    kinds = (folder / "kinds.yaml").read_text()
    assert ("cert-manager.io" in kinds, "monitoring.coreos.com" in kinds) == (True, True)
    discovery.forget()
    assert sorted(load([folder]).runbooks) == ["cache", "certificates"]


def test_a_change_of_a_type_that_is_allowed_runs_and_of_another_one_is_a_person_s(page: Path) -> None:
    page.write_text("# Renew\n\n`kubectl annotate certificate shop -n shop renew=now`\n")
    assert "1 run" in imported(page, "--check", "--change-kind", "certificates.cert-manager.io")[1]
    assert "1 for a person" in imported(page, "--check")[1]


def test_validate_of_a_page_says_which_command_reads_it(page: Path) -> None:
    with pytest.raises(UsageError, match=r"cache\.md is a page: `kintsugi import .*cache\.md -o DIR`"):
        validate([page], OutputFormat.TEXT)
