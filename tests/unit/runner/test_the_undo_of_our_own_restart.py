"""The undo of our own restart is no rollback: it never leads back to a revision that was not seen good (E13)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.actions.effect_plan import record_without_undo, undone_by
from kintsugi.errors import Refused
from kintsugi.model.command import Command, Verb
from kintsugi.model.records import IncidentState, Phase, RunRecord, StepState, UndoRecord
from kintsugi.verbs.rollout import Rollout
from tests.unit.factories import moment, pause, pod
from tests.unit.runner.bench import RunBench, clock, cut_everywhere

pytestmark = pytest.mark.looptime

RESTART = "- {id: again, run: kubectl rollout restart deployment/web}"
RESTARTED = "kubectl rollout restart deployment/web -n production"
TO_LAST_GOOD = "kubectl rollout undo deployment/web -n production"
TO_THE_ONE_BEFORE = "kubectl rollout undo deployment/web --to-revision=2 -n production"


def failing(
    steps: str = RESTART, *, before: str = "bad", rollback: str = "after: 10m", heals: str = TO_LAST_GOOD
) -> RunBench:
    """Make a run that restarts revision 2 in vain; revision 1, whose template is called `good`, was seen good."""
    bench = RunBench(steps, rollback=rollback, heals=heals, heals_after=timedelta(0))
    bench.observed.known_good = frozenset({"good"})
    bench.observed.last_good_number = 1
    bench.observed.show(template=before)
    bench.actor.facts_of = lambda command: facts(command, before)
    bench.actor.undo_of = way_back
    healed = bench.actor.on_change

    def on_change(text: str) -> None:
        if text.startswith(RESTARTED):
            bench.observed.show(template="stamped")
        healed(text)

    bench.actor.on_change = on_change
    return bench


def facts(command: Command, before: str) -> Mapping[str, object]:
    """Return what the action notes of a rollout command."""
    if not isinstance(command, Rollout):
        return {}
    if command.verb is Verb.ROLLOUT_RESTART:
        return {"revision": 2, "revision_template": before}
    return {"revision": 3, "revision_template": "stamped", "to": command.revision or 1, "to_template": "good"}


def way_back(command: Command) -> UndoRecord:
    """Return the way back that the action writes down: to the revision before."""
    if isinstance(command, Rollout) and command.verb is Verb.ROLLOUT_RESTART:
        return undone_by(replace(command, verb=Verb.ROLLOUT_UNDO, revision=2))
    return record_without_undo("revision 3 was never seen good: there is no rollback to it")


async def test_a_bad_revision_that_was_restarted_is_left_for_the_last_good_one() -> None:
    bench = failing()
    ended = await bench.drive()
    assert bench.effects == [RESTARTED, TO_LAST_GOOD]
    assert (ended.state, ended.reason) == (
        IncidentState.ROLLED_BACK,
        (
            "rolled back (web is still failing at the deadline):"
            " deployment/web from revision 3 to 1, which was seen good; web is healthy"
        ),
    )


async def test_a_good_revision_that_was_restarted_and_fails_is_not_to_blame() -> None:
    """Its template was seen good but for the stamp: to go back over the restart would only restart it once more."""
    bench = failing(before="good")
    ended = await bench.drive()
    assert bench.effects == [RESTARTED]
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith(
        "not rolled back: the failing revision was seen good before, so a rollback would not help"
    )
    assert "To roll the workload back" not in ended.reason, "the notice recommends what it has just refused"


async def test_a_person_s_word_takes_the_restart_of_a_good_revision_back() -> None:
    bench = failing(before="good", heals=TO_THE_ONE_BEFORE)
    bench.at(30, lambda: bench.driver.request_rollback("ada") if bench.driver else None)
    ended = await bench.drive()
    assert bench.effects == [RESTARTED, TO_THE_ONE_BEFORE]
    assert ended.state is IncidentState.ROLLED_BACK


async def test_without_a_good_revision_nothing_is_taken_back_and_a_person_hears_why() -> None:
    bench = failing()
    refusal = "no earlier revision of deployment/web was seen good: a person has to choose one"
    bench.actor.will(f"prepare {TO_LAST_GOOD}", Refused(refusal))
    ended = await bench.drive()
    assert bench.effects == [RESTARTED]
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("the rollback failed: the run has no change to undo: " + refusal)
    assert "To roll the workload back:\n  kubectl rollout undo deployment/web --to-revision=1" in ended.reason


async def test_a_step_that_calls_a_person_for_a_release_of_helm_names_the_command_of_helm() -> None:
    """An undo behind Helm's back would be overwritten by its next upgrade."""
    bench = failing("- {id: enough, expect: service.ready > 99, within: 10s, onFailure: escalate}")
    bench.observed.release = "shop"
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "To roll the workload back:\n  helm rollback shop -n production" in ended.reason
    assert "kubectl rollout undo" not in ended.reason


async def test_several_restarts_have_one_way_back() -> None:
    twice = RESTART + "\n- {id: more, run: kubectl rollout restart deployment/web}"
    bench = failing(twice)
    await bench.drive()
    assert bench.effects == [RESTARTED, RESTARTED, TO_LAST_GOOD]


async def test_a_restart_after_one_that_was_reverted_has_a_way_back_of_its_own() -> None:
    steps = """\
    - {id: first, run: kubectl rollout restart deployment/web}
    - {id: wait, expect: service.ready > 99, within: 10s, onFailure: continue}
    - {id: back, undoStep: first}
    - {id: wait2, expect: service.ready > 99, within: 10s, onFailure: continue}
    - {id: second, run: kubectl rollout restart deployment/web}
    """
    bench = failing(steps, heals="nothing")
    await bench.drive()
    assert bench.effects == [RESTARTED, TO_THE_ONE_BEFORE, RESTARTED, TO_LAST_GOOD]


async def test_a_change_that_the_walk_itself_has_reverted_is_no_rollback() -> None:
    steps = "- {id: one, run: kubectl cordon one}\n- {id: back, undoStep: one}"
    bench = RunBench(steps, rollback="after: 10m")
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one", "kubectl uncordon one"]
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "the run has no change to undo" in ended.reason


async def test_a_restart_that_a_rollback_step_has_dealt_with_is_not_taken_back() -> None:
    bench = failing(
        rollback="after: 10m\nsteps: [{id: back, run: kubectl rollout undo deployment/web --to-revision=1}]"
    )
    await bench.drive()
    assert bench.effects[1:] == ["kubectl rollout undo deployment/web --to-revision=1 -n production"]


@pytest.mark.parametrize("other", ["statefulset/web", "deployment/web -n staging", "deployment/api"])
async def test_a_rollback_step_deals_with_no_other_workload_of_the_name(other: str) -> None:
    """Workloads are one only by kind, name and namespace."""
    back = f"after: 10m\nsteps: [{{id: back, run: kubectl rollout undo {other} --to-revision=1}}]"
    bench = failing(rollback=back)
    await bench.drive()
    assert bench.effects[2:] == [TO_LAST_GOOD]


async def test_the_restart_of_a_workload_that_is_no_service_s_goes_back_to_nothing_unknown() -> None:
    """Nobody knows which of its revisions are good: the action is asked for the last good one, and refuses."""
    steps = "- {id: again, run: kubectl rollout restart deployment/stranger}"
    bench = failing(steps, rollback="after: 10m\npolicy: always")
    refusal = Refused("no earlier revision was seen good")
    bench.actor.will("prepare kubectl rollout undo deployment/stranger -n production", refusal)
    ended = await bench.drive()
    assert len(bench.effects) == 1
    assert ended.state is IncidentState.NEEDS_OPERATOR


async def test_a_rollback_is_over_when_its_rollout_is_complete_and_all_has_lasted() -> None:
    """A service that was well all along proves nothing while its pods are being replaced."""
    bench = failing(heals="nothing")
    changed = bench.actor.on_change

    def on_change(text: str) -> None:
        changed(text)
        if text == TO_LAST_GOOD:
            bench.observed.show(ready=3, updated=1)
            bench.at(clock() + 240, lambda: bench.observed.show(pods=(pod("web-9", made=moment(seconds=clock())),)))

    bench.actor.on_change = on_change
    ended = await bench.drive()
    assert ended.state is IncidentState.ROLLED_BACK
    assert clock() == pytest.approx(600 + 240 + 120, abs=5)


@pytest.mark.parametrize("down", [30, 600, 3000, 90000])
async def test_a_process_that_was_away_after_the_last_change_looks_again(down: float) -> None:
    """P5: what it sees first is no more than a moment old, and says nothing yet."""
    bench = failing()
    await bench.drive_until_killed(610)
    assert bench.effects == [RESTARTED, TO_LAST_GOOD]
    await bench.sleep_until(610 + down)
    view = bench.observed.views["web"]
    bench.observed.views["web"] = replace(view, healthy_since=moment(seconds=clock()))
    ended = await bench.drive()
    assert ended.state is IncidentState.ROLLED_BACK
    assert clock() == pytest.approx(610 + down + 120, abs=5)


async def test_a_rollback_whose_rollout_is_stuck_says_so() -> None:
    bench = failing(heals="nothing")
    bench.actor.on_change = lambda text: bench.observed.show(ready=3, updated=1) if text == TO_LAST_GOOD else None
    bench.observed.show(template="bad")
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith(
        "rolled back (web is still failing at the deadline): deployment/web from revision 3 to 1, which was seen good;"
        " but the rollout of deployment/web is not complete: 1 of 3 pods are of the new template"
    )


async def test_a_rollback_comes_to_its_end_when_nothing_can_be_seen_any_more() -> None:
    """P6: nothing is taken back on old news, and a person hears of it."""
    bench = failing()
    bench.at(595, lambda: setattr(bench.observed, "stale_reason", "the watch is silent"))
    ended = await bench.drive()
    assert bench.effects == [RESTARTED]
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("the rollback failed: it did not finish within 1h")
    assert clock() == pytest.approx(600 + 3600, abs=5)


async def test_a_rollback_that_a_person_freezes_is_handed_over_at_once() -> None:
    bench = failing()
    bench.at(595, lambda: setattr(bench.observed, "stale_reason", "the watch is silent"))
    bench.at(700, lambda: bench.ledger.pauses.append(pause(since=moment(seconds=700), freeze=True)))
    ended = await bench.drive()
    assert bench.effects == [RESTARTED]
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "frozen by ada" in ended.reason
    assert clock() == pytest.approx(700, abs=5)


async def test_a_rollback_that_is_asked_for_once_more_has_its_whole_time() -> None:
    bench = failing()
    bench.at(595, lambda: setattr(bench.observed, "stale_reason", "the watch is silent"))
    await bench.drive()
    asked = replace(
        bench.ledger.record,
        state=IncidentState.ROLLING_BACK,
        reason="rollback asked for by ada",
        rollback_requested_by="ada",
        finished=None,
    )
    bench.ledger.record = asked
    bench.at(clock() + 600, lambda: setattr(bench.observed, "stale_reason", ""))
    ended = await bench.drive()
    assert ended.state is IncidentState.ROLLED_BACK
    assert ended.reason.startswith("rolled back (rollback asked for by ada): deployment/web from revision 3 to 1")


@pytest.mark.long
def test_the_undo_goes_to_the_last_good_revision_once_wherever_the_process_ends() -> None:
    """C1, P3."""

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.ROLLED_BACK, f"{where}: {ended.reason}"
        assert bench.effects == [RESTARTED, TO_LAST_GOOD], where
        assert bench.step("again#0~0", Phase.UNDO).state is StepState.DONE, where

    assert cut_everywhere(failing, check) > 20
