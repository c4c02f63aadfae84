"""Cut the power at every commit and effect of a run; started again it comes to the same end (C1, P2, P3)."""

from datetime import timedelta

import pytest

from kintsugi.model.records import IncidentState, RunRecord, StepState
from tests.unit.executor.power import Power
from tests.unit.executor.scripted_actor import Lost
from tests.unit.factories import pod, runbook_text
from tests.unit.runner.bench import SCALE, RunBench, cut_everywhere, through
from tests.unit.virtual import play

CHILD = runbook_text(
    "- {id: deep, run: kubectl cordon deep, expect: service.ready >= 1, within: 1m}", name="child", rollback="after: 5m"
)
EVERYTHING = """\
- {id: look, run: kubectl get pods, expect: size(items) == 2}
- {id: several, run: kubectl cordon a b}
- id: restart
  forEach: service.pods
  when: each.unhealthy
  run: kubectl delete pod ${each}
- id: both
  parallel:
    - {id: one, run: kubectl cordon one}
    - {id: two, run: kubectl cordon two, needs: [one]}
- id: group
  steps:
    - {id: left_out, run: kubectl cordon three, when: service.ready > 5}
    - {id: inner, run: "kubectl cordon n-${size(steps.look.items)}", when: steps.two.ran && !steps.left_out.ran}
- {id: call, runbook: child}
- {id: scale, run: kubectl scale deployment/web --replicas=5, expect: service.ready >= service.desired, within: 1m}
- {id: end, run: kubectl get nodes, when: steps.inner.ran}
"""
ALL = [
    "kubectl cordon a",
    "kubectl cordon b",
    "kubectl delete pod web-2 -n production",
    "kubectl delete pod web-3 -n production",
    "kubectl cordon one",
    "kubectl cordon two",
    "kubectl cordon n-2",
    "kubectl cordon deep",
    SCALE,
]


def everything() -> RunBench:
    """Make a run with one of every kind of step; a deleted pod is gone, and scaling heals."""
    bench = RunBench(EVERYTHING, documents=(CHILD,), heals="kubectl scale", heals_after=timedelta(seconds=3))
    bench.prober.will("kubectl get pods", lambda: {"items": [{}, {}]})
    changed = bench.actor.on_change

    def change(text: str) -> None:
        if text.startswith("kubectl delete pod"):
            gone = text.split()[3]
            bench.observed.show(
                pods=tuple(each for each in bench.observed.views["web"].pods if each.metadata.name != gone)
            )
        changed(text)

    bench.actor.on_change = change
    return bench


def check_all_done_once(where: str, bench: RunBench, ended: RunRecord) -> None:
    """Check that the run recovered, and that every effect was made once and in its order."""
    assert ended.state is IncidentState.RECOVERED, f"{where}: {ended.reason}"
    assert bench.effects == ALL, where
    assert bench.step("end").state is StepState.DONE, where
    left = [step.path for step in bench.ledger.kept.values() if step.state in (StepState.INTENT, StepState.UNKNOWN)]
    assert not left, f"{where}: {left}"


@pytest.mark.long
def test_every_effect_is_made_once_and_in_order_wherever_the_process_ends() -> None:
    assert cut_everywhere(everything, check_all_done_once) > 80


@pytest.mark.long
def test_the_daemon_may_be_away_for_minutes() -> None:
    cut_everywhere(everything, check_all_done_once, down=240)


@pytest.mark.long
def test_answers_that_are_lost_besides_make_no_second_effect() -> None:
    def make() -> RunBench:
        bench = everything()
        bench.actor.will(f"perform {SCALE}", Lost(applied=True))
        bench.actor.will("perform kubectl cordon one", Lost(applied=False))
        return bench

    cut_everywhere(make, check_all_done_once)


def test_a_process_that_ends_again_and_again_comes_to_the_end() -> None:
    async def story() -> tuple[RunBench, int]:
        bench, lives = everything(), 0
        while await bench.drive_until_cut(14):
            lives += 1
            assert lives < 200, bench.power.story
        return bench, lives

    bench, lives = play(story())
    check_all_done_once("each life has fourteen moments", bench, bench.ledger.record)
    assert lives > 5


@pytest.mark.parametrize("end", ["stop", "rollback"])
def test_a_run_that_was_stopped_is_stopped_at_the_same_step_after_a_restart(end: str) -> None:
    def make() -> RunBench:
        return RunBench(
            f"""\
            - {{id: one, run: kubectl cordon one}}
            - {{id: look, run: kubectl get pods, expect: size(items) > 5, onFailure: {end}}}
            - {{id: two, run: kubectl cordon two}}
            """,
            heals="kubectl uncordon one" if end == "rollback" else "kubectl cordon one",
            heals_after=timedelta(0),
        )

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert not bench.has("two"), where
        if end == "stop":
            assert (ended.state, bench.effects) == (IncidentState.RECOVERED, ["kubectl cordon one"]), where
        else:
            assert ended.state is IncidentState.ROLLED_BACK, where
            assert bench.effects == ["kubectl cordon one", "kubectl uncordon one"], where

    assert cut_everywhere(make, check) > 20


def test_a_step_that_was_wanted_when_it_began_is_not_asked_again() -> None:
    """The step's own change may have made its `when` false: it goes on all the same."""

    def make() -> RunBench:
        return RunBench(
            """\
            - id: scale
              when: service.ready < 3
              run: kubectl scale deployment/web --replicas=5
              expect: service.ready >= 3
              within: 1m
            """,
            heals="kubectl scale",
            heals_after=timedelta(0),
        )

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.RECOVERED, f"{where}: {ended.reason}"
        assert bench.effects == [SCALE], where

    cut_everywhere(make, check)


def test_an_item_whose_change_was_begun_is_brought_to_its_end_although_it_is_gone() -> None:
    """P3: the pod went with the delete that nobody could commit; its step is found done, and not passed over."""

    def make() -> RunBench:
        bench = RunBench(
            """\
            - id: each_pod
              forEach: service.pods
              when: each.unhealthy
              steps:
                - {id: delete, run: "kubectl delete pod ${each}"}
                - {id: mark, run: kubectl cordon after, when: steps.delete.ran}
            """,
            heals="kubectl delete pod web-2",
            heals_after=timedelta(0),
        )
        bench.observed.show(pods=(pod("web-1"), pod("web-2", ready=False)))
        return bench

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        open_ones = [step for step in bench.ledger.kept.values() if step.state in (StepState.INTENT, StepState.UNKNOWN)]
        assert not open_ones, where
        assert bench.effects.count("kubectl delete pod web-2 -n production") == 1, where

    cut_everywhere(make, check)


def test_a_run_that_is_over_is_left_alone() -> None:
    async def story() -> RunBench:
        bench = everything()
        await bench.drive()
        before = list(bench.power.story)
        await bench.drive(Power())
        assert not bench.power.story
        assert before
        return bench

    bench = play(story())
    assert bench.effects == ALL


def test_the_workload_is_noted_as_it_was_found_only_once() -> None:
    """What a restart sees is not what was found: our own change may stand in between."""

    async def story() -> RunBench:
        bench = RunBench("- {id: again, run: kubectl rollout restart deployment/web}", heals="kubectl rollout")
        bench.actor.on_change = lambda _: bench.observed.show(template="ours")
        await through(bench, 10, 0)
        return bench

    bench = play(story())
    found, left = bench.ledger.record.workload_found, bench.ledger.record.workload_left
    assert found is not None
    assert left is not None
    assert (found.template, left.template) == ("found", "ours")
