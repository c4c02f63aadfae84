"""
The product's own image on the embedded cluster: its programs are those of this very installation.
"""

import sys
from pathlib import Path
from typing import Final

from kintsugi.rehearsal.images import Image, Program
from kintsugi.rehearsal.postgres import programs_folder

SOURCES: Final = Path(__file__).parents[2]
"""The folder that holds the package."""


def worker_image() -> Image:
    """Make the image whose containers run the backup worker, or any command of ours; raise PostgresMissing."""
    python = (sys.executable,)
    return Image(
        program=Program(
            entrypoint=("kintsugi",),
            programs={"python": python, "python3": python, "kintsugi": (*python, "-m", "kintsugi.cli")},
            environment={
                "KINTSUGI_PG_BIN": str(programs_folder()),
                "PYTHONPATH": str(SOURCES),
                "TMPDIR": "/tmp",  # noqa: S108 - a folder of the container's own
                "HOME": "/tmp",  # noqa: S108
            },
            folders=("/tmp",),  # noqa: S108
        )
    )
