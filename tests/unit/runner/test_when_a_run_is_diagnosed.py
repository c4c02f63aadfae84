"""A run has its service diagnosed before it changes anything, when it is to be rolled back, and before a person is called."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from kintsugi.errors import Forbidden
from kintsugi.model.records import IncidentState, Occasion
from kintsugi.model.services import Service
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime


@dataclass
class RememberedDiagnoses:
    """Remembers when a diagnosis was asked for: its occasion, the changes so far, and the run's state."""

    bench: RunBench
    asked: list[tuple[Occasion, int, IncidentState]] = field(default_factory=list)

    async def make(self, incident: str, service: Service, occasion: Occasion) -> None:
        assert (incident, service.name) == (self.bench.ledger.incident.id, "web")
        self.asked.append((occasion, len(self.bench.effects), self.bench.ledger.record.state))


def diagnosed(bench: RunBench) -> RememberedDiagnoses:
    """Have a run's diagnoses remembered."""
    bench.diagnoses = remembered = RememberedDiagnoses(bench)
    return remembered


async def test_a_run_that_recovers_is_diagnosed_once_before_its_first_change() -> None:
    bench = RunBench("- {id: one, run: kubectl cordon one}", heals="kubectl cordon one")
    diagnoses = diagnosed(bench)
    assert (await bench.drive()).state is IncidentState.RECOVERED
    assert diagnoses.asked == [(Occasion.OPENED, 0, IncidentState.RUNNING)]


async def test_a_run_that_is_handed_over_is_diagnosed_anew_before_a_person_is_told() -> None:
    bench = RunBench("- {id: one, run: kubectl cordon one}\n- {id: two, run: kubectl cordon two}\n")
    bench.actor.will("perform kubectl cordon two", Forbidden("may not patch"))
    diagnoses = diagnosed(bench)
    assert (await bench.drive()).state is IncidentState.FAILED
    assert diagnoses.asked == [
        (Occasion.OPENED, 0, IncidentState.RUNNING),
        (Occasion.HAND_OVER, 1, IncidentState.RUNNING),
    ]


async def test_a_run_that_is_rolled_back_is_diagnosed_when_that_is_decided() -> None:
    bench = RunBench(
        "- {id: one, run: kubectl cordon one}",
        rollback="after: 10m",
        heals="kubectl uncordon one",
        heals_after=timedelta(0),
    )
    diagnoses = diagnosed(bench)
    assert (await bench.drive()).state is IncidentState.ROLLED_BACK
    assert diagnoses.asked == [
        (Occasion.OPENED, 0, IncidentState.RUNNING),
        (Occasion.ROLLBACK, 1, IncidentState.VERIFYING),
    ]
