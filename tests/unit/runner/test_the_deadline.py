"""The watchdog's moment: steps end, effects come to theirs, and what is seen then decides (P5)."""

from datetime import timedelta

import pytest

from kintsugi.errors import KubeError
from kintsugi.model.records import IncidentState, StepState
from kintsugi.model.rules import RuleSource
from kubeobjects.metadata import Metadata
from tests.unit.factories import moment, pod
from tests.unit.runner.bench import SCALE, RunBench, clock

pytestmark = pytest.mark.looptime

WAITS = "- {id: wait, expect: service.healthy, within: 2h}\n- {id: after, run: kubectl get pods}"


async def test_the_deadline_ends_the_walk() -> None:
    bench = RunBench(WAITS, rollback="after: 10m")
    await bench.drive()
    assert bench.ledger.moves[0] == (
        IncidentState.VERIFYING,
        "stopped: the deadline was reached before all steps had finished",
    )
    assert bench.ledger.record.steps_finished_at == moment(minutes=10)
    assert not bench.has("after")


async def test_an_effect_that_is_under_way_at_the_deadline_comes_to_its_end() -> None:
    """What was begun is known: no effect is left in the middle."""
    bench = RunBench("- {id: scale, run: kubectl scale deployment/web --replicas=5}", rollback="after: 10s")
    bench.actor.takes = timedelta(seconds=30)
    bench.at(60, bench.heal)
    ended = await bench.drive()
    assert bench.step("scale#0").state is StepState.DONE
    assert bench.effects == [SCALE]
    assert ended.steps_finished_at == moment(seconds=30)
    assert ended.state is IncidentState.RECOVERED


async def test_a_service_that_is_well_at_the_deadline_is_verified_and_not_taken_back() -> None:
    bench = RunBench(WAITS, rollback="after: 10m, then: undo".replace(", ", "\n"))
    bench.at(599, bench.heal)
    ended = await bench.drive()
    assert ended.state is IncidentState.NO_ACTION


async def test_a_run_whose_service_still_fails_is_rolled_back() -> None:
    bench = RunBench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m", heals="kubectl uncordon")
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one", "kubectl uncordon one"]
    assert IncidentState.ROLLING_BACK in bench.states
    assert ended.state is IncidentState.ROLLED_BACK


async def test_a_blind_watchdog_waits_until_it_sees() -> None:
    """P5, P6."""
    bench = RunBench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m")
    bench.at(500, bench.observed.hide)
    bench.at(1200, lambda: bench.observed.show(ready=3))
    bench.at(1200, bench.resolve)
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED
    assert clock() >= 1320
    assert bench.effects == ["kubectl cordon one"]


async def test_a_service_that_was_hidden_must_fail_for_a_while_after_it_is_seen_again() -> None:
    bench = RunBench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m")
    bench.at(500, bench.observed.hide)
    bench.at(1200, lambda: bench.observed.show(ready=1))
    rolled: list[float] = []
    bench.actor.on_change = lambda text: rolled.append(clock()) if "uncordon" in text else None
    await bench.drive()
    assert rolled == [pytest.approx(1380, abs=2)]


@pytest.mark.parametrize(
    ("objection", "reason"),
    [
        ("known good", "the failing revision was seen good before"),
        ("changed by someone", "someone has changed deployment/web since the run began"),
        ("unknown", "the template of deployment/web at the start of the run is unknown"),
    ],
)
async def test_a_reason_against_a_rollback_calls_a_person_with_the_commands(objection: str, reason: str) -> None:
    bench = RunBench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m")
    bench.observed.show(template="new")
    match objection:
        case "known good":
            bench.observed.known_good = frozenset({"new"})
        case "changed by someone":
            bench.at(100, lambda: bench.observed.show(template="newer"))
        case _:
            bench.observed.show(template="")
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert f"not rolled back: {reason}" in ended.reason
    assert "Undo commands, newest first:\n  kubectl uncordon one" in ended.reason
    assert bench.effects == ["kubectl cordon one"]


async def test_an_alert_that_is_here_sooner_than_the_watch_makes_nobodys_change() -> None:
    """What was rolled out before the run is what the run found, however late the watch shows it (P5)."""
    bench = RunBench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m", heals="kubectl uncordon")
    bench.observed.show(template="good")
    bench.prober.ahead = Metadata(uid="uid-web", generation=2)

    def hear() -> None:
        bench.observed.show(template="bad")
        bench.prober.ahead = None

    bench.at(5, hear)
    await bench.drive()
    found = bench.ledger.record.workload_found
    assert found is not None
    assert found.template == "bad"
    assert bench.effects == ["kubectl cordon one", "kubectl uncordon one"]


@pytest.mark.parametrize(
    "ahead", [Metadata(uid="uid-web", generation=2), Metadata(uid="another"), KubeError("it does not answer")]
)
async def test_a_watch_that_does_not_catch_up_holds_no_run_and_nothing_is_taken_back_on_its_word(
    ahead: Metadata | Exception,
) -> None:
    """P5, P6."""
    bench = RunBench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m")
    bench.prober.ahead = ahead
    ended = await bench.drive()
    assert "the template of deployment/web at the start of the run is unknown" in ended.reason
    assert bench.effects == ["kubectl cordon one"]


async def test_a_template_that_our_own_rollout_left_is_ours() -> None:
    bench = RunBench(
        "- {id: again, run: kubectl rollout restart deployment/web}\n- {id: cordon, run: kubectl cordon one}",
        rollback="after: 10m",
    )
    bench.observed.show(template="old")
    bench.actor.on_change = lambda text: bench.observed.show(template="ours") if "restart" in text else None
    await bench.drive()
    assert bench.effects[-1] == "kubectl uncordon one"


async def test_park_leaves_everything_as_it_is() -> None:
    bench = RunBench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m\nthen: leave")
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert bench.effects == ["kubectl cordon one"]


async def test_always_goes_back_at_once() -> None:
    bench = RunBench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m\npolicy: always")
    bench.observed.known_good = frozenset({""})
    times: list[float] = []
    bench.actor.on_change = lambda text: times.append(clock())
    await bench.drive()
    assert times == [0, pytest.approx(600, abs=2)]


async def test_health_without_an_end_of_the_trigger_is_ineffective() -> None:
    """E19: a person is called, nothing is rolled back."""
    bench = RunBench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m")
    bench.at(30, lambda: bench.observed.show(ready=3))
    ended = await bench.drive()
    assert ended.state is IncidentState.INEFFECTIVE
    assert bench.effects == ["kubectl cordon one"]
    assert clock() == pytest.approx(30 + 120 + 900, abs=2)


LEFT = "a restart does not help, because the configuration is wrong: check / is not met: HTTP 503"
DIAGNOSED = dict.fromkeys(("cause", "object", "field", "confidence", "text", "name", "template", "kept"), "")


@pytest.mark.parametrize(
    ("kind", "remedy", "seconds", "reason"),
    [
        (RuleSource.CHECK, "hand-over", 180, f"the trigger on web persists: {LEFT}"),
        (RuleSource.ALERT, "hand-over", 120 + 900, f"and nothing was changed: {LEFT}"),
        (RuleSource.CHECK, "wait", 120 + 900, f"and nothing was changed: {LEFT}"),
    ],
)
async def test_a_service_that_is_ready_and_does_not_answer_is_handed_over_with_why_nothing_was_tried(
    kind: RuleSource, remedy: str, seconds: float, reason: str
) -> None:
    """An alert may lag behind what a person has mended: it is given its time."""
    bench = RunBench("- {id: why, run: kintsugi diagnose deployment/web}", rollback="after: 30m")
    bench.found = (pod("web-1"), pod("web-2"), pod("web-3"))
    bench.started_by(kind)
    bench.prober.will(
        "kintsugi diagnose", lambda: {**DIAGNOSED, "revision": 1, "good": 0, "remedy": remedy, "reason": LEFT}
    )
    ended = await bench.drive()
    assert (ended.state, bench.effects) == (IncidentState.NEEDS_OPERATOR, [])
    assert reason in ended.reason
    assert clock() == pytest.approx(seconds, abs=2)


@pytest.mark.parametrize("when", [100, 1200])
async def test_a_person_may_ask_for_the_rollback_at_any_time(when: float) -> None:
    bench = RunBench(
        "- {id: cordon, run: kubectl cordon one}\n- {id: wait, expect: service.healthy, within: 10m, onFailure: continue}",
        heals="kubectl uncordon",
        heals_after=timedelta(0),
    )

    def ask() -> None:
        assert bench.driver is not None
        bench.driver.request_rollback("ada")

    bench.at(when, ask)
    await bench.drive()
    assert bench.effects == ["kubectl cordon one", "kubectl uncordon one"]
    assert any(state is IncidentState.ROLLING_BACK and "asked for by ada" in why for state, why in bench.ledger.moves)
    assert clock() < when + 300


async def test_a_template_that_somebody_has_rolled_out_during_the_last_steps_is_not_ours() -> None:
    """E37: it stands there when the steps end, and has neither the run's mark nor its digest."""
    bench = RunBench("- {id: again, run: kubectl rollout restart deployment/web}", rollback="after: 10m")
    bench.prober.as_left = lambda: False
    bench.actor.on_change = lambda _: bench.observed.show(template="theirs")
    ended = await bench.drive()
    assert bench.ledger.record.workload_left is None
    assert (ended.state, len(bench.effects)) == (IncidentState.NEEDS_OPERATOR, 1)
    assert "someone has changed deployment/web since the run began" in ended.reason
