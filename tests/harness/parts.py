"""The binaries of a real Kubernetes, built from Go modules and kept outside the tree.

Each folder below `parts/` is a Go module whose `tool` lines name what to build. The result stands in
`${XDG_CACHE_HOME:-~/.cache}/kintsugi/parts/HASH`, where HASH covers the module's files (programs of our own, too) and the
build's flags: a folder that is there is whole. Binaries in `KUBEBUILDER_ASSETS` (the envtest convention) are taken before
built ones.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).with_name("parts")
VERSION = "k8s.io/component-base/version"
HELM = "helm.sh/helm/v3"
FLAGS: Mapping[str, tuple[str, ...]] = {
    "kubernetes": (
        "-trimpath",
        "-ldflags",
        f"-s -w -X {VERSION}.gitVersion=v1.34.4 -X {VERSION}.gitMajor=1 -X {VERSION}.gitMinor=34",
    ),
    # helm renders and lints for the Kubernetes that it is told it was built for.
    "helm": (
        "-trimpath",
        "-ldflags",
        " -X ".join(
            (
                "-s -w",
                f"{HELM}/internal/version.version=v3.19.4",
                f"{HELM}/pkg/chartutil.k8sVersionMajor=1",
                f"{HELM}/pkg/chartutil.k8sVersionMinor=34",
                f"{HELM}/pkg/lint/rules.k8sVersionMajor=1",
                f"{HELM}/pkg/lint/rules.k8sVersionMinor=34",
            )
        ),
    ),
}
FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    # What is no program: definitions of objects, as the operator's own release has them.
    "prometheus-operator": (
        "github.com/prometheus-operator/prometheus-operator",
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
            for kind in ("alertmanagerconfigs", "servicemonitors", "prometheusrules")
        ),
    ),
}
"""Files that are taken from one of a module's requirements, instead of programs that are built."""
PLAIN_FLAGS = ("-trimpath", "-ldflags", "-s -w")
# go names a binary after the last element of its package, whose major version it leaves out.
BUILT_AS = {"server": "etcd"}


class PartsError(Exception):
    """The parts are not there and cannot be built here; the message says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Where the binaries of one module stand."""

    built: Path | None
    assets: Path | None

    def binary(self, name: str) -> Path:
        """Return the path of one binary: from KUBEBUILDER_ASSETS if it is there, else as built."""
        for folder in (self.assets, self.built):
            if folder is not None and (folder / name).is_file():
                return folder / name
        raise PartsError(f"{name}: not among the parts in {self.built or self.assets}")


def packages(module: Path) -> list[str]:
    """Return the packages that the module's go.mod names as tools."""
    lines = [line.strip() for line in (module / "go.mod").read_text().splitlines()]
    if "tool (" not in lines:
        return [line.removeprefix("tool ") for line in lines if line.startswith("tool ")]
    start = lines.index("tool (") + 1
    return lines[start : lines.index(")", start)]


def binary_name(package: str) -> str:
    """Return the name under which a package's binary is kept."""
    elements = [element for element in package.split("/") if not (element[:1] == "v" and element[1:].isdigit())]
    return BUILT_AS.get(elements[-1], elements[-1])


def home() -> Path:
    """Return the folder that holds all built parts of this user."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "kintsugi" / "parts"


def folder(module: str) -> Path:
    """Return where the binaries of a module stand once they are built, whether they are or not."""
    source = MODULES / module
    digest = hashlib.sha256()
    files = (source / "go.mod", source / "go.sum", *sorted(source.rglob("*.go")))
    settings = repr((flags(module), FILES[module]) if module in FILES else flags(module))
    for piece in (*(file.read_bytes() for file in files), settings.encode()):
        digest.update(len(piece).to_bytes(8) + piece)
    return home() / digest.hexdigest()[:16]


def flags(module: str) -> tuple[str, ...]:
    """Return the flags of `go build` for a module."""
    return FLAGS.get(module, PLAIN_FLAGS)


def ready(module: str) -> bool:
    """Return whether `parts(module)` would answer without a build."""
    return folder(module).is_dir() or _covered(module, _assets())


def obstacle(module: str) -> str | None:
    """Return why the parts of a module are not here, or None when they are."""
    if ready(module):
        return None
    if shutil.which("go"):
        return "the Kubernetes parts are not built: run `python -m tests.harness.parts` (five minutes, once)"
    return "no Go to build the Kubernetes parts with: install Go 1.24 or newer, or set KUBEBUILDER_ASSETS"


def parts(module: str = "kubernetes") -> Parts:
    """Return the parts of a module; build them first if they are not there.

    The first build of Kubernetes takes about five minutes on two cores. Two callers at once build once: the second
    waits for the first. Raises PartsError when Go is missing or the build fails.
    """
    assets = _assets()
    if _covered(module, assets):
        return Parts(built=None, assets=assets)
    target = folder(module)
    if not target.is_dir():
        if shutil.which("go") is None:
            raise PartsError(obstacle(module))
        with locked(target.with_suffix(".lock")):
            if not target.is_dir():
                _build(module, target)
    return Parts(built=target, assets=assets)


def _assets() -> Path | None:
    named = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(named) if named else None


def _covered(module: str, assets: Path | None) -> bool:
    names = [binary_name(package) for package in packages(MODULES / module)]
    names += [Path(each).name for each in FILES[module][1]] if module in FILES else []
    return assets is not None and all((assets / name).is_file() for name in names)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one who holds a lock file, waiting for whoever does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(module: str, target: Path) -> None:
    print(f"building the parts of {module} (minutes, once): {target}", file=sys.stderr, flush=True)
    began = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        scratch.chmod(0o755)
        _compile(module, scratch)
        for built, kept in BUILT_AS.items():
            if (scratch / built).exists():
                (scratch / built).rename(scratch / kept)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"built in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _compile(module: str, into: Path) -> None:
    if module in FILES:
        required, files = FILES[module]
        found = json.loads(_go(module, "mod", "download", "-json", required))["Dir"]
        for file in files:
            shutil.copyfile(Path(found) / file, into / Path(file).name)
        return
    _go(module, "build", *flags(module), "-o", f"{into}/", *packages(MODULES / module))


def _go(module: str, *arguments: str) -> str:
    """Run go in a module's folder and return what it printed. Raises PartsError."""
    command = ["nice", "go", *arguments]
    env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(command, cwd=MODULES / module, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PartsError(f"{module}: go {arguments[0]} exited {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def main() -> int:
    """Build the parts of the modules that are named (all, when none is) and print where they stand."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.parts", description=main.__doc__)
    parser.add_argument("module", nargs="*", help="a folder of tests/harness/parts")
    wanted = parser.parse_args().module or sorted(path.parent.name for path in MODULES.glob("*/go.mod"))
    for module in wanted:
        try:
            found = parts(module)
        except PartsError as error:
            print(f"parts: {error}", file=sys.stderr)
            return 1
        print(found.built or found.assets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
