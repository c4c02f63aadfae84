"""A trouble that returns after every recovery: the person is told once, with all that was done, and it comes up again."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.history import History
from kintsugi.model.outages import Fault
from kintsugi.model.records import (
    IncidentState,
    Notice,
    Reason,
    RunUpdate,
    SeenWorkload,
    StepState,
    Verdict,
    VerdictKind,
)
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    accepted,
    begin,
    end,
    hold,
    incident_of,
    kept,
    refuse_to_decide,
    request,
    run_request,
    signal,
    started,
    step,
    verdict,
    write,
)

ENDS = tuple(NOW - hours * HOUR + MINUTE for hours in (3, 2, 1))
"""When the last three recoveries of web ended."""


async def recover(ledger: Ledger, began: datetime, pod: str, *, service: str = "web") -> str:
    """Let a run recover a service within a minute by deleting a pod."""
    run = await begin(ledger, service, now=began)
    await write(
        ledger,
        step(run, f"delete#{pod}", StepState.DONE, text=f"kubectl delete pod {pod} -n shop"),
        step(run, "delete#none", StepState.SKIPPED, text="kubectl delete pod c"),
    )
    await end(ledger, run, IncidentState.RECOVERED, began + MINUTE)
    return run.id


async def returned(ledger: Ledger) -> list[str]:
    """Let the web service be recovered three times within three hours; return the runs."""
    return [await recover(ledger, NOW - hours * HOUR, f"web-{hours}") for hours in (3, 2, 1)]


def leave_alone(history: History) -> Verdict:
    """Decide as the guards do on three recoveries."""
    assert history.recoveries == ENDS
    return verdict(VerdictKind.REFUSED, Reason.INEFFECTIVE, NOW + 3 * HOUR)


async def told(ledger: Ledger) -> list[Notice]:
    """Return what a person is told of troubles that return."""
    return [each for each in await ledger.outbox.due_notices(NOW + 9 * HOUR) if each.kind is IncidentState.INEFFECTIVE]


async def recoveries(
    ledger: Ledger, runbook: str = "web-service-recovery", *, fault: Fault | None = None
) -> tuple[datetime, ...]:
    """Return when the web service was recovered by a runbook, from a fault."""
    return (await ledger.incidents.history_for(run_request(runbook=runbook, fault=fault), NOW)).recoveries


async def test_the_recoveries_of_one_service_by_one_runbook_are_told(ledger: Ledger) -> None:
    """P7: neither another end, nor another service or runbook is one; the rule that noticed does not matter."""
    await returned(ledger)
    await recover(ledger, NOW - HOUR, "api-1", service="api")
    await end(ledger, await begin(ledger, now=NOW - 30 * MINUTE), IncidentState.INEFFECTIVE)
    assert await recoveries(ledger) == ENDS
    await end(ledger, started(await request(ledger, rule="web-slow")), IncidentState.RECOVERED)
    assert await recoveries(ledger) == (*ENDS, NOW)
    assert await recoveries(ledger, "workload-recovery") == await recoveries(ledger, "") == ()


async def test_a_recovery_and_a_run_from_another_cause_or_template_are_not_about_this_fault(ledger: Ledger) -> None:
    """What a run was about are the templates that it saw, and each cause that its incident was diagnosed with."""
    run = await begin(ledger, now=NOW - HOUR)
    await ledger.incidents.keep_diagnosis(kept(run))
    found = SeenWorkload(template="a", revision=1, desired=1, ready=0)
    await ledger.commit(ledger.incidents.update_write(run.id, RunUpdate(workload_found=found)))
    await end(ledger, run, IncidentState.RECOVERED, NOW - HOUR + MINUTE)
    same = Fault.of(kept(run).diagnosis.causes[0], "a")
    others = (replace(same, template="b"), replace(same, field="spec"))
    assert [await recoveries(ledger, fault=fault) for fault in (None, same, *others)] == [ENDS[2:], ENDS[2:], (), ()]
    (past,) = (await ledger.incidents.history("web", "shop", NOW)).recent
    assert [past.faults.has(fault) for fault in (same, *others)] == [True, False, False]


async def test_a_trouble_that_comes_and_goes_without_a_change_is_one_that_returns(ledger: Ledger) -> None:
    """P9: nobody would hear of a service that fails again and again and is well each time before anything is changed."""
    states = (IncidentState.NO_ACTION, IncidentState.RECOVERED, IncidentState.NO_ACTION)
    for over, state in zip(ENDS, states, strict=True):
        await end(ledger, await begin(ledger, now=over - MINUTE), state, over)
    assert await recoveries(ledger) == ENDS


async def test_a_person_is_told_once_with_the_history_and_nothing_is_started(ledger: Ledger) -> None:
    """P9: each signal has its verdict, and names the incident that says why."""
    runs = await returned(ledger)
    signals = [await accepted(ledger, began=NOW) for _ in range(5)]
    requested = list(await asyncio.gather(*(request(ledger, each, leave_alone) for each in signals)))
    requested.append(await request(ledger, signals[0], leave_alone, NOW + 2 * HOUR))
    (name,) = {each.verdict.incident for each in requested}
    assert {(each.verdict.kind, each.run) for each in requested} == {(VerdictKind.REFUSED, None)}
    incident = await ledger.incidents.get(name)
    assert (incident.state, incident.opened, incident.closed) == (IncidentState.INEFFECTIVE, NOW, NOW)
    (notice,) = await told(ledger)
    assert (notice.incident, notice.text) == (incident.id, incident.reason)
    head, title, *lines = notice.text.splitlines()
    assert (head, title) == ("it is refused", "What was done so far:")
    assert lines == [
        f"  {over - MINUTE:%Y-%m-%d %H:%M:%S} {run}: kubectl delete pod web-{hours} -n shop: recovered at {over:%H:%M:%S}"
        for run, hours, over in zip(runs, (3, 2, 1), ENDS, strict=True)
    ]
    assert await ledger.incidents.open_runs() == ()


async def test_a_trouble_that_returns_is_judged_again_when_the_rest_is_over(ledger: Ledger) -> None:
    await returned(ledger)
    again, over = await accepted(ledger, began=NOW), NOW + 3 * HOUR
    await request(ledger, again, leave_alone)
    assert await ledger.signals.due(over - MINUTE) == ()
    assert [each.id for each in await ledger.signals.due(over)] == [again.id]
    run = started(await request(ledger, again, now=over))
    assert (await ledger.incidents.get(run.incident)).state is IncidentState.RUNNING


async def test_when_it_returns_after_the_next_recovery_a_person_is_told_again(ledger: Ledger) -> None:
    await returned(ledger)
    await request(ledger, await accepted(ledger, began=NOW), leave_alone)
    await recover(ledger, NOW + 3 * HOUR, "web-4")
    refused = verdict(VerdictKind.REFUSED, Reason.INEFFECTIVE, NOW + 11 * HOUR)
    later = NOW + 4 * HOUR
    await request(ledger, await accepted(ledger, began=later), lambda _: refused, later)
    assert [each.text.count("recovered at") for each in await told(ledger)] == [3, 4]


async def test_an_incident_that_was_held_meanwhile_is_closed_with_the_trouble(ledger: Ledger) -> None:
    """The incident is the one that was open already."""
    await returned(ledger)
    again = await accepted(ledger, began=NOW)
    held = incident_of(await request(ledger, again, hold))
    closed = incident_of(await request(ledger, again, leave_alone, NOW + 2 * MINUTE))
    assert (closed.id, closed.closed) == (held.id, NOW + 2 * MINUTE)
    assert len(await told(ledger)) == 1


@pytest.mark.parametrize("state", [IncidentState.CANCELLED, IncidentState.NO_ACTION])
async def test_the_last_runs_that_say_something_are_told_however_many_came_to_nothing_since(
    ledger: Ledger, state: IncidentState
) -> None:
    """P7: alerts that flap for days do not make a streak of failures forgotten."""
    await end(ledger, await begin(ledger, now=NOW - 99 * HOUR), IncidentState.FAILED, NOW - 98 * HOUR)
    for hours in range(40, 28, -1):
        await end(ledger, await begin(ledger, now=NOW - hours * HOUR), state, NOW - (hours - 1) * HOUR)
    recent = (await ledger.incidents.history("web", "shop", NOW)).recent
    assert [each.state for each in recent].count(IncidentState.FAILED) == 1
    assert recent[-1].state is state


async def test_a_signal_that_has_ended_is_no_return(ledger: Ledger) -> None:
    await returned(ledger)
    over = await accepted(ledger, "over", began=NOW)
    await ledger.signals.accept([signal(began=NOW, ended=NOW + MINUTE, key="over")], NOW + MINUTE)
    await request(ledger, over, refuse_to_decide, NOW + MINUTE)
    assert await told(ledger) == []
