"""A diagnosis of an incident is made once, in bounded time, and whatever goes wrong with it is what is not known."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.errors import KubeError, LedgerUnavailable
from kintsugi.ledger import DiagnosisRepository, Ledger
from kintsugi.ledger.store import Store
from kintsugi.model.records import KeptDiagnosis, Occasion, Target
from kintsugi.pipeline.incident_diagnoses import AT_ONCE, IncidentDiagnoses
from kintsugi.telemetry import Containment
from kubediagnosis.causes import Diagnosis
from tests.contract.ledger.build import NOW, begin
from tests.unit.factories import web

pytestmark = pytest.mark.looptime

WITHIN = timedelta(seconds=5)

Answer = Callable[[], Awaitable[None]]


async def at_once() -> None:
    """Take no time."""


async def never() -> None:
    """Take for ever."""
    await asyncio.Event().wait()


async def refused() -> None:
    """Be told no by the API."""
    raise KubeError("deployments is forbidden")


async def broken() -> None:
    """Have a mistake of our own."""
    raise ValueError("no such field")


@dataclass
class CountingDiagnoser:
    """Finds nothing, after `answer`, and counts how often it was asked, and by how many at one time."""

    answer: Answer = at_once
    asked: list[Target] = field(default_factory=list)
    under_way: int = 0
    most: int = 0

    async def diagnose(self, target: Target) -> Diagnosis:
        self.asked.append(target)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.answer()
        finally:
            self.under_way -= 1
        reference = f"{target.kind}/{target.name}"
        at = datetime.now(UTC)
        return Diagnosis(object=reference, namespace=target.namespace, at=at, summary=f"{reference}: fine")


class Away(DiagnosisRepository):
    """Keeps diagnoses, and cannot while it is away."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.is_away = True
        self.kept: list[KeptDiagnosis] = []

    async def keep(self, kept: KeptDiagnosis) -> None:
        if self.is_away:
            raise LedgerUnavailable("the disk is full")
        self.kept.append(kept)


def diagnoses(ledger: Ledger, diagnoser: CountingDiagnoser) -> IncidentDiagnoses:
    """Return what makes diagnoses with this diagnoser."""
    return IncidentDiagnoses(diagnoser, ledger.diagnoses, clock=lambda: NOW, within=WITHIN, containment=Containment())


async def test_the_first_diagnosis_of_an_incident_is_made_once_and_a_hand_over_s_anew(ledger: Ledger) -> None:
    run, diagnoser = await begin(ledger), CountingDiagnoser()
    made = diagnoses(ledger, diagnoser)
    for occasion in (Occasion.OPENED, Occasion.OPENED, Occasion.HAND_OVER, Occasion.OPENED):
        await made.make(run.incident, web(), occasion)
    found = await ledger.diagnoses.of_incident(run.incident)
    assert [each.occasion for each in found] == [Occasion.OPENED, Occasion.HAND_OVER]
    assert diagnoser.asked == [Target(kind="deployment", namespace="production", name="web")] * 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (never, "the workload was not read within 5s"),
        (refused, "deployments is forbidden"),
        (broken, "ValueError: no such field"),
    ],
)
async def test_a_diagnosis_that_goes_wrong_is_kept_as_not_known(ledger: Ledger, answer: Answer, why: str) -> None:
    """A run waits no longer than its diagnosis may take, and goes on."""
    run, began = await begin(ledger), asyncio.get_running_loop().time()
    await diagnoses(ledger, CountingDiagnoser(answer)).make(run.incident, web(), Occasion.OPENED)
    assert asyncio.get_running_loop().time() - began <= WITHIN.total_seconds()
    (found,) = await ledger.diagnoses.of_incident(run.incident)
    assert found.diagnosis.causes == ()
    assert found.diagnosis.summary == "deployment/web: no cause is known"
    assert found.diagnosis.unknown == (f"deployment/web: {why}",)


async def test_a_diagnosis_behind_others_that_hang_takes_no_longer_either(ledger: Ledger) -> None:
    """Few are made at one time, so that a storm does not ask the API for everything at once."""
    runs = [await begin(ledger, f"s-{number}") for number in range(3 * AT_ONCE)]
    diagnoser, began = CountingDiagnoser(never), asyncio.get_running_loop().time()
    made = diagnoses(ledger, diagnoser)
    await asyncio.gather(*(made.make(run.incident, web(), Occasion.OPENED) for run in runs))
    assert asyncio.get_running_loop().time() - began <= 1.5 * WITHIN.total_seconds()
    assert diagnoser.most == AT_ONCE


async def test_a_diagnosis_that_nobody_waits_for_is_made_once_and_told_to_listeners(ledger: Ledger) -> None:
    run, diagnoser, heard = await begin(ledger), CountingDiagnoser(), asyncio.Queue[KeptDiagnosis]()
    made = diagnoses(ledger, diagnoser)
    made.on_kept(lambda _, found: heard.put_nowait(found))
    working = asyncio.create_task(made.run())
    for _ in range(3):
        made.ask(run.incident, web())
    assert (await heard.get()).incident == run.incident
    made.ask(run.incident, web())
    await asyncio.sleep(60)
    working.cancel()
    assert len(diagnoser.asked) == 1


async def test_a_diagnosis_that_could_not_be_kept_is_made_again(ledger: Ledger) -> None:
    run, diagnoser = await begin(ledger), CountingDiagnoser()
    away = Away(ledger.diagnoses._store)
    made = IncidentDiagnoses(diagnoser, away, clock=lambda: NOW, within=WITHIN, containment=Containment())
    working = asyncio.create_task(made.run())
    made.ask(run.incident, web())
    await asyncio.sleep(60)
    assert away.kept == []
    away.is_away = False
    made.ask(run.incident, web())
    await asyncio.sleep(60)
    working.cancel()
    assert [each.incident for each in away.kept] == [run.incident]
