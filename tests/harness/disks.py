"""A small file system of its own, so that a test can fill it up for real."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, *, options: str) -> Iterator[Path]:
    """Mount a file system with these options (`size=4m`) over a folder, for as long as the block lasts."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        # Lazily: what a test started may hold a file of it a moment longer.
        subprocess.run(["umount", "--lazy", folder], check=True)


def resize(folder: Path, size: str) -> None:
    """Make the file system over a folder larger, as an operator would who gives it room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
