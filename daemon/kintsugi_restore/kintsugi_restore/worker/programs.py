"""PostgreSQL's own programs: on the PATH, or in the folder that `KINTSUGI_PG_BIN` names."""

import os
import shutil

from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker_results import WorkFailure

FOLDER = "KINTSUGI_PG_BIN"


def program(name: str) -> str:
    """Return the path of a program. Raises WorkFailed when it is not installed."""
    folder = os.environ.get(FOLDER)
    found = shutil.which(name, path=folder or None)
    if found is None:
        raise WorkFailed(WorkFailure.FAILED, f"{name} is not installed: not found in {folder or 'PATH'}")
    return found
