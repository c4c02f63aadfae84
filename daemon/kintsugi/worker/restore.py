"""Restore a dump into a fresh database."""

from kintsugi.model.restore import Restored, WorkFailure
from kintsugi.worker.lines import Say, WorkFailed
from kintsugi.worker.options import RestoreOptions


async def restore(options: RestoreOptions, say: Say) -> Restored:
    """Restore the file. Raises WorkFailed with the reason."""
    raise WorkFailed(WorkFailure.FAILED, f"{options.file} cannot be restored by this version")
