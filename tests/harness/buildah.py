"""Images built from a Dockerfile without a container daemon: buildah, on a store of its own, in mounts of its own."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TOOLS = ("buildah", "unshare", "mount")
# What is mounted for a build is gone with its mount namespace, also when the build is killed.
_ALONE = ("unshare", "--mount", "--propagation", "private")


class BuildahError(Exception):
    """buildah exited with an error; the message has the last lines of what it printed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Buildah:
    """The images of one store. Their names begin with `localhost/`: nothing is asked of a registry."""

    store: Path
    driver: str
    scratch: Path

    @classmethod
    @contextmanager
    def on(cls, folder: Path) -> Iterator["Buildah"]:
        """Open the store in a folder. Two at once need a lock."""
        with tempfile.TemporaryDirectory(prefix="kintsugi-buildah-") as scratch:
            driver = os.environ.get("STORAGE_DRIVER") or _driver(folder)
            yield cls(store=folder / driver, driver=driver, scratch=Path(scratch))

    def has(self, name: str) -> bool:
        """Return whether an image of this name is in the store."""
        return self._called("inspect", "--type=image", name).returncode == 0

    def lay(self, name: str, content: Path, *, base: str = "scratch") -> None:
        """Make an image of a base and the content of a folder over it."""
        container = self._run("from", "--pull-never", base).strip()
        self._run("add", "--quiet", container, str(content), "/")
        self._run("commit", "--quiet", container, name)
        self._run("rm", container)

    def build(self, name: str, context: "Context", *, target: str = "") -> None:
        """Build a Dockerfile up to a stage; every step that was done before is taken from the store."""
        words = [f"--build-arg={key}={value}" for key, value in context.arguments.items()]
        words += [f"--secret=id={key},src={path}" for key, path in context.secrets.items()]
        words += [f"--target={target}"] if target else []
        self._run("build", "--layers", "--pull-never", *words, "--tag", name, str(context.folder))

    def export(self, name: str, archive: Path, tag: str) -> None:
        """Write an image as a docker-archive under a name of its own."""
        self._run("push", "--quiet", name, f"docker-archive:{archive}:{tag}")

    def prune(self, *, above: int) -> None:
        """When the store holds more images than so many, drop those that no named one was built from."""
        if len(self._run("images", "--all", "--quiet").split()) > above:
            self._run("rmi", "--prune")

    def _run(self, *words: str) -> str:
        done = self._called(*words)
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
            raise BuildahError(f"buildah {words[0]} exited {done.returncode}:\n{tail}")
        return done.stdout

    def _called(self, *words: str) -> "subprocess.CompletedProcess[str]":
        place = [f"--root={self.store}", f"--runroot={self.scratch}", f"--storage-driver={self.driver}"]
        env = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": self.driver}
        return subprocess.run(
            [*_ALONE, "buildah", *place, *words], env=env, capture_output=True, text=True, check=False
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a Dockerfile is built with: its folder, build arguments, and files that no layer keeps."""

    folder: Path
    arguments: Mapping[str, str]
    secrets: Mapping[str, Path] = field(default_factory=dict)


def _driver(folder: Path) -> str:
    """Return `overlay` where the folder's file system takes it, else `vfs`, which copies everything for each layer."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        lower, upper, work, merged = (Path(scratch, each) for each in ("lower", "upper", "work", "merged"))
        for each in (lower, upper, work, merged):
            each.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        probe = [*_ALONE, "mount", "-t", "overlay", "overlay", "-o", options, str(merged)]
        return "overlay" if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else "vfs"
