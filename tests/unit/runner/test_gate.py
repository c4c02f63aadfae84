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
from kintsugi.model.command import ObjectName, SetMetadata, Verb
from kintsugi.model.good_state import ScaledToZero
from kintsugi.model.history import MadeChange
from kintsugi.model.manual import MANUAL
from kintsugi.model.records import IncidentState, PauseScope, StepState
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.runner.gate import affected_by
from kubeobjects.metadata import Metadata
from kubeobjects.storage import ClaimSpec, PersistentVolumeClaim
from kubesim.storage.kinds import CERTIFICATES
from tests.unit.factories import approval, moment, pause, pod, run, runbook_text, service_text, signal
from tests.unit.runner.bench import SCALE, RunBench, clock, driven

pytestmark = pytest.mark.looptime

ONE, TWO = "kubectl cordon one", "kubectl cordon two"
BOTH = f"- {{id: one, run: {ONE}}}\n- {{id: two, run: {TWO}}}\n"
WAIT = "- {id: wait, expect: service.ready > 5, within: 1m, onFailure: continue}\n"
Act = Callable[[RunBench], object]


def attribute(name: str, value: object, back: object) -> tuple[Act, Act]:
    """Let what is observed be another, and as before again."""
    return lambda bench: setattr(bench.observed, name, value), lambda bench: setattr(bench.observed, name, back)


def pausing(scope: PauseScope, name: str = "") -> tuple[Act, Act]:
    """Let Ada pause something, and lift that."""
    return lambda bench: bench.ledger.pauses.append(pause(scope, name)), lambda bench: bench.ledger.pauses.clear()


HINDRANCES: dict[str, tuple[Act, Act]] = {
    "a pause of everything": pausing(PauseScope.GLOBAL),
    "a pause of the namespace": pausing(PauseScope.NAMESPACE, "production"),
    "a pause of the rule": pausing(PauseScope.RULE, "web-pods"),
    "a pause of the service": pausing(PauseScope.SERVICE, "web"),
    "an annotation": attribute("annotated", {"production": "a release"}, {}),
    "blindness": attribute("stale_reason", "the watch is silent", ""),
    "a rule that was taken out": attribute("taken_out", "no longer in the catalog", ""),
    "an upstream that is being recovered": attribute("waits_for", "database is being recovered by run run-2", ""),
    "the breaker": attribute("health", ObserverHealth(nodes=1, nodes_stale=1), ObserverHealth()),
    "a spent budget": (
        lambda bench: setattr(bench.ledger, "disruptions", (moment(),) * 20),
        lambda bench: setattr(bench.ledger, "disruptions", ()),
    ),
}


@pytest.mark.parametrize("since", [0, 5])
@pytest.mark.parametrize(("hinder", "free"), HINDRANCES.values(), ids=HINDRANCES)
async def test_a_change_waits_until_nothing_hinders_it_and_what_was_begun_ends(
    hinder: Act, free: Act, since: float
) -> None:
    """E29, P6, P7, S10: at each change of a run, not only where it starts."""
    bench = RunBench(BOTH, heals=TWO, takes=10)
    times = bench.note_times()
    if since:
        bench.at(since, lambda: hinder(bench))
    else:
        hinder(bench)
    bench.at(120, lambda: free(bench))
    await bench.drive()
    first = 10 if since else 130
    assert list(times.values()) == [pytest.approx(first, abs=1.5), pytest.approx(130 if since else 140, abs=3)]


async def test_looking_goes_on_through_a_pause() -> None:
    bench = RunBench("- {id: look, run: kubectl get pods}")
    bench.ledger.pauses = [pause()]
    assert (await bench.drive(healed_at=60)).state is IncidentState.NO_ACTION


async def test_when_nobody_can_say_whether_there_is_a_pause_nothing_is_changed() -> None:
    """E30: fail closed."""
    bench = RunBench(BOTH)
    bench.ledger.trouble = LedgerUnavailable("the database is away")
    with pytest.raises(LedgerUnavailable):
        await bench.drive()
    assert not bench.effects
    assert not bench.has("one#0")


@pytest.mark.parametrize("ago", [5, 120])
async def test_a_change_that_another_rule_has_just_made_the_other_way_is_not_taken_back_but_handed_over(
    ago: float,
) -> None:
    """E21: whoever comes second changes nothing, and a person hears of both; a change of long ago counts no more."""
    undo = undone_by(parse("kubectl uncordon one"))
    other = MadeChange(rule="node-sick", run="run-7", text=ONE, finished=moment(minutes=-ago), undo=undo)
    bench = RunBench("- {id: open, run: kubectl uncordon one}", heals="kubectl uncordon one")
    bench.ledger.changes_of_late = (other,)
    await bench.drive()
    if ago > 100:
        assert bench.state is IncidentState.RECOVERED
    else:
        assert bench.ended == (IncidentState.NEEDS_OPERATOR, [])
        why = "rules node-sick and web-pods contradict each other: run run-7 did `kubectl cordon one`"
        assert bench.reason.startswith(why)


async def test_alerts_that_people_have_silenced_hold_changes_while_all_are() -> None:
    """A19."""
    bench = RunBench(BOTH, heals=TWO)
    times = bench.note_times()
    bench.ledger.signals = [signal(kind=RuleSource.ALERT, key=key, id=key) for key in ("fp-1", "fp-2")]
    bench.observed.silenced = {"fp-1", "fp-2"}
    bench.at(90, lambda: bench.observed.silenced.discard("fp-2"))
    await bench.drive()
    assert 90 <= times[ONE] < 125
    assert clock() < 300
    assert bench.observed.asked_for_silences < 10, "the whole list of alerts is read for each answer"


@pytest.mark.parametrize("parent", ["", "run-stack"])
async def test_a_trigger_that_ends_before_the_first_change_cancels_the_run(parent: str) -> None:
    """E18: also a child of what a person started, which has taken over an incident that waited."""
    bench = RunBench(WAIT + BOTH)
    if parent:
        bench.ledger.record = replace(bench.ledger.record, rule=MANUAL, parent=parent)
    bench.at(10, bench.resolve)
    await bench.drive()
    assert bench.ended == (IncidentState.CANCELLED, [])
    assert bench.reason == "the trigger ended before anything was changed"


@pytest.mark.parametrize("even_if_resolved", [False, True])
async def test_a_trigger_that_ends_after_a_change_drops_further_changes_while_all_is_well(
    even_if_resolved: bool,
) -> None:
    """E18: deleting a pod makes its alert vanish; the checks and the watchdog go on, and what completes another change."""
    two = "- {id: two, evenIfResolved: true" if even_if_resolved else "- {id: two"
    steps = BOTH.replace("- {id: two", f"- {{id: pause, expect: service.healthy, within: 1m}}\n{two}")
    bench = await driven(steps + "- {id: check, run: kubectl get pods}", heals=ONE)
    assert bench.ended == (IncidentState.RECOVERED, [ONE, TWO] if even_if_resolved else [ONE])
    if not even_if_resolved:
        assert bench.step("two").state is StepState.SKIPPED
        assert bench.step("two").error == "the trigger has ended and the service is healthy"
    assert bench.has("check")


@pytest.mark.parametrize("healthy", [False, None])
async def test_while_the_service_is_not_well_changes_go_on_although_the_trigger_has_ended(healthy: bool | None) -> None:
    bench = RunBench(BOTH.replace("- {id: two", WAIT.replace("1m", "20s") + "- {id: two"))
    bench.at(10, bench.resolve)
    if healthy is None:
        bench.at(11, bench.observed.hide)
    await bench.drive(healed_at=60)
    assert len(bench.effects) == 2


async def test_a_run_that_a_person_started_goes_on_whatever_becomes_of_an_alert_that_has_joined_it() -> None:
    """E18, A19: it was not started for that alert, so neither its end nor its silence is a reason to stop."""
    bench = RunBench(WAIT + BOTH, heals=TWO)
    bench.ledger.record = replace(bench.ledger.record, rule=MANUAL)
    bench.ledger.signals = [signal(kind=RuleSource.ALERT, key="fp-1")]
    bench.observed.silenced = {"fp-1"}
    bench.at(30, bench.resolve)
    await bench.drive()
    assert bench.ended == (IncidentState.RECOVERED, [ONE, TWO])
    assert clock() < 300


@pytest.mark.parametrize(
    "start",
    [lambda bench: bench.ledger.signals.clear(), lambda bench: bench.started_by(RuleSource.EVENT)],
    ids=["a person", "an event"],
)
async def test_a_run_without_a_trigger_that_can_end_is_not_taken_for_one_whose_trigger_has_ended(start: Act) -> None:
    """B20: Events are hints that never resolve; their silence says nothing."""
    bench = RunBench(f"- {{id: scale, run: {SCALE}}}", heals="kubectl scale")
    start(bench)
    await bench.drive()
    assert bench.ended == (IncidentState.RECOVERED, [SCALE])


@pytest.mark.parametrize(
    ("steps", "times"),
    [
        ("- {id: restart, forEach: service.pods, when: each.unhealthy, run: 'kubectl delete pod ${each}'}", [10, 110]),
        ("- {id: cordon, run: kubectl cordon one two three}", [10, 110, 120]),
    ],
    ids=["item", "object"],
)
async def test_every_item_and_every_object_of_a_command_is_asked_for_by_itself(steps: str, times: list[float]) -> None:
    bench = RunBench(steps, takes=10)
    made = bench.note_times()
    bench.pause(5, 100)
    await bench.drive(healed_at=150)
    assert sorted(made.values()) == [pytest.approx(each, abs=1.5) for each in times]


SHUT: dict[str, tuple[Act, str]] = {
    "observe": (lambda bench: setattr(bench.observed, "mode", Mode.OBSERVE), "mode is observe"),
    "a rule that observes": (lambda bench: bench.observed.modes.update({"web-pods": Mode.OBSERVE}), "mode is observe"),
    "a freeze": (lambda bench: bench.ledger.pauses.append(pause(freeze=True)), "frozen by ada: a release"),
}


@pytest.mark.parametrize(
    ("asks", "within"), [(False, 5), (True, 5), (True, 60)], ids=["", "before it is asked", "while it is waited for"]
)
@pytest.mark.parametrize(("shut", "why"), SHUT.values(), ids=SHUT)
async def test_a_run_that_is_half_done_when_writing_is_forbidden_is_handed_over_with_its_commands(
    shut: Act, why: str, asks: bool, within: float
) -> None:
    """E29: nothing more is written, forward or back; nor is a person asked, whose yes could not be acted on."""
    bench = RunBench(BOTH.replace("{id: two,", '{id: two, approve: "Go on?",') if asks else BOTH, takes=10)
    bench.at(within, lambda: shut(bench))
    ended = await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [ONE])
    assert len(bench.ledger.questions) == (within > 10)
    assert why in ended.reason
    assert "Undo commands, newest first:\n  kubectl uncordon one" in ended.reason
    assert ended.steps_finished_at is not None
    assert ended.steps_finished_at <= moment(seconds=within + 10)


@pytest.mark.parametrize(("shut", "why"), SHUT.values(), ids=SHUT)
async def test_a_run_that_has_changed_nothing_when_writing_is_forbidden_is_cancelled(shut: Act, why: str) -> None:
    bench = RunBench(BOTH)
    shut(bench)
    await bench.drive()
    assert bench.ended == (IncidentState.CANCELLED, [])
    assert why in bench.reason


@pytest.mark.parametrize("answered", [True, False])
async def test_a_run_that_nobody_has_approved_asks_once_the_mode_is_approve(answered: bool) -> None:
    """E28: nothing that nobody approved; the time of waiting does not count towards the deadline."""
    bench = RunBench(BOTH, heals=TWO)
    bench.observed.mode = Mode.APPROVE
    bench.ledger.answers_after = timedelta(minutes=5) if answered else None
    times = bench.note_times()
    await bench.drive()
    assert [question.path for question in bench.ledger.questions] == [""]
    if answered:
        assert times[ONE] == pytest.approx(300, abs=2)
        assert bench.deadline >= moment(minutes=35)
    assert bench.ended == ((IncidentState.RECOVERED, [ONE, TWO]) if answered else (IncidentState.NEEDS_OPERATOR, []))


@pytest.mark.parametrize(
    ("parent", "step", "changes"),
    [
        ("", "", 2),
        ("inc-stack", "data/web_at_zero", 2),
        ("inc-stack", "", 2),
        ("inc-stack", "data/api_at_zero", 0),
    ],
)
async def test_a_run_is_approved_with_its_plan_its_parents_plan_or_the_step_that_starts_it(
    parent: str, step: str, changes: int
) -> None:
    """A yes to another step of its parent says nothing about it."""
    bench = RunBench(BOTH, heals=TWO)
    bench.observed.mode = Mode.APPROVE
    bench.ledger.questions = [approval(answered=moment())]
    if parent:
        bench.ledger.record = replace(bench.ledger.record, parent="run-stack", parent_step="data/web_at_zero")
        bench.parent = parent
        bench.ledger.questions = [replace(approval(answered=moment()), incident=parent, path=step)]
    await bench.drive()
    assert len(bench.effects) == changes


API = service_text(name="api", priority=20)
AT_API = """\
- {id: mine, run: kubectl scale deployment/web --replicas=5}
- {id: api, service: api, run: kubectl scale deployment/api --replicas=5}
"""


@pytest.mark.parametrize(
    ("change", "scope", "name"),
    [
        ("kubectl scale deployment/api --replicas=3 -n staging", PauseScope.NAMESPACE, "staging"),
        ("kubectl label pod api-1 quarantine=yes", PauseScope.SERVICE, "api"),
        ("kubectl annotate pvc data-api-0 note=seen", PauseScope.SERVICE, "api"),
        ("kubectl label pv pv-api note=seen", PauseScope.SERVICE, "api"),
        ("kubectl annotate svc api-service note=seen", PauseScope.SERVICE, "api"),
    ],
)
async def test_a_change_elsewhere_is_held_by_the_pauses_there(change: str, scope: PauseScope, name: str) -> None:
    """P7, P8: where the object is: pods, claims with their volumes, and the Kubernetes Service of another service."""
    bench = RunBench(f"- {{id: note, run: {change}}}", documents=(API,), heals="kubectl")
    metadata = Metadata(name="data-api-0", namespace="production")
    bench.observed.views["api"] = replace(
        bench.observed.views["api"],
        pods=(pod("api-1"),),
        pvcs=(PersistentVolumeClaim(metadata=metadata, spec=ClaimSpec(volume_name="pv-api")),),
        host="api-service.production",
    )
    times = bench.note_times()
    bench.ledger.pauses = [pause(scope, name, until=moment(minutes=2))]
    await bench.drive()
    assert list(times.values()) == [pytest.approx(120, abs=1.5)]


def locks_at_changes(bench: RunBench) -> list[set[str]]:
    """Note from now on which locks the run has at each change."""
    seen: list[set[str]] = []
    bench.at_each_change(lambda _: seen.append(set(bench.ledger.locks)))
    return seen


async def test_a_step_at_another_service_takes_its_locks_before_its_first_change_there() -> None:
    """P2, P7: the service of a step is locked beside the run's own, and with it its workload."""
    bench = RunBench(AT_API, documents=(API,), heals="kubectl scale deployment api")
    seen = locks_at_changes(bench)
    await bench.drive()
    mine = {"service web", "production/deployment/web"}
    assert seen == [mine, mine | {"service api", "production/deployment/api"}]


async def test_the_locks_of_a_child_are_given_back_when_it_is_over() -> None:
    step = "- {id: scale, run: kubectl scale deployment/api --replicas=5}"
    child = runbook_text(step, name="mend-api", more="service: api")
    steps = f"- {{id: child, runbook: mend-api}}\n- {{id: mine, run: {SCALE}}}"
    bench = RunBench(steps, documents=(API, child), heals="kubectl scale deployment web")
    seen = locks_at_changes(bench)
    await bench.drive()
    assert seen == [{"service api", "production/deployment/api"}, {"service web", "production/deployment/web"}]


@pytest.mark.parametrize("waits", [", expect: service.healthy, within: 5m}", "}"], ids=["in its step", "verifying"])
async def test_a_run_that_only_waits_for_its_last_change_holds_no_lock_of_another_service(waits: str) -> None:
    """P11: what is wrong with that service meanwhile has a run of its own."""
    bench = RunBench(AT_API.removesuffix("}\n") + waits, documents=(API,), heals="kubectl scale deployment api")
    held: list[set[str]] = []
    bench.at(60, lambda: held.append(set(bench.ledger.locks)))
    await bench.drive(healed_at=120)
    assert held == [{"service web", "production/deployment/web"}]


def test_an_object_of_a_type_that_is_not_built_in_is_locked_and_concerns_all_services_of_its_namespace() -> None:
    """Whose it is cannot be seen: a pause of any of them holds its change, and two runs never change it at once."""
    asked = ObjectName(resource=CERTIFICATES, name="shop")
    command = SetMetadata(verb=Verb.LABEL, objects=(asked,), namespace="production", values={"a": "b"})
    affected = affected_by(run(), "web", command, RunBench(AT_API, documents=(API,)).observed.views)
    assert affected.services == {"web", "api"}
    assert affected.locks == ("service web", "production/deployment/web", "production/certificate/shop")


@pytest.mark.parametrize(("priority", "waits"), [(20, True), (1, False)], ids=["a later service", "an earlier one"])
async def test_a_step_waits_only_for_the_run_that_holds_a_later_service(priority: int, waits: bool) -> None:
    """P2: that run may wait for this one; two runs never wait for each other."""
    bench = RunBench(
        AT_API, documents=(service_text(name="api", priority=priority),), heals="kubectl scale deployment api"
    )
    bench.ledger.locks["service api"] = Lock(name="service api", run="run-2")
    times = bench.note_times()
    bench.at(100, bench.ledger.locks.clear)
    assert (await bench.drive(healed_at=101)).state is IncidentState.RECOVERED
    assert list(times.values()) == [pytest.approx(each, abs=1.5) for each in ((0, 100) if waits else (0,))]
    if not waits:
        assert "service api is held by run run-2" in bench.stopped


async def test_a_workload_that_a_restore_holds_at_zero_is_started_by_no_step() -> None:
    """P6: asked once the lock is held, so that no restore can stop it in between."""
    bench = RunBench("- {id: start, run: kubectl scale deployment/web --current-replicas=0 --replicas=3}")
    view = bench.observed.views["web"]
    assert view.workload is not None
    uid = view.workload.metadata.uid
    bench.ledger.zero[uid] = ScaledToZero(workload=uid, run="run-of-the-restore", moment=moment(minutes=-5))
    await bench.drive()
    assert not bench.effects
    assert "deployment/web is held at 0: run run-of-the-restore stopped the workload" in bench.stopped
