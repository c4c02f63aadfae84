"""Executes the steps of a run, in order or in parallel, and resumes them after a restart."""

from kintsugi.runner.context import RunnerDeps
from kintsugi.runner.journal import Journal

__all__ = ["Journal", "RunnerDeps"]
