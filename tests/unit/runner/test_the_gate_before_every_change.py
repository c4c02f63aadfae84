"""A person's pause, our own sight, and whether the change is still needed: asked before every single change."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from kintsugi.errors import LedgerUnavailable
from kintsugi.guards import Observer
from kintsugi.model.bounds import Lock
from kintsugi.model.documents import Mode, RuleSource
from kintsugi.model.records import IncidentState, PauseScope, StepState
from tests.unit.factories import approval, moment, pause, pod, runbook_text, service_text, signal
from tests.unit.runner.bench import SCALE, Bench, clock

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(600)]

TWO = """\
- {id: one, run: kubectl cordon one}
- {id: two, run: kubectl cordon two}
"""
STOPS = {
    "global": pause(PauseScope.GLOBAL),
    "namespace": pause(PauseScope.NAMESPACE, "production"),
    "rule": pause(PauseScope.RULE, "web-pods"),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
async def test_a_pause_in_mid_run_holds_the_next_change_until_it_is_lifted(stop: object) -> None:
    """E29: no new steps at the next boundary; what was begun ends."""
    bench = Bench(TWO)
    times = bench.note_times()
    bench.actor.takes = timedelta(seconds=10)
    bench.at(5, lambda: bench.ledger.pauses.append(stop))  # type: ignore[arg-type]
    bench.at(300, bench.ledger.pauses.clear)
    bench.at(400, bench.heal)
    await bench.carry()
    assert times["kubectl cordon one"] == 10
    assert times["kubectl cordon two"] == pytest.approx(310, abs=1.5)


async def test_a_pause_of_something_else_holds_nothing() -> None:
    bench = Bench(TWO)
    bench.ledger.pauses = [pause(PauseScope.RULE, "api-pods"), pause(PauseScope.NAMESPACE, "staging")]
    bench.at(60, bench.heal)
    await bench.carry()
    assert len(bench.effects) == 2


async def test_a_pause_ends_by_itself() -> None:
    bench = Bench(TWO, heals="kubectl cordon two")
    times = bench.note_times()
    bench.ledger.pauses = [pause(until=moment(minutes=2))]
    await bench.carry()
    assert times["kubectl cordon one"] == pytest.approx(120, abs=1.5)


async def test_looking_goes_on_through_a_pause() -> None:
    bench = Bench("- {id: look, run: kubectl get pods}")
    bench.ledger.pauses = [pause()]
    bench.at(60, bench.heal)
    assert (await bench.carry()).state is IncidentState.NO_ACTION


async def test_when_nobody_can_say_whether_there_is_a_pause_nothing_is_changed() -> None:
    """E30: fail closed."""
    bench = Bench(TWO)
    bench.ledger.trouble = LedgerUnavailable("the database is away")
    with pytest.raises(LedgerUnavailable):
        await bench.carry()
    assert not bench.effects
    assert not bench.has("one#0")


HINDRANCES: dict[str, Callable[[Bench, str], None]] = {
    "an annotation": lambda bench, why: bench.world.annotated.update(production=why),
    "blindness": lambda bench, why: setattr(bench.world, "blind", why),
}


@pytest.mark.parametrize("hinder", HINDRANCES.values(), ids=HINDRANCES)
async def test_whatever_hinders_is_waited_out(hinder: Callable[[Bench, str], None]) -> None:
    """P6: nothing is changed on old news; S10: nor while a namespace is marked as paused."""
    bench = Bench(TWO, heals="kubectl cordon two")
    times = bench.note_times()
    hinder(bench, "for a reason")
    bench.at(120, lambda: hinder(bench, ""))
    await bench.carry()
    assert times["kubectl cordon one"] == pytest.approx(120, abs=1.5)


async def test_alerts_that_people_have_silenced_hold_changes() -> None:
    """A19."""
    bench = Bench(TWO, heals="kubectl cordon two")
    times = bench.note_times()
    bench.ledger.signals = [signal(kind=RuleSource.ALERT, key="fp-1")]
    bench.world.silenced = {"fp-1"}
    bench.at(90, bench.world.silenced.clear)
    await bench.carry()
    assert times["kubectl cordon one"] == pytest.approx(90, abs=1.5)


async def test_one_alert_that_is_not_silenced_is_enough_to_go_on() -> None:
    bench = Bench(TWO, heals="kubectl cordon two")
    bench.ledger.signals = [
        signal(kind=RuleSource.ALERT, key="fp-1"),
        signal(kind=RuleSource.ALERT, key="fp-2", id="s2"),
    ]
    bench.world.silenced = {"fp-1"}
    await bench.carry()
    assert len(bench.effects) == 2
    assert clock() < 200


async def test_a_trigger_that_ends_before_the_first_change_cancels_the_run() -> None:
    """E18."""
    bench = Bench("- {id: wait, expect: service.ready > 5, within: 1m, unmet: continue}\n" + TWO)
    bench.at(10, bench.resolve)
    ended = await bench.carry()
    assert (ended.state, ended.reason) == (
        IncidentState.CANCELLED,
        "what started the run has ended before anything was changed",
    )
    assert not bench.effects


async def test_a_trigger_that_ends_after_a_change_drops_further_changes_while_all_is_well() -> None:
    """E18: deleting a pod makes its alert vanish; the checks and the watchdog go on."""
    steps = TWO.replace("- {id: two", "- {id: pause, expect: service.healthy, within: 1m}\n- {id: two")
    bench = Bench(steps + "- {id: check, run: kubectl get pods}", heals="kubectl cordon one")
    ended = await bench.carry()
    assert bench.effects == ["kubectl cordon one"]
    assert bench.step("two").state is StepState.SKIPPED
    assert bench.step("two").error == "what started the run has ended and the service is healthy"
    assert bench.has("check")
    assert ended.state is IncidentState.RECOVERED


@pytest.mark.parametrize("healthy", [False, None])
async def test_while_the_service_is_not_well_changes_go_on_although_the_trigger_has_ended(healthy: bool | None) -> None:
    steps = TWO.replace(
        "- {id: two", "- {id: pause, expect: service.ready > 5, within: 20s, unmet: continue}\n- {id: two"
    )
    bench = Bench(steps)
    bench.at(10, bench.resolve)
    if healthy is None:
        bench.at(11, bench.world.hide)
    bench.at(60, bench.heal)
    bench.at(60, bench.world.show)
    await bench.carry()
    assert len(bench.effects) == 2


async def test_a_run_that_a_person_asked_for_has_nothing_to_wait_for() -> None:
    bench = Bench("- {id: scale, run: kubectl scale deployment/web --replicas=5}", heals="kubectl scale")
    bench.ledger.signals = []
    ended = await bench.carry()
    assert bench.effects == [SCALE]
    assert ended.state is IncidentState.RECOVERED


async def test_a_run_that_an_event_started_is_not_taken_for_one_whose_trigger_has_ended() -> None:
    """B20: Events are hints that never resolve; their silence says nothing."""
    bench = Bench("- {id: scale, run: kubectl scale deployment/web --replicas=5}", heals="kubectl scale")
    bench.started_by(RuleSource.EVENT)
    ended = await bench.carry()
    assert bench.effects == [SCALE]
    assert ended.state is IncidentState.RECOVERED


async def test_every_item_of_a_step_is_asked_for_by_itself() -> None:
    bench = Bench("- {id: restart, for_each: service.pods, when: unhealthy(each), run: 'kubectl delete pod ${each}'}")
    bench.actor.takes = timedelta(seconds=10)
    times = bench.note_times()
    bench.at(5, lambda: bench.ledger.pauses.append(pause()))
    bench.at(100, bench.ledger.pauses.clear)
    bench.at(150, lambda: bench.world.show(pods=(pod("web-1"),)))
    bench.at(160, bench.heal)
    await bench.carry()
    assert sorted(times.values()) == [10, pytest.approx(110, abs=1.5)]


async def test_every_object_of_a_command_is_asked_for_by_itself() -> None:
    bench = Bench("- {id: cordon, run: kubectl cordon one two three}")
    bench.actor.takes = timedelta(seconds=10)
    times = bench.note_times()
    bench.at(5, lambda: bench.ledger.pauses.append(pause()))
    bench.at(100, bench.ledger.pauses.clear)
    bench.at(150, bench.heal)
    await bench.carry()
    assert sorted(times.values()) == [10, pytest.approx(110, abs=1.5), pytest.approx(120, abs=1.5)]


async def test_a_spent_budget_holds_the_next_change_until_it_is_free_again() -> None:
    """P7: the budget holds inside a run too, not only where it starts."""
    bench = Bench("- {id: one, run: kubectl cordon one}")
    bench.ledger.disruptions = tuple(moment() for _ in range(20))

    def free() -> None:
        bench.ledger.disruptions = ()

    bench.at(90, free)
    bench.at(120, bench.heal)
    await bench.carry()
    assert bench.effects == ["kubectl cordon one"]
    one = bench.step("one#0")
    assert one.started is not None
    assert one.started >= moment(seconds=90)


SHUT: dict[str, tuple[Callable[[Bench], None], str]] = {
    "observe": (lambda bench: setattr(bench.world, "mode", Mode.OBSERVE), "mode is observe"),
    "a rule that observes": (lambda bench: bench.world.modes.update({"web-pods": Mode.OBSERVE}), "mode is observe"),
    "a freeze": (lambda bench: bench.ledger.pauses.append(pause(freeze=True)), "frozen by ada: a release"),
}


@pytest.mark.parametrize(("shut", "why"), SHUT.values(), ids=SHUT)
async def test_what_is_half_done_when_writing_is_forbidden_is_handed_over_with_its_commands(
    shut: Callable[[Bench], None], why: str
) -> None:
    """E29: nothing more is written, forward or back, and what would take it back stands in the message."""
    bench = Bench(TWO)
    bench.actor.takes = timedelta(seconds=10)
    bench.at(5, lambda: shut(bench))
    ended = await bench.carry()
    assert bench.effects == ["kubectl cordon one"]
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert why in ended.reason
    assert "To take it back, newest first:\n  kubectl uncordon one" in ended.reason
    assert bench.step("two").state is StepState.PLANNED


@pytest.mark.parametrize(("shut", "why"), SHUT.values(), ids=SHUT)
async def test_a_run_that_has_changed_nothing_when_writing_is_forbidden_is_cancelled(
    shut: Callable[[Bench], None], why: str
) -> None:
    bench = Bench(TWO)
    shut(bench)
    ended = await bench.carry()
    assert not bench.effects
    assert ended.state is IncidentState.CANCELLED
    assert why in ended.reason


async def test_a_run_that_nobody_has_approved_asks_once_the_mode_is_approve() -> None:
    """E28: nothing that nobody approved; the time of waiting does not count towards the deadline."""
    bench = Bench(TWO, heals="kubectl cordon two")
    bench.world.mode = Mode.APPROVE
    bench.ledger.answers_after = timedelta(minutes=5)
    times = bench.note_times()
    ended = await bench.carry()
    assert [question.path for question in bench.ledger.questions] == [""]
    assert times["kubectl cordon one"] == pytest.approx(300, abs=2)
    assert bench.deadline >= moment(minutes=35)
    assert ended.state is IncidentState.RECOVERED


async def test_a_run_that_nobody_approves_changes_nothing_and_is_handed_over() -> None:
    bench = Bench(TWO)
    bench.world.mode = Mode.APPROVE
    ended = await bench.carry()
    assert not bench.effects
    assert ended.state is IncidentState.NEEDS_OPERATOR


async def test_a_run_whose_plan_was_approved_goes_on_in_mode_approve() -> None:
    bench = Bench(TWO, heals="kubectl cordon two")
    bench.world.mode = Mode.APPROVE
    bench.ledger.questions = [approval(answered=moment())]
    ended = await bench.carry()
    assert len(bench.effects) == 2
    assert ended.state is IncidentState.RECOVERED


async def test_the_breaker_is_asked_before_every_change() -> None:
    """P7: what most looks broken in mid-run is the observer."""
    bench = Bench(TWO, heals="kubectl cordon two")
    bench.actor.takes = timedelta(seconds=10)
    times = bench.note_times()
    bench.at(5, lambda: setattr(bench.world, "observed", Observer(sick=9, seen=10)))
    bench.at(120, lambda: setattr(bench.world, "observed", Observer()))
    await bench.carry()
    assert times["kubectl cordon one"] == 10
    assert times["kubectl cordon two"] == pytest.approx(130, abs=1.5)


async def test_a_change_elsewhere_is_held_by_the_pauses_there() -> None:
    """P7: pauses count where the object is, not where the run began."""
    steps = "- {id: scale, run: kubectl scale deployment/api --replicas=3 -n staging}"
    bench = Bench(steps, heals="kubectl scale")
    times = bench.note_times()
    bench.ledger.pauses = [pause(PauseScope.NAMESPACE, "staging", until=moment(minutes=2))]
    await bench.carry()
    assert min(times.values()) == pytest.approx(120, abs=1.5)
    assert "staging" in bench.ledger.asked_about


async def test_a_pause_of_the_service_holds_its_changes() -> None:
    bench = Bench(TWO, heals="kubectl cordon two")
    times = bench.note_times()
    bench.ledger.pauses = [
        pause(PauseScope.SERVICE, "web", until=moment(minutes=2)),
        pause(PauseScope.SERVICE, "api"),
    ]
    await bench.carry()
    assert times["kubectl cordon one"] == pytest.approx(120, abs=1.5)


API = service_text(name="api", priority=20)
AT_API = """\
- {id: mine, run: kubectl scale deployment/web --replicas=5}
- {id: api, service: api, run: kubectl scale deployment/api --replicas=5}
"""


async def test_a_step_at_another_service_takes_its_locks_before_its_first_change_there() -> None:
    """P2, P7: the service of a step is locked beside the run's own, and with it its workload."""
    bench = Bench(AT_API, documents=(API,), heals="kubectl scale deployment api")
    seen: dict[str, set[str]] = {}
    changed = bench.actor.on_change
    bench.actor.on_change = lambda text: (seen.setdefault(text, set(bench.ledger.locks)), changed(text))[-1]
    await bench.carry()
    mine, theirs = seen.values()
    assert mine == {"service web", "production/deployment/web"}
    assert theirs == mine | {"service api", "production/deployment/api"}


async def test_a_step_waits_for_the_run_that_holds_a_later_service() -> None:
    bench = Bench(AT_API, documents=(API,), heals="kubectl scale deployment api")
    bench.ledger.locks["service api"] = Lock(name="service api", run="run-2")
    times = bench.note_times()
    bench.at(100, bench.ledger.locks.clear)
    ended = await bench.carry()
    assert list(times.values()) == [pytest.approx(0, abs=1.5), pytest.approx(100, abs=1.5)]
    assert ended.state is IncidentState.RECOVERED


async def test_a_step_does_not_wait_for_the_run_that_holds_an_earlier_service() -> None:
    """P2: that run may wait for this one; two runs never wait for each other."""
    bench = Bench(AT_API, documents=(service_text(name="api", priority=1),))
    bench.ledger.locks["service api"] = Lock(name="service api", run="run-2")
    bench.at(100, bench.heal)
    ended = await bench.carry()
    assert bench.effects == ["kubectl scale deployment web --replicas=5 -n production"]
    assert "service api is held by run run-2" in bench.ledger.moves[0][1]
    assert ended.state is IncidentState.RECOVERED


async def test_the_locks_of_a_child_are_given_back_when_it_is_over() -> None:
    child = runbook_text(
        "- {id: scale, run: kubectl scale deployment/api --replicas=5}", name="mend-api", more="service: api"
    )
    steps = "- {id: child, runbook: mend-api}\n- {id: mine, run: kubectl scale deployment/web --replicas=5}"
    bench = Bench(steps, documents=(API, child), heals="kubectl scale deployment web")
    seen: list[set[str]] = []
    changed = bench.actor.on_change
    bench.actor.on_change = lambda text: (seen.append(set(bench.ledger.locks)), changed(text))[-1]
    await bench.carry()
    assert seen == [{"service api", "production/deployment/api"}, {"service web", "production/deployment/web"}]
