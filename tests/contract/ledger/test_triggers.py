"""What started an incident, summed up in SQL; and alerts that nobody repeats any more."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.ledger import Ledger, Windows
from kintsugi.model.records import IncidentState, Reason, Signal, SignalStatus, Trigger, VerdictKind
from kintsugi.model.rules import RuleSource
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, leading, signal, step, verdict, write
from tests.harness.ledgers import newest_signals

ALERT, POD, EVENT = (replace(signal(kind), kind=kind) for kind in (RuleSource.ALERT, RuleSource.POD, RuleSource.EVENT))


def over(told: Signal, minutes: float) -> Signal:
    """Return the delivery that says that it has ended."""
    return replace(told, id=f"{told.id}-over", status=SignalStatus.RESOLVED, ended=NOW + minutes * MINUTE)


async def joined(ledger: Ledger, told: Sequence[Signal]) -> str:
    """Let an incident have exactly these signals; return its id."""
    run = await begin(ledger, "web")
    own = (await ledger.signals.of_incident(run.incident))[0][0]
    await ledger.signals.accept([over(own, 1)], NOW)
    names = (await ledger.signals.accept(list(told), NOW)).ids
    attached = replace(verdict(VerdictKind.ATTACHED, Reason.ACTIVE_RUN), incident=run.incident)
    await ledger.signals.settle(dict.fromkeys(names, attached), NOW)
    return run.incident


FIRST_END = NOW + MINUTE
"""When the signal of `begin` ends."""


@pytest.mark.parametrize(
    ("told", "trigger"),
    [
        ([], Trigger(ended=FIRST_END)),
        ([ALERT], Trigger(firing=True, ended=FIRST_END, alerts_only=True)),
        ([ALERT, POD], Trigger(firing=True, ended=FIRST_END)),
        ([ALERT, EVENT], Trigger(firing=True, ended=FIRST_END)),
        ([EVENT], Trigger(ended=FIRST_END)),
        ([POD], Trigger(firing=True, ended=FIRST_END)),
    ],
    ids=["nothing more", "an alert", "alert and pod", "alert and Event", "an Event", "a pod"],
)
async def test_the_triggers_that_an_incident_goes_on_for_are_summed_up(
    ledger: Ledger, told: Sequence[Signal], trigger: Trigger
) -> None:
    """B20: Events are hints that never resolve; A19: only alerts can be silenced."""
    assert await ledger.signals.trigger_of(await joined(ledger, told)) == trigger


async def test_the_latest_end_counts(ledger: Ledger) -> None:
    incident = await joined(ledger, [ALERT, POD])
    await ledger.signals.accept([over(ALERT, 7), over(POD, 3)], NOW + 8 * MINUTE)
    assert await ledger.signals.trigger_of(incident) == Trigger(ended=NOW + 7 * MINUTE)


async def test_the_alerts_that_fire_are_told_page_by_page(ledger: Ledger) -> None:
    told = [signal(f"fp-{number}") for number in range(1200)]
    incident = await joined(ledger, told)
    keys = [key async for key in ledger.signals.firing_keys(incident)]
    assert sorted(keys) == sorted(each.key for each in told)


async def test_an_alert_that_nobody_repeats_ends_as_stale_and_says_why(ledger: Ledger) -> None:
    """A17, P1: without a poller nothing else would ever end it; it is not told as resolved."""
    silent, heard = signal("silent"), signal("heard")
    await ledger.signals.accept([silent, heard], NOW)
    refused = verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + 20 * HOUR)
    await ledger.signals.settle({silent.id: refused, heard.id: refused}, NOW)
    await ledger.signals.accept([replace(heard, id="again")], NOW + 12 * HOUR)
    now = NOW + 14 * HOUR
    assert await ledger.signals.end_stale(now - 13 * HOUR, now) == 1
    assert [each.key for each in await ledger.signals.firing()] == ["heard"]
    judged = {each.key: (each, verdict) for each, verdict in await newest_signals(ledger)}
    ended, why = judged["silent"]
    assert (ended.status, ended.ended) == (SignalStatus.STALE, now)
    assert why is not None
    assert "ended as stale: not repeated" in why.text
    assert why.until is None
    assert await ledger.signals.due(now + 30 * HOUR) == (judged["heard"][0],)


async def test_an_alert_that_ended_as_stale_is_resolved_once_that_is_told(ledger: Ledger) -> None:
    told = signal("silent")
    await ledger.signals.accept([told], NOW)
    await ledger.signals.settle({told.id: verdict(VerdictKind.NO_RULE, Reason.NO_RULE)}, NOW)
    await ledger.signals.end_stale(NOW + HOUR, NOW + 2 * HOUR)
    await ledger.signals.accept([over(told, 30)], NOW + 3 * HOUR)
    ((ended, _),) = await newest_signals(ledger)
    assert (ended.status, ended.ended) == (SignalStatus.RESOLVED, NOW + 30 * MINUTE)


async def test_no_alert_of_an_open_incident_ends_as_stale(ledger: Ledger) -> None:
    """P6: silence of the sender must not look like the success of a run; the watchdog's deadline decides."""
    incident = await joined(ledger, [ALERT])
    later = NOW + 100 * HOUR
    assert await ledger.signals.end_stale(later, later) == 0
    assert (await ledger.signals.trigger_of(incident)).firing
    (run,) = await ledger.incidents.runs_of(incident)
    await ledger.incidents.move_run(run.id, IncidentState.INEFFECTIVE, "it goes on", later)
    assert await ledger.signals.end_stale(later, later) == 1


@pytest.mark.parametrize(("hours", "spent"), [(1, 0), (6, 10)])
async def test_a_budget_is_counted_as_far_back_as_its_window(made: str, hours: int, spent: int) -> None:
    """P7: a window above an hour counts, too."""
    async with leading(made, windows=Windows(changes=timedelta(hours=hours))) as ledger:
        run = await begin(ledger, "web")
        await write(ledger, *(step(run, f"delete#{number}", started=NOW - 2 * HOUR) for number in range(10)))
        assert len((await ledger.incidents.history("api", "shop", NOW)).disruptions) == spent
