"""Walks and resumes one run's graph of steps, watches over it, and takes it back when it did not help."""

from kintsugi.runner.carrier import Carrier
from kintsugi.runner.journal import Journal
from kintsugi.runner.tools import Tools

__all__ = ["Carrier", "Journal", "Tools"]
