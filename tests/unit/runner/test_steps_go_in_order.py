"""One step after another, and what follows when an expectation is not met."""

from datetime import timedelta

import pytest

from kintsugi.errors import Refused, ServerUnavailable
from kintsugi.model.records import IncidentState, Phase, StepState
from tests.unit.factories import moment
from tests.unit.runner.bench import SCALE, RunBench, clock

pytestmark = pytest.mark.looptime

WHOLE = """\
- {id: look, run: kubectl get pods, expect: size(items) > 0}
- {id: scale, run: kubectl scale deployment/web --replicas=5, expect: service.ready >= service.desired, within: 1m}
- {id: wait, expect: service.healthy, within: 1m, for: 10s}
"""


async def test_a_run_walks_its_steps_is_watched_and_recovers() -> None:
    bench = RunBench(WHOLE, heals="kubectl scale")
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED
    assert bench.states == [IncidentState.VERIFYING, IncidentState.RECOVERED]
    assert bench.effects == [SCALE]
    ordered = [line for line in bench.power.story if not line.startswith("marks ")]
    assert ordered == [
        "look done",
        "scale planned",
        "scale#0 intent",
        f"effect {SCALE}",
        "scale#0 done",
        "scale done",
        "wait planned",
        "wait done",
        "run verifying",
        "run recovered",
    ]


async def test_recovery_is_not_called_before_health_has_lasted() -> None:
    bench = RunBench(WHOLE, heals="kubectl scale")
    ended = await bench.drive()
    assert ended.steps_finished_at is not None
    assert ended.finished is not None
    assert ended.finished - ended.steps_finished_at >= timedelta(minutes=2)


async def test_a_run_without_changes_that_finds_all_well_is_no_action() -> None:
    bench = RunBench("- {id: wait, expect: service.healthy, within: 1m}")
    bench.at(10, bench.heal)
    assert (await bench.drive()).state is IncidentState.NO_ACTION


@pytest.mark.parametrize(
    ("unmet", "states", "goes_on"),
    [
        ("stop", [IncidentState.VERIFYING, IncidentState.NO_ACTION], False),
        ("continue", [IncidentState.VERIFYING, IncidentState.NO_ACTION], True),
        ("rollback", [IncidentState.ROLLING_BACK, IncidentState.NEEDS_OPERATOR], False),
    ],
)
async def test_on_failure_decides_what_follows_an_unmet_expectation(
    unmet: str, states: list[IncidentState], goes_on: bool
) -> None:
    bench = RunBench(
        f"""\
        - {{id: look, run: kubectl get pods, expect: size(items) > 5, onFailure: {unmet}}}
        - {{id: after, run: kubectl get nodes, expect: size(items) > 0}}
        """
    )
    bench.at(30, bench.heal)
    await bench.drive()
    assert bench.states == states
    assert bench.has("after") == goes_on
    assert bench.step("look").met is False
    assert bench.step("look").error == "not met: size(items) > 5"


async def test_a_stop_says_where_and_why() -> None:
    bench = RunBench("- {id: look, run: kubectl get pods, expect: size(items) > 5}")
    bench.at(30, bench.heal)
    await bench.drive()
    assert bench.ledger.moves[0] == (IncidentState.VERIFYING, "stopped at look: not met")


async def test_a_stop_says_in_the_runbook_s_own_words_what_was_not_so() -> None:
    """Whoever is called reads the step's name, not an expression alone."""
    bench = RunBench("- {id: look, name: There are six pods, run: kubectl get pods, expect: size(items) > 5}")
    bench.at(30, bench.heal)
    await bench.drive()
    assert bench.ledger.moves[0][1] == "stopped at look: There are six pods: not met"


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("when: service.ready < 3", True),
        ("when: service.ready == 3", False),
        ("unless: service.ready == 3", True),
        ("unless: service.ready < 3", False),
    ],
)
async def test_when_and_unless_leave_a_step_out(condition: str, wanted: bool) -> None:
    bench = RunBench(
        f"""\
        - {{id: scale, run: kubectl scale deployment/web --replicas=5, {condition}}}
        - {{id: after, run: kubectl get pods, when: steps.scale.ran}}
        """
    )
    bench.at(30, bench.heal)
    await bench.drive()
    assert bench.effects == ([SCALE] if wanted else [])
    assert bench.step("scale").state is (StepState.DONE if wanted else StepState.SKIPPED)
    assert bench.step("after").state is (StepState.DONE if wanted else StepState.SKIPPED)


@pytest.mark.parametrize("key", ["when", "unless"])
async def test_a_when_without_an_answer_stops_the_run(key: str) -> None:
    """P6: a question that could not be answered is no reason to act."""
    bench = RunBench(
        f"""\
        - {{id: scale, run: kubectl scale deployment/web --replicas=5, {key}: 'service.pods[9].spec.nodeName == "a"'}}
        """
    )
    bench.at(30, bench.heal)
    await bench.drive()
    assert not bench.effects
    assert bench.ledger.moves[0][1].startswith("stopped at scale: its `when` or `unless` cannot be evaluated")


async def test_a_look_that_gets_no_answer_is_not_met() -> None:
    bench = RunBench("- {id: look, run: kubectl get pods, expect: size(items) > 0}")
    bench.prober.will("kubectl get pods", lambda: ServerUnavailable("no answer"))
    bench.at(30, bench.heal)
    await bench.drive()
    assert (bench.step("look").met, bench.step("look").error) == (False, "no answer")


async def test_earlier_results_are_seen_by_later_steps_but_not_by_a_child() -> None:
    bench = RunBench(
        """\
        - {id: look, run: kubectl get pods, expect: size(items) == 3}
        - {id: scale, run: "kubectl scale deployment/web --replicas=${size(steps.look.items) + 2}"}
        """,
        heals="kubectl scale",
    )
    bench.prober.will("kubectl get pods", lambda: {"items": [{}, {}, {}]})
    await bench.drive()
    assert bench.effects == [SCALE]


async def test_a_change_whose_values_cannot_be_told_stops_the_run() -> None:
    """P6: no command without its values; the watchdog decides the rest."""
    bench = RunBench(
        """\
        - {id: look, run: kubectl get pods, onFailure: continue}
        - {id: cordon, run: "kubectl cordon ${steps.look.items[5].spec.nodeName}"}
        """
    )
    bench.at(30, bench.heal)
    ended = await bench.drive()
    assert not bench.effects
    assert bench.ledger.moves[0][1].startswith("stopped at cordon: ")
    assert ended.state is IncidentState.NO_ACTION


async def test_a_change_that_is_refused_stops_unless_the_runbook_goes_on() -> None:
    bench = RunBench(
        """\
        - {id: scale, run: kubectl scale deployment/web --replicas=5}
        - {id: after, run: kubectl get pods}
        """
    )
    bench.actor.will("prepare", Refused("an autoscaler owns it"))
    bench.at(30, bench.heal)
    await bench.drive()
    assert bench.ledger.moves[0] == (IncidentState.VERIFYING, "stopped at scale: an autoscaler owns it")
    assert not bench.has("after")


async def test_the_expectation_of_a_change_that_was_not_made_is_looked_at_only_once() -> None:
    bench = RunBench(
        """\
        - id: scale
          run: kubectl scale deployment/web --replicas=5
          expect: service.ready >= 3
          within: 10m
          onFailure: continue
        - {id: after, run: kubectl get pods}
        """
    )
    bench.actor.will("prepare", Refused("an autoscaler owns it"))
    bench.at(60, bench.heal)
    await bench.drive()
    assert bench.prober.looked[0][0] < 2
    assert bench.step("scale").error == "an autoscaler owns it; not met: service.ready >= 3"


async def test_an_expectation_that_holds_all_the_same_is_met_after_a_refusal() -> None:
    bench = RunBench(
        """\
        - {id: scale, run: kubectl scale deployment/web --replicas=5, expect: service.ready >= 1}
        - {id: after, run: kubectl get pods}
        """
    )
    bench.actor.will("prepare", Refused("an autoscaler owns it"))
    bench.at(30, bench.heal)
    await bench.drive()
    assert bench.step("scale").met is True
    assert bench.has("after")


async def test_the_way_back_is_written_down_before_the_change() -> None:
    """P8: who, what, why, and how to undo it."""
    bench = RunBench(WHOLE, heals="kubectl scale")
    await bench.drive()
    effect = bench.step("scale#0")
    assert effect.why == "pod web-1 is unhealthy (rule web-pods)"
    assert effect.undo is not None
    assert effect.undo.texts == ("kubectl scale deployment web --replicas=3 -n production",)


@pytest.mark.parametrize(
    ("undo", "note"),
    [("keep", "the runbook keeps this change"), ("none", "the runbook declares that no undo is needed")],
)
async def test_a_runbooks_own_word_on_undo_is_kept_with_the_change(undo: str, note: str) -> None:
    bench = RunBench(
        f"- {{id: scale, run: kubectl scale deployment/web --replicas=5, undo: {undo}}}", heals="kubectl scale"
    )
    await bench.drive()
    effect = bench.step("scale#0")
    assert effect.undo is not None
    assert (effect.undo.commands, effect.undo.note) == ((), note)


async def test_a_run_with_a_pod_deleted_by_a_person_is_not_confused_by_the_clock() -> None:
    """The moment of every record is the injected clock's."""
    bench = RunBench(WHOLE, heals="kubectl scale")
    ended = await bench.drive()
    assert ended.finished == moment(seconds=clock())
    assert bench.step("scale#0", Phase.FORWARD).started == moment()


@pytest.mark.parametrize("expect", ["size(items) > 9", "items[9].metadata.name == 'web'"], ids=["not met", "no answer"])
async def test_a_step_may_call_a_person_however_well_the_service_looks(expect: str) -> None:
    """P6: what stops a walk is judged by the service's health, and that may be well by then."""
    for unmet, state in (("escalate", IncidentState.NEEDS_OPERATOR), ("stop", IncidentState.NO_ACTION)):
        bench = RunBench(
            f"""- {{id: few, name: Enough are back, run: kubectl get pods, expect: "{expect}", onFailure: {unmet}}}"""
        )
        bench.at(0, bench.heal)
        ended = await bench.drive()
        assert ended.state is state, ended
