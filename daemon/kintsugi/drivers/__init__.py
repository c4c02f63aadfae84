"""Drives a run from its state in the ledger to its end, and rolls it back when it did not help."""

from kintsugi.runner.driver import RunDriver

__all__ = ["RunDriver"]
