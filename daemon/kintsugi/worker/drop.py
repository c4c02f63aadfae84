"""Drop the scratch database of a drill, and no other."""

from kintsugi.model.restore import Dropped, WorkFailure
from kintsugi.worker.lines import Say, WorkFailed
from kintsugi.worker.options import DropOptions


async def drop(options: DropOptions, say: Say) -> Dropped:
    """Drop the database. Raises WorkFailed with the reason."""
    raise WorkFailed(WorkFailure.FAILED, f"{options.database} cannot be dropped by this version")
