"""A trouble that returns after every recovery: the person is told once, with all that was done, and it comes up again."""

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from kintsugi.ledger import Ledger
from kintsugi.ledger.recurrences import recoveries_of
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Notice, Reason, StepState, Verdict, VerdictKind
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    begin,
    hold,
    refuse_to_decide,
    run_request,
    signal,
    start,
    started,
    step,
    verdict,
)


async def recover(ledger: Ledger, began: datetime, *deleted: str, service: str = "web") -> str:
    """Let a run recover a service within a minute by deleting these pods."""
    run = await begin(ledger, service, now=began)
    for pod in deleted:
        done = step(run, f"delete#{pod}", StepState.DONE, text=f"kubectl delete pod {pod} -n shop")
        await ledger.runs.save_step(done, expect=None, now=began)
    await ledger.runs.save_step(
        step(run, "delete#none", StepState.SKIPPED, text="kubectl delete pod c"), expect=None, now=began
    )
    await ledger.runs.move_run(run.id, IncidentState.RECOVERED, "well again", began + MINUTE)
    return run.id


async def returned(ledger: Ledger) -> list[str]:
    """Let the web service be recovered three times within three hours; return the runs."""
    return [await recover(ledger, NOW - hours * HOUR, f"web-{hours}") for hours in (3, 2, 1)]


def leave_alone(history: History) -> Verdict:
    """Decide as the guards do on three recoveries."""
    assert history.recoveries == tuple(NOW - hours * HOUR + MINUTE for hours in (3, 2, 1))
    return verdict(VerdictKind.REFUSED, Reason.INEFFECTIVE, NOW + 3 * HOUR)


async def told(ledger: Ledger) -> list[Notice]:
    """Return what a person is told of troubles that return."""
    return [each for each in await ledger.outbox.due_notices(NOW + 9 * HOUR) if each.kind is IncidentState.INEFFECTIVE]


async def test_the_recoveries_of_one_service_by_one_runbook_are_told(ledger: Ledger) -> None:
    """P7: neither another end, nor another service or runbook is one; the rule that noticed does not matter."""
    await returned(ledger)
    await recover(ledger, NOW - HOUR, service="api")
    failed = await begin(ledger, "web", now=NOW - 30 * MINUTE)
    await ledger.runs.move_run(failed.id, IncidentState.INEFFECTIVE, "no", NOW)
    recoveries = (await ledger.run_requests.history("web", "shop", NOW, "web-service-recovery")).recoveries
    assert recoveries == tuple(NOW - hours * HOUR + MINUTE for hours in (3, 2, 1))
    by_another_rule = started(
        await ledger.run_requests.request_run(replace(run_request(None), rule="web-slow"), start, NOW)
    )
    await ledger.runs.move_run(by_another_rule.id, IncidentState.RECOVERED, "well again", NOW)
    assert (await ledger.run_requests.history("web", "shop", NOW, "web-service-recovery")).recoveries == (
        *recoveries,
        NOW,
    )
    assert (await ledger.run_requests.history("web", "shop", NOW, "workload-recovery")).recoveries == ()
    assert (await ledger.run_requests.history("web", "shop", NOW)).recoveries == ()


async def test_a_trouble_that_comes_and_goes_without_a_change_is_one_that_returns(ledger: Ledger) -> None:
    """P9: nobody would hear of a service that fails again and again and is well each time before anything is changed."""
    ended: list[datetime] = []
    for hours, state in ((3, IncidentState.NO_ACTION), (2, IncidentState.RECOVERED), (1, IncidentState.NO_ACTION)):
        run = await begin(ledger, "web", now=NOW - hours * HOUR)
        ended.append(NOW - hours * HOUR + MINUTE)
        await ledger.runs.move_run(run.id, state, "web is healthy", ended[-1])
    assert (await ledger.run_requests.history("web", "shop", NOW, "web-service-recovery")).recoveries == tuple(ended)


async def test_the_recoveries_are_found_by_an_index_in_their_order(tmp_path: Path) -> None:
    """A claim takes as long with many runs as with few: nothing is scanned, and nothing sorted."""
    async with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", holder="kintsugi-0") as ledger:
        query = recoveries_of("web", "web-service-recovery", IncidentState.NO_ACTION).compile(
            dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}
        )
        async with ledger._store.engines.reader.connect() as connection:
            (step,) = await connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))
    assert "USING INDEX ix_runs_service_runbook_state (service=? AND runbook=? AND state=?" in step.detail


async def test_a_person_is_told_with_the_history_and_nothing_is_started(ledger: Ledger) -> None:
    runs = await returned(ledger)
    again = signal(began=NOW)
    await ledger.signals.accept([again], NOW)
    requested = await ledger.run_requests.request_run(run_request(again), leave_alone, NOW)
    assert (requested.verdict.kind, requested.run) == (VerdictKind.REFUSED, None)
    assert requested.incident is not None
    incident = await ledger.incidents.get(requested.incident.id)
    assert (incident.state, incident.opened, incident.closed) == (IncidentState.INEFFECTIVE, NOW, NOW)
    (notice,) = await told(ledger)
    assert (notice.incident, notice.text) == (incident.id, incident.reason)
    head, title, *lines = notice.text.splitlines()
    assert (head, title) == ("it is refused", "What was done so far:")
    assert lines == [
        f"  {NOW - hours * HOUR:%Y-%m-%d %H:%M:%S} {run}: kubectl delete pod web-{hours} -n shop: recovered at"
        f" {NOW - hours * HOUR + MINUTE:%H:%M:%S}"
        for run, hours in zip(runs, (3, 2, 1), strict=True)
    ]
    assert await ledger.runs.open_runs() == ()


async def test_a_person_is_told_once_and_not_for_each_signal(ledger: Ledger) -> None:
    """P9: each signal has its verdict, and names the incident that says why."""
    await returned(ledger)
    signals = [signal(began=NOW) for _ in range(5)]
    await ledger.signals.accept(signals, NOW)
    requested = await asyncio.gather(
        *(ledger.run_requests.request_run(run_request(each), leave_alone, NOW) for each in signals)
    )
    later = await ledger.run_requests.request_run(run_request(signals[0]), leave_alone, NOW + 2 * HOUR)
    assert len({each.verdict.incident for each in (*requested, later)}) == 1
    assert len(await told(ledger)) == 1


async def test_a_trouble_that_returns_is_judged_again_when_the_rest_is_over(ledger: Ledger) -> None:
    await returned(ledger)
    again = signal(began=NOW)
    await ledger.signals.accept([again], NOW)
    await ledger.run_requests.request_run(run_request(again), leave_alone, NOW)
    over = NOW + 3 * HOUR
    assert await ledger.signals.due(over - MINUTE) == ()
    assert [each.id for each in await ledger.signals.due(over)] == [again.id]
    run = started(await ledger.run_requests.request_run(run_request(again), start, over))
    assert (await ledger.incidents.get(run.incident)).state is IncidentState.RUNNING


async def test_when_it_returns_after_the_next_recovery_a_person_is_told_again(ledger: Ledger) -> None:
    await returned(ledger)
    first = signal(began=NOW)
    await ledger.signals.accept([first], NOW)
    await ledger.run_requests.request_run(run_request(first), leave_alone, NOW)
    await recover(ledger, NOW + 3 * HOUR, "web-4")
    second = signal(began=NOW + 4 * HOUR)
    await ledger.signals.accept([second], NOW + 4 * HOUR)
    refused = verdict(VerdictKind.REFUSED, Reason.INEFFECTIVE, NOW + 11 * HOUR)
    await ledger.run_requests.request_run(run_request(second), lambda _: refused, NOW + 4 * HOUR)
    notices = await told(ledger)
    assert len(notices) == 2
    assert notices[1].text.count("recovered at") == 4


async def test_an_incident_that_was_held_meanwhile_is_closed_with_the_trouble(ledger: Ledger) -> None:
    """The incident is the one that was open already."""
    await returned(ledger)
    again = signal(began=NOW)
    await ledger.signals.accept([again], NOW)
    held = await ledger.run_requests.request_run(run_request(again), hold, NOW)
    closed = await ledger.run_requests.request_run(run_request(again), leave_alone, NOW + 2 * MINUTE)
    assert closed.incident is not None
    assert held.incident is not None
    assert (closed.incident.id, closed.incident.closed) == (held.incident.id, NOW + 2 * MINUTE)
    assert len(await told(ledger)) == 1


@pytest.mark.parametrize("state", [IncidentState.CANCELLED, IncidentState.NO_ACTION])
async def test_the_last_runs_that_say_something_are_told_however_many_came_to_nothing_since(
    ledger: Ledger, state: IncidentState
) -> None:
    """P7: alerts that flap for days do not make a streak of failures forgotten."""
    failed = await begin(ledger, "web", now=NOW - 99 * HOUR)
    await ledger.runs.move_run(failed.id, IncidentState.FAILED, "no", NOW - 98 * HOUR)
    for hours in range(12):
        nothing = await begin(ledger, "web", now=NOW - (40 - hours) * HOUR)
        await ledger.runs.move_run(nothing.id, state, "it cleared", NOW - (39 - hours) * HOUR)
    told_of = (await ledger.run_requests.history("web", "shop", NOW)).recent
    assert [each.state for each in told_of].count(IncidentState.FAILED) == 1
    assert told_of[-1].state is state


async def test_a_signal_that_has_ended_is_no_return(ledger: Ledger) -> None:
    await returned(ledger)
    over = signal(began=NOW, key="over")
    await ledger.signals.accept([over], NOW)
    await ledger.signals.accept([signal(began=NOW, ended=NOW + MINUTE, key="over")], NOW + MINUTE)
    await ledger.run_requests.request_run(run_request(over), refuse_to_decide, NOW + MINUTE)
    assert await told(ledger) == []
