"""Since when nothing that started an incident holds any more."""

from datetime import datetime

import pytest

from kintsugi.model.records import IncidentState
from kintsugi.model.trigger import Trigger, clear_since
from tests.unit.factories import NOW, incident, moment
from tests.unit.runner.bench import SCALE, TIMEOUT, RunBench, clock


@pytest.mark.parametrize(
    ("trigger", "since"),
    [
        (Trigger(firing=True), None),
        (Trigger(firing=True, ended=moment(minutes=3)), None),
        (Trigger(ended=moment(minutes=3)), moment(minutes=3)),
        (Trigger(), NOW),
    ],
)
def test_all_lasting_signals_must_have_ended(trigger: Trigger, since: datetime | None) -> None:
    assert clear_since(incident(), trigger) == since


def test_a_trigger_that_can_end_is_told_from_one_that_cannot() -> None:
    assert Trigger(firing=True).lasting
    assert Trigger(ended=NOW).lasting
    assert not Trigger(alerts_only=False).lasting


@pytest.mark.looptime
async def test_the_ledger_is_not_asked_about_the_trigger_before_the_service_has_been_well_for_long_enough() -> None:
    bench = RunBench(f"- {{id: scale, run: {SCALE}}}\n", heals="kubectl scale")
    asked: list[float] = []
    trigger_of = bench.ledger.trigger_of

    async def counted(incident: str) -> Trigger:
        asked.append(clock())
        return await trigger_of(incident)

    bench.ledger.trigger_of = counted  # type: ignore[method-assign]
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED, ended.reason
    healed = bench.heals_after.total_seconds()
    early = [moment for moment in asked if healed < moment < healed + TIMEOUT.verify.total_seconds()]
    assert early == []
