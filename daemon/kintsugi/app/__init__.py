"""The composition root: builds the daemon, runs it, and stops what it started."""

from kintsugi.app.daemon import run

__all__ = ["run"]
