"""The watchdog's moment: steps end, effects come to theirs, what is seen then decides (P5); and a pause stops its clock (E29)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from kintsugi.errors import KubeError
from kintsugi.model.records import IncidentState, PauseScope, StepState
from kintsugi.model.rules import RuleSource
from kintsugi.runner.deadlines import covered
from kubeobjects.metadata import Metadata
from tests.unit.factories import moment, pause, pod
from tests.unit.runner.bench import SCALE, RunBench, clock, diagnosed

pytestmark = pytest.mark.looptime

DO, UNDO = "kubectl cordon one", "kubectl uncordon one"
ONE = f"- {{id: one, run: {DO}}}"
WAITS = "- {id: wait, expect: service.healthy, within: 2h}\n- {id: after, run: kubectl get pods}"
TWO = f"{ONE}\n- {{id: wait, expect: service.ready > 5, within: 3m, onFailure: continue}}\n- {{id: two, run: kubectl cordon two}}"


def failing(steps: str = ONE, *, heals: str | None = UNDO, more: str = "") -> RunBench:
    """Make a run with a deadline of ten minutes that does not help; its undo does, at once."""
    return RunBench(steps, rollback=f"after: 10m{more}", heals=heals, heals_after=timedelta(0))


async def test_the_deadline_ends_the_walk() -> None:
    bench = failing(WAITS)
    await bench.drive()
    why = "stopped: the deadline was reached before all steps had finished"
    assert bench.ledger.moves[0] == (IncidentState.VERIFYING, why)
    assert bench.ledger.record.steps_finished_at == moment(minutes=10)
    assert not bench.has("after")


async def test_an_effect_that_is_under_way_at_the_deadline_comes_to_its_end() -> None:
    """What was begun is known: no effect is left in the middle."""
    bench = RunBench(f"- {{id: scale, run: {SCALE}}}", rollback="after: 10s", takes=30)
    await bench.drive(healed_at=60)
    assert bench.step("scale#0").state is StepState.DONE
    assert bench.ended == (IncidentState.RECOVERED, [SCALE])
    assert bench.ledger.record.steps_finished_at == moment(seconds=30)


def seen_again(at: float, *, ready: int, resolved: bool = True) -> Callable[[RunBench], None]:
    """Let nothing be seen from 500 s on, and so many pods be ready from a moment on."""

    def events(bench: RunBench) -> None:
        bench.at(500, bench.observed.hide)
        bench.at(at, lambda: bench.observed.show(ready=ready))
        bench.at(at, bench.resolve if resolved else lambda: None)

    return events


@pytest.mark.parametrize(
    ("steps", "more", "events", "end", "over"),
    [
        (ONE, "", lambda _: None, (IncidentState.ROLLED_BACK, [DO, UNDO]), 600),
        (ONE, "\npolicy: always", lambda _: None, (IncidentState.ROLLED_BACK, [DO, UNDO]), 600),
        (ONE, "\nthen: leave", lambda _: None, (IncidentState.NEEDS_OPERATOR, [DO]), 600),
        (WAITS, "\nthen: undo", lambda bench: bench.at(599, bench.heal), (IncidentState.NO_ACTION, []), 599 + 120),
        (ONE, "", seen_again(1200, ready=3), (IncidentState.RECOVERED, [DO]), 1200 + 120),
        (ONE, "", seen_again(1200, ready=1, resolved=False), (IncidentState.ROLLED_BACK, [DO, UNDO]), 1200 + 180),
        (
            ONE,
            "",
            lambda bench: bench.at(30, lambda: bench.observed.show(ready=3)),
            (IncidentState.INEFFECTIVE, [DO]),
            30 + 120 + 900,
        ),
    ],
    ids=[
        "it fails",
        "always",
        "leave",
        "it is well",
        "well when seen again",
        "failing when seen again",
        "the trigger persists",
    ],
)
async def test_a_run_ends_by_what_is_seen_at_its_deadline(
    steps: str, more: str, events: Callable[[RunBench], None], end: tuple[IncidentState, list[str]], over: float
) -> None:
    """P5, P6, E19: a watchdog that cannot see waits until it does, and a failure must last then."""
    bench = failing(steps, more=more)
    events(bench)
    if "always" in more:
        bench.observed.known_good = frozenset({""})
    times = bench.note_times()
    await bench.drive()
    assert bench.ended == end
    assert times.get(UNDO, clock()) == pytest.approx(over, abs=3)


@pytest.mark.parametrize(
    ("speaks_against", "reason"),
    [
        (
            lambda bench: setattr(bench.observed, "known_good", frozenset({"new"})),
            "the failing revision was seen good before",
        ),
        (
            lambda bench: bench.at(100, lambda: bench.observed.show(template="newer")),
            "someone has changed deployment/web since the run began",
        ),
        (
            lambda bench: bench.observed.show(template=""),
            "the template of deployment/web at the start of the run is unknown",
        ),
    ],
)
async def test_a_reason_against_a_rollback_calls_a_person_with_the_commands(
    speaks_against: Callable[[RunBench], None], reason: str
) -> None:
    bench = failing()
    bench.observed.show(template="new")
    speaks_against(bench)
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [DO])
    assert f"not rolled back: {reason}" in bench.reason
    assert f"Undo commands, newest first:\n  {UNDO}" in bench.reason


async def test_an_alert_that_is_here_sooner_than_the_watch_makes_nobodys_change() -> None:
    """What was rolled out before the run is what the run found, however late the watch shows it (P5)."""
    bench = failing()
    bench.observed.show(template="good")
    bench.prober.ahead = Metadata(uid="uid-web", generation=2)
    bench.at(5, lambda: bench.observed.show(template="bad"))
    bench.at(5, lambda: setattr(bench.prober, "ahead", None))
    await bench.drive()
    found = bench.ledger.record.workload_found
    assert found is not None
    assert found.template == "bad"
    assert bench.effects == [DO, UNDO]


@pytest.mark.parametrize(
    "ahead", [Metadata(uid="uid-web", generation=2), Metadata(uid="another"), KubeError("it does not answer")]
)
async def test_a_watch_that_does_not_catch_up_holds_no_run_and_nothing_is_taken_back_on_its_word(
    ahead: Metadata | Exception,
) -> None:
    """P5, P6."""
    bench = failing()
    bench.prober.ahead = ahead
    await bench.drive()
    assert "the template of deployment/web at the start of the run is unknown" in bench.reason
    assert bench.effects == [DO]


@pytest.mark.parametrize("as_left", [True, False])
async def test_a_template_that_our_own_rollout_left_is_ours_but_not_one_that_somebody_has_rolled_out_meanwhile(
    as_left: bool,
) -> None:
    """E37: it stands there when the steps end, and has neither the run's mark nor its digest."""
    bench = failing(f"- {{id: again, run: kubectl rollout restart deployment/web}}\n{ONE}")
    bench.observed.show(template="old")
    bench.prober.as_left = lambda: as_left
    bench.actor.on_change = lambda text: bench.observed.show(template="new") if "restart" in text else None
    await bench.drive()
    assert (bench.effects[-1] == UNDO) is as_left
    if not as_left:
        assert bench.ledger.record.workload_left is None
        assert "someone has changed deployment/web since the run began" in bench.reason


LEFT = "a restart does not help, because the configuration is wrong: check / is not met: HTTP 503"


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
    answer = {**diagnosed(remedy), "name": "", "kept": "", "revision": 1, "good": 0, "reason": LEFT}
    steps = "- {id: why, run: kintsugi diagnose deployment/web}"
    bench = RunBench(steps, rollback="after: 30m", answers={"kintsugi diagnose": answer})
    bench.found = (pod("web-1"), pod("web-2"), pod("web-3"))
    bench.started_by(kind)
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [])
    assert reason in bench.reason
    assert clock() == pytest.approx(seconds, abs=2)


@pytest.mark.parametrize(("when", "pauses"), [(100, False), (1200, False), (100, True)])
async def test_a_person_may_ask_for_the_rollback_at_any_time(when: float, pauses: bool) -> None:
    """Also during a pause."""
    steps = f"{ONE}\n- {{id: wait, expect: service.healthy, within: 10m, onFailure: continue}}"
    bench = RunBench(steps, heals=UNDO, heals_after=timedelta(0))
    if pauses:
        bench.pause(60)
    bench.at(when, bench.request_rollback)
    times = bench.note_times()
    await bench.drive()
    assert times[UNDO] == pytest.approx(when, abs=3)
    assert any(state is IncidentState.ROLLING_BACK and "asked for by ada" in why for state, why in bench.ledger.moves)
    assert clock() < when + 300


async def test_a_change_that_a_pause_held_up_has_the_time_that_was_left() -> None:
    bench = failing(TWO)
    bench.pause(60, 3660)
    times = bench.note_times()
    with capture_logs() as said:
        await bench.drive()
    assert times["kubectl cordon two"] == pytest.approx(3660, abs=2)
    assert times[UNDO] == pytest.approx(600 + 3600, abs=3)
    assert bench.deadline == pytest.approx(moment(seconds=4200), abs=timedelta(seconds=1))
    assert [each["why"] for each in said if each["event"] == "deadline postponed"] == ["paused by ada: a release"]


@pytest.mark.parametrize("began", [2, 592, 700])
async def test_no_rollback_begins_by_itself_while_a_pause_holds(began: float) -> None:
    """The steps are done, or the deadline has come while the watchdog still looks: nothing is taken back meanwhile."""
    bench = failing()
    if began > 600:
        bench.at(550, lambda: bench.observed.show(ready=3))
        bench.at(590, lambda: bench.observed.show(ready=1))
    bench.pause(began, 9000)
    times = bench.note_times()
    assert (await bench.drive()).state is IncidentState.ROLLED_BACK
    assert times[UNDO] == pytest.approx(9000 + max(600 - began, 0), abs=3)


async def test_a_service_that_has_become_well_meanwhile_is_recovered_in_spite_of_the_pause() -> None:
    bench = failing()
    bench.pause(60)
    assert (await bench.drive(healed_at=2000)).state is IncidentState.RECOVERED
    assert clock() == pytest.approx(2120, abs=3)


@pytest.mark.parametrize(
    ("pausing", "undone"),
    [
        (lambda bench: bench.observed.annotated.update(production="a release"), 4200),
        (lambda bench: bench.ledger.pauses.append(pause(PauseScope.NAMESPACE, "staging")), 600),
        (lambda bench: bench.ledger.pauses.append(pause(PauseScope.RULE, "api-pods")), 600),
        (lambda bench: bench.observed.annotated.update(staging="a release"), 600),
    ],
)
async def test_a_namespace_that_is_marked_as_paused_stops_the_clock_too_and_a_pause_of_something_else_does_not(
    pausing: Callable[[RunBench], None], undone: float
) -> None:
    """S10."""
    bench = failing()
    bench.at(60, lambda: pausing(bench))
    bench.at(3660, bench.observed.annotated.clear)
    times = bench.note_times()
    await bench.drive()
    assert times[UNDO] == pytest.approx(undone, abs=3)


@pytest.mark.parametrize("died", [200, 2000])
async def test_no_restart_loses_or_doubles_the_time(died: float) -> None:
    """The pause holds from 60 to 5060 s, whether the process sees its beginning or not."""
    bench = failing()
    bench.ledger.pauses = [pause(since=moment(seconds=60), until=moment(seconds=5060))]
    times = bench.note_times()
    await bench.drive_until_killed(died)
    await bench.sleep_until(3000)
    await bench.drive()
    assert times[UNDO] == pytest.approx(600 + 5000, abs=3)


@pytest.mark.parametrize("died", [30, 200])
async def test_a_run_that_is_taken_up_after_its_deadline_begins_nothing_more(died: float) -> None:
    """The pause holds from 60 to 5060 s, so that the deadline comes at 5600 s."""
    bench = failing()
    bench.ledger.pauses = [pause(since=moment(seconds=60), until=moment(seconds=5060))]
    await bench.drive_until_killed(died)
    await bench.sleep_until(8000)
    await bench.drive()
    assert (bench.effects, bench.state) == ([], IncidentState.NEEDS_OPERATOR)


async def test_time_in_which_a_question_waited_during_a_pause_counts_once() -> None:
    bench = failing(f"- {{id: one, run: {DO}, approve: May I?}}")
    bench.ledger.answers_after = timedelta(seconds=900)
    bench.ledger.pauses = [replace(pause(), until=moment(seconds=1200))]
    times = bench.note_times()
    await bench.drive()
    assert times[DO] == pytest.approx(1200, abs=2)
    assert times[UNDO] == pytest.approx(600 + 1200, abs=3)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(10, 20)], 10),
        ([(-50, 20)], 20),
        ([(90, 500)], 10),
        ([(-50, -10), (200, 300)], 0),
        ([(10, 30), (20, 40)], 30),
        ([(10, 60), (20, 30), (50, 70)], 60),
        ([(50, 60), (10, 20)], 20),
    ],
)
def test_overlapping_times_count_once(spans: list[tuple[float, float]], seconds: float) -> None:
    stood = [(moment(seconds=first), moment(seconds=last)) for first, last in spans]
    assert covered(stood, moment(), moment(seconds=100)) == timedelta(seconds=seconds)
