"""Prints a run as it happens, from the committed rows of the ledger alone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from kintsugi.cli.summary_tables import first_line
from kintsugi.decisions.diagnosis.headline import headline
from kintsugi.kube.steady_clock import wall_clock
from kintsugi.ledger import Ledger
from kintsugi.model.records import Incident, IncidentState, Phase, RunRecord, StepRecord, StepState

Writer = Callable[[str], None]

MARKS = {
    StepState.INTENT: "…",
    StepState.DONE: "✓",
    StepState.FAILED: "✗",
    StepState.SKIPPED: "·",
    StepState.UNKNOWN: "?",
    StepState.NEEDS_OPERATOR: "!",
}


@dataclass(kw_only=True)
class Narrator:
    """Prints each thing once. `began` is the zero of the times that are shown; several services are named in each line."""

    ledger: Ledger
    write: Writer
    began: datetime
    names_services: bool = False
    _shown: set[str] = field(default_factory=set)

    async def poll(self) -> None:
        """Print what has come since the last look."""
        for incident in reversed(await self.ledger.incidents.newest(limit=20)):
            await self._incident(incident)

    async def _incident(self, incident: Incident) -> None:
        for signal, verdict in await self.ledger.signals.of_incident(incident.id):
            if verdict is not None:
                self._once(
                    signal.id, signal.received, f"signal: {signal.target or signal.key}: {verdict.kind}, {verdict.text}"
                )
        for kept in await self.ledger.diagnoses.of_incident(incident.id):
            if kept.diagnosis.causes:
                self._once(f"{incident.id}{kept.occasion}", kept.diagnosis.at, f"cause: {headline(kept.diagnosis)}")
        for run in await self.ledger.runs.of_incident(incident.id):
            await self._run(run)

    async def _run(self, run: RunRecord) -> None:
        """Print a run's state where it belongs: before its steps, between forward and back, or at the end."""
        steps = await self.ledger.runs.steps(run.id)
        if run.state is IncidentState.RUNNING:
            self._state(run)
        for step in steps:
            if step.phase is Phase.FORWARD:
                self._step(run, step)
        if not run.state.is_final:
            self._state(run)
        for step in steps:
            if step.phase is not Phase.FORWARD:
                self._step(run, step)
        self._state(run)

    def _step(self, run: RunRecord, step: StepRecord) -> None:
        path = step.step_path
        left_out = step.state is StepState.SKIPPED and not path.is_of_change
        if step.state is StepState.PLANNED or path.note or path.is_listing or left_out:
            return
        when = step.finished or step.started
        met = "" if step.met is not False else f" — {first_line(step.error)}"
        phase = "" if step.phase is Phase.FORWARD else f"[{step.phase}] "
        shown = step.text if step.text and "${" not in step.text else step.name
        key = f"{step.run}{step.phase}{step.path}{step.state}"
        self._once(key, when, f"  {self._whose(run)}{MARKS.get(step.state, ' ')} {phase}{shown}{met}")

    def _state(self, run: RunRecord) -> None:
        moment = run.finished or (run.steps_finished_at if run.state is IncidentState.VERIFYING else wall_clock())
        self._once(f"{run.id}{run.state}", moment, f"  {self._whose(run)}→ {run.state}: {first_line(run.reason)}")

    def _whose(self, run: RunRecord) -> str:
        return f"{run.service}: " if self.names_services else ""

    def _once(self, key: str, moment: datetime | None, text: str) -> None:
        if key not in self._shown:
            self._shown.add(key)
            seconds = (moment - self.began).total_seconds() if moment is not None else 0
            self.write(f"{max(seconds, 0):5.1f}s  {text}")
