"""Cut the power at every commit and effect of a run; started again it comes to the same end, by what the ledger kept (C1, P2, P3)."""

from datetime import timedelta

import pytest

from kintsugi.ledger.store.texts import without_secrets
from kintsugi.mask import MASK
from kintsugi.model.records import IncidentState, Phase, RunRecord, StepState
from tests.unit.executor.power import Power
from tests.unit.executor.scripted_actor import Lost
from tests.unit.factories import pod, runbook_text
from tests.unit.runner.bench import SCALE, RunBench, cut_everywhere, ended_as, through
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

    def delete(text: str) -> None:
        if text.startswith("kubectl delete pod"):
            pods = bench.observed.views["web"].pods
            bench.observed.show(pods=tuple(each for each in pods if each.metadata.name != text.split()[3]))

    bench.at_each_change(delete)
    return bench


def open_steps(bench: RunBench) -> list[str]:
    """List the steps of which it is not known how they ended."""
    states = (StepState.INTENT, StepState.UNKNOWN)
    return [step.path for step in bench.ledger.kept.values() if step.state in states]


def check_all_done_once(where: str, bench: RunBench, ended: RunRecord) -> None:
    """Check that the run recovered, and that every effect was made once and in its order."""
    assert ended.state is IncidentState.RECOVERED, f"{where}: {ended.reason}"
    assert bench.effects == ALL, where
    assert bench.step("end").state is StepState.DONE, where
    assert open_steps(bench) == [], where


@pytest.mark.long
@pytest.mark.parametrize("down", [0, 240])
def test_every_effect_is_made_once_and_in_order_wherever_the_process_ends(down: float) -> None:
    """Also when the daemon is away for minutes."""
    assert cut_everywhere(everything, check_all_done_once, down=down) > 80


@pytest.mark.long
def test_answers_that_are_lost_besides_make_no_second_effect() -> None:
    def make() -> RunBench:
        bench = everything()
        bench.actor.will(f"perform {SCALE}", Lost(applied=True))
        bench.actor.will("perform kubectl cordon one", Lost(applied=False))
        return bench

    cut_everywhere(make, check_all_done_once)


def test_a_process_that_ends_again_and_again_comes_to_the_end_and_a_run_that_is_over_is_left_alone() -> None:
    async def story() -> tuple[RunBench, int]:
        bench, lives = everything(), 0
        while await bench.drive_until_cut(14):
            lives += 1
            assert lives < 200, bench.power.story
        await bench.drive(Power())
        assert not bench.power.story
        return bench, lives

    bench, lives = play(story())
    check_all_done_once("each life has fourteen moments", bench, bench.ledger.record)
    assert lives > 5


STOPS = """\
- {id: one, run: kubectl cordon one}
- {id: look, run: kubectl get pods, expect: size(items) > 5, onFailure: END}
- {id: two, run: kubectl cordon two}
"""
WANTED = f"- {{id: scale, when: service.ready < 3, run: {SCALE}, expect: service.ready >= 3, within: 1m}}"
ONE, BACK = "kubectl cordon one", "kubectl uncordon one"


@pytest.mark.parametrize(
    ("steps", "heals", "state", "effects", "more_than"),
    [
        (STOPS.replace("END", "stop"), ONE, IncidentState.NEEDS_OPERATOR, [ONE], 20),
        (STOPS.replace("END", "rollback"), BACK, IncidentState.ROLLED_BACK, [ONE, BACK], 20),
        (WANTED, SCALE, IncidentState.RECOVERED, [SCALE], 18),
    ],
    ids=["stopped", "rolled back", "a change that makes its own condition false"],
)
def test_a_run_that_was_stopped_or_had_begun_a_step_goes_on_so_after_a_restart(
    steps: str, heals: str, state: IncidentState, effects: list[str], more_than: int
) -> None:
    """A step that was wanted when it began is not asked again."""
    moments = cut_everywhere(lambda: RunBench(steps, heals=heals, heals_after=timedelta(0)), ended_as(state, *effects))
    assert moments > more_than


def test_an_item_whose_change_was_begun_is_brought_to_its_end_although_it_is_gone() -> None:
    """P3: the pod went with the delete that nobody could commit; its step is found done, and not passed over."""
    steps = """\
    - id: each_pod
      forEach: service.pods
      when: each.unhealthy
      steps:
        - {id: delete, run: "kubectl delete pod ${each}"}
        - {id: mark, run: kubectl cordon after, when: steps.delete.ran}
    """

    def make() -> RunBench:
        bench = RunBench(steps, heals="kubectl delete pod web-2", heals_after=timedelta(0))
        bench.observed.show(pods=(pod("web-1"), pod("web-2", ready=False)))
        return bench

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert open_steps(bench) == [], where
        assert bench.effects.count("kubectl delete pod web-2 -n production") == 1, where

    cut_everywhere(make, check)


def test_the_workload_is_noted_as_it_was_found_only_once() -> None:
    """What a restart sees is not what was found: our own change may stand in between."""
    bench = RunBench("- {id: again, run: kubectl rollout restart deployment/web}", heals="kubectl rollout")
    bench.actor.on_change = lambda _: bench.observed.show(template="ours")
    play(through(bench, 10, 0))
    found, left = bench.ledger.record.workload_found, bench.ledger.record.workload_left
    assert found is not None
    assert left is not None
    assert (found.template, left.template) == ("found", "ours")


SECRET = "ghp_canary0canary0canary0canary0canary0"
SEEN = {"status": 200, "body": f"id: {SECRET}", "json": {"user": "carl", "id": SECRET, "lines": ["a", f"by {SECRET}"]}}
ASK = "- {id: ask, run: 'curl http://web/answer', expect: status == 200}\n"
GATE = "- {id: gate, run: kubectl get nodes, expect: size(items) > 5, within: 4m}\n"
SEND = "- {id: send, run: curl -X POST http://web/do, undo: none, expect: 'json.id == \"WANTED\"', within: 4m}\n"
LOST = "was masked or truncated"


def secretive(steps: str) -> RunBench:
    """Make a run that sees a secret, and then waits for something."""
    return RunBench(steps, rollback="after: 10m", answers={"curl http://web/answer": SEEN})


def restarted(made: RunBench) -> RunBench:
    """Kill the process while it waits, keep what the ledger keeps, and let another one go on."""

    async def story() -> None:
        assert await made.drive_until_killed(30)
        made.ledger.kept = {key: await without_secrets(step) for key, step in made.ledger.kept.items()}
        made.prober.will("kubectl get nodes", lambda: {"items": [{}] * 6})
        await made.drive()

    play(story())
    return made


STOPPED = [
    ("- {id: then, run: 'curl http://web/of/${steps.ask.json.id}', expect: status == 200}", "steps.ask.json.id"),
    ("- {id: then, run: 'kubectl cordon n-${steps.ask.body.size()}'}", "steps.ask.body"),
    ("- {id: then, run: kubectl cordon one, when: steps.ask.json.id == 'x'}", "steps.ask.json.id"),
    ("- {id: then, forEach: steps.ask.json.lines, run: kubectl cordon one}", "steps.ask.json.lines"),
    ("- {id: then, run: kubectl get pods, expect: steps.ask.json.id != 'x'}", "steps.ask.json.id"),
    ("- {id: then, run: kubectl cordon one, approve: 'Really ${steps.ask.json.id}?'}", "steps.ask.json.id"),
]


@pytest.mark.parametrize(("step", "path"), STOPPED)
def test_a_step_that_needs_a_lost_field_is_not_done_and_says_which_step_and_field_was_lost(
    step: str, path: str
) -> None:
    """E4, P8: after a restart a run does not take what was masked or cut in the ledger for what was seen."""
    made = restarted(secretive(ASK + GATE + step))
    then = made.ledger.kept.get((Phase.FORWARD, "then"))
    reasons = [reason for _, reason in made.ledger.moves] + [then.error if then else ""]
    assert any(f"{path} {LOST} when it was stored" in reason for reason in reasons), reasons
    assert made.effects == []
    assert not [text for _, text in made.prober.looked if MASK in text]


@pytest.mark.parametrize(
    ("step", "effect"),
    [
        ("run: kubectl cordon one, when: steps.ask.json.user == 'carl' && steps.ask.answered", "kubectl cordon one"),
        ("run: 'kubectl cordon ${steps.ask.json.user}'", "kubectl cordon carl"),
        ("run: kubectl cordon one, when: steps.gate.items.size() == 6", "kubectl cordon one"),
    ],
)
def test_a_result_that_was_kept_whole_is_used_as_ever(step: str, effect: str) -> None:
    made = restarted(secretive(f"{ASK}{GATE}- {{id: then, {step}}}"))
    assert made.effects[:1] == [effect], made.ledger.moves


def test_a_result_that_was_too_large_to_be_kept_is_not_taken_for_no_answer() -> None:
    made = secretive(ASK + GATE + "- {id: then, run: kubectl cordon one, when: '!steps.ask.answered'}")
    made.prober.will("curl http://web/answer", lambda: {**SEEN, "body": "x" * 600_000})
    assert restarted(made).effects == []
    assert any(f"steps.ask.answered {LOST}" in reason for _, reason in made.ledger.moves), made.ledger.moves


def test_items_that_were_masked_half_way_through_a_list_stop_it() -> None:
    """Which of them were done cannot be told: those that were left would be passed over as gone."""
    each = GATE.replace("id: gate,", "id: each, forEach: steps.ask.json.lines,")
    made = restarted(secretive(ASK + each + "- {id: then, run: kubectl cordon one}"))
    assert made.effects == []
    assert any(f"an item of its list {LOST}" in reason for _, reason in made.ledger.moves), made.ledger.moves


def test_the_answer_to_a_change_is_not_judged_by_its_masked_text() -> None:
    """The process ends between a change and the judgement of what came back."""
    made = secretive(SEND.replace("WANTED", "other"))
    made.actor.results["curl"] = SEEN
    assert restarted(made).effects == ["curl -X POST http://web/do"]
    assert f"json.id {LOST}" in made.step("send").error


def test_in_the_life_that_has_seen_it_everything_is_used_also_a_stranger_s_text_that_looks_masked() -> None:
    """The answer to a look, and to a change."""
    masked = "a [redacted] line"
    made = secretive(
        f"{ASK}{SEND.replace('WANTED', masked)}"
        f"- {{id: then, run: kubectl cordon one, when: 'steps.ask.json.id == \"{masked}\"'}}"
    )
    made.prober.will("curl http://web/answer", lambda: {**SEEN, "json": {"id": masked}})
    made.actor.results["curl"] = {"json": {"id": masked}}
    play(made.drive())
    assert made.step("send").met
    assert made.effects[1] == "kubectl cordon one"
