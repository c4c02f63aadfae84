"""docs/install.md as whoever follows it does: its files are written, its commands run, in a folder of its own."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import parts
from tests.harness.cluster import RealCluster

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "install.md"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DOCKER = """#!/bin/sh
echo "$@" >>docker.log
"""
"""The image is built and tried by the story of the image; the node knows it by the name that the page gives it."""


@dataclass
class InstallPage:
    """The page, and how far it has been followed."""

    cluster: RealCluster
    folder: Path
    _left: list[str] = field(default_factory=list)
    _last: str = ""

    def open(self) -> "InstallPage":
        """Make the folder as the page finds it: the repository's, with its tools on the path; write the page's files."""
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "docker").write_text(_DOCKER)
        (programs / "docker").chmod(0o755)
        (programs / "kubectl").symlink_to(self.cluster.kubectl_program)
        (programs / "helm").symlink_to(parts.parts("helm").binary("helm"))
        for name in ("helm", "Dockerfile"):
            (self.folder / name).symlink_to(ROOT / name)
        blocks = _FENCE.findall(PAGE.read_text())
        for name, text in named(text for language, text in blocks if language == "yaml"):
            (self.folder / name).write_text(text)
        self._left = [text for language, text in blocks if language == "sh"]
        return self

    @property
    def left(self) -> Sequence[str]:
        """Return the blocks of commands that were not run yet."""
        return tuple(self._left)

    def follow(self, words: str) -> str:
        """Run all blocks up to the next one with these words, that one included; return what it printed. It must not fail."""
        printed = ""
        while words not in self._last or not printed:
            assert self._left, f"the page has no further block with {words!r}"
            self._last = self._left.pop(0)
            printed = self._run(self._last) or " "
        self._last = ""
        return printed

    def again(self, block: str) -> str:
        """Run a block once more, as whoever waits for what it shows, or one that only looks."""
        return self._run(block)

    def _run(self, block: str) -> str:
        environment = {
            **os.environ,
            **{f"HELM_{kind}_HOME": str(self.folder / ".helm") for kind in ("CACHE", "CONFIG", "DATA")},
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "GIT_DIR": str(ROOT / ".git"),
        }
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", block],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\nexited {done.returncode}:\n{done.stdout}{done.stderr}"
        print(f"{time.monotonic() - began:6.1f}s  {block.splitlines()[-1]}")
        return done.stdout


def named(texts: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Go through the texts that begin with the name of a file, `# NAME.yaml`."""
    for text in texts:
        first = text.partition("\n")[0]
        if re.fullmatch(r"# [\w-]+\.(yaml|yml)", first):
            yield first.removeprefix("# "), text
