"""A person's pause, our own sight, and whether the change is still needed: asked before every single change."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.actions.effect_plan import undone_by
from kintsugi.commands import parse
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.errors import LedgerUnavailable
from kintsugi.model.change_limits import Lock
from kintsugi.model.history import MadeChange
from kintsugi.model.known import ScaledToZero
from kintsugi.model.manual import MANUAL
from kintsugi.model.records import IncidentState, Pause, PauseScope, StepState
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.objects.metadata import Metadata
from kintsugi.objects.storage import ClaimSpec, PersistentVolumeClaim
from tests.unit.factories import approval, moment, pause, pod, runbook_text, service_text, signal
from tests.unit.runner.bench import SCALE, RunBench, clock

pytestmark = pytest.mark.looptime

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
async def test_a_pause_in_mid_run_holds_the_next_change_until_it_is_lifted(stop: Pause) -> None:
    """E29: no new steps at the next boundary; what was begun ends."""
    bench = RunBench(TWO)
    times = bench.note_times()
    bench.actor.takes = timedelta(seconds=10)
    bench.at(5, lambda: bench.ledger.pauses.append(stop))
    bench.at(300, bench.ledger.pauses.clear)
    bench.at(400, bench.heal)
    await bench.drive()
    assert times["kubectl cordon one"] == 10
    assert times["kubectl cordon two"] == pytest.approx(310, abs=1.5)


async def test_a_pause_of_something_else_holds_nothing() -> None:
    bench = RunBench(TWO)
    bench.ledger.pauses = [pause(PauseScope.RULE, "api-pods"), pause(PauseScope.NAMESPACE, "staging")]
    bench.at(60, bench.heal)
    await bench.drive()
    assert len(bench.effects) == 2


async def test_a_pause_ends_by_itself() -> None:
    bench = RunBench(TWO, heals="kubectl cordon two")
    times = bench.note_times()
    bench.ledger.pauses = [pause(until=moment(minutes=2))]
    await bench.drive()
    assert times["kubectl cordon one"] == pytest.approx(120, abs=1.5)


async def test_looking_goes_on_through_a_pause() -> None:
    bench = RunBench("- {id: look, run: kubectl get pods}")
    bench.ledger.pauses = [pause()]
    bench.at(60, bench.heal)
    assert (await bench.drive()).state is IncidentState.NO_ACTION


async def test_when_nobody_can_say_whether_there_is_a_pause_nothing_is_changed() -> None:
    """E30: fail closed."""
    bench = RunBench(TWO)
    bench.ledger.trouble = LedgerUnavailable("the database is away")
    with pytest.raises(LedgerUnavailable):
        await bench.drive()
    assert not bench.effects
    assert not bench.has("one#0")


async def test_a_change_that_another_rule_has_just_made_the_other_way_is_not_taken_back_but_handed_over() -> None:
    """E21: whoever comes second changes nothing, and a person hears of both; a change of long ago counts no more."""
    bench = RunBench("- {id: open, run: kubectl uncordon one}")
    done, back = "kubectl cordon one", undone_by(parse("kubectl uncordon one"))
    other = MadeChange(rule="node-sick", run="run-7", text=done, finished=moment(minutes=-5), undo=back)
    bench.ledger.changes_of_late = (other,)
    ended = await bench.drive()
    assert (ended.state, bench.effects) == (IncidentState.NEEDS_OPERATOR, [])
    assert ended.reason.startswith(
        "rules node-sick and web-pods contradict each other: run run-7 did `kubectl cordon one`"
    )

    bench = RunBench("- {id: open, run: kubectl uncordon one}", heals="kubectl uncordon one")
    bench.ledger.changes_of_late = (replace(other, finished=moment(hours=-2)),)
    assert (await bench.drive()).state is IncidentState.RECOVERED


REFUSALS: dict[str, Callable[[RunBench, str], None]] = {
    "an annotation": lambda bench, why: bench.observed.annotated.update(production=why),
    "blindness": lambda bench, why: setattr(bench.observed, "stale_reason", why),
    "a rule that was taken out": lambda bench, why: setattr(bench.observed, "taken_out", why),
}


@pytest.mark.parametrize("hinder", REFUSALS.values(), ids=REFUSALS)
async def test_an_obstacle_before_a_change_is_waited_out(hinder: Callable[[RunBench, str], None]) -> None:
    """P6: nothing is changed on old news; S10: nor while a namespace is marked as paused."""
    bench = RunBench(TWO, heals="kubectl cordon two")
    times = bench.note_times()
    hinder(bench, "for a reason")
    bench.at(120, lambda: hinder(bench, ""))
    await bench.drive()
    assert times["kubectl cordon one"] == pytest.approx(120, abs=1.5)


async def test_alerts_that_people_have_silenced_hold_changes() -> None:
    """A19."""
    bench = RunBench(TWO, heals="kubectl cordon two")
    times = bench.note_times()
    bench.ledger.signals = [signal(kind=RuleSource.ALERT, key="fp-1")]
    bench.observed.silenced = {"fp-1"}
    bench.at(90, bench.observed.silenced.clear)
    await bench.drive()
    assert 90 <= times["kubectl cordon one"] < 125
    assert bench.observed.asked_for_silences < 10, "the whole list of alerts is read for each answer"


async def test_an_alert_that_is_not_silenced_is_enough_to_go_on() -> None:
    bench = RunBench(TWO, heals="kubectl cordon two")
    bench.ledger.signals = [
        signal(kind=RuleSource.ALERT, key="fp-1"),
        signal(kind=RuleSource.ALERT, key="fp-2", id="s2"),
    ]
    bench.observed.silenced = {"fp-1"}
    await bench.drive()
    assert len(bench.effects) == 2
    assert clock() < 200


async def test_a_trigger_that_ends_before_the_first_change_cancels_the_run() -> None:
    """E18."""
    bench = RunBench("- {id: wait, expect: service.ready > 5, within: 1m, onFailure: continue}\n" + TWO)
    bench.at(10, bench.resolve)
    ended = await bench.drive()
    assert (ended.state, ended.reason) == (
        IncidentState.CANCELLED,
        "the trigger ended before anything was changed",
    )
    assert not bench.effects


async def test_a_trigger_that_ends_after_a_change_drops_further_changes_while_all_is_well() -> None:
    """E18: deleting a pod makes its alert vanish; the checks and the watchdog go on."""
    steps = TWO.replace("- {id: two", "- {id: pause, expect: service.healthy, within: 1m}\n- {id: two")
    bench = RunBench(steps + "- {id: check, run: kubectl get pods}", heals="kubectl cordon one")
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one"]
    assert bench.step("two").state is StepState.SKIPPED
    assert bench.step("two").error == "the trigger has ended and the service is healthy"
    assert bench.has("check")
    assert ended.state is IncidentState.RECOVERED


async def test_a_change_that_completes_another_is_made_also_when_the_trigger_has_ended() -> None:
    steps = TWO.replace(
        "- {id: two", "- {id: pause, expect: service.healthy, within: 1m}\n- {id: two, evenIfResolved: true"
    )
    bench = RunBench(steps, heals="kubectl cordon one")
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one", "kubectl cordon two"]
    assert ended.state is IncidentState.RECOVERED


@pytest.mark.parametrize("healthy", [False, None])
async def test_while_the_service_is_not_well_changes_go_on_although_the_trigger_has_ended(healthy: bool | None) -> None:
    steps = TWO.replace(
        "- {id: two", "- {id: pause, expect: service.ready > 5, within: 20s, onFailure: continue}\n- {id: two"
    )
    bench = RunBench(steps)
    bench.at(10, bench.resolve)
    if healthy is None:
        bench.at(11, bench.observed.hide)
    bench.at(60, bench.heal)
    bench.at(60, bench.observed.show)
    await bench.drive()
    assert len(bench.effects) == 2


async def test_a_run_that_a_person_started_goes_on_whatever_becomes_of_an_alert_that_has_joined_it() -> None:
    """E18, A19: it was not started for that alert, so neither its end nor its silence is a reason to stop."""
    steps = "- {id: wait, expect: service.ready > 5, within: 1m, onFailure: continue}\n" + TWO
    bench = RunBench(steps, heals="kubectl cordon two")
    bench.ledger.record = replace(bench.ledger.record, rule=MANUAL)
    bench.ledger.signals = [signal(kind=RuleSource.ALERT, key="fp-1")]
    bench.observed.silenced = {"fp-1"}
    bench.at(30, bench.resolve)
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one", "kubectl cordon two"]
    assert ended.state is IncidentState.RECOVERED
    assert clock() < 300


async def test_a_child_of_what_a_person_started_is_not_needed_once_its_own_trigger_has_ended() -> None:
    """E18: it has taken over an incident that waited."""
    bench = RunBench("- {id: wait, expect: service.ready > 5, within: 1m, onFailure: continue}\n" + TWO)
    bench.ledger.record = replace(bench.ledger.record, rule=MANUAL, parent="run-stack")
    bench.at(30, bench.resolve)
    ended = await bench.drive()
    assert (ended.state, bench.effects) == (IncidentState.CANCELLED, [])


async def test_a_run_that_a_person_asked_for_has_nothing_to_wait_for() -> None:
    bench = RunBench("- {id: scale, run: kubectl scale deployment/web --replicas=5}", heals="kubectl scale")
    bench.ledger.signals = []
    ended = await bench.drive()
    assert bench.effects == [SCALE]
    assert ended.state is IncidentState.RECOVERED


async def test_a_run_that_an_event_started_is_not_taken_for_one_whose_trigger_has_ended() -> None:
    """B20: Events are hints that never resolve; their silence says nothing."""
    bench = RunBench("- {id: scale, run: kubectl scale deployment/web --replicas=5}", heals="kubectl scale")
    bench.started_by(RuleSource.EVENT)
    ended = await bench.drive()
    assert bench.effects == [SCALE]
    assert ended.state is IncidentState.RECOVERED


async def test_every_item_of_a_step_is_asked_for_by_itself() -> None:
    bench = RunBench("- {id: restart, forEach: service.pods, when: each.unhealthy, run: 'kubectl delete pod ${each}'}")
    bench.actor.takes = timedelta(seconds=10)
    times = bench.note_times()
    bench.at(5, lambda: bench.ledger.pauses.append(pause()))
    bench.at(100, bench.ledger.pauses.clear)
    bench.at(150, lambda: bench.observed.show(pods=(pod("web-1"),)))
    bench.at(160, bench.heal)
    await bench.drive()
    assert sorted(times.values()) == [10, pytest.approx(110, abs=1.5)]


async def test_every_object_of_a_command_is_asked_for_by_itself() -> None:
    bench = RunBench("- {id: cordon, run: kubectl cordon one two three}")
    bench.actor.takes = timedelta(seconds=10)
    times = bench.note_times()
    bench.at(5, lambda: bench.ledger.pauses.append(pause()))
    bench.at(100, bench.ledger.pauses.clear)
    bench.at(150, bench.heal)
    await bench.drive()
    assert sorted(times.values()) == [10, pytest.approx(110, abs=1.5), pytest.approx(120, abs=1.5)]


async def test_a_spent_budget_holds_the_next_change_until_it_is_free_again() -> None:
    """P7: the budget holds inside a run too, not only where it starts."""
    bench = RunBench("- {id: one, run: kubectl cordon one}")
    bench.ledger.disruptions = tuple(moment() for _ in range(20))

    def free() -> None:
        bench.ledger.disruptions = ()

    bench.at(90, free)
    bench.at(120, bench.heal)
    await bench.drive()
    assert bench.effects == ["kubectl cordon one"]
    one = bench.step("one#0")
    assert one.started is not None
    assert one.started >= moment(seconds=90)


SHUT: dict[str, tuple[Callable[[RunBench], None], str]] = {
    "observe": (lambda bench: setattr(bench.observed, "mode", Mode.OBSERVE), "mode is observe"),
    "a rule that observes": (lambda bench: bench.observed.modes.update({"web-pods": Mode.OBSERVE}), "mode is observe"),
    "a freeze": (lambda bench: bench.ledger.pauses.append(pause(freeze=True)), "frozen by ada: a release"),
}


@pytest.mark.parametrize(("shut", "why"), SHUT.values(), ids=SHUT)
async def test_a_run_that_is_half_done_when_writing_is_forbidden_is_handed_over_with_its_commands(
    shut: Callable[[RunBench], None], why: str
) -> None:
    """E29: nothing more is written, forward or back, and what would take it back stands in the message."""
    bench = RunBench(TWO)
    bench.actor.takes = timedelta(seconds=10)
    bench.at(5, lambda: shut(bench))
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one"]
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert why in ended.reason
    assert "Undo commands, newest first:\n  kubectl uncordon one" in ended.reason


@pytest.mark.parametrize(("shut", "why"), SHUT.values(), ids=SHUT)
async def test_a_run_that_has_changed_nothing_when_writing_is_forbidden_is_cancelled(
    shut: Callable[[RunBench], None], why: str
) -> None:
    bench = RunBench(TWO)
    shut(bench)
    ended = await bench.drive()
    assert not bench.effects
    assert ended.state is IncidentState.CANCELLED
    assert why in ended.reason


ASKS_BEFORE_THE_SECOND = TWO.replace("{id: two,", '{id: two, approve: "Go on?",')


@pytest.mark.parametrize("within", [5, 60], ids=["before it is asked", "while it is waited for"])
@pytest.mark.parametrize(("shut", "why"), SHUT.values(), ids=SHUT)
async def test_no_person_is_asked_for_a_yes_while_writing_is_forbidden(
    shut: Callable[[RunBench], None], why: str, within: float
) -> None:
    """E29: a yes could not be acted on; what is half done is handed over at once."""
    bench = RunBench(ASKS_BEFORE_THE_SECOND)
    bench.actor.takes = timedelta(seconds=10)
    bench.at(within, lambda: shut(bench))
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one"]
    assert len(bench.ledger.questions) == (within > 10)
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert why in ended.reason
    assert "kubectl uncordon one" in ended.reason
    assert ended.steps_finished_at is not None
    assert ended.steps_finished_at <= moment(seconds=within + 10)


async def test_a_run_that_nobody_has_approved_asks_once_the_mode_is_approve() -> None:
    """E28: nothing that nobody approved; the time of waiting does not count towards the deadline."""
    bench = RunBench(TWO, heals="kubectl cordon two")
    bench.observed.mode = Mode.APPROVE
    bench.ledger.answers_after = timedelta(minutes=5)
    times = bench.note_times()
    ended = await bench.drive()
    assert [question.path for question in bench.ledger.questions] == [""]
    assert times["kubectl cordon one"] == pytest.approx(300, abs=2)
    assert bench.deadline >= moment(minutes=35)
    assert ended.state is IncidentState.RECOVERED


async def test_a_run_that_nobody_approves_changes_nothing_and_is_handed_over() -> None:
    bench = RunBench(TWO)
    bench.observed.mode = Mode.APPROVE
    ended = await bench.drive()
    assert not bench.effects
    assert ended.state is IncidentState.NEEDS_OPERATOR


async def test_a_run_whose_plan_was_approved_goes_on_in_mode_approve() -> None:
    bench = RunBench(TWO, heals="kubectl cordon two")
    bench.observed.mode = Mode.APPROVE
    bench.ledger.questions = [approval(answered=moment())]
    ended = await bench.drive()
    assert len(bench.effects) == 2
    assert ended.state is IncidentState.RECOVERED


@pytest.mark.parametrize(("step", "changes"), [("data/web_at_zero", 2), ("", 2), ("data/api_at_zero", 0)])
async def test_a_child_is_approved_with_its_parents_plan_or_with_the_step_that_starts_it(
    step: str, changes: int
) -> None:
    """A yes to another step of its parent says nothing about it."""
    bench = RunBench(TWO, heals="kubectl cordon two")
    bench.observed.mode = Mode.APPROVE
    bench.ledger.record = replace(bench.ledger.record, parent="run-stack", parent_step="data/web_at_zero")
    bench.parent = "inc-stack"
    bench.ledger.questions = [replace(approval(answered=moment()), incident="inc-stack", path=step)]
    await bench.drive()
    assert len(bench.effects) == changes


async def test_a_change_waits_for_an_upstream_that_went_down_in_mid_run_and_is_being_recovered() -> None:
    bench = RunBench(TWO, heals="kubectl cordon two")
    bench.actor.takes = timedelta(seconds=10)
    times = bench.note_times()
    bench.at(5, lambda: setattr(bench.observed, "waits_for", "database is being recovered by run run-2"))
    bench.at(120, lambda: setattr(bench.observed, "waits_for", ""))
    await bench.drive()
    assert times["kubectl cordon one"] == 10
    assert times["kubectl cordon two"] == pytest.approx(130, abs=1.5)


async def test_the_breaker_is_asked_before_every_change() -> None:
    """P7: what most looks broken in mid-run is the observer."""
    bench = RunBench(TWO, heals="kubectl cordon two")
    bench.actor.takes = timedelta(seconds=10)
    times = bench.note_times()
    bench.at(5, lambda: setattr(bench.observed, "health", ObserverHealth(nodes=1, nodes_stale=1)))
    bench.at(120, lambda: setattr(bench.observed, "health", ObserverHealth()))
    await bench.drive()
    assert times["kubectl cordon one"] == 10
    assert times["kubectl cordon two"] == pytest.approx(130, abs=1.5)


async def test_a_change_elsewhere_is_held_by_the_pauses_there() -> None:
    """P7: pauses count where the object is, not where the run began."""
    steps = "- {id: scale, run: kubectl scale deployment/api --replicas=3 -n staging}"
    bench = RunBench(steps, heals="kubectl scale")
    times = bench.note_times()
    bench.ledger.pauses = [pause(PauseScope.NAMESPACE, "staging", until=moment(minutes=2))]
    await bench.drive()
    assert min(times.values()) == pytest.approx(120, abs=1.5)
    assert "staging" in bench.ledger.asked_about


async def test_a_pause_of_the_service_holds_its_changes() -> None:
    bench = RunBench(TWO, heals="kubectl cordon two")
    times = bench.note_times()
    bench.ledger.pauses = [
        pause(PauseScope.SERVICE, "web", until=moment(minutes=2)),
        pause(PauseScope.SERVICE, "api"),
    ]
    await bench.drive()
    assert times["kubectl cordon one"] == pytest.approx(120, abs=1.5)


API = service_text(name="api", priority=20)
AT_API = """\
- {id: mine, run: kubectl scale deployment/web --replicas=5}
- {id: api, service: api, run: kubectl scale deployment/api --replicas=5}
"""


@pytest.mark.parametrize(
    "change",
    [
        "kubectl label pod api-1 quarantine=yes",
        "kubectl annotate pvc data-api-0 note=seen",
        "kubectl label pv pv-api note=seen",
        "kubectl annotate svc api-service note=seen",
    ],
)
async def test_a_pause_of_a_service_holds_changes_of_each_of_its_objects(change: str) -> None:
    """P8: its pods, its claims with their volumes, its Kubernetes Service, of whatever service the run is."""
    bench = RunBench(f"- {{id: note, run: {change}}}", documents=(API,), heals="kubectl")
    bench.observed.views["api"] = replace(
        bench.observed.views["api"],
        pods=(pod("api-1"),),
        pvcs=(
            PersistentVolumeClaim(
                metadata=Metadata(name="data-api-0", namespace="production"),
                spec=ClaimSpec(volume_name="pv-api"),
            ),
        ),
        host="api-service.production",
    )
    times = bench.note_times()
    bench.ledger.pauses = [pause(PauseScope.SERVICE, "api", until=moment(minutes=2))]
    await bench.drive()
    assert list(times.values()) == [pytest.approx(120, abs=1.5)]


async def test_a_step_at_another_service_takes_its_locks_before_its_first_change_there() -> None:
    """P2, P7: the service of a step is locked beside the run's own, and with it its workload."""
    bench = RunBench(AT_API, documents=(API,), heals="kubectl scale deployment api")
    seen: dict[str, set[str]] = {}
    changed = bench.actor.on_change
    bench.actor.on_change = lambda text: (seen.setdefault(text, set(bench.ledger.locks)), changed(text))[-1]
    await bench.drive()
    mine, theirs = seen.values()
    assert mine == {"service web", "production/deployment/web"}
    assert theirs == mine | {"service api", "production/deployment/api"}


async def test_a_step_waits_for_the_run_that_holds_a_later_service() -> None:
    bench = RunBench(AT_API, documents=(API,), heals="kubectl scale deployment api")
    bench.ledger.locks["service api"] = Lock(name="service api", run="run-2")
    times = bench.note_times()
    bench.at(100, bench.ledger.locks.clear)
    ended = await bench.drive()
    assert list(times.values()) == [pytest.approx(0, abs=1.5), pytest.approx(100, abs=1.5)]
    assert ended.state is IncidentState.RECOVERED


async def test_a_step_does_not_wait_for_the_run_that_holds_an_earlier_service() -> None:
    """P2: that run may wait for this one; two runs never wait for each other."""
    bench = RunBench(AT_API, documents=(service_text(name="api", priority=1),))
    bench.ledger.locks["service api"] = Lock(name="service api", run="run-2")
    bench.at(100, bench.heal)
    ended = await bench.drive()
    assert bench.effects == ["kubectl scale deployment web --replicas=5 -n production"]
    assert "service api is held by run run-2" in bench.ledger.moves[0][1]
    assert ended.state is IncidentState.RECOVERED


async def test_the_locks_of_a_child_are_given_back_when_it_is_over() -> None:
    child = runbook_text(
        "- {id: scale, run: kubectl scale deployment/api --replicas=5}", name="mend-api", more="service: api"
    )
    steps = "- {id: child, runbook: mend-api}\n- {id: mine, run: kubectl scale deployment/web --replicas=5}"
    bench = RunBench(steps, documents=(API, child), heals="kubectl scale deployment web")
    seen: list[set[str]] = []
    changed = bench.actor.on_change

    def note(text: str) -> None:
        seen.append(set(bench.ledger.locks))
        changed(text)

    bench.actor.on_change = note
    await bench.drive()
    assert seen == [{"service api", "production/deployment/api"}, {"service web", "production/deployment/web"}]


async def test_a_workload_that_a_restore_holds_at_zero_is_started_by_no_step() -> None:
    """P6: asked once the lock is held, so that no restore can stop it in between."""
    bench = RunBench("- {id: start, run: kubectl scale deployment/web --current-replicas=0 --replicas=3}")
    view = bench.observed.views["web"]
    assert view.workload is not None
    uid = view.workload.metadata.uid
    bench.ledger.zero[uid] = ScaledToZero(workload=uid, run="run-of-the-restore", moment=moment(minutes=-5))
    await bench.drive()
    assert not bench.effects
    _, why = bench.ledger.moves[0]
    assert "deployment/web is held at 0 by a restore: run run-of-the-restore stopped the workload" in why
