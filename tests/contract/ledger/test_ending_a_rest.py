"""A person who ends the rest after a hand-over is kept with when and why, and nothing before that holds the service back."""

from dataclasses import replace
from datetime import timedelta

from kintsugi.ledger import Ledger
from kintsugi.model.history import Abort
from kintsugi.model.records import IncidentState, Pause, PauseScope, Reason, RunRecord, VerdictKind
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, signal, verdict

LATER = NOW + 2 * MINUTE


async def handed_over(ledger: Ledger, service: str = "web") -> RunRecord:
    """Return a run that was handed over to a person."""
    run = await begin(ledger, service)
    return await ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, "look", NOW + MINUTE)


def ended(run: RunRecord, *, after: timedelta = 2 * MINUTE) -> Pause:
    """Return that ann has ended the rest after a run."""
    return Pause(
        id=run.incident,
        scope=PauseScope.SERVICE,
        name="web",
        who="ann",
        why="repaired",
        since=NOW + after,
        until=NOW + HOUR,
    )


async def test_an_ended_rest_is_kept_with_its_person_and_holds_nothing_back(ledger: Ledger) -> None:
    run, other = await handed_over(ledger), await handed_over(ledger, "api")
    assert await ledger.pauses.ended_rest(run.incident) is None
    for _ in range(2):  # the answer to the first was lost
        await ledger.pauses.end_rest(ended(run), ["web-down"])
    assert await ledger.pauses.ended_rest(run.incident) == ended(run)
    assert await ledger.runs.handed_over(NOW) == {"api": other}
    recent = (await ledger.run_requests.history("web", "shop", LATER)).recent
    assert {(each.service, each.incident, each.resumed) for each in recent} == {
        ("web", run.incident, LATER),
        ("api", other.incident, None),
    }
    assert await ledger.pauses.in_force(LATER) == ()


async def test_a_later_hand_over_of_the_same_incident_has_a_rest_of_its_own(ledger: Ledger) -> None:
    """As after a rollback that a person has requested."""
    run = await handed_over(ledger)
    await ledger.pauses.end_rest(ended(run), ())
    await ledger.runs.reopen_run(run.id, "rollback", LATER, who="ann")
    again = await ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, "look", NOW + 5 * MINUTE)
    assert await ledger.runs.handed_over(NOW) == {"web": again}
    await ledger.pauses.end_rest(ended(run, after=6 * MINUTE), ())
    assert await ledger.runs.handed_over(NOW) == {}


async def test_signals_that_a_resting_service_refused_are_due_again_with_those_of_the_incident(
    ledger: Ledger,
) -> None:
    """P9: not what was refused for another reason, or by the rule of another service."""
    run = await handed_over(ledger)
    (begun,) = await ledger.signals.firing()
    until, refused = NOW + HOUR, VerdictKind.REFUSED
    verdicts = {
        "human": verdict(refused, Reason.HUMAN, until),
        "cooldown": verdict(refused, Reason.COOLDOWN, until),
        "paused": verdict(refused, Reason.PAUSED, until),
        "another": replace(verdict(refused, Reason.HUMAN, until), rule="api-down"),
    }
    given = {name: signal(name) for name in verdicts}
    await ledger.signals.accept(list(given.values()), NOW)
    await ledger.signals.settle({given[name].id: each for name, each in verdicts.items()}, NOW)
    assert await ledger.signals.due(LATER) == ()
    await ledger.pauses.end_rest(ended(run), ["web-down"])
    assert {each.id for each in await ledger.signals.due(LATER)} == {begun.id, given["human"].id, given["cooldown"].id}


async def test_an_abort_no_longer_holds_back_a_service_that_was_resumed(ledger: Ledger) -> None:
    run = await begin(ledger)
    await ledger.incidents.abort(Abort(incident=run.incident, who="ann", why="a deploy", requested=NOW))
    await ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, "aborted", NOW + MINUTE)
    await ledger.pauses.end_rest(ended(run), ())
    assert (await ledger.run_requests.history("web", "shop", LATER)).rejections == ()
