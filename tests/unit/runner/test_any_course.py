"""
Whatever happens around it, a run comes to its end in time, and what it says of itself then is true.

In time is: its deadline, what an alert may lag, and a verification; a watchdog that was not there then has one look. The
course of things keeps its own account of what is so, by which a test judges what the run says of itself.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kintsugi.model.records import IncidentState, RunRecord, SignalStatus
from tests.unit.factories import NOW, moment, pod, virtual_clock
from tests.unit.runner.bench import RunBench, clock
from tests.unit.virtual import play

VERIFY, LAG, FAILING = 120.0, 900.0, 180.0
"""The figures of the bench's patience, in seconds."""


@dataclass(frozen=True)
class Now:
    """
    So many of three pods are `ready` from now on, or so many are `updated` to the new template.

    Or what started the run is `firing`, or the watch has `seen` what there is; or not.
    """

    what: Literal["ready", "updated", "firing", "seen"]
    value: int


@dataclass(frozen=True, kw_only=True)
class Restart:
    """A container restarts beside those that serve."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A pod is made, beside those that serve, or the last one that was made changes."""

    ready: bool
    again: bool


@dataclass(frozen=True, kw_only=True)
class Death:
    """The daemon's process is killed and started again after so many seconds."""

    down: float


Happening = Now | Restart | Made | Death
Plan = list[tuple[float, Happening]]
"""Happenings with the seconds at which they happen, in order."""


@dataclass(kw_only=True)
class Course:
    """
    One run on its bench, and what is so around it. Times are seconds since the run began.

    `made` are the pods made since, with the moment since when each is ready. `comebacks` are when processes began that
    lived long enough to look around.
    """

    bench: RunBench
    well_since: float | None = None
    restarted: float | None = None
    firing: bool = True
    seen: bool = True
    ready: int = 1
    updated: int = 3
    interval: float = 0
    made: dict[str, float | None] = field(default_factory=dict)
    births: dict[str, datetime] = field(default_factory=dict)
    comebacks: list[float] = field(default_factory=list)

    async def run(self, plan: Plan, *, until: float) -> RunRecord:
        """Let everything happen as planned while the run is carried; it must be over when `until` has come."""
        self.bench.observed.show(ready=1)
        process = asyncio.create_task(self.bench.drive())
        for when, happening in plan:
            await asyncio.wait([process], timeout=max(when - clock(), 0))
            if process.done():
                break
            if not isinstance(happening, Death):
                self._happen(happening)
                continue
            if self.comebacks and clock() - self.comebacks[-1] <= self.bench.pace.total_seconds():
                self.comebacks.pop()
            self.bench.power.cut = 0
            process.cancel()
            await asyncio.wait([process])
            await asyncio.sleep(happening.down)
            if self.bench.ledger.record.state.is_final:
                return self.bench.ledger.record
            self.comebacks.append(clock())
            self._look_anew()
            process = asyncio.create_task(self.bench.drive())
        await asyncio.wait([process], timeout=max(until - clock(), 0))
        assert process.done(), f"after {clock():.0f}s: {self.bench.ledger.record}\n{self.bench.ledger.moves}"
        return process.result()

    @property
    def doubts(self) -> Iterable[str]:
        """Name what speaks against saying now that the service is well, but for the trigger."""
        now = clock()
        times = {"healthy": self.well_since, **dict(self.made.items())}
        for name, since in times.items():
            if since is None or now - since < VERIFY:
                yield f"{name} since {since}"
        if self.restarted is not None and now - self.restarted < VERIFY:
            yield f"restarted at {self.restarted}"
        if not self.seen:
            yield "unseen"
        if self.updated < 3:
            yield f"{self.updated} of 3 updated"

    def _happen(self, happening: Happening) -> None:
        match happening:
            case Now(what, value):
                setattr(self, what, value)
            case Restart():
                self.interval = clock() - self.restarted if self.restarted is not None else 0
                self.restarted = clock()
            case Made(ready=ready, again=again):
                name = f"new-{len(self.made) - (1 if again and self.made else 0)}"
                self.births.setdefault(name, virtual_clock())
                self.made[name] = clock() if ready and self.made.get(name) is None else self.made.get(name)
                self.made[name] = self.made[name] if ready else None
        self._fire()
        well = self.ready >= 3
        self.well_since = (self.well_since if self.well_since is not None else clock()) if well else None
        self._show()

    def _fire(self) -> None:
        if not self.firing:
            self.bench.resolve()
            return
        signals = self.bench.ledger.signals
        self.bench.ledger.signals = [replace(each, status=SignalStatus.FIRING, ended=None) for each in signals]

    def _show(self) -> None:
        observed = self.bench.observed
        if not self.seen:
            observed.hide()
            return
        pods = [
            pod(name, ready=since is not None, made=self.births[name] if since is None else moment(seconds=since))
            for name, since in self.made.items()
        ]
        observed.show(ready=self.ready, pods=tuple(pods), updated=self.updated)
        last = None if self.restarted is None else NOW + timedelta(seconds=self.restarted)
        observed.views["web"] = replace(
            observed.views["web"], last_restart=last, crash_interval=timedelta(seconds=self.interval)
        )

    def _look_anew(self) -> None:
        """See everything for the first time, as a new process does: nothing is known of what was."""
        views = self.bench.observed.views
        views["web"] = replace(views["web"], healthy=None, healthy_since=None, failing_since=None)
        restarted, interval = self.restarted, self.interval
        self.restarted, self.interval = None, 0
        self._show()
        self.restarted, self.interval = restarted, interval


DEADLINE = 600.0
END = DEADLINE + LAG + VERIFY
PACE = 5.0
SLACK = 4 * PACE
LOOK = 5 * VERIFY
"""For how long a rollback whose changes are made is looked at, anew by a process that was away."""
ROLLBACK = 30 * VERIFY + LOOK
"""What a rollback may take at most."""

STEPS = {
    "a change": "- {id: one, run: kubectl cordon one}",
    "a look": "- {id: look, run: kubectl get pods}",
    "a wait": "- {id: one, run: kubectl cordon one}\n- {id: wait, expect: service.healthy, within: 2h}",
    "a step that is not met": "- {id: one, run: kubectl cordon one}\n- {id: no, expect: service.ready > 99, within: 1m}",
}
ROLLBACKS = ["after: 10m", "after: 10m\nthen: leave", "after: 10m\npolicy: always"]

happenings: st.SearchStrategy[Happening] = st.one_of(
    st.builds(Now, st.just("ready"), st.sampled_from([0, 2, 3, 3, 3])),
    st.builds(Restart),
    st.builds(Now, st.just("firing"), st.sampled_from([False, False, True])),
    st.builds(Now, st.just("updated"), st.sampled_from([1, 3, 3])),
    st.builds(Made, ready=st.booleans(), again=st.booleans()),
    st.builds(Now, st.just("seen"), st.sampled_from([False, True, True])),
    st.builds(Death, down=st.sampled_from([1.0, 100.0, 1000.0, 4000.0])),
)
gaps = st.sampled_from([1.0, 10.0, 60.0, 150.0, 300.0])
rhythms = st.none() | st.tuples(
    st.sampled_from([20.0, 70.0, 100.0, 290.0]), st.lists(happenings, min_size=1, max_size=3)
)
"""What goes on and on, one after another, for as long as the run does."""


calms = st.none() | st.sampled_from([5.0, 200.0, 500.0, 900.0, 1400.0])
"""When all becomes well, and stays so but for what happens once; None: never."""
ALL_WELL: list[Happening] = [
    Now("seen", value=True),
    Now("ready", 3),
    Now("updated", 3),
    Made(ready=True, again=True),
    Now("firing", value=False),
]


def planned(
    once: list[tuple[float, Happening]], rhythm: tuple[float, list[Happening]] | None, calm: float | None
) -> Plan:
    """Put what happens once and what goes on and on in one order; of deaths there is an end."""
    plan: Plan = [(calm + number, each) for number, each in enumerate(ALL_WELL)] if calm is not None else []
    when = 0.0
    for gap, happening in once:
        when += gap
        plan.append((when, happening))
    if rhythm is not None:
        every, again = rhythm
        lasting = [each for each in again if not isinstance(each, Death)]
        times = [count * every for count in range(1, int(END / every)) if calm is None or count * every < calm]
        plan += [(time, lasting[number % len(lasting)]) for number, time in enumerate(times) if lasting]
        deaths = [each for each in again if isinstance(each, Death) and each.down <= 100]
        plan += [(count * 200.0 + 7, deaths[0]) for count in range(1, 10) if deaths]
    return sorted(plan, key=lambda each: each[0])


def latest(course: Course, ended: RunRecord) -> float:
    """Return when a run must be over at the latest."""
    taken_up = next((back for back in course.comebacks if back >= DEADLINE), None)
    end = max(END, taken_up + VERIFY + FAILING) if taken_up is not None else END
    is_rolled_back = IncidentState.ROLLING_BACK in [state for state, _ in course.bench.ledger.moves]
    end += ROLLBACK if is_rolled_back else 0
    looks_again = LOOK if is_rolled_back else 0
    return max([end, *(back + looks_again for back in course.comebacks[-1:])]) + SLACK


def judged(plan: Plan, *, steps: str, rollback: str) -> tuple[Course, RunRecord]:
    """Let a run go on as planned, and hold what it says in the end to what is so."""
    bench = RunBench(steps, rollback=rollback)
    bench.pace = timedelta(seconds=PACE)
    course = Course(bench=bench)

    async def story() -> RunRecord:
        down = sum(each.down for _, each in plan if isinstance(each, Death))
        ended = await course.run(plan, until=END + ROLLBACK + VERIFY + FAILING + down + 2 * SLACK)
        doubts = list(course.doubts)
        if ended.state in (IncidentState.RECOVERED, IncidentState.NO_ACTION):
            assert not doubts, (ended.reason, doubts)
            assert not course.firing, ended.reason
        if ended.state is IncidentState.ROLLED_BACK:
            assert not doubts, (ended.reason, doubts)
        if ended.state is IncidentState.INEFFECTIVE:
            assert course.firing, ended.reason
        return ended

    ended = play(story())
    assert ended.finished is not None
    took = (ended.finished - ended.started).total_seconds()
    assert took <= latest(course, ended), f"{took}s: {ended.state} {ended.reason}"
    assert ": :" not in ended.reason
    return course, ended


STUCK: Plan = [(3.0, Now("updated", 1)), (3.0, Now("ready", 3))]
"""A bad rollout begins beside two old pods that serve: the service is healthy by its own condition."""


@settings(max_examples=300, deadline=None)
@given(
    once=st.lists(st.tuples(gaps, happenings), max_size=14),
    rhythm=rhythms,
    calm=calms,
    steps=st.sampled_from(sorted(STEPS)),
    rollback=st.sampled_from(ROLLBACKS),
)
@example([(9, Now("ready", 3))], (70.0, [Restart()]), None, "a change", ROLLBACKS[0])
@example([(9, Now("seen", value=False))], None, None, "a change", ROLLBACKS[0])
@example(
    [(9, Now("updated", 1)), (1, Now("ready", 3)), (1, Now("firing", value=False))],
    None,
    None,
    "a change",
    ROLLBACKS[0],
)
@example([(150, Now("ready", 0)), (1110, Death(down=4000))], None, None, "a change", ROLLBACKS[0])
@example([(590, Death(down=4000))], (100.0, [Death(down=1.0)]), None, "a wait", ROLLBACKS[0])
def test_any_course_of_things_comes_to_a_true_end_in_time(
    once: list[tuple[float, Happening]],
    rhythm: tuple[float, list[Happening]] | None,
    calm: float | None,
    steps: str,
    rollback: str,
) -> None:
    """P5, P6, E19, E31: health, readiness, restarts, triggers, rollouts, blindness and deaths, in any order."""
    judged(planned(once, rhythm, calm), steps=STEPS[steps], rollback=rollback)


def test_the_way_back_is_told_when_a_rollout_is_stuck_beside_pods_that_serve() -> None:
    bench = RunBench(STEPS["a change"], rollback=ROLLBACKS[0])
    bench.observed.last_good_number = 4
    ended = play(Course(bench=bench).run([*STUCK, (4.0, Now("firing", value=False))], until=END + SLACK))
    assert "kubectl rollout undo deployment/web --to-revision=4 -n production" in ended.reason


def test_a_service_that_cannot_be_seen_for_ever_is_handed_over_without_a_change() -> None:
    """P6: a person is called; that is no action."""
    course, ended = judged([(9.0, Now("seen", value=False))], steps=STEPS["a change"], rollback=ROLLBACKS[2])
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("web could not be observed reliably before its time was over")
    assert course.bench.effects == ["kubectl cordon one"]


@pytest.mark.parametrize("down", [900.0, 1100.0, 20000.0])
def test_a_watchdog_that_comes_too_late_looks_again_before_it_acts(down: float) -> None:
    """P5: a failure that lasts is taken back all the same, what has become well is recovered."""
    course, ended = judged([(500.0, Death(down=down))], steps=STEPS["a change"], rollback=ROLLBACKS[0])
    assert course.bench.effects == ["kubectl cordon one", "kubectl uncordon one"]
    well: Plan = [(400.0, Now("ready", 3)), (410.0, Now("firing", value=False)), (420.0, Death(down=down))]
    _, ended = judged(well, steps=STEPS["a change"], rollback=ROLLBACKS[0])
    assert ended.state is IncidentState.RECOVERED
