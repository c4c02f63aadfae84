"""The port for probes: of checks on an interval, of runs, and of the estimate of a data loss."""

from datetime import timedelta
from typing import Protocol

from kintsugi.actions.probe_context import ANONYMOUS_PROBE, ProbeContext
from kintsugi.actions.result import Result
from kintsugi.model.command import Command


class Prober(Protocol):
    """The port for commands that only look; `actions.Actions` implements it."""

    async def read(
        self, command: Command, *, deadline: timedelta, probe_context: ProbeContext = ANONYMOUS_PROBE
    ) -> Result:
        """Return the result of a command. Raises KubeError, ProbeFailed, Refused, CommandError."""
        ...
