"""The rollback: the runbook's own steps, then what else the run changed, newest first, then a last look (E15)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.actions.effect_plan import undone_by
from kintsugi.errors import Forbidden, Refused, TooManyRequests
from kintsugi.model.command import ObjectName, Verb
from kintsugi.model.records import IncidentState, Phase, RunRecord, StepState
from kintsugi.verbs.cordon import Cordon
from kintsugi.verbs.rollout import Rollout
from kubeobjects import resources
from tests.unit.executor.scripted_actor import Lost
from tests.unit.factories import moment, pause, runbook_text
from tests.unit.runner.bench import RunBench, cut_everywhere

pytestmark = pytest.mark.looptime

TWO = "- {id: one, run: kubectl cordon one}\n- {id: two, run: kubectl cordon two}\n"
BACK = """\
after: 10m
steps:
  - {id: history, run: kubectl get pods}
  - {id: mark, run: kubectl cordon three}
"""


def failing(steps: str = TWO, *, rollback: str = "after: 10m", heals: str = "kubectl uncordon one") -> RunBench:
    """Make a run that does not help; what is taken back last does, at once."""
    return RunBench(steps, rollback=rollback, heals=heals, heals_after=timedelta(0))


async def test_changes_are_taken_back_newest_first() -> None:
    bench = failing()
    ended = await bench.drive()
    assert bench.effects == [
        "kubectl cordon one",
        "kubectl cordon two",
        "kubectl uncordon two",
        "kubectl uncordon one",
    ]
    assert (ended.state, ended.reason) == (
        IncidentState.ROLLED_BACK,
        "rolled back (web is still failing at the deadline): kubectl uncordon two, kubectl uncordon one; web is healthy",
    )
    assert bench.step("two#0~0", Phase.UNDO).name == "Undo: two"


async def test_the_changes_of_a_rule_that_was_taken_out_meanwhile_are_taken_back_and_no_more_are_made() -> None:
    """Somebody who removes or renames a rule has said nothing about what it has left half done."""
    bench = failing(TWO.replace("- {id: two", "- {id: rest, for: 1m, expect: 1 == 1}\n- {id: two"))
    bench.at(30, lambda: setattr(bench.observed, "taken_out", "rule web-pods is no longer in the catalog"))
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one", "kubectl uncordon one"]
    assert ended.state is IncidentState.ROLLED_BACK


async def test_the_runbooks_own_steps_come_first() -> None:
    bench = failing(rollback=BACK)
    await bench.drive()
    assert bench.effects[2:] == ["kubectl cordon three", "kubectl uncordon two", "kubectl uncordon one"]
    assert bench.step("mark", Phase.ROLLBACK).state is StepState.DONE


async def test_a_rollback_is_never_rolled_back() -> None:
    """E15: what the rollback's steps changed has an undo on record, but is not taken back."""
    bench = failing(rollback=BACK)
    await bench.drive()
    assert "kubectl uncordon three" not in bench.effects


async def test_a_change_that_stays_by_the_runbooks_word_is_not_taken_back() -> None:
    bench = failing("- {id: keep, run: kubectl cordon keep, undo: keep}\n" + TWO)
    await bench.drive()
    assert "kubectl uncordon keep" not in bench.effects


async def test_a_refused_or_failed_change_is_not_taken_back() -> None:
    bench = failing("- {id: no, run: kubectl cordon no, onFailure: continue}\n" + TWO)
    bench.actor.will("prepare kubectl cordon no", Refused("it is cordoned already"))
    await bench.drive()
    assert "kubectl uncordon no" not in bench.effects


async def test_a_change_that_was_surely_not_made_in_time_is_not_taken_back() -> None:
    """A write that the server refused changed nothing: to undo it would change something."""
    bench = failing(TWO + "- {id: late, run: kubectl cordon late}", rollback="after: 1m")
    bench.actor.will("perform kubectl cordon late", *[TooManyRequests("busy")] * 1000)
    bench.at(30, lambda: bench.driver.request_rollback("ada") if bench.driver else None)
    ended = await bench.drive()
    assert (bench.step("late#0").state, bench.step("late#0").error) == (StepState.PLANNED, "not made: busy")
    assert bench.effects[2:] == ["kubectl uncordon two", "kubectl uncordon one"]
    assert ended.state is IncidentState.ROLLED_BACK


async def test_a_change_that_may_have_happened_is_taken_back_too() -> None:
    bench = failing(TWO, rollback="after: 1m\npolicy: always")
    bench.actor.takes = timedelta(seconds=50)
    bench.actor.will("perform kubectl cordon two", Lost(applied=True))
    await bench.drive()
    assert bench.effects[-2:] == ["kubectl uncordon two", "kubectl uncordon one"]


async def test_copies_that_were_added_stay_while_the_service_is_not_well() -> None:
    bench = RunBench("- {id: scale, run: kubectl scale deployment/web --replicas=5}", rollback="after: 10m")
    ended = await bench.drive()
    assert bench.effects == ["kubectl scale deployment web --replicas=5 -n production"]
    assert ended.state is IncidentState.NEEDS_OPERATOR


async def test_copies_that_were_added_are_taken_away_when_the_rollback_has_made_the_service_well() -> None:
    bench = RunBench(
        "- {id: scale, run: kubectl scale deployment/web --replicas=5}",
        rollback="after: 10m\nsteps: [{id: mend, run: kubectl cordon bad}, {id: wait, expect: service.healthy, within: 1m}]",
        heals="kubectl cordon bad",
    )
    ended = await bench.drive()
    assert bench.effects[-1] == "kubectl scale deployment web --replicas=3 -n production"
    assert ended.state is IncidentState.ROLLED_BACK


async def test_a_workload_that_a_rollback_step_has_set_already_is_not_set_again() -> None:
    bench = RunBench(
        "- {id: ahead, run: kubectl rollout undo deployment/web --to-revision=7}",
        rollback="after: 10m\nsteps: [{id: back, run: kubectl rollout undo deployment/web --to-revision=3}]",
        heals="kubectl rollout undo deployment/web --to-revision=3",
        heals_after=timedelta(0),
    )
    bench.actor.undo_of = lambda _: undone_by(
        Rollout(
            verb=Verb.ROLLOUT_UNDO,
            object=ObjectName(resource=resources.DEPLOYMENTS, name="web"),
            namespace="production",
            revision=6,
        )
    )
    ended = await bench.drive()
    assert [text.split("=")[1].split()[0] for text in bench.effects] == ["7", "3"]
    assert ended.state is IncidentState.ROLLED_BACK


async def test_steps_that_the_author_wrote_take_a_change_back_in_their_own_way() -> None:
    steps = """\
    - id: one
      run: kubectl cordon one
      undo:
        - {id: first, run: kubectl uncordon alpha}
        - {id: second, run: kubectl uncordon one}
    - {id: two, run: kubectl cordon two}
    """
    bench = failing(steps)
    ended = await bench.drive()
    assert bench.effects[2:] == ["kubectl uncordon two", "kubectl uncordon alpha", "kubectl uncordon one"]
    assert bench.has("first", Phase.UNDO)
    assert ended.state is IncidentState.ROLLED_BACK


async def test_steps_that_the_author_wrote_see_parameters_and_what_the_run_saw() -> None:
    steps = """\
    - {id: look, run: kubectl get pods, expect: size(items) == 2}
    - id: one
      run: kubectl cordon one
      undo:
        - {id: back, run: "kubectl uncordon ${params.node}-${size(steps.look.items)}", when: steps.one.ran}
    """
    bench = RunBench(
        steps,
        rollback="after: 10m",
        more="parameters: {node: {type: name, default: alpha}}",
        heals="kubectl uncordon alpha-2",
        heals_after=timedelta(0),
    )
    bench.ledger.record = replace(bench.ledger.record, parameters={"node": "alpha"})
    bench.prober.will("kubectl get pods", lambda: {"items": [{}, {}]})
    ended = await bench.drive()
    assert bench.effects[1:] == ["kubectl uncordon alpha-2"]
    assert ended.state is IncidentState.ROLLED_BACK


async def test_steps_that_the_author_wrote_for_a_change_that_was_not_made_are_left_out() -> None:
    steps = """\
    - {id: one, run: kubectl cordon one, when: service.ready > 5, undo: [{id: back, run: kubectl uncordon alpha}]}
    - {id: two, run: kubectl cordon two}
    """
    bench = failing(steps, heals="kubectl uncordon two")
    await bench.drive()
    assert bench.effects == ["kubectl cordon two", "kubectl uncordon two"]


async def test_changes_inside_groups_and_items_are_found_but_not_those_of_a_child_that_recovered() -> None:
    child = runbook_text("- {id: deep, run: kubectl cordon deep}", name="child", rollback="after: 5m")
    bench = RunBench(
        """\
        - {id: group, parallel: [{id: a, run: kubectl cordon a}, {id: b, run: kubectl cordon b, needs: [a]}]}
        - {id: items, forEach: service.pods, run: "kubectl cordon ${each.metadata.name}"}
        - {id: call, runbook: child}
        """,
        documents=(child,),
        rollback="after: 10m",
        heals="kubectl uncordon a",
        heals_after=timedelta(0),
    )
    bench.actor.takes = timedelta(seconds=1)
    await bench.drive()
    undone = [text.split()[-1] for text in bench.effects if "uncordon" in text]
    assert undone == ["web-3", "web-2", "web-1", "b", "a"], "what a child recovered is not undone by its parent"


async def test_revert_takes_an_earlier_step_back_in_mid_run_and_only_once() -> None:
    bench = failing(
        "- {id: one, run: kubectl cordon one}\n- {id: back, undoStep: one}\n- {id: two, run: kubectl cordon two}",
        heals="kubectl uncordon two",
    )
    await bench.drive()
    assert bench.effects == ["kubectl cordon one", "kubectl uncordon one", "kubectl cordon two", "kubectl uncordon two"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda bench: bench.actor.will("perform kubectl uncordon two", Forbidden("may not patch nodes")),
            "may not patch",
        ),
        (lambda bench: bench.actor.will("prepare kubectl uncordon two", Forbidden("may not get nodes")), "may not get"),
    ],
    ids=["a right is missing", "it cannot be looked at"],
)
async def test_a_rollback_that_fails_calls_a_person(spoil: Callable[[RunBench], None], reason: str) -> None:
    """E15."""
    bench = failing()
    spoil(bench)
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("the rollback failed: two#0~0: ")
    assert reason in ended.reason
    assert "Done:\n  kubectl cordon one\n  kubectl cordon two" in ended.reason
    assert "Undo commands, newest first:\n  kubectl uncordon two\n  kubectl uncordon one" in ended.reason


async def test_a_rollback_step_without_its_values_calls_a_person_with_the_commands() -> None:
    """E15: there is no revision to go back to."""
    bench = failing(
        rollback="""\
        after: 10m
        steps:
          - {id: look, run: kubectl get pods}
          - {id: back, run: "kubectl uncordon ${steps.look.items[7].metadata.name}"}
        """
    )
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("the rollback failed: back: ")
    assert "kubectl uncordon one" in ended.reason


async def test_a_rollback_that_does_not_help_calls_a_person() -> None:
    bench = failing(heals="nothing")
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith(
        "rolled back (web is still failing at the deadline): kubectl uncordon two, kubectl uncordon one;"
        " but web is not healthy: 1 of 3 ready"
    )


async def test_a_change_that_has_been_taken_back_is_not_told_to_be_taken_back() -> None:
    """A person who is handed commands must not undo twice."""
    bench = failing(heals="nothing")
    ended = await bench.drive()
    assert "To undo it" not in ended.reason


async def test_a_run_that_changed_nothing_has_nothing_to_be_taken_back() -> None:
    bench = RunBench("- {id: look, run: kubectl get pods}", rollback="after: 10m\npolicy: always")
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "the run has no change to undo" in ended.reason


async def test_a_rollback_that_is_under_way_goes_on_through_a_pause() -> None:
    """E29."""
    bench = failing()
    bench.actor.takes = timedelta(seconds=20)
    bench.at(610, lambda: bench.ledger.pauses.append(pause(since=moment(seconds=610))))
    times = bench.note_times()
    ended = await bench.drive()
    assert times["kubectl uncordon one"] > 610
    assert ended.state is IncidentState.ROLLED_BACK


@pytest.mark.parametrize("rollback", ["after: 10m", BACK])
async def test_under_a_freeze_nothing_is_taken_back_and_a_person_has_the_commands(rollback: str) -> None:
    """E29: freeze is for when even going back must not happen."""
    bench = failing(rollback=rollback)
    bench.at(300, lambda: bench.ledger.pauses.append(pause(freeze=True)))
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one", "kubectl cordon two"]
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "frozen by ada: a release" in ended.reason
    assert "kubectl uncordon two\n  kubectl uncordon one" in ended.reason


async def test_no_change_is_taken_back_on_old_news() -> None:
    """P6."""
    bench = failing()
    bench.at(590, lambda: setattr(bench.observed, "stale_reason", "the watch is silent"))
    bench.at(2000, lambda: setattr(bench.observed, "stale_reason", ""))
    times = bench.note_times()
    await bench.drive()
    assert min(list(times.values())[2:]) >= 1999


def soon_failing() -> RunBench:
    """Make a run that does not help, with an early deadline."""
    return failing(rollback="after: 3m")


@pytest.mark.long
def test_every_change_is_taken_back_once_wherever_the_process_ends() -> None:
    """C1, P3."""

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.ROLLED_BACK, f"{where}: {ended.reason}"
        done = ["kubectl cordon one", "kubectl cordon two", "kubectl uncordon two", "kubectl uncordon one"]
        assert bench.effects == done, where

    assert cut_everywhere(soon_failing, check) > 40


def test_a_watchdog_that_is_overdue_after_a_long_absence_takes_back_what_was_done() -> None:
    """P5: the process is away beyond the deadline, from any moment on; what was not done by then is not begun."""

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        made = [text.split()[-1] for text in bench.effects if text.startswith("kubectl cordon")]
        back = [text.split()[-1] for text in bench.effects if text.startswith("kubectl uncordon")]
        assert back == made[::-1], where
        assert made in ([], ["one"], ["one", "two"]), where
        assert ended.state is (IncidentState.ROLLED_BACK if made else IncidentState.NEEDS_OPERATOR), where

    assert cut_everywhere(soon_failing, check, down=900) > 40


@pytest.mark.long
def test_a_way_back_of_two_commands_is_gone_to_its_end_wherever_the_process_ends() -> None:
    """C1: a volume that is freed but not bound again is worse than before."""

    def make() -> RunBench:
        bench = failing("- {id: one, run: kubectl cordon one}", rollback="after: 3m")
        bench.actor.undo_of = lambda _: undone_by(uncordon("alpha"), uncordon("one"))
        return bench

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert bench.effects == ["kubectl cordon one", "kubectl uncordon alpha", "kubectl uncordon one"], where
        assert ended.state is IncidentState.ROLLED_BACK, f"{where}: {ended.reason}"

    cut_everywhere(make, check)


def uncordon(node: str) -> Cordon:
    """Return the command that lets pods onto a node again."""
    return Cordon(objects=(ObjectName(resource=resources.NODES, name=node),), on=False)
