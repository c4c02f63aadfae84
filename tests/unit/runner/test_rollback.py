"""The rollback: the runbook's own steps, then what else the run changed, newest first, then a last look (E15, E13)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.actions.effect_plan import record_without_undo, undone_by
from kintsugi.commands import parse
from kintsugi.errors import Forbidden, Refused, TooManyRequests
from kintsugi.model.command import Command, Verb
from kintsugi.model.records import IncidentState, Phase, RunRecord, StepState, UndoRecord
from kintsugi.verbs.rollout import Rollout
from tests.unit.executor.scripted_actor import ContainedCall, Lost
from tests.unit.factories import moment, pod, runbook_text
from tests.unit.runner.bench import SCALE, RunBench, clock, cut_everywhere, ended_as

pytestmark = pytest.mark.looptime

DO, UNDO = ["kubectl cordon one", "kubectl cordon two"], ["kubectl uncordon two", "kubectl uncordon one"]
TWO = "- {id: one, run: kubectl cordon one}\n- {id: two, run: kubectl cordon two}\n"
BACK = """\
after: 10m
steps:
  - {id: history, run: kubectl get pods}
  - {id: mark, run: kubectl cordon three}
"""


def failing(
    steps: str = TWO, *, rollback: str = "after: 10m", heals: str = "kubectl uncordon one", more: str = ""
) -> RunBench:
    """Make a run that does not help; what is taken back last does, at once."""
    return RunBench(steps, rollback=rollback, heals=heals, heals_after=timedelta(0), more=more)


async def test_changes_are_taken_back_newest_first() -> None:
    bench = failing()
    await bench.drive()
    assert bench.ended == (IncidentState.ROLLED_BACK, DO + UNDO)
    assert bench.reason == (
        "rolled back (web is still failing at the deadline): kubectl uncordon two, kubectl uncordon one; web is healthy"
    )
    assert bench.step("two#0~0", Phase.UNDO).name == "Undo: two"


async def test_the_runbooks_own_steps_come_first_and_are_never_rolled_back() -> None:
    """E15: what they changed has an undo on record, but is not taken back."""
    bench = failing(rollback=BACK)
    await bench.drive()
    assert bench.effects[2:] == ["kubectl cordon three", *UNDO]
    assert bench.step("mark", Phase.ROLLBACK).state is StepState.DONE


async def test_the_changes_of_a_rule_that_was_taken_out_meanwhile_are_taken_back_and_no_more_are_made() -> None:
    """Somebody who removes or renames a rule has said nothing about what it has left half done."""
    bench = failing(TWO.replace("- {id: two", "- {id: rest, for: 1m, expect: 1 == 1}\n- {id: two"))
    bench.at(30, lambda: setattr(bench.observed, "taken_out", "rule web-pods is no longer in the catalog"))
    await bench.drive()
    assert bench.ended == (IncidentState.ROLLED_BACK, ["kubectl cordon one", "kubectl uncordon one"])


@pytest.mark.parametrize(
    ("step", "script"),
    [
        ("- {id: other, run: kubectl cordon other, undo: keep}\n", {}),
        (
            "- {id: other, run: kubectl cordon other, onFailure: continue}\n",
            {"prepare kubectl cordon other": Refused("it is cordoned already")},
        ),
        (
            "- {id: other, run: kubectl cordon other, when: service.ready > 5, undo: [{id: back, run: kubectl uncordon other}]}\n",
            {},
        ),
    ],
    ids=["kept by the runbook's word", "refused", "left out"],
)
async def test_a_change_that_was_not_made_or_is_to_stay_is_not_taken_back(
    step: str, script: Mapping[str, ContainedCall]
) -> None:
    bench = RunBench(step + TWO, rollback="after: 10m", heals="kubectl uncordon one", script=script)
    await bench.drive()
    assert bench.effects[-2:] == UNDO
    assert "kubectl uncordon other" not in bench.effects


async def test_a_change_that_was_surely_not_made_in_time_is_not_taken_back() -> None:
    """A write that the server refused changed nothing: to undo it would change something."""
    bench = failing(TWO + "- {id: late, run: kubectl cordon late}", rollback="after: 1m")
    bench.actor.will("perform kubectl cordon late", *[TooManyRequests("busy")] * 1000)
    bench.at(30, bench.request_rollback)
    await bench.drive()
    assert (bench.step("late#0").state, bench.step("late#0").error) == (StepState.PLANNED, "not made: busy")
    assert bench.ended == (IncidentState.ROLLED_BACK, DO + UNDO)


async def test_a_change_that_may_have_happened_is_taken_back_too() -> None:
    bench = failing(rollback="after: 1m\npolicy: always")
    bench.actor.takes = timedelta(seconds=50)
    bench.actor.will("perform kubectl cordon two", Lost(applied=True))
    await bench.drive()
    assert bench.effects[-2:] == UNDO


HEALS = "\nsteps: [{id: mend, run: kubectl cordon bad}, {id: wait, expect: service.healthy, within: 1m}]"


@pytest.mark.parametrize(
    ("heals", "effects", "state"),
    [
        ("", [], IncidentState.NEEDS_OPERATOR),
        (
            HEALS,
            ["kubectl cordon bad", "kubectl scale deployment web --replicas=3 -n production"],
            IncidentState.ROLLED_BACK,
        ),
    ],
)
async def test_copies_that_were_added_stay_until_the_rollback_has_made_the_service_well(
    heals: str, effects: list[str], state: IncidentState
) -> None:
    bench = RunBench(f"- {{id: scale, run: {SCALE}}}", rollback=f"after: 10m{heals}", heals="kubectl cordon bad")
    await bench.drive()
    assert bench.ended == (state, [SCALE, *effects])


OWN_UNDO = """\
- {id: look, run: kubectl get pods, expect: size(items) == 2}
- id: one
  run: kubectl cordon one
  undo:
    - {id: first, run: "kubectl uncordon ${params.node}-${size(steps.look.items)}", when: steps.one.ran}
    - {id: second, run: kubectl uncordon one}
- {id: two, run: kubectl cordon two}
"""


async def test_steps_that_the_author_wrote_take_a_change_back_in_their_own_way() -> None:
    """They see parameters and what the run saw."""
    bench = failing(OWN_UNDO, more="parameters: {node: {type: name, default: alpha}}")
    bench.ledger.record = replace(bench.ledger.record, parameters={"node": "alpha"})
    bench.prober.will("kubectl get pods", lambda: {"items": [{}, {}]})
    await bench.drive()
    assert bench.effects[2:] == ["kubectl uncordon two", "kubectl uncordon alpha-2", "kubectl uncordon one"]
    assert bench.has("first", Phase.UNDO)
    assert bench.state is IncidentState.ROLLED_BACK


async def test_changes_inside_groups_and_items_are_found_but_not_those_of_a_child_that_recovered() -> None:
    child = runbook_text("- {id: deep, run: kubectl cordon deep}", name="child", rollback="after: 5m")
    steps = """\
    - {id: group, parallel: [{id: a, run: kubectl cordon a}, {id: b, run: kubectl cordon b, needs: [a]}]}
    - {id: items, forEach: service.pods, run: "kubectl cordon ${each.metadata.name}"}
    - {id: call, runbook: child}
    """
    bench = RunBench(steps, documents=(child,), rollback="after: 10m", heals="kubectl uncordon a", takes=1)
    await bench.drive()
    undone = [text.split()[-1] for text in bench.effects if "uncordon" in text]
    assert undone == ["web-3", "web-2", "web-1", "b", "a"], "what a child recovered is not undone by its parent"


@pytest.mark.parametrize("more", [True, False])
async def test_a_change_that_a_step_has_taken_back_in_mid_run_is_not_taken_back_again(more: bool) -> None:
    """Nor does that count as a rollback."""
    reverts = "- {id: one, run: kubectl cordon one}\n- {id: back, undoStep: one}\n"
    two = "- {id: two, run: kubectl cordon two}" if more else ""
    bench = failing(reverts + two, heals="kubectl uncordon two")
    await bench.drive()
    once = ["kubectl cordon one", "kubectl uncordon one"]
    assert bench.effects == [*once, *(["kubectl cordon two", "kubectl uncordon two"] if more else [])]
    if not more:
        assert bench.state is IncidentState.NEEDS_OPERATOR
        assert "the run has no change to undo" in bench.reason


@pytest.mark.parametrize("stage", ["perform", "prepare"], ids=["a right is missing", "it cannot be looked at"])
async def test_a_rollback_that_fails_calls_a_person(stage: str) -> None:
    """E15."""
    bench = failing()
    bench.actor.will(f"{stage} kubectl uncordon two", Forbidden("may not"))
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("the rollback failed: two#0~0: ")
    assert "may not" in ended.reason
    assert "Done:\n  kubectl cordon one\n  kubectl cordon two" in ended.reason
    assert "Undo commands, newest first:\n  kubectl uncordon two\n  kubectl uncordon one" in ended.reason


@pytest.mark.parametrize(
    ("steps", "rollback", "why"),
    [
        (
            TWO,
            """\
            after: 10m
            steps:
              - {id: look, run: kubectl get pods}
              - {id: back, run: "kubectl uncordon ${steps.look.items[7].metadata.name}"}
            """,
            "the rollback failed: back: ",
        ),
        (
            TWO,
            "after: 10m",
            "kubectl uncordon two, kubectl uncordon one; but web is not healthy: 1 of 3 ready",
        ),
        ("- {id: look, run: kubectl get pods}", "after: 10m\npolicy: always", "the run has no change to undo"),
    ],
    ids=["without its values", "that does not help", "of nothing"],
)
async def test_a_rollback_that_comes_to_nothing_calls_a_person(steps: str, rollback: str, why: str) -> None:
    """E15: with the commands, but those that were made already: a person must not undo twice."""
    bench = failing(steps, rollback=rollback, heals="nothing")
    await bench.drive()
    assert bench.state is IncidentState.NEEDS_OPERATOR
    assert why in bench.reason
    assert ("kubectl uncordon one" in bench.reason) is (steps == TWO)
    assert "To undo it" not in bench.reason


async def test_a_rollback_that_is_under_way_goes_on_through_a_pause() -> None:
    """E29."""
    bench = failing()
    bench.actor.takes = timedelta(seconds=20)
    bench.pause(610)
    times = bench.note_times()
    assert (await bench.drive()).state is IncidentState.ROLLED_BACK
    assert times["kubectl uncordon one"] > 610


@pytest.mark.parametrize("rollback", ["after: 10m", BACK])
async def test_under_a_freeze_nothing_is_taken_back_and_a_person_has_the_commands(rollback: str) -> None:
    """E29: freeze is for when even going back must not happen."""
    bench = failing(rollback=rollback)
    bench.pause(300, freeze=True)
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, DO)
    assert "frozen by ada: a release" in bench.reason
    assert "kubectl uncordon two\n  kubectl uncordon one" in bench.reason


@pytest.mark.long
def test_every_change_is_taken_back_once_wherever_the_process_ends() -> None:
    """C1, P3."""
    check = ended_as(IncidentState.ROLLED_BACK, *DO, *UNDO)
    assert cut_everywhere(lambda: failing(rollback="after: 3m"), check) > 40


def test_a_way_back_of_two_commands_is_gone_to_its_end_wherever_the_process_ends() -> None:
    """C1: a volume that is freed but not bound again is worse than before."""
    first, second = "kubectl uncordon alpha", "kubectl uncordon one"

    def make() -> RunBench:
        bench = failing("- {id: one, run: kubectl cordon one}", rollback="after: 3m")
        bench.actor.undo_of = lambda _: undone_by(parse(first), parse(second))
        return bench

    cut_everywhere(make, ended_as(IncidentState.ROLLED_BACK, "kubectl cordon one", first, second))


RESTART = "- {id: again, run: kubectl rollout restart deployment/web}"
RESTARTED = "kubectl rollout restart deployment/web -n production"
TO_LAST_GOOD = "kubectl rollout undo deployment/web -n production"
TO_THE_ONE_BEFORE = "kubectl rollout undo deployment/web --to-revision=2 -n production"
UNREADY = "- {id: wait, expect: service.ready > 99, within: 10s, onFailure: continue}"
REVERT = "- {id: back, undoStep: again}"


def restarting(
    steps: str = RESTART, *, before: str = "bad", rollback: str = "after: 10m", heals: str = TO_LAST_GOOD
) -> RunBench:
    """Make a run that restarts revision 2 in vain; revision 1, whose template is called `good`, was seen good."""
    bench = failing(steps, rollback=rollback, heals=heals)
    bench.observed.known_good = frozenset({"good"})
    bench.observed.last_good_number = 1
    bench.observed.show(template=before)
    bench.actor.facts_of = lambda command: facts(command, before)
    bench.actor.undo_of = way_back
    bench.at_each_change(lambda text: bench.observed.show(template="stamped") if text == RESTARTED else None)
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


@pytest.mark.parametrize(
    ("steps", "rollback", "effects"),
    [
        (RESTART, "", [RESTARTED, TO_LAST_GOOD]),
        (f"{RESTART}\n{RESTART.replace('again', 'more')}", "", [RESTARTED, RESTARTED, TO_LAST_GOOD]),
        (
            "\n".join((RESTART, UNREADY, REVERT, UNREADY.replace("wait", "wait2"), RESTART.replace("again", "more"))),
            "",
            [RESTARTED, TO_THE_ONE_BEFORE, RESTARTED, TO_LAST_GOOD],
        ),
        (
            RESTART,
            "\nsteps: [{id: back, run: kubectl rollout undo deployment/web --to-revision=1}]",
            [RESTARTED, "kubectl rollout undo deployment/web --to-revision=1 -n production"],
        ),
    ],
    ids=["one", "several", "one after one that was reverted", "one that a rollback step has dealt with"],
)
async def test_restarts_have_one_way_back_to_the_last_good_revision(
    steps: str, rollback: str, effects: list[str]
) -> None:
    """E13: a bad revision that was restarted is left for the last good one."""
    bench = restarting(steps, rollback=f"after: 10m{rollback}")
    await bench.drive()
    assert bench.effects == effects
    if steps == RESTART and not rollback:
        assert bench.state is IncidentState.ROLLED_BACK
        assert bench.reason == (
            "rolled back (web is still failing at the deadline):"
            " deployment/web from revision 3 to 1, which was seen good; web is healthy"
        )


async def test_a_workload_that_a_rollback_step_has_set_already_is_not_set_again() -> None:
    ahead, back = (f"kubectl rollout undo deployment/web --to-revision={number}" for number in (7, 3))
    bench = failing(
        f"- {{id: ahead, run: {ahead}}}", rollback=f"after: 10m\nsteps: [{{id: back, run: {back}}}]", heals=back
    )
    undo = parse("kubectl rollout undo deployment/web --to-revision=6", namespace="production")
    bench.actor.undo_of = lambda _: undone_by(undo)
    await bench.drive()
    assert bench.ended == (IncidentState.ROLLED_BACK, [f"{ahead} -n production", f"{back} -n production"])


@pytest.mark.parametrize("other", ["statefulset/web", "deployment/web -n staging", "deployment/api"])
async def test_a_rollback_step_deals_with_no_other_workload_of_the_name(other: str) -> None:
    """Workloads are one only by kind, name and namespace."""
    back = f"after: 10m\nsteps: [{{id: back, run: kubectl rollout undo {other} --to-revision=1}}]"
    bench = restarting(rollback=back)
    await bench.drive()
    assert bench.effects[2:] == [TO_LAST_GOOD]


async def test_a_good_revision_that_was_restarted_and_fails_is_not_to_blame() -> None:
    """Its template was seen good but for the stamp: to go back over the restart would only restart it once more."""
    bench = restarting(before="good")
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [RESTARTED])
    why = "not rolled back: the failing revision was seen good before, so a rollback would not help"
    assert bench.reason.startswith(why)
    assert "To roll the workload back" not in bench.reason, "the notice recommends what it has just refused"


async def test_a_person_s_word_takes_the_restart_of_a_good_revision_back() -> None:
    bench = restarting(before="good", heals=TO_THE_ONE_BEFORE)
    bench.at(30, bench.request_rollback)
    await bench.drive()
    assert bench.ended == (IncidentState.ROLLED_BACK, [RESTARTED, TO_THE_ONE_BEFORE])


async def test_without_a_good_revision_nothing_is_taken_back_and_a_person_hears_why() -> None:
    bench = restarting()
    refusal = "no earlier revision of deployment/web was seen good: a person has to choose one"
    bench.actor.will(f"prepare {TO_LAST_GOOD}", Refused(refusal))
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [RESTARTED])
    assert bench.reason.startswith("the rollback failed: the run has no change to undo: " + refusal)
    assert "To roll the workload back:\n  kubectl rollout undo deployment/web --to-revision=1" in bench.reason


async def test_the_restart_of_a_workload_that_is_no_service_s_goes_back_to_nothing_unknown() -> None:
    """Nobody knows which of its revisions are good: the action is asked for the last good one, and refuses."""
    bench = restarting(RESTART.replace("/web", "/stranger"), rollback="after: 10m\npolicy: always")
    refusal = Refused("no earlier revision was seen good")
    bench.actor.will("prepare kubectl rollout undo deployment/stranger -n production", refusal)
    await bench.drive()
    assert (bench.state, len(bench.effects)) == (IncidentState.NEEDS_OPERATOR, 1)


async def test_a_step_that_calls_a_person_for_a_release_of_helm_names_the_command_of_helm() -> None:
    """An undo behind Helm's back would be overwritten by its next upgrade."""
    bench = restarting("- {id: enough, expect: service.ready > 99, within: 10s, onFailure: escalate}")
    bench.observed.release = "shop"
    await bench.drive()
    assert bench.state is IncidentState.NEEDS_OPERATOR
    assert "To roll the workload back:\n  helm rollback shop -n production" in bench.reason
    assert "kubectl rollout undo" not in bench.reason


async def test_a_rollback_is_over_when_its_rollout_is_complete_and_all_has_lasted() -> None:
    """A service that was well all along proves nothing while its pods are being replaced."""
    bench = restarting(heals="nothing")

    def roll_out(text: str) -> None:
        if text == TO_LAST_GOOD:
            bench.observed.show(ready=3, updated=1)
            bench.at(clock() + 240, lambda: bench.observed.show(pods=(pod("web-9", made=moment(seconds=clock())),)))

    bench.at_each_change(roll_out)
    assert (await bench.drive()).state is IncidentState.ROLLED_BACK
    assert clock() == pytest.approx(600 + 240 + 120, abs=5)


@pytest.mark.parametrize("down", [30, 600, 3000, 90000])
async def test_a_process_that_was_away_after_the_last_change_looks_again(down: float) -> None:
    """P5: what it sees first is no more than a moment old, and says nothing yet."""
    bench = restarting()
    await bench.drive_until_killed(610)
    assert bench.effects == [RESTARTED, TO_LAST_GOOD]
    await bench.sleep_until(610 + down)
    view = bench.observed.views["web"]
    bench.observed.views["web"] = replace(view, healthy_since=moment(seconds=clock()))
    assert (await bench.drive()).state is IncidentState.ROLLED_BACK
    assert clock() == pytest.approx(610 + down + 120, abs=5)


async def test_a_rollback_whose_rollout_is_stuck_says_so() -> None:
    bench = restarting(heals="nothing")
    bench.actor.on_change = lambda text: bench.observed.show(ready=3, updated=1) if text == TO_LAST_GOOD else None
    await bench.drive()
    assert bench.state is IncidentState.NEEDS_OPERATOR
    assert bench.reason.startswith(
        "rolled back (web is still failing at the deadline): deployment/web from revision 3 to 1, which was seen good;"
        " but the rollout of deployment/web is not complete: 1 of 3 pods are of the new template"
    )


@pytest.mark.parametrize(
    ("freezes", "why", "over"),
    [(False, "the rollback failed: it did not finish within 1h", 600 + 3600), (True, "frozen by ada", 700)],
)
async def test_a_rollback_comes_to_its_end_when_nothing_can_be_seen_any_more_or_a_person_freezes_it(
    freezes: bool, why: str, over: float
) -> None:
    """P6: nothing is taken back on old news, and a person hears of it; one who asks once more gives it its whole time."""
    bench = restarting()
    bench.blind(595)
    if freezes:
        bench.pause(700, freeze=True)
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [RESTARTED])
    assert why in bench.reason
    assert clock() == pytest.approx(over, abs=5)
    bench.reopen()
    bench.ledger.lift()
    bench.at(clock() + 600, lambda: setattr(bench.observed, "stale_reason", ""))
    assert (await bench.drive()).state is IncidentState.ROLLED_BACK
    assert bench.reason.startswith("rolled back (rollback asked for by ada): deployment/web from revision 3 to 1")


@pytest.mark.long
def test_the_undo_goes_to_the_last_good_revision_once_wherever_the_process_ends() -> None:
    """C1, P3."""

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        ended_as(IncidentState.ROLLED_BACK, RESTARTED, TO_LAST_GOOD)(where, bench, ended)
        assert bench.step("again#0~0", Phase.UNDO).state is StepState.DONE, where

    assert cut_everywhere(restarting, check) > 20
