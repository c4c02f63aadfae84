"""Fetch the newest backup that passes every check."""

from kintsugi.model.restore import Backup, WorkFailure
from kintsugi.worker.lines import Say, WorkFailed
from kintsugi.worker.options import FetchOptions


async def fetch(options: FetchOptions, say: Say) -> Backup:
    """Fetch into the room. Raises WorkFailed with the reason."""
    raise WorkFailed(WorkFailure.FAILED, f"{options.url} cannot be fetched by this version")
