"""
The product's own image on the embedded cluster: its programs are those of this very installation.
"""

import os
import sys
from pathlib import Path
from typing import Final

import kintsugi
import kubeobjects
from kubesim.images import Image, Program
from kubesim.postgres import programs_folder

SOURCES: Final = tuple(str(Path(file).parents[1]) for file in (kintsugi.__file__, kubeobjects.__file__) if file)
"""The folders that hold the packages."""


def worker_image() -> Image:
    """Make the image whose containers run the backup worker, or any command of ours; raise PostgresMissing."""
    python = (sys.executable,)
    return Image(
        program=Program(
            entrypoint=("kintsugi",),
            programs={"python": python, "python3": python, "kintsugi": (*python, "-m", "kintsugi.cli")},
            environment={
                "KINTSUGI_PG_BIN": str(programs_folder()),
                "PYTHONPATH": os.pathsep.join(SOURCES),
                "TMPDIR": "/tmp",  # noqa: S108 - a folder of the container's own
                "HOME": "/tmp",  # noqa: S108
            },
            folders=("/tmp",),  # noqa: S108
        )
    )
