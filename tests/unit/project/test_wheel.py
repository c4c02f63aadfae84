"""The wheels hold what is needed: code, types, rules, runbooks, migrations; and that of the daemon no embedded cluster."""

import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from email import message_from_string
from pathlib import Path

import pytest

from tests.unit.project.tree import DEMO, DIAGNOSIS, IMPORT, KUBEOBJECTS, KUBESIM, PACKAGES, RESTORE, ROOT

FOLDERS = {
    "kintsugi": ROOT,
    "kubeobjects": KUBEOBJECTS,
    "kubediagnosis": DIAGNOSIS,
    "kubesim": KUBESIM,
    "kintsugi_demo": DEMO,
    "kintsugi_restore": RESTORE,
    "kintsugi_import": IMPORT,
}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return for each package a folder with the contents of its wheel, which was built now."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, project in FOLDERS.items():
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / name)]
        subprocess.run(command, cwd=project, check=True, capture_output=True)
        [wheel] = (folder / name).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / name / "unpacked")
    return {name: folder / name / "unpacked" for name in FOLDERS}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda each: each.name)
def test_a_wheel_holds_every_file_of_one_package_its_licence_and_what_its_project_asks_for(
    unpacked: Mapping[str, Path], package: Path
) -> None:
    """A migration that is left out is missed only by users. The daemon asks for the embedded cluster with the extra `demo` alone."""
    name, into = package.name, unpacked[package.name]
    assert [path.name for path in into.iterdir() if path.suffix != ".dist-info"] == [name]
    kept = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path for path in kept if not (into / name / path.relative_to(package)).is_file()] == []
    assert (into / name / "py.typed").is_file()
    [licence] = into.glob("*.dist-info/licenses/LICENSE")
    assert licence.read_text() == (ROOT / "LICENSE").read_text()
    [metadata] = into.glob("*.dist-info/METADATA")
    asked = [normal(each) for each in message_from_string(metadata.read_text()).get_all("Requires-Dist", [])]
    project = tomllib.loads((FOLDERS[name] / "pyproject.toml").read_text())["project"]
    assert {each for each in asked if "extra==" not in each} == set(map(normal, project["dependencies"]))
    of_the_demo = {each.partition(";")[2] for each in asked if each.startswith("kintsugi-demo")}
    assert of_the_demo == ({"extra==demo", "extra==test"} if name == "kintsugi" else set())


def normal(requirement: str) -> str:
    """Return a requirement without what two spellings of it may differ in."""
    name, marker, rest = requirement.replace(" ", "").replace("'", "").replace('"', "").partition(";")
    head, *versions = name.replace(">", ",>").replace("<", ",<").replace("~", ",~").replace("==", ",==").split(",")
    return ",".join((head.replace(".", "-"), *sorted(filter(None, versions)))) + marker + rest


def test_the_installed_daemon_finds_the_shipped_documents(unpacked: Mapping[str, Path]) -> None:
    """Rules and runbooks come with the wheel and are found without being named; without the embedded cluster, too."""
    code = (
        "import sys; sys.modules['kubesim'] = None; import kintsugi.app.daemon; from kintsugi.catalog import load; from kintsugi.catalog.library import shipped_paths; "
        "print(kintsugi.__file__); print(*sorted(load(shipped_paths()).runbooks))"
    )
    where, runbooks = of_wheels(unpacked, code, "kintsugi", "kintsugi_restore", "kubediagnosis", "kubeobjects")
    assert Path(where).is_relative_to(unpacked["kintsugi"])
    assert runbooks.split() == sorted(path.stem for path in (ROOT / "runbooks").glob("*.yaml"))


def test_an_installation_without_the_restores_validates_and_says_which_package_a_line_needs(
    unpacked: Mapping[str, Path],
) -> None:
    """Its modules cannot be imported, and it has no entry point."""
    code = (
        "import sys; from importlib import metadata; sys.modules['kintsugi_restore'] = None; real = metadata.entry_points\n"
        "metadata.entry_points = lambda **of: metadata.EntryPoints(each for each in real(**of) if each.name != 'restore')\n"
        "import kintsugi.app.daemon; from kintsugi.cli import main; from kintsugi.commands import parse\n"
        "try: main(['validate'])\n"
        "except SystemExit as end: print(end.code)\n"
        "try: parse('pg_restore -h database.production')\n"
        "except Exception as error: print(error)"
    )
    said, code_of_end, why = of_wheels(unpacked, code, "kintsugi", "kubediagnosis", "kubeobjects")
    assert (said.partition(":")[0], code_of_end) == ("OK", "0")
    assert "pip install 'kintsugi-daemon[restore]'" in why


def test_the_embedded_cluster_runs_without_the_daemon(unpacked: Mapping[str, Path]) -> None:
    """From its own wheel and that of what both need, in a process that cannot import the daemon."""
    code = (
        "import asyncio, sys; sys.modules['kintsugi'] = None; import kubesim; print(kubesim.__file__)\n"
        "async def main():\n"
        "    async with kubesim.EmbeddedCluster.start() as cluster: print(cluster.url)\n"
        "asyncio.run(main())"
    )
    where, url = of_wheels(unpacked, code, "kubesim", "kubeobjects")
    assert Path(where).is_relative_to(unpacked["kubesim"])
    assert url.startswith("http://127.0.0.1:")


def of_wheels(unpacked: Mapping[str, Path], code: str, *names: str) -> list[str]:
    """Run code with what is in some wheels before everything else; return the lines that it prints."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(unpacked[name]) for name in names)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=unpacked[names[0]], env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
