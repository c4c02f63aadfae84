"""A restore that has touched anything goes on to its end, or waits as it is for a person; it is taken back by their word only."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.actions.effect_plan import record_without_undo, undone_by
from kintsugi.commands import encode
from kintsugi.decisions.guards import Limits
from kintsugi.errors import Refused
from kintsugi.model.command import Command, Create, Delete, ObjectName, Patch
from kintsugi.model.records import IncidentState, Pause, PauseScope, Phase, RunRecord, StepState, UndoRecord
from kintsugi.runner.seen_workload import seen_of
from kintsugi.verbs.cordon import Cordon
from kintsugi.verbs.scale import Scale
from kubeobjects.resources import PVCS, PVS
from tests.unit.factories import NOW, runbook_text
from tests.unit.runner.bench import RunBench, clock, cut_everywhere

pytestmark = pytest.mark.looptime

STOP = "kubectl scale deployment api --replicas=0 -n production"
START = "kubectl scale deployment api --replicas=3 -n production"
DELETE = "kubectl delete persistentvolumeclaim data -n production"
CREATE = "kubectl create -n production -f - <<<'{}'"
RESTORE = "pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/app.dump"
STEPS = f"""\
- {{id: writers, forEach: params.writers, run: "kubectl scale ${{each}} --replicas=0"}}
- {{id: claim, run: kubectl delete pvc data}}
- {{id: restore, run: {RESTORE}, undo: none}}
- {{id: verify, run: kubectl get pods, expect: size(items) > 0}}
- {{id: resume, undoStep: writers, expect: service.healthy, within: 5m}}
"""
WRITERS = "parameters: {writers: {type: [workload], default: [deploy/api]}}\ncompleteOnceBegun: true"
CHILD = runbook_text(STEPS, name="restore", more=WRITERS, rollback="after: 20m\nthen: leave")
ROOT = "- {id: data, runbook: restore}\n- {id: last, run: kubectl get nodes}"
CLAIM = ObjectName(resource=PVCS, name="data")
AGAIN = Create(object=CLAIM, namespace="production", manifest="{}")


def undo_of(command: Command) -> UndoRecord:
    """Return the ways back that a restore has: writers start again, the old volume is bound again."""
    match command:
        case Scale():
            return undone_by(replace(command, replicas=3))
        case Delete():
            volume = ObjectName(resource=PVS, name="pv-1")
            return undone_by(command, Patch(object=volume, namespace="", patch="{}", kind="merge"), AGAIN)
        case _:
            return record_without_undo("nothing")


def facts_of(command: Command) -> Mapping[str, object]:
    """Return what an intent of a restore holds besides."""
    return {"then": [encode(AGAIN)]} if isinstance(command, Delete) else {"replicas": 3}


def bench(root: str = ROOT, *, rollback: str = "after: 30m\nthen: leave") -> RunBench:
    """Have a run whose runbook ends with a restore; the service is mended by it."""
    made = RunBench(root, documents=(CHILD,), rollback=rollback, heals="pg_restore")
    made.actor.undo_of, made.actor.facts_of = undo_of, facts_of
    return made


async def test_a_restore_goes_to_its_end_though_the_trigger_ends_and_the_service_looks_well() -> None:
    """An empty database is well, too: half a restore is worse than none."""
    story = bench()
    story.actor.on_change = lambda text: story.heal() if text == DELETE else None
    ended = await story.drive()
    assert ended.state is IncidentState.RECOVERED
    assert story.effects == [STOP, DELETE, CREATE, RESTORE, START]


async def test_a_trigger_that_ends_before_it_touches_anything_ends_it() -> None:
    """E18."""
    story = bench("- {id: wait, expect: service.ready > 5, within: 1m, onFailure: continue}\n" + ROOT)
    story.at(10, story.resolve)
    assert (await story.drive()).state is IncidentState.CANCELLED
    assert story.effects == []


async def test_a_spent_budget_does_not_hold_what_has_begun() -> None:
    """P7: what is stopped would only be stopped for longer."""
    story = bench()

    def spend(text: str) -> None:
        story.ledger.disruptions = (NOW,) * Limits().budget
        if text == RESTORE:
            story.heal()

    story.actor.on_change = spend
    assert (await story.drive()).state is IncidentState.RECOVERED
    assert clock() < 600


async def test_a_person_stops_it_at_the_next_step_by_a_pause() -> None:
    """And it goes on when the pause is lifted."""
    story = bench()
    pause = Pause(id="p-1", scope=PauseScope.GLOBAL, who="ada", why="let me look", since=NOW)

    def stop(text: str) -> None:
        if text == STOP:
            story.ledger.pauses = [pause]
            story.at(clock() + 120, story.ledger.pauses.clear)
        if text == RESTORE:
            story.heal()

    story.actor.on_change = stop
    times = story.note_times()
    assert (await story.drive()).state is IncidentState.RECOVERED
    assert times[DELETE] - times[STOP] == pytest.approx(120, abs=2)


def is_left_as_it_is(ended: RunRecord, story: RunBench) -> None:
    """Writers stay stopped, a person is called and reads how it is taken back; nothing is undone."""
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "Mend it is left as it is for a person" in ended.reason
    assert START in ended.reason
    assert START not in story.effects
    assert not [step for step in story.ledger.kept.values() if step.phase is Phase.UNDO]


async def test_a_restore_that_stops_is_left_for_a_person_though_all_looks_well() -> None:
    """A database that is well is not yet one that may be written to."""
    story = bench()
    story.prober.will("kubectl get pods", lambda: {"items": []})
    ended = await story.drive()
    is_left_as_it_is(ended, story)
    assert "stopped at data/verify" in ended.reason
    assert "last" not in [path for _, path in story.ledger.kept]


async def test_at_the_deadline_it_is_left_for_a_person_though_all_looks_well() -> None:
    """It may just be restoring into a database that is well."""
    story = bench(rollback="after: 20m\nthen: undo\npolicy: always")
    story.actor.takes = timedelta(minutes=9)
    ended = await story.drive()
    is_left_as_it_is(ended, story)


async def test_a_parent_that_goes_on_all_the_same_does_not_close_it() -> None:
    """`onFailure: continue` is about the steps, not about what was left behind."""
    story = bench(ROOT.replace("runbook: restore}", "runbook: restore, onFailure: continue}"))
    story.prober.will("kubectl get pods", lambda: {"items": []})
    ended = await story.drive()
    assert story.has("last")
    is_left_as_it_is(ended, story)


async def test_a_claim_whose_successor_is_refused_stops_it() -> None:
    """There is no empty volume then."""
    story = bench()
    story.actor.will(f"prepare {CREATE}", Refused("the name is taken"))
    ended = await story.drive()
    is_left_as_it_is(ended, story)
    assert story.step("data/claim#0+0").state is StepState.SKIPPED
    assert RESTORE not in story.effects


async def test_a_person_s_word_takes_it_back_newest_first() -> None:
    """Claim, volume and claim again, in that order; then the writers."""
    story = bench()
    story.prober.will("kubectl get pods", lambda: {"items": []})
    await story.drive()
    reopen(story)
    ended = await story.drive()
    assert ended.state is IncidentState.ROLLED_BACK
    patch = "kubectl patch persistentvolume pv-1 --type=merge -p '{}'"
    assert story.effects == [STOP, DELETE, CREATE, RESTORE, DELETE, patch, CREATE, START]


async def test_a_restore_is_taken_back_whole_however_the_service_is() -> None:
    """Copies that were started on the new volume would keep its claim in use."""
    story = bench()
    story.prober.will("kubectl get pods", lambda: {"items": []})
    story.actor.on_change = lambda text: story.observed.show(ready=0) if text == RESTORE else None
    await story.drive()
    reopen(story)
    ended = await story.drive()
    assert START in story.effects
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("rolled back (rollback asked for by ada): kubectl delete persistentvolumeclaim data")
    assert "; but web is not healthy: 0 of 3 ready" in ended.reason


@pytest.mark.long
def test_a_restore_may_be_interrupted_at_any_moment_and_each_change_is_made_once() -> None:
    """P3: the changes that complete another one, too."""

    def check(cut: str, story: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.RECOVERED, f"{cut}: {ended.state} {ended.reason}"
        assert sorted(story.effects) == sorted([STOP, DELETE, CREATE, RESTORE, START]), cut

    assert cut_everywhere(bench, check) > 30


async def test_a_refusal_on_the_way_back_stops_the_rollback_and_is_tried_again_when_asked_again() -> None:
    """What comes after builds on it: a volume is not freed while another claim is bound to its name."""
    story = bench()
    story.prober.will("kubectl get pods", lambda: {"items": []})
    await story.drive()
    story.actor.will(f"prepare {DELETE}", Refused("in use by database-0"))
    reopen(story)
    ended = await story.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "the rollback failed: data/claim#0~0: in use by database-0" in ended.reason
    assert story.effects == [STOP, DELETE, CREATE, RESTORE]
    reopen(story)
    assert (await story.drive()).state is IncidentState.ROLLED_BACK
    assert story.effects[4] == DELETE


async def test_a_rollback_that_nobody_asked_for_leaves_a_restore_alone() -> None:
    """A parent's own rollback takes back the parent's changes only."""
    root = (
        "- {id: mine, run: kubectl cordon one}\n"
        + ROOT
        + "\n- {id: bad, expect: service.ready > 99, onFailure: rollback}"
    )
    story = bench(root, rollback="after: 30m")
    story.actor.undo_of = lambda command: (
        undone_by(replace(command, on=False)) if isinstance(command, Cordon) else undo_of(command)
    )
    ended = await story.drive()
    assert ended.state is IncidentState.ROLLED_BACK
    assert story.effects == ["kubectl cordon one", STOP, DELETE, CREATE, RESTORE, START, "kubectl uncordon one"]


def reopen(story: RunBench) -> None:
    """Let a person ask for the rollback of a run that is over."""
    story.ledger.record = replace(
        story.ledger.record,
        state=IncidentState.ROLLING_BACK,
        reason="rollback asked for by ada",
        rollback_requested_by="ada",
        finished=None,
        workload_decided=seen_of(story.observed.views["web"]),
    )
