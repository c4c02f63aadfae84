"""What the fork server has done before it forks a daemon: everything is imported, and the shipped files were read once.

The daemon reads them again, by itself; but the compiler of their expressions has warmed up by then. What is there by then is
there for good: no daemon's garbage collector looks at it, which would copy it, too.
"""

import gc

from kintsugi.app import run
from kintsugi.catalog import load
from kintsugi.catalog.shipped import shipped_paths
from kintsugi.settings import load as load_settings
from kintsugi.telemetry import configure_logging
from kintsugi_restore.worker import __main__ as worker
from tests.harness import forked

__all__ = ["configure_logging", "forked", "load_settings", "run", "worker"]

load(shipped_paths())
gc.freeze()
