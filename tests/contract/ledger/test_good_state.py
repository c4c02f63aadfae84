"""What is known of workloads that were well, of conditions and of documents, across restarts: revisions, templates, replicas, counts, remedies."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from kintsugi.decisions.recurrence import failed_remedies
from kintsugi.ledger import Ledger
from kintsugi.ledger.good_state import LARGEST
from kintsugi.ledger.upkeep import RetentionTerms
from kintsugi.model.good_state import GoodCount, ScaledToZero, SeenReplicas
from kintsugi.model.records import (
    IncidentState,
    Pause,
    PauseScope,
    PendingMatch,
    Phase,
    StepRecord,
    StepState,
    Target,
)
from kintsugi.model.remedies import RemedyKind
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    Noted,
    accepted,
    begin,
    dead_letter,
    end_rest,
    good_revision,
    good_template,
    leading,
    request,
    start,
    step,
)
from tests.harness.ledgers import newest_dead_letters, save_step


def condition(uid: str, *, signalled: bool = False) -> PendingMatch:
    """Make a condition on a pod."""
    target = Target(kind="Pod", namespace="shop", name=f"web-{uid}", uid=uid)
    return PendingMatch(rule="pod-not-ready", target=target, since=NOW, signalled=signalled)


async def test_a_condition_is_kept_across_a_restart(url: str) -> None:
    """`for:` counts from the first yes."""
    async with leading(url) as ledger:
        await ledger.signals.save_conditions([condition("a"), condition("b")], ())
        await ledger.signals.save_conditions([condition("a", signalled=True)], [("pod-not-ready", "b")])
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        assert await ledger.signals.conditions() == (condition("a", signalled=True),)


async def test_many_conditions_begin_and_end_in_one_call(ledger: Ledger) -> None:
    """A node goes: a thousand pods at once."""
    conditions = [condition(str(number)) for number in range(1200)]
    await ledger.signals.save_conditions(conditions, ())
    assert len(await ledger.signals.conditions()) == 1200
    await ledger.signals.save_conditions((), [(each.rule, each.target.uid) for each in conditions])
    assert await ledger.signals.conditions() == ()


async def test_a_good_revision_keeps_its_first_and_moves_its_last_time(ledger: Ledger) -> None:
    """`rollout undo` goes to the last revision known to be good."""
    old, new = good_revision(), good_revision(template="def", number=4, at=NOW + HOUR)
    await ledger.good_state.note_good([old, new])
    later = replace(old, number=5, first_good=NOW + 2 * HOUR, last_good=NOW + 2 * HOUR)
    await ledger.good_state.note_good([later])
    await ledger.good_state.note_good([old])
    assert await ledger.good_state.good_revisions("uid-1") == (replace(later, first_good=NOW), new)
    assert await ledger.good_state.good_revisions("uid-2") == ()


async def test_an_adopted_revision_stays_adopted_until_it_is_seen_good_itself_and_is_never_adopted_then(
    ledger: Ledger,
) -> None:
    adopted = replace(good_revision("u"), adopted=True)
    later = replace(adopted, last_good=NOW + HOUR)
    await ledger.good_state.note_good([adopted])
    await ledger.good_state.note_good([later])
    assert await ledger.good_state.good_revisions("u") == (later,)
    seen = replace(later, last_good=NOW + 2 * HOUR, adopted=False)
    await ledger.good_state.note_good([seen])
    last = NOW + 3 * HOUR
    await ledger.good_state.note_good([replace(later, last_good=last)])
    assert await ledger.good_state.good_revisions("u") == (replace(seen, last_good=last),)


async def test_the_last_value_of_each_count_is_known(ledger: Ledger) -> None:
    """What a recovery is measured by, also by another life than the one that counted."""
    keys = GoodCount(service="cache", name="keys", value=1000, moment=NOW)
    others = [replace(keys, name="rows"), replace(keys, service="other")]
    await ledger.good_state.note_counts([keys, *others])
    await ledger.good_state.note_counts([replace(keys, value=2**40, moment=NOW + HOUR)])
    known = {(each.service, each.name): each for each in await ledger.good_state.good_counts()}
    assert known["cache", "keys"] == replace(keys, value=2**40, moment=NOW + HOUR)
    assert [known["cache", "rows"], known["other", "keys"]] == others


async def test_the_documents_of_a_run_can_be_read_after_a_reload(ledger: Ledger) -> None:
    """C17: a run keeps to what it was started with."""
    for _ in range(2):
        await ledger.catalogs.keep("digest-1", {"web.yaml": "service: web", "db.yaml": "service: db"})
    await ledger.catalogs.keep("digest-2", {"web.yaml": "service: other"})
    assert await ledger.catalogs.texts("digest-1") == {"web.yaml": "service: web", "db.yaml": "service: db"}
    assert await ledger.catalogs.texts("digest-3") == {}


async def test_dead_letters_are_bounded_to_the_newest(ledger: Ledger) -> None:
    """A11, D10: a flood of nonsense fills no disk."""
    letters = [dead_letter(f"dead-{number:05d}", at=NOW + number * MINUTE) for number in range(1500)]
    for first in range(0, 1500, 500):
        await ledger.signals.keep_dead_letters(letters[first : first + 500])
    await ledger.signals.keep_dead_letters(letters[-1:])
    kept = await newest_dead_letters(ledger, limit=2000)
    assert kept == tuple(reversed(letters[500:]))


DAY = timedelta(days=1)
WEB = good_template()


async def test_a_template_is_found_by_the_name_of_its_workload_and_as_it_was_kept(ledger: Ledger) -> None:
    others = [replace(WEB, kind="statefulset"), replace(WEB, namespace="other"), replace(WEB, name="api")]
    for each in (WEB, *others):
        assert await ledger.good_state.keep_template(replace(each, document=f"{each.document} "))
    assert await ledger.good_state.good_template("deployment", "shop", "web") == replace(
        WEB, document=f"{WEB.document} "
    )
    assert await ledger.good_state.good_template("deployment", "shop", "db") is None


async def test_the_newest_template_takes_the_place_of_the_one_before_also_if_it_is_too_large_to_keep(
    ledger: Ledger,
) -> None:
    newer = replace(WEB, workload="uid-2", template="def", number=1, seen=NOW + HOUR, withheld="")
    await ledger.good_state.keep_template(WEB)
    await ledger.good_state.keep_template(newer)
    assert await ledger.good_state.good_template("deployment", "shop", "web") == newer
    assert not await ledger.good_state.keep_template(replace(WEB, template="ghi", document="x" * LARGEST))
    assert await ledger.good_state.good_template("deployment", "shop", "web") is None


async def test_a_template_is_forgotten_with_its_good_revision(ledger: Ledger) -> None:
    """D10: what is there, or was good not long ago, stays however long ago it was kept."""
    long_ago = NOW - 200 * DAY
    for name, last_good in {"gone": 100, "just-gone": 10, "there": 100}.items():
        good = good_revision(f"uid-{name}", at=long_ago)
        await ledger.good_state.note_good([replace(good, last_good=NOW - last_good * DAY)])
        await ledger.good_state.keep_template(replace(WEB, name=name, workload=f"uid-{name}", seen=long_ago))
    terms = RetentionTerms(workloads={"uid-there"})
    assert await ledger.upkeep.prune(NOW - 90 * DAY, NOW, kept=RetentionTerms(workloads=None)) == 0
    assert await ledger.upkeep.prune(NOW - 90 * DAY, NOW, kept=terms) == 2
    left = [
        name
        for name in ("gone", "just-gone", "there")
        if await ledger.good_state.good_template("deployment", "shop", name)
    ]
    assert left == ["just-gone", "there"]


async def test_a_good_revision_is_forgotten_with_its_template_and_no_other(ledger: Ledger) -> None:
    """Else a rollback to the template that is kept would go back to what has failed by itself."""
    await ledger.good_state.keep_template(WEB)
    await ledger.good_state.forget_good(WEB.workload, "another")
    assert await ledger.good_state.good_template("deployment", "shop", "web") == WEB
    await ledger.good_state.forget_good(WEB.workload, WEB.template)
    assert await ledger.good_state.good_template("deployment", "shop", "web") is None


UID = "uid-api"
STOP = {
    "command": "Scale",
    "objects": [{"resource": "deployments.apps", "name": "api"}],
    "namespace": "production",
    "replicas": 0,
}


async def test_the_last_seen_replicas_of_each_workload_are_known(ledger: Ledger) -> None:
    seen = SeenReplicas(workload=UID, replicas=3, since=NOW)
    other = replace(seen, workload="uid-web")
    await ledger.good_state.note_replicas([seen, other])
    await ledger.good_state.note_replicas([replace(seen, replicas=5, until=NOW + HOUR)])
    assert await ledger.good_state.seen_replicas(UID) == replace(seen, replicas=5, until=NOW + HOUR)
    assert await ledger.good_state.seen_replicas("uid-web") == other
    assert await ledger.good_state.seen_replicas("uid-none") is None


async def stopping(ledger: Ledger, **more: Any) -> StepRecord:
    """Write the intent of a run to scale the workload to 0, an hour after the run's beginning."""
    run = await begin(ledger, "database")
    intent = replace(step(run, "stop#0", command=STOP, facts={"uid": UID}), **more)
    await save_step(ledger, intent, expect=None, now=NOW + HOUR)
    return intent


async def test_the_run_that_has_scaled_a_workload_to_zero_is_known_from_the_intent_on_and_after_it(
    ledger: Ledger,
) -> None:
    intent = await stopping(ledger)
    expected = ScaledToZero(workload=UID, run=intent.run, moment=NOW + HOUR)
    assert await ledger.good_state.scaled_to_zero(UID) == expected
    await save_step(ledger, replace(intent, state=StepState.DONE), expect=StepState.INTENT, now=NOW + 2 * HOUR)
    await ledger.incidents.move_run(intent.run, IncidentState.NEEDS_OPERATOR, "a person looks", NOW + 3 * HOUR)
    assert await ledger.good_state.scaled_to_zero(UID) == expected


async def test_a_change_that_was_not_made_or_is_an_undo_has_stopped_no_workload(ledger: Ledger) -> None:
    intent = await stopping(ledger)
    await save_step(ledger, replace(intent, state=StepState.SKIPPED), expect=StepState.INTENT, now=NOW + HOUR)
    assert await ledger.good_state.scaled_to_zero(UID) is None
    await ledger.incidents.move_run(intent.run, IncidentState.RECOVERED, "well", NOW)
    for more in ({"phase": Phase.UNDO}, {"facts": {"uid": UID, "already": True}}, {"command": {**STOP, "replicas": 2}}):
        made = await stopping(ledger, **more)
        assert await ledger.good_state.scaled_to_zero(UID) is None, more
        await ledger.incidents.move_run(made.run, IncidentState.RECOVERED, "well", NOW)


async def test_a_claim_that_would_start_it_is_told_of_that_run(ledger: Ledger) -> None:
    """In its own transaction (P7)."""
    intent = await stopping(ledger)
    noted = Noted(start)
    await request(ledger, await accepted(ledger), noted, service="api", starts=UID)
    (history,) = noted.histories
    assert history.scaled_to_zero == await ledger.good_state.scaled_to_zero(UID)
    shown = await ledger.incidents.history("api", "shop", NOW, starts=UID)
    assert shown.scaled_to_zero is not None
    assert shown.scaled_to_zero.run == intent.run
    assert (await ledger.incidents.history("api", "shop", NOW)).scaled_to_zero is None


async def test_seen_replicas_stay_as_long_as_the_workload_is_there(ledger: Ledger) -> None:
    """D10: another workload of that name has another uid."""
    await stopping(ledger)
    await ledger.good_state.note_replicas([SeenReplicas(workload=UID, replicas=3, since=NOW)])
    later = NOW + timedelta(days=400)
    for there in (None, {UID}):
        await ledger.upkeep.prune(later - MINUTE, later, kept=RetentionTerms(workloads=there))
        assert await ledger.good_state.seen_replicas(UID) is not None
        assert await ledger.good_state.scaled_to_zero(UID) is not None
    await ledger.upkeep.prune(later - MINUTE, later, kept=RetentionTerms(workloads=()))
    assert await ledger.good_state.seen_replicas(UID) is None
    assert await ledger.good_state.scaled_to_zero(UID) is None


CANARY, MOVE = RemedyKind.RESTART_CANARY, RemedyKind.MOVE_PODS


async def run(
    ledger: Ledger, hours: int, state: IncidentState, remedy: str, *, service: str = "web", changes: bool = True
) -> None:
    """Let a run that began so long ago find out what helps, do it, and end so."""
    began = NOW - hours * HOUR
    made = await begin(ledger, service, now=began)
    looked = step(
        made,
        "diagnosis",
        StepState.DONE,
        text="kintsugi diagnose deployment/web",
        verb="kintsugi diagnose",
        result={"remedy": remedy},
    )
    await save_step(ledger, replace(looked, changes=False), expect=None, now=began)
    if changes:
        evicted = step(made, "canary/one#0", StepState.DONE, text="kubectl evict-pod web-1")
        await save_step(ledger, evicted, expect=None, now=began)
    await ledger.incidents.move_run(made.id, state, "it is over", began + MINUTE)


async def tried(ledger: Ledger, since: datetime = NOW - 24 * HOUR) -> frozenset[RemedyKind]:
    """Return what did not help the web service."""
    return failed_remedies(await ledger.incidents.past_remedies("web", since), None)


async def test_the_remedies_of_runs_that_did_not_help_are_known(ledger: Ledger) -> None:
    await run(ledger, 3, IncidentState.NEEDS_OPERATOR, CANARY)
    await run(ledger, 2, IncidentState.INEFFECTIVE, MOVE)
    await run(ledger, 1, IncidentState.FAILED, "a-word-of-a-later-version")
    assert await tried(ledger) == {CANARY, MOVE}
    assert await tried(ledger, NOW - 2 * HOUR) == {MOVE}


async def test_remedies_before_a_run_that_helped_are_another_trouble_s(ledger: Ledger) -> None:
    await run(ledger, 3, IncidentState.NEEDS_OPERATOR, CANARY)
    await run(ledger, 2, IncidentState.RECOVERED, MOVE)
    assert await tried(ledger) == frozenset()


async def test_a_remedy_that_was_tried_before_a_person_resumed_the_service_may_be_tried_again(ledger: Ledger) -> None:
    await run(ledger, 3, IncidentState.NEEDS_OPERATOR, CANARY)
    await run(ledger, 2, IncidentState.NEEDS_OPERATOR, MOVE)
    left = (await ledger.incidents.ended_since(NOW - 24 * HOUR))["web"][-1]
    ended = Pause(id=left.incident, scope=PauseScope.SERVICE, name="web", who="ann", why="repaired", since=NOW)
    await end_rest(ledger, ended, ())
    assert await tried(ledger) == frozenset()


@pytest.mark.parametrize("service", ["web", "api"])
async def test_a_run_that_changed_nothing_and_one_of_another_service_have_tried_nothing(
    ledger: Ledger, service: str
) -> None:
    await run(ledger, 2, IncidentState.NEEDS_OPERATOR, CANARY, service=service, changes=service != "web")
    assert await tried(ledger) == frozenset()
