"""What people stop, abort and take up again: pauses, aborts, and the end of the rest after a hand-over."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.history import Abort, Rejection
from kintsugi.model.records import IncidentState, Pause, PauseScope, Reason, RunRecord, RunUpdate, VerdictKind
from tests.contract.ledger.build import HOUR, MINUTE, NOW, Noted, accepted, begin, end_rest, request, signal, verdict

LATER = NOW + 2 * MINUTE


def pause(name: str = "pause-1", *, until: timedelta | None = None) -> Pause:
    """Make a pause of a namespace."""
    return Pause(
        id=name,
        scope=PauseScope.NAMESPACE,
        name="shop",
        who="ann",
        why="a deploy",
        freeze=True,
        since=NOW,
        until=None if until is None else NOW + until,
    )


async def test_a_pause_holds_until_its_end_or_until_it_is_lifted(ledger: Ledger) -> None:
    """A person's stop, with who and why."""
    await ledger.people.pause(pause("ends", until=HOUR))
    await ledger.people.pause(pause("stays"))
    assert await ledger.people.pauses(NOW) == (pause("ends", until=HOUR), pause("stays"))
    assert await ledger.people.pauses(NOW + HOUR) == (pause("stays"),)
    assert await ledger.people.resume("stays", "bob", "done", NOW) == pause("stays")
    assert await ledger.people.pauses(NOW + HOUR) == ()


async def test_a_pause_that_has_held_is_told_with_its_true_end(ledger: Ledger) -> None:
    """A run's clock stood still for as long as a pause has held, whether it was lifted or has run out."""
    for name in ("lifted", "lifted early", "stays"):
        await ledger.people.pause(pause(name))
    await ledger.people.pause(pause("runs out", until=HOUR))
    await ledger.people.pause(pause("lifted before its end", until=9 * HOUR))
    for name in ("lifted", "lifted before its end"):
        await ledger.people.resume(name, "bob", "done", NOW + 2 * HOUR)
    await ledger.people.resume("lifted early", "bob", "done", NOW + HOUR / 2)

    held = await ledger.people.pauses_since(NOW + HOUR / 2, NOW + 3 * HOUR)
    ends = {each.id: each.until for each in held}
    assert ends == {
        "lifted": NOW + 2 * HOUR,
        "lifted before its end": NOW + 2 * HOUR,
        "runs out": NOW + HOUR,
        "stays": None,
    }
    assert await ledger.people.pauses_since(NOW - 2 * HOUR, NOW - HOUR) == (), "they had not begun"


async def test_a_pause_made_or_lifted_twice_is_one(ledger: Ledger) -> None:
    """D2: the answer was lost and the person tries again."""
    for _ in range(2):
        await ledger.people.pause(pause())
    assert len(await ledger.people.pauses(NOW)) == 1
    for _ in range(2):
        await ledger.people.resume("pause-1", "bob", "done", NOW)
    with pytest.raises(NotRecorded, match="no pause pause-9"):
        await ledger.people.resume("pause-9", "bob", "done", NOW)


async def test_a_pause_is_seen_by_the_very_next_request(ledger: Ledger) -> None:
    """P7: read in the request's transaction, not from a copy."""
    noted = Noted(lambda _: verdict(VerdictKind.REFUSED, Reason.PAUSED, NOW + MINUTE))
    await ledger.people.pause(pause())
    await request(ledger, await accepted(ledger), noted)
    assert [history.pauses for history in noted.histories] == [(pause(),)]


def abort(incident: str, who: str = "ann") -> Abort:
    """Make an abort."""
    return Abort(incident=incident, who=who, why="a deploy", requested=NOW)


async def test_an_abort_is_kept_once_with_who_and_why(ledger: Ledger) -> None:
    run = await begin(ledger)
    assert await ledger.people.abort_of(run.incident) is None
    assert await ledger.people.abort(abort(run.incident)) == abort(run.incident)
    assert await ledger.people.abort(abort(run.incident, "bob")) == abort(run.incident), "the first one stays"
    assert await ledger.people.abort_of(run.incident) == abort(run.incident)
    await ledger.incidents.move_run(run.id, IncidentState.CANCELLED, "aborted", NOW)
    assert await ledger.people.abort(abort(run.incident)) == abort(run.incident), "its answer was lost"


async def test_an_incident_that_is_closed_cannot_be_aborted(ledger: Ledger) -> None:
    run = await begin(ledger)
    await ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "it is well", NOW)
    with pytest.raises(WrongState, match="is recovered: there is nothing to abort"):
        await ledger.people.abort(abort(run.incident))
    with pytest.raises(NotRecorded, match="no incident inc-9"):
        await ledger.people.abort(abort("inc-9"))


@pytest.mark.parametrize("state", [IncidentState.ROLLING_BACK, IncidentState.AWAITING_APPROVAL])
async def test_a_rollback_cannot_be_aborted(ledger: Ledger, state: IncidentState) -> None:
    """Neither under way, nor while one of its steps asks a person; also where the incident was aborted before."""
    run = await begin(ledger)
    await ledger.people.abort(abort(run.incident))
    updates = RunUpdate(steps_finished_at=NOW)
    await ledger.commit(ledger.incidents.move_write(run.id, IncidentState.ROLLING_BACK, "back", NOW, updates=updates))
    await ledger.incidents.move_run(run.id, state, "back", NOW)
    with pytest.raises(WrongState, match=r"the run is rolling back, .* kintsugi pause --service web --freeze"):
        await ledger.people.abort(abort(run.incident))


async def test_an_aborted_incident_is_in_the_history_of_its_service(ledger: Ledger) -> None:
    run = await begin(ledger)
    await begin(ledger, "api")
    await ledger.people.abort(abort(run.incident))
    no = Rejection(text=f"incident {run.incident} was aborted by ann: a deploy", rejected=NOW)
    assert (await ledger.incidents.history("web", "shop", NOW + MINUTE)).rejections == (no,)
    assert (await ledger.incidents.history("api", "shop", NOW + MINUTE)).rejections == ()
    assert (await ledger.incidents.history("web", "shop", NOW + 4 * HOUR)).rejections == ()


async def handed_over(ledger: Ledger, service: str = "web") -> RunRecord:
    """Return a run that was handed over to a person."""
    run = await begin(ledger, service)
    return await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, "look", NOW + MINUTE)


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
    assert await ledger.people.ended_rest(run.incident) is None
    for _ in range(2):  # the answer to the first was lost
        await end_rest(ledger, ended(run), ["web-down"])
    assert await ledger.people.ended_rest(run.incident) == ended(run)
    recent = (await ledger.incidents.history("web", "shop", LATER)).recent
    assert {(each.service, each.incident, each.resumed) for each in recent} == {
        ("web", run.incident, LATER),
        ("api", other.incident, None),
    }
    assert await ledger.people.pauses(LATER) == ()


async def test_a_later_hand_over_of_the_same_incident_has_a_rest_of_its_own(ledger: Ledger) -> None:
    """As after a rollback that a person has requested."""
    run = await handed_over(ledger)
    await end_rest(ledger, ended(run), ())
    await ledger.incidents.reopen_run(run.id, "rollback", LATER, who="ann")
    again = await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, "look", NOW + 5 * MINUTE)
    (past,) = (await ledger.incidents.ended_since(NOW))["web"]
    assert (past.finished, past.resumed) == (again.finished, None)
    await end_rest(ledger, ended(run, after=6 * MINUTE), ())
    (past,) = (await ledger.incidents.ended_since(NOW))["web"]
    assert past.resumed == NOW + 6 * MINUTE


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
    await end_rest(ledger, ended(run), ["web-down"])
    assert {each.id for each in await ledger.signals.due(LATER)} == {begun.id, given["human"].id, given["cooldown"].id}


async def test_an_abort_no_longer_holds_back_a_service_that_was_resumed(ledger: Ledger) -> None:
    run = await begin(ledger)
    await ledger.people.abort(Abort(incident=run.incident, who="ann", why="a deploy", requested=NOW))
    await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, "aborted", NOW + MINUTE)
    await end_rest(ledger, ended(run), ())
    assert (await ledger.incidents.history("web", "shop", LATER)).rejections == ()
