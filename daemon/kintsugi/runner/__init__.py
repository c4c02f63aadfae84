"""One run: executes its steps, resumes them after a restart, and drives the run to its end or back."""

from kintsugi.runner.context import RunnerDeps
from kintsugi.runner.journal import Journal

__all__ = ["Journal", "RunnerDeps"]
