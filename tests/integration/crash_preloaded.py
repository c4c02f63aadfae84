"""What the fork server has done before it forks a daemon: everything is imported, and the shipped files were read once.

The daemon reads them again, by itself; but the compiler of their expressions has warmed up by then.
"""

from kintsugi.catalog import load
from kintsugi.catalog.shipped import shipped_paths
from tests.integration import crash_daemon

__all__ = ["crash_daemon"]

load(shipped_paths())
