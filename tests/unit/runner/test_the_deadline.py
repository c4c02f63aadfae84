"""The watchdog's moment: steps end, effects come to theirs, and what is seen then decides (P5)."""

from datetime import timedelta

import pytest

from kintsugi.model.records import IncidentState, StepState
from tests.unit.factories import moment
from tests.unit.runner.bench import SCALE, Bench, clock

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(600)]

WAITS = "- {id: wait, expect: service.healthy, within: 2h}\n- {id: after, run: kubectl get pods}"


async def test_the_deadline_ends_the_walk() -> None:
    bench = Bench(WAITS, rollback="after: 10m")
    await bench.carry()
    assert bench.ledger.moves[0] == (
        IncidentState.VERIFYING,
        "stopped: the deadline came before the steps were done",
    )
    assert bench.ledger.record.walked == moment(minutes=10)
    assert not bench.has("after")


async def test_an_effect_that_is_under_way_at_the_deadline_comes_to_its_end() -> None:
    """What was begun is known: no effect is left in the middle."""
    bench = Bench("- {id: scale, run: kubectl scale deployment/web --replicas=5}", rollback="after: 10s")
    bench.actor.takes = timedelta(seconds=30)
    bench.at(60, bench.heal)
    ended = await bench.carry()
    assert bench.step("scale#0").state is StepState.DONE
    assert bench.effects == [SCALE]
    assert ended.walked == moment(seconds=30)
    assert ended.state is IncidentState.RECOVERED


async def test_what_is_well_at_the_deadline_is_verified_and_not_taken_back() -> None:
    bench = Bench(WAITS, rollback="after: 10m, then: undo".replace(", ", "\n"))
    bench.at(599, bench.heal)
    ended = await bench.carry()
    assert ended.state is IncidentState.NO_ACTION


async def test_what_still_fails_is_rolled_back() -> None:
    bench = Bench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m", heals="kubectl uncordon")
    ended = await bench.carry()
    assert bench.effects == ["kubectl cordon one", "kubectl uncordon one"]
    assert IncidentState.ROLLING_BACK in bench.states
    assert ended.state in {IncidentState.ROLLED_BACK, IncidentState.NEEDS_OPERATOR}


async def test_a_blind_watchdog_waits_until_it_sees() -> None:
    """P5, P6."""
    bench = Bench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m")
    bench.at(500, bench.world.hide)
    bench.at(1200, lambda: bench.world.show(ready=3))
    bench.at(1200, bench.resolve)
    ended = await bench.carry()
    assert ended.state is IncidentState.RECOVERED
    assert clock() >= 1320
    assert bench.effects == ["kubectl cordon one"]


async def test_what_was_hidden_must_fail_for_a_while_after_it_is_seen_again() -> None:
    bench = Bench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m")
    bench.at(500, bench.world.hide)
    bench.at(1200, lambda: bench.world.show(ready=1))
    rolled: list[float] = []
    bench.actor.on_change = lambda text: rolled.append(clock()) if "uncordon" in text else None
    await bench.carry()
    assert rolled == [pytest.approx(1380, abs=2)]


@pytest.mark.parametrize(
    ("objection", "reason"),
    [
        ("known good", "the revision that fails now was seen good before"),
        ("changed by someone", "someone has changed deployment/web since the run began"),
        ("unknown", "someone has changed deployment/web since the run began"),
    ],
)
async def test_what_speaks_against_a_rollback_calls_a_person_with_the_commands(objection: str, reason: str) -> None:
    bench = Bench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m")
    bench.world.show(template="new")
    match objection:
        case "known good":
            bench.world.known_good = frozenset({"new"})
        case "changed by someone":
            bench.at(100, lambda: bench.world.show(template="newer"))
        case _:
            bench.world.show(template="")
    ended = await bench.carry()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert f"not rolled back: {reason}" in ended.reason
    assert "To take it back, newest first:\n  kubectl uncordon one" in ended.reason
    assert bench.effects == ["kubectl cordon one"]


async def test_a_template_that_our_own_rollout_left_is_ours() -> None:
    bench = Bench(
        "- {id: again, run: kubectl rollout restart deployment/web}\n- {id: cordon, run: kubectl cordon one}",
        rollback="after: 10m",
    )
    bench.world.show(template="old")
    bench.actor.on_change = lambda text: bench.world.show(template="ours") if "restart" in text else None
    await bench.carry()
    assert bench.effects[-1] == "kubectl uncordon one"


async def test_park_leaves_everything_as_it_is() -> None:
    bench = Bench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m\nthen: park")
    ended = await bench.carry()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert bench.effects == ["kubectl cordon one"]


async def test_always_goes_back_at_once() -> None:
    bench = Bench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m\nwhen: always")
    bench.world.known_good = frozenset({""})
    times: list[float] = []
    bench.actor.on_change = lambda text: times.append(clock())
    await bench.carry()
    assert times == [0, pytest.approx(600, abs=2)]


async def test_health_without_an_end_of_the_trigger_is_ineffective() -> None:
    """E19: a person is called, nothing is rolled back."""
    bench = Bench("- {id: cordon, run: kubectl cordon one}", rollback="after: 10m")
    bench.at(30, lambda: bench.world.show(ready=3))
    ended = await bench.carry()
    assert ended.state is IncidentState.INEFFECTIVE
    assert bench.effects == ["kubectl cordon one"]
    assert clock() == pytest.approx(30 + 120 + 900, abs=2)


@pytest.mark.parametrize("when", [100, 1200])
async def test_a_person_may_ask_for_the_rollback_at_any_time(when: float) -> None:
    bench = Bench(
        "- {id: cordon, run: kubectl cordon one}\n- {id: wait, expect: service.healthy, within: 10m, unmet: continue}",
        heals="kubectl uncordon",
        heals_after=timedelta(0),
    )

    def ask() -> None:
        assert bench.carrier is not None
        bench.carrier.ask_rollback("ada")

    bench.at(when, ask)
    await bench.carry()
    assert bench.effects == ["kubectl cordon one", "kubectl uncordon one"]
    assert any(state is IncidentState.ROLLING_BACK and "asked for by ada" in why for state, why in bench.ledger.moves)
    assert clock() < when + 300
