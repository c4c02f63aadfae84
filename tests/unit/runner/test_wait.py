"""How long one looks: `within` until it first holds, `for` that it goes on holding, `progress` that starts it anew; and for whom."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from kintsugi.actions.probe import Result
from kintsugi.errors import CommandError, EvaluationError, Forbidden, ProbeFailed, Refused, ResolverFailed
from kintsugi.expressions import BOOL, INT, Bindings, Scope
from kintsugi.model.history import RunRemedies
from kintsugi.model.records import IncidentState, StepState
from kintsugi.model.remedies import RemedyKind
from kintsugi.model.services import SecretRef
from kintsugi.runner.journal import recalled
from kintsugi.runner.wait import MOST_KEPT, Expectation, Observation, poll_until
from tests.unit.factories import virtual_clock
from tests.unit.runner.bench import RunBench, clock, driven

pytestmark = pytest.mark.looptime

SCOPE = Scope(names={"level": INT})
Level = Callable[[float], int | Exception]


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


async def looked(
    wanted: Expectation, level: Level, stale_reason: Callable[[], str] = lambda: ""
) -> tuple[Observation, float]:
    """Look at a level that is a function of time; give what was seen last, and when."""

    async def look() -> Mapping[str, object]:
        now = level(clock())
        if isinstance(now, Exception):
            raise now
        return {"level": now}

    return await poll_until(wanted, look, Bindings, virtual_clock, stale_reason), clock()


def rises(at: float) -> Level:
    """Be low, and from that moment high."""
    return lambda now: 10 if now >= at else 0


MINUTE, LASTING, PROGRESS = (
    expectation(within=60),
    expectation(within=60, for_duration=30),
    expectation(within=5, progress=True),
)


@pytest.mark.parametrize(
    ("wanted", "level", "met", "when"),
    [
        pytest.param(MINUTE, rises(0), True, 0, id="it holds at once"),
        pytest.param(expectation(), rises(5), False, 0, id="without within one looks once"),
        pytest.param(MINUTE, rises(30), True, 30, id="it holds later"),
        pytest.param(MINUTE, rises(60), True, 60, id="it holds in the last moment"),
        pytest.param(MINUTE, rises(61), False, 60, id="it holds too late"),
        pytest.param(LASTING, rises(10), True, 40, id="it must go on holding"),
        pytest.param(LASTING, rises(60), True, 90, id="it may still hold its time after the last moment"),
        pytest.param(LASTING, lambda now: 0 if now in {0, 20} else 10, True, 51, id="a break starts the time anew"),
        pytest.param(LASTING, lambda now: 10 if 50 <= now < 70 else 0, False, 70, id="a break after within is the end"),
        pytest.param(PROGRESS, lambda now: int(now // 4), True, 40, id="progress starts within anew"),
        pytest.param(PROGRESS, lambda now: min(int(now // 4), 3), False, 17, id="without progress within ends"),
        pytest.param(
            expectation(within=60, expect=False),
            lambda now: ProbeFailed("no") if now < 7 else 1,
            True,
            7,
            id="without an expectation any answer is enough",
        ),
    ],
)
async def test_an_expectation_is_looked_at_until_it_holds_for_long_enough_or_the_time_is_over(
    wanted: Expectation, level: Level, met: bool, when: float
) -> None:
    seen, ended = await looked(wanted, level)
    assert (seen.met, ended) == (met, when)
    assert seen.error == ("" if met else "not met: level > 9")


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


async def test_time_in_which_nothing_can_be_trusted_does_not_count() -> None:
    """C9, P6: blind from 10 to 100, nothing is met and nothing is missed; then the rest of the time is left."""
    seen, when = await looked(
        LASTING, lambda now: 10 if 5 <= now < 50 else 0, lambda: "the clock was set" if 10 <= clock() < 100 else ""
    )
    assert (seen.met, when) == (False, 150)


async def test_a_step_looks_once_a_second_and_is_told_with_the_moments_of_its_first_and_its_last_look() -> None:
    """Every step has its times, also one of which nothing is written down before it ends."""
    bench = await driven("- {id: look, run: kubectl get pods, expect: size(items) > 5, within: 4s}", healed_at=10)
    assert [when for when, _ in bench.prober.looked] == [0, 1, 2, 3, 4]
    look = bench.step("look")
    assert look.started is not None
    assert look.finished is not None
    assert look.finished - look.started >= timedelta(seconds=4)


async def test_a_look_may_take_as_long_as_its_timeout_says() -> None:
    steps = "- {id: look, run: kubectl get pods, timeout: 7s}\n- {id: other, run: kubectl get nodes}"
    bench = await driven(steps, healed_at=10)
    assert bench.prober.deadlines == [timedelta(seconds=7), timedelta(seconds=30)]


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
    await bench.drive(healed_at=40)
    assert bench.step("stop").met is True
    assert bench.has("after")


ASK = "{id: ask, run: curl http://web.production/, expect: status == 200, within: 4s, onFailure: UNMET}"


@pytest.mark.parametrize(
    ("steps", "effects"),
    [
        (f"- {ASK.replace('UNMET', 'stop')}", ["kubectl cordon one"]),
        (f"- {ASK.replace('UNMET', 'rollback')}", ["kubectl cordon one"]),
        (f"- {{id: both, onFailure: rollback, steps: [{ASK.replace('UNMET', 'stop')}]}}", ["kubectl cordon one"]),
        (f"- {{id: both, onFailure: rollback, steps: [{ASK.replace('UNMET', 'rollback')}]}}", ["kubectl cordon one"]),
        (f"- {ASK.replace('UNMET', 'continue')}", ["kubectl cordon one", "kubectl cordon two"]),
    ],
)
async def test_a_look_that_fails_through_a_fault_of_our_own_takes_no_change_back(
    steps: str, effects: list[str]
) -> None:
    """E35: what follows is for the watchdog to say, by the service's health; a step that goes on in any case goes on."""
    trouble = ResolverFailed("web.production cannot be resolved; the cluster's names do not resolve")
    whole = f"- {{id: one, run: kubectl cordon one}}\n{steps}\n- {{id: after, run: kubectl cordon two}}"
    bench = await driven(whole, healed_at=10, answers={"curl": trouble})
    assert bench.ended == (IncidentState.RECOVERED, effects)


PATTERNS = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Patterns
metadata: {name: web-log}
spec:
  - {match: 'out of memory', means: memory, severity: critical}
"""
SCAN = """\
- {id: logs, run: kubectl logs -f deployment/web, scan: web-log, expect: "!findings.exists(f, f.means == 'memory')", for: 20s}
- {id: look, run: kubectl get pods, expect: size(items) > 0}
- {id: wait, expect: service.healthy, within: 1m}
"""
ENV = "env:\n  PGPASSWORD: {secret: web-credentials, key: password}\n"


async def test_a_scan_carries_its_patterns_and_every_look_its_service_s_secrets() -> None:
    """A log is followed as long as its expectation must hold."""
    bench = RunBench(SCAN, service=ENV, documents=(PATTERNS,))
    bench.prober.will("kubectl logs", lambda: Result(names={"lines": [], "sources": [], "findings": []}, summary=""))
    assert (await bench.drive(healed_at=60)).state is IncidentState.NO_ACTION
    followed, *_, last = bench.prober.askers
    assert [pattern.means for pattern in followed.patterns] == ["memory"]
    assert last.patterns == ()
    assert {each.namespace for each in bench.prober.askers} == {"production"}
    assert followed.env == last.env == {"PGPASSWORD": SecretRef(secret="web-credentials", key="password")}
    assert bench.prober.deadlines[0] == timedelta(seconds=20)


async def test_a_diagnosis_knows_what_was_tried_and_of_which_workload_the_service_is() -> None:
    steps = "- {id: cause, run: kintsugi diagnose deployment/web}\n- {id: look, run: kubectl get pods}\n"
    bench = RunBench(steps + "- {id: wait, expect: service.healthy, within: 1m}")
    bench.tried = (RunRemedies(state=IncidentState.INEFFECTIVE, remedies=frozenset({RemedyKind.RESTART_CANARY})),)
    await bench.drive(healed_at=60)
    diagnosing, looking, *_ = bench.prober.askers
    assert diagnosing.seen.tried == bench.tried
    assert looking.seen.tried == ()
    assert (diagnosing.service, diagnosing.seen.reference) == ("web", "deployment/web")


KEEPS = """
    - id: events
      run: kubectl get events -A --sort-by=.metadata.creationTimestamp
      keep: items.filter(e, e.type == "Warning").map(e, e.message)
      onFailure: continue
    - {id: restart, forEach: service.pods, when: each.unhealthy, run: 'kubectl delete pod ${each}'}
    - id: later
      expect: steps.events.answered && steps.events.kept.exists(m, m == "warning 204")
      onFailure: continue
"""


def event(number: int) -> dict[str, object]:
    """Make an Event, of which every other one is a warning."""
    kind = "Warning" if number % 2 == 0 else "Normal"
    return {"type": kind, "message": f"{kind.lower()} {number}", "note": "x" * 10_000}


@pytest.mark.parametrize(
    ("answer", "kept", "error"),
    [
        (
            {"items": [event(number) for number in range(206)]},
            {"kept": [f"warning {number}" for number in range(206 - 2 * MOST_KEPT, 206, 2)]},
            "",
        ),
        (ProbeFailed("no answer within 30 s"), {}, "no answer within 30 s"),
        ({"items": [{"message": "it has no type"}]}, {}, None),
    ],
    ids=["an answer", "none", "one that cannot be told apart"],
)
async def test_the_last_of_what_a_step_keeps_goes_into_the_incident_and_later_steps_see_no_more(
    answer: Mapping[str, object] | Exception, kept: Mapping[str, object], error: str | None
) -> None:
    """What cannot be kept stops no step."""
    bench = await driven(KEEPS, heals="kubectl delete", answers={"kubectl get events": answer})
    assert bench.state is IncidentState.RECOVERED
    assert recalled(bench.step("events").result) == kept
    assert bench.step("later").met is bool(kept)
    if error is not None:
        assert (bench.step("events").met, bench.step("events").error) == (not error, error)


METRICS = """
    - {id: restart, forEach: service.pods, when: each.unhealthy, run: 'kubectl delete pod ${each}'}
    - id: metrics
      name: Watch the metrics
      when: prometheus.url != ""
      run: promtool query instant ${prometheus.url} 'sum(rate(errors[2m]))'
      expect: value < 0.01
      within: 5m
"""
URL = "http://prometheus.monitoring:9090"


@pytest.mark.parametrize(
    ("prometheus", "answer", "state", "met"),
    [
        ("", {}, StepState.SKIPPED, False),
        (URL, {"samples": [{"labels": {}, "text": "0", "value": 0.0}], "value": 0.0}, StepState.DONE, True),
        (URL, {}, StepState.DONE, False),
    ],
    ids=["without one", "with one", "without a sample"],
)
async def test_metrics_are_watched_where_a_prometheus_is_known_and_else_the_end_says_that_they_are_not(
    prometheus: str, answer: Mapping[str, object], state: StepState, met: bool
) -> None:
    """P6: no sample is not success; one is looked for as long as the step says."""
    whole = {"samples": [], "warnings": [], **answer}
    bench = RunBench(METRICS, heals="kubectl delete", answers={"promtool query instant": whole})
    bench.prometheus = prometheus
    await bench.drive()
    assert (bench.step("metrics").state, bench.step("metrics").met) == (state, met)
    assert bench.reason.endswith("not watched: Watch the metrics") is (not prometheus)
    asked = {text for _, text in bench.prober.looked}
    assert asked == ({f"promtool query instant {URL} 'sum(rate(errors[2m]))'"} if prometheus else set())
    if prometheus and not met:
        assert clock() >= 300
    else:
        assert bench.state is IncidentState.RECOVERED
