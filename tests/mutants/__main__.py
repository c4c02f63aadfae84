"""
Change one module in many small ways, run its tests after each change, and list the changes that no test notices.

`python -m tests.mutants MODULE [TESTS …]`, by a Python that has mutmut. MODULE is a path as daemon/kintsugi/decisions/guards.py.
JOBS says how many changes are tried at a time. All is done in a copy of the tree.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.sabotage.trees import ROOT, copy_tree

SETTINGS = """[mutmut]
source_paths=src/{package}
only_mutate={module}
pytest_add_cli_args=
    -p
    no:cacheprovider
    -m
    not long and not cluster
    -k
    not postgres
pytest_add_cli_args_test_selection=
    {tests}
"""

NAMED_OTHERWISE = {"kintsugi_restore": "restore", "kubediagnosis": "diagnosis", "verbs": "actions"}
"""The folders of tests of packages that have none of their own name."""


def main(arguments: Sequence[str]) -> int:
    """Try the changes of one module, and show those that stay unnoticed."""
    module = Path(*arguments[:1])
    if not module.is_relative_to("daemon") or not (ROOT / module).is_file():
        print(f"{module}: name a module below daemon, as MODULE=daemon/kintsugi/decisions/guards.py", file=sys.stderr)
        return 2
    tests = arguments[1:] or folders_of(module)
    if not tests:
        print(
            f"{module}: no folder of tests/unit imports it; name its tests, as TESTS=tests/integration", file=sys.stderr
        )
        return 2
    print(f"{module}: the tests are {', '.join(tests)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        prepare(Path(folder), module, tests)
        jobs = ["--max-children", os.environ["JOBS"]] if os.environ.get("JOBS") else []
        done = subprocess.run(_mutmut("run", *jobs), cwd=folder, env=_environment(), check=False)
        return done.returncode or show(Path(folder))


def folders_of(module: Path) -> list[str]:
    """
    Return the folders with the tests of a module, a path below the root of the tree.

    They are those of tests/unit and tests/contract that have the name of the module or of its innermost package. If there
    is none, it is the folder of tests/unit of which most files import the module.
    """
    names = module.relative_to(source_of(module)).with_suffix("").parts
    for name in reversed(names):
        found = [f"tests/{kind}/{NAMED_OTHERWISE.get(name, name)}" for kind in ("unit", "contract")]
        if there := [each for each in found if (ROOT / each).is_dir()]:
            return there
    wanted = ".".join(names)
    files = (ROOT / "tests" / "unit").glob("*/*.py")
    times = Counter(file.parent.name for file in files if wanted in set(_imported(file)))
    return [f"tests/unit/{name}" for name, _ in times.most_common(1)]


def source_of(module: Path) -> Path:
    """Return the folder on the path of imports below which a module is: that of its distribution."""
    own = Path(*module.parts[:2])
    return own if (ROOT / own / "pyproject.toml").is_file() else Path("daemon")


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{each.name}" for each in node.names)


def prepare(folder: Path, module: Path, tests: Sequence[str]) -> None:
    """Lay out a copy as mutmut wants it: the original code in src/, and in mutants/ the tree in which it is changed."""
    tree, source = copy_tree(folder / "mutants"), source_of(module)
    (tree / "src").symlink_to(source)
    changed = Path("src", module.relative_to(source))
    package = changed.parts[1]
    shutil.copytree(tree / source / package, folder / "src" / package)
    (folder / "setup.cfg").write_text(SETTINGS.format(package=package, module=changed, tests="\n    ".join(tests)))


def show(folder: Path) -> int:
    """Print each change that was not noticed, with its lines."""
    listed = _said(folder, "results").splitlines()
    for name, _, state in (line.strip().rpartition(": ") for line in listed if ": " in line):
        difference = [line for line in _said(folder, "show", name).splitlines() if line[:1] in {"+", "-"}]
        print(f"\n{name}: {state}", *(line for line in difference if line[:3] not in {"+++", "---"}), sep="\n")
    return 0


def _said(folder: Path, *words: str) -> str:
    done = subprocess.run(
        _mutmut(*words), cwd=folder, env=_environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _mutmut(*words: str) -> list[str]:
    return [sys.executable, "-m", "mutmut", *words]


def _environment() -> dict[str, str]:
    """Return an environment in which the original packages are not found before the copy's."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "CI": ""}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
