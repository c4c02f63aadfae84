"""Prints one incident for a person: its summary or story once, and with `follow` all news until it is closed."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rich.text import Text

from kintsugi.cli.client import DaemonClient, retry_while_unreachable
from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.output import emit, plain, print_lines, state
from kintsugi.cli.story import (
    evidence_texts,
    parents_of,
    section,
    step_lines,
    story,
    summary,
    undo_commands,
)
from kintsugi.cli.tables import first_line
from kintsugi.decisions.incident_summary import visible_steps
from kintsugi.model.api_types import IncidentDetail
from kintsugi.model.records import IncidentState, Phase, SignalStatus, StepState

GOOD = frozenset({IncidentState.RECOVERED, IncidentState.NO_ACTION, IncidentState.PASSED})
"""Ends that need no attention; a cancelled incident is one, too, if nothing fires any more."""


class IncidentFollower:
    """Prints one incident; JSON is written once, at the end."""

    def __init__(self, daemon: DaemonClient, incident: str, *, form: OutputFormat, whole: bool = False) -> None:
        """Print the summary of the incident, or with `whole` its story."""
        self._daemon, self._incident, self._form = daemon, incident, form
        self._page = story if whole else summary
        self._detail: IncidentDetail | None = None

    @property
    def detail(self) -> IncidentDetail:
        """Return the incident as it was looked at last; there is one after `show`."""
        assert self._detail is not None, "tell() comes first"
        return self._detail

    @property
    def exit(self) -> ExitCode:
        """Return whether it ended well."""
        state = self.detail.incident.state
        shown = any(each.signal.status is SignalStatus.FIRING for each in self.detail.signals)
        firing = shown or self.detail.firing  # it may be one that is not shown
        cleared = state is IncidentState.CANCELLED and not firing
        return ExitCode.DONE if state in GOOD or cleared else ExitCode.FINDINGS

    async def show(self) -> None:
        """Fetch the incident and print it."""
        self._detail = await self._daemon.incident(self._incident)
        if self._form is OutputFormat.TEXT:
            print_lines(self._page(self.detail, now=datetime.now(UTC)))

    async def follow(self, every: timedelta) -> None:
        """
        Fetch it at this interval and print the news until it is closed. Raises Unreachable when the daemon stays away.
        """
        if self._form is OutputFormat.TEXT and not self.detail.incident.state.is_final:
            print_lines([Text(), Text("Updates", style="bold")])
        while not self.detail.incident.state.is_final:
            await asyncio.sleep(every.total_seconds())
            before = self.detail
            self._detail = await retry_while_unreachable(lambda: self._daemon.incident(self._incident), every=every)
            if self._form is OutputFormat.TEXT:
                print_lines(changes_since(before, self.detail))

    def finish(self, *, evidence: bool) -> None:
        """Write what belongs at the end: the evidence if wanted, or everything as JSON."""
        if self._form is OutputFormat.JSON:
            emit(self.detail)
        elif evidence:
            print_lines(evidence_texts(self.detail))


def changes_since(before: IncidentDetail, after: IncidentDetail) -> Iterator[Text]:
    """Yield a line for each change between two fetches: steps first, then the state of the incident."""
    known = {
        step for run in before.runs for step in ((each.run, each.phase, each.path, each.state) for each in run.steps)
    }
    for run in after.runs:
        for phase in Phase:
            steps = visible_steps(run.steps, phase)
            parents = parents_of(steps)
            for step in steps:
                if step.state is StepState.SKIPPED:
                    continue
                if (step.run, step.phase, step.path, step.state) not in known:
                    yield from (Text.assemble("  ", line) for line in step_lines(step, parents))
    if (before.incident.state, before.incident.reason) != (after.incident.state, after.incident.reason):
        yield Text.assemble(state(after.incident.state), plain(f": {first_line(after.incident.reason)}"))
    if after.incident.state.is_final and after.incident.state is not before.incident.state:
        yield from section("Undo commands, newest first", undo_commands(after))
