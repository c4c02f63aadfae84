"""What the fork server has done before it forks a daemon: everything is imported, and the files of every story were read once.

The daemon reads them again, by itself; but the compiler of their expressions has warmed up by then. What is there by then is
there for good: no daemon's garbage collector looks at it, which would copy it, too.
"""

import gc
from pathlib import Path
from tempfile import TemporaryDirectory

from kintsugi.catalog import load
from kintsugi.catalog.shipped import catalog_paths, shipped_paths
from tests.integration import crash_daemon, crash_restore

__all__ = ["crash_daemon", "crash_restore"]

load(shipped_paths())
with TemporaryDirectory() as folder:
    load(
        catalog_paths(crash_restore.without_haste(Path(folder) / "catalog")), durations=crash_restore.RESTORE.durations
    )
gc.freeze()
