"""A journal in memory with the ledger's rules: compare and set on the state, a transition that has landed lands again."""

from datetime import datetime

from kintsugi.errors import WrongState
from kintsugi.model.change_limits import Budget
from kintsugi.model.records import Phase, StepRecord, StepState
from tests.unit.executor.power import Power


class CasJournal:
    """Keeps steps and evidence; `power` may end the process before or after any commit."""

    def __init__(self, power: Power | None = None) -> None:
        self.power = power or Power()
        self.kept: dict[tuple[Phase, str], StepRecord] = {}
        self.evidence: list[tuple[str, str, str]] = []
        self.states: dict[tuple[Phase, str], list[StepState]] = {}

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None:
        """Commit a step that is in state `expect`. Raises WrongState."""
        key = (step.phase, step.path)
        self.power.hit(f"before the commit of {step.path} as {step.state}")
        known = self.kept.get(key)
        if known != step:
            if (known.state if known else None) is not expect:
                raise WrongState(f"{step.path} is {known.state if known else 'not written'}, expected {expect}")
            self.kept[key] = step
            self.states.setdefault(key, []).append(step.state)
            self.power.tell(f"{step.path} {step.state}")
        self.power.hit(f"after the commit of {step.path} as {step.state}")

    async def keep_evidence(self, run: str, path: str, kind: str, text: str, now: datetime) -> None:
        """Commit evidence."""
        self.power.hit(f"before the commit of evidence {kind}")
        self.evidence.append((path, kind, text))
        self.power.tell(f"{path} evidence {kind}")
        self.power.hit(f"after the commit of evidence {kind}")

    def known(self, path: str, phase: Phase = Phase.FORWARD) -> StepRecord | None:
        """Return what is kept of a step."""
        return self.kept.get((phase, path))
