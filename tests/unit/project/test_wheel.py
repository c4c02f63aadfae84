"""The wheel holds what the daemon needs: code, types, rules, runbooks, migrations."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.unit.project.tree import PACKAGE, ROOT


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the contents of a wheel that was built now."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("kintsugi_daemon-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_every_file_of_the_package_is_in_the_wheel(unpacked: Path) -> None:
    """A migration or a type marker that is left out is missed only by users."""
    kept = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path for path in kept if not (unpacked / "kintsugi" / path.relative_to(PACKAGE)).is_file()] == []


def test_the_installed_daemon_finds_the_shipped_documents(unpacked: Path) -> None:
    """Rules and runbooks come with the wheel and are found without being named."""
    code = (
        "import kintsugi; from kintsugi.catalog import load; from kintsugi.catalog.shipped import shipped_paths; "
        "print(kintsugi.__file__); print(*sorted(load(shipped_paths()).runbooks))"
    )
    env = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=unpacked, env=env, capture_output=True, text=True, check=True
    )
    where, runbooks = done.stdout.splitlines()
    assert Path(where).is_relative_to(unpacked)
    assert runbooks.split() == sorted(path.stem for path in (ROOT / "runbooks").glob("*.yaml"))
