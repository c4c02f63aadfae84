"""How long one looks: `within` until it first holds, `for` that it goes on holding, `progress` that starts it anew."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from kintsugi.errors import CommandError, EvaluationError, Forbidden, ProbeFailed, Refused, ResolverFailed
from kintsugi.expressions import BOOL, INT, Bindings
from kintsugi.model.records import IncidentState
from kintsugi.runner.wait import Expectation, Observation, poll_until
from kintsugi.scope import seen as scope
from tests.unit.factories import virtual_clock
from tests.unit.runner.bench import RunBench, clock

pytestmark = pytest.mark.looptime

SCOPE = scope({"level": INT})


def expectation(
    *, within: float = 0, for_duration: float = 0, progress: bool = False, expect: bool = True
) -> Expectation:
    """Expect `level > 9`; progress is the level itself."""
    return Expectation(
        expect=SCOPE.expression("level > 9", result=BOOL) if expect else None,
        within=timedelta(seconds=within),
        for_duration=timedelta(seconds=for_duration),
        progress=SCOPE.expression("level", result=INT) if progress else None,
        every=timedelta(seconds=1),
    )


async def looked(wanted: Expectation, level: Callable[[float], int | Exception]) -> tuple[Observation, float]:
    """Look at a level that is a function of time; give what was seen last, and when."""

    async def look() -> Mapping[str, object]:
        now = level(clock())
        if isinstance(now, Exception):
            raise now
        return {"level": now}

    seen = await poll_until(wanted, look, Bindings, virtual_clock)
    return seen, clock()


def rises(at: float) -> Callable[[float], int]:
    """Be low, and from that moment high."""
    return lambda now: 10 if now >= at else 0


async def test_an_expectation_that_holds_at_once_is_met_at_once() -> None:
    assert await looked(expectation(within=60), rises(0)) == (Observation(result={"level": 10}, met=True), 0)


async def test_without_within_one_looks_once() -> None:
    seen, when = await looked(expectation(), rises(5))
    assert (seen.met, seen.error, when) == (False, "not met: level > 9", 0)


@pytest.mark.parametrize(("at", "met", "when"), [(30, True, 30), (60, True, 60), (61, False, 60), (90, False, 60)])
async def test_an_expectation_is_looked_at_until_it_holds_or_within_is_over(at: float, met: bool, when: float) -> None:
    seen, ended = await looked(expectation(within=60), rises(at))
    assert (seen.met, ended) == (met, when)


async def test_an_expectation_must_go_on_holding() -> None:
    assert (await looked(expectation(within=60, for_duration=30), rises(10)))[1] == 40


async def test_an_expectation_that_holds_in_the_last_moment_may_still_hold_its_time() -> None:
    seen, when = await looked(expectation(within=60, for_duration=30), rises(60))
    assert (seen.met, when) == (True, 90)


async def test_a_break_starts_the_holding_time_anew() -> None:
    seen, when = await looked(expectation(within=60, for_duration=30), lambda now: 0 if now in {0, 20} else 10)
    assert (seen.met, when) == (True, 51)


async def test_a_break_after_within_is_the_end() -> None:
    seen, when = await looked(expectation(within=60, for_duration=30), lambda now: 10 if 50 <= now < 70 else 0)
    assert (seen.met, when) == (False, 70)


async def test_progress_starts_within_anew() -> None:
    seen, when = await looked(expectation(within=5, progress=True), lambda now: int(now // 4))
    assert (seen.met, when) == (True, 40)


async def test_without_progress_within_ends() -> None:
    seen, when = await looked(expectation(within=5, progress=True), lambda now: min(int(now // 4), 3))
    assert (seen.met, when) == (False, 17)


async def test_without_an_expectation_any_answer_is_enough() -> None:
    seen, when = await looked(expectation(within=60, expect=False), lambda now: ProbeFailed("no") if now < 7 else 1)
    assert (seen.met, when) == (True, 7)


@pytest.mark.parametrize(
    "trouble",
    [
        Forbidden("may not list"),
        ProbeFailed("no such host"),
        Refused("not that address"),
        CommandError("not a name"),
        EvaluationError("no such field"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_no_answer_is_not_met_and_says_why(trouble: Exception) -> None:
    seen, when = await looked(expectation(within=3), lambda _: trouble)
    assert (seen.result, seen.met, seen.error, when) == ({}, False, str(trouble), 3)


async def test_an_expectation_without_an_answer_is_not_met() -> None:
    """P6: an absent field is neither yes nor no."""

    async def look() -> Mapping[str, object]:
        return {}

    seen = await poll_until(expectation(), look, Bindings, virtual_clock)
    assert seen.met is False
    assert seen.error.startswith("no answer: ")


async def test_a_step_looks_once_a_second() -> None:
    bench = RunBench("- {id: look, run: kubectl get pods, expect: size(items) > 5, within: 4s}")
    bench.at(10, bench.heal)
    await bench.drive()
    assert [when for when, _ in bench.prober.looked] == [0, 1, 2, 3, 4]


async def test_a_look_may_take_as_long_as_its_timeout_says() -> None:
    bench = RunBench("- {id: look, run: kubectl get pods, timeout: 7s}\n- {id: other, run: kubectl get nodes}")
    bench.at(10, bench.heal)
    await bench.drive()
    assert bench.prober.deadlines == [timedelta(seconds=7), timedelta(seconds=30)]


async def test_a_log_is_followed_for_as_long_as_the_step_holds() -> None:
    bench = RunBench("- {id: logs, run: kubectl logs deployment/web -f, expect: size(lines) == 0, for: 45s}")
    bench.prober.will("kubectl logs", lambda: {"lines": []})
    bench.at(10, bench.heal)
    await bench.drive()
    assert bench.prober.deadlines[0] == timedelta(seconds=45)


async def test_a_look_is_told_with_the_moments_of_its_first_and_its_last() -> None:
    """Every step has its times, also one of which nothing is written down before it ends."""
    bench = RunBench("- {id: look, run: kubectl get pods, expect: size(items) > 5, within: 10s, onFailure: continue}")
    await bench.drive()
    look = bench.step("look")
    assert look.started is not None
    assert look.finished is not None
    assert look.finished - look.started >= timedelta(seconds=10)


@pytest.mark.parametrize("expect", ["items.all(w, w.spec.replicas == 0)", "item.spec.replicas == 0"])
async def test_an_object_that_a_change_touched_is_read_afresh_until_it_is_as_expected(expect: str) -> None:
    """Replicas end after the answer: the object of the answer would never change."""
    step = f"- {{id: stop, run: kubectl rollout pause deployment/web, expect: '{expect}', within: 1m}}"
    bench = RunBench(step + "\n- {id: after, run: kubectl get nodes}")
    left: dict[str, Mapping[str, object]] = {}
    bench.actor.results = left

    def leave(replicas: int) -> None:
        web = {"spec": {"replicas": replicas}}
        left["kubectl rollout"] = {"items": [web], "item": web}

    leave(3)
    bench.at(30, lambda: leave(0))
    bench.at(40, bench.heal)
    await bench.drive()
    assert bench.step("stop").met is True
    assert bench.has("after")


async def test_time_in_which_nothing_can_be_trusted_does_not_count() -> None:
    """C9, P6: blind from 10 to 100, nothing is met and nothing is missed; then the rest of the time is left."""

    async def look() -> Mapping[str, object]:
        return {"level": 10 if 5 <= clock() < 50 else 0}

    def stale_reason() -> str:
        return "this machine's clock was set 1h forward" if 10 <= clock() < 100 else ""

    seen = await poll_until(expectation(within=60, for_duration=30), look, Bindings, virtual_clock, stale_reason)
    assert (seen.met, clock()) == (False, 150)


@pytest.mark.parametrize("unmet", ["stop", "rollback"])
async def test_a_look_that_fails_through_a_fault_of_our_own_takes_no_change_back(unmet: str) -> None:
    """E35: also of a step that is made of such steps. What follows is for the watchdog to say, by the service's health."""
    trouble = ResolverFailed("web.production cannot be resolved; the cluster's names do not resolve")
    look = f"{{id: ask, run: curl http://web.production/, expect: status == 200, within: 4s, onFailure: {unmet}}}"
    for steps in (f"- {look}", f"- {{id: both, onFailure: rollback, steps: [{look}]}}"):
        bench = RunBench(f"- {{id: one, run: kubectl cordon one}}\n{steps}\n- {{id: after, run: kubectl cordon two}}")
        bench.prober.will("curl", lambda: trouble)
        bench.at(10, bench.heal)
        ended = await bench.drive()
        assert ended.state is IncidentState.RECOVERED
        assert bench.effects == ["kubectl cordon one"]


async def test_a_step_that_goes_on_in_any_case_goes_on_though_nobody_could_be_asked() -> None:
    look = "- {id: ask, run: curl http://web.production/, expect: status == 200, within: 4s, onFailure: continue}"
    bench = RunBench(look + "\n- {id: after, run: kubectl cordon two}")
    bench.prober.will("curl", lambda: ResolverFailed("web.production cannot be resolved"))
    bench.at(10, bench.heal)
    await bench.drive()
    assert bench.effects == ["kubectl cordon two"]
