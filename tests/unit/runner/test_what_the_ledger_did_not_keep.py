"""After a restart a run does not take what was masked or cut in the ledger for what was seen (E4, P8)."""

import pytest

from kintsugi.ledger.texts import without_secrets
from kintsugi.mask import MASK
from kintsugi.model.records import Phase, RunRecord
from tests.unit.runner.bench import RunBench
from tests.unit.virtual import play

SECRET = "ghp_canary0canary0canary0canary0canary0"
SEEN = {"status": 200, "body": f"id: {SECRET}", "json": {"user": "carl", "id": SECRET, "lines": ["a", f"by {SECRET}"]}}
FIRST = """\
- {id: ask, run: 'curl http://web/answer', expect: status == 200}
- {id: gate, run: kubectl get nodes, expect: size(items) > 5, within: 4m}
"""


def bench(steps: str) -> RunBench:
    """Make a run that has seen a secret before it waits for something."""
    made = RunBench(FIRST + steps, rollback="after: 10m")
    made.prober.will("curl http://web/answer", lambda: SEEN)
    return made


async def restarted(made: RunBench) -> RunRecord:
    """Kill the process while it waits, keep what the ledger keeps, and let another one go on."""
    assert await made.drive_until_killed(30)
    made.ledger.kept = {key: await without_secrets(step) for key, step in made.ledger.kept.items()}
    made.prober.will("kubectl get nodes", lambda: {"items": [{}] * 6})
    return await made.drive()


async def at_once(made: RunBench) -> RunRecord:
    """Let one process carry the run to its end."""
    made.prober.will("kubectl get nodes", lambda: {"items": [{}] * 6})
    return await made.drive()


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
    made = bench(step)
    play(restarted(made))
    then = made.ledger.kept.get((Phase.FORWARD, "then"))
    reasons = [reason for _, reason in made.ledger.moves] + [then.error if then else ""]
    assert any(f"{path} was masked or truncated when it was stored" in reason for reason in reasons), reasons
    assert made.effects == []
    assert not [text for _, text in made.prober.looked if MASK in text]


@pytest.mark.parametrize(
    "step",
    [
        "- {id: then, run: kubectl cordon one, when: steps.ask.json.user == 'carl' && steps.ask.answered}",
        "- {id: then, run: 'kubectl cordon ${steps.ask.json.user}'}",
        "- {id: then, run: kubectl cordon one, when: steps.gate.items.size() == 6}",
    ],
)
def test_a_result_that_was_kept_whole_is_used_as_ever(step: str) -> None:
    made = bench(step)
    play(restarted(made))
    assert made.effects[:1] in (["kubectl cordon one"], ["kubectl cordon carl"]), made.ledger.moves


def test_in_the_life_that_has_seen_it_everything_is_used_also_a_stranger_s_text_that_looks_masked() -> None:
    made = bench("- {id: then, run: kubectl cordon one, when: 'steps.ask.json.id == \"a [redacted] line\"'}")
    made.prober.will("curl http://web/answer", lambda: {**SEEN, "json": {"id": "a [redacted] line"}})
    play(at_once(made))
    assert made.effects[:1] == ["kubectl cordon one"]


def test_a_result_that_was_too_large_to_be_kept_is_not_taken_for_no_answer() -> None:
    made = bench("- {id: then, run: kubectl cordon one, when: '!steps.ask.answered'}")
    made.prober.will("curl http://web/answer", lambda: {**SEEN, "body": "x" * 600_000})
    play(restarted(made))
    assert made.effects == []
    assert any("steps.ask.answered was masked or truncated" in reason for _, reason in made.ledger.moves), (
        made.ledger.moves
    )


def test_items_that_were_masked_half_way_through_a_list_stop_it() -> None:
    """Which of them were done cannot be told: those that were left would be passed over as gone."""
    made = RunBench(
        """\
        - {id: ask, run: 'curl http://web/answer', expect: status == 200}
        - id: each
          forEach: steps.ask.json.lines
          run: kubectl get nodes
          expect: size(items) > 5
          within: 4m
        - {id: then, run: kubectl cordon one}
        """,
        rollback="after: 10m",
    )
    made.prober.will("curl http://web/answer", lambda: SEEN)
    play(restarted(made))
    assert made.effects == []
    assert any("an item of its list was masked or truncated" in reason for _, reason in made.ledger.moves), (
        made.ledger.moves
    )


def test_the_answer_to_a_change_is_not_judged_by_its_masked_text() -> None:
    """The process ends between a change and the judgement of what came back."""
    made = RunBench(
        """\
        - id: send
          run: curl -X POST http://web/do
          undo: none
          expect: json.id == "other"
          within: 4m
        """,
        rollback="after: 10m",
    )
    made.actor.results["curl"] = SEEN
    play(restarted(made))
    assert "json.id was masked or truncated" in made.step("send").error
    assert made.effects == ["curl -X POST http://web/do"]


def test_the_answer_to_a_change_of_this_life_is_judged_as_it_is_whatever_stands_in_it() -> None:
    made = RunBench(
        """\
        - id: send
          run: curl -X POST http://web/do
          undo: none
          expect: json.id == "a [redacted] line"
        """,
        rollback="after: 10m",
    )
    made.actor.results["curl"] = {"json": {"id": "a [redacted] line"}}
    play(made.drive())
    assert made.step("send").met
