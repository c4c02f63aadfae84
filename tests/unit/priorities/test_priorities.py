"""A dependent waits while an upstream explains its trouble, and no longer, whatever breaks in whatever order."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kintsugi.decisions.priorities import (
    Hold,
    HoldCause,
    HoldInput,
    HoldRecord,
    OpenRuns,
    UnhealthyService,
    causes,
    holds,
    ongoing_hold,
    unhealthy_dependents,
    unhealthy_upstream,
    upstreams_of,
)
from kintsugi.model.history import PastRun
from kintsugi.model.records import IncidentState
from kintsugi.model.services import OnUpstreamFailure
from kintsugi.model.views import ServiceView
from tests.unit.factories import NOW, moment, past, run, services, view, web
from tests.unit.pipeline.graphs import SHAPES, graph
from tests.unit.priorities.stack import TERMS, TICK, Script, StackViews, stack_of, stacks

EDGES = (("web", ("api", "cache")), ("api", ("database",)), ("cache", ("database",)), ("database", ()))
SERVICES = services(*EDGES)
MENDED = OpenRuns(runs={"database": run(service="database")})


def views(**ready: int) -> dict[str, ServiceView]:
    """Return the views of all services, with three ready pods unless told otherwise; what is down has been since now."""
    found = {name: view(service, ready=ready.get(name, 3)) for name, service in SERVICES.items()}
    return {
        name: replace(each, healthy=each.ready == each.desired, lapsed_since=None if each.serving else moment())
        for name, each in found.items()
    }


def upstream(seen: dict[str, ServiceView], under_way: OpenRuns | None = None) -> HoldInput:
    """Put together what decides."""
    return HoldInput(views=seen, under_way=under_way or OpenRuns(), timings=TERMS)


def held(
    name: str,
    *,
    seen: dict[str, ServiceView],
    under_way: OpenRuns | None = None,
    now: datetime | None = None,
    own: str = "",
    began: datetime | None = None,
    choice: OnUpstreamFailure = OnUpstreamFailure.WAIT,
) -> tuple[Hold, ...]:
    """Ask for a service whose trouble began now."""
    service = replace(SERVICES[name], on_upstream_failure=choice)
    trouble = UnhealthyService(service=service, began=began or moment(), own=own)
    return holds(trouble, SERVICES, upstream(seen, under_way), now=now or moment())


def waiting(
    found: tuple[Hold, ...],
    *,
    after: timedelta = timedelta(0),
    ended: PastRun | None = None,
    since: datetime | None = NOW,
) -> Hold | None:
    """Ask whether a service that is held since now waits still, so long after."""
    known = {"database": ended} if ended is not None else {}
    return ongoing_hold(found, HoldRecord(since=since, ended=known), TERMS, now=moment() + after)


def goes_on(found: tuple[Hold, ...], *, after: timedelta = timedelta(0), ended: PastRun | None = None) -> Hold:
    """Return what a service that is held since now waits for still, so long after."""
    still = waiting(found, after=after, ended=ended)
    assert still is not None
    return still


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({}, False),
        ({"ready_endpoints": 0}, True),
        ({"ready": 0}, True),
        ({"desired": 0, "ready": 0}, False),
        ({"desired": 0, "ready": 0, "replicas": 3}, True),
        ({"desired": 0, "ready": 0, "replicas": 3, "rests": "keda"}, False),
    ],
)
def test_an_upstream_fails_its_dependents_while_nothing_of_it_can_answer(changes: dict[str, Any], fails: bool) -> None:
    seen = views()
    seen["database"] = replace(seen["database"], **changes)
    assert unhealthy_upstream("api", seen) == ("database" if fails else "")


def test_the_deepest_cause_is_named() -> None:
    """Everything is down: the one to wait for is the database, level after level."""
    down = views(web=0, api=0, cache=0, database=0)
    assert [held(name, seen=down)[0].upstream for name in ("web", "api", "cache")] == ["database"] * 3


def with_database(seen: dict[str, ServiceView], **changes: Any) -> dict[str, ServiceView]:
    """Return the views with a database that is otherwise."""
    return {**seen, "database": replace(seen["database"], **changes)}


RESTORED = with_database(views(api=0), serving_since=moment(minutes=5), lapsed_since=moment())
"""The database went down, and seems to serve: it answers, and has nothing in it yet."""


def at_zero(**changes: object) -> dict[str, ServiceView]:
    """Return the views after somebody has scaled the database to none, which had two."""
    seen = views(api=0, database=0)
    away = replace(view(SERVICES["database"], ready=0, desired=0), replicas=2, lapsed_since=moment())
    return {**seen, "database": replace(away, **changes)}  # type: ignore[arg-type]


UNREACHABLE = with_database(views(api=0), ready_endpoints=0, lapsed_since=moment())
NO_ENDPOINT = "database is not serving (3 of 3 ready, and its Service routes to none of them)"


@pytest.mark.parametrize(
    ("seen", "under_way", "minutes", "cause", "why"),
    [
        (views(api=0, database=0), OpenRuns(), 0, HoldCause.DOWN, "database is not serving (0 of 3 ready)"),
        (UNREACHABLE, OpenRuns(), 0, HoldCause.DOWN, NO_ENDPOINT),
        (at_zero(), OpenRuns(), 0, HoldCause.AT_ZERO, "database is scaled to 0 (replicas before: 2)"),
        (RESTORED, MENDED, 20, HoldCause.RECOVERING, "database is being recovered by run run-1"),
    ],
)
def test_a_dependent_waits_for_an_upstream_that_cannot_serve_it(
    seen: dict[str, ServiceView], under_way: OpenRuns, minutes: float, cause: HoldCause, why: str
) -> None:
    """Also for one that went down and seems to serve, until its run verifies."""
    (found,) = held("api", seen=seen, under_way=under_way, now=moment(minutes=minutes))
    assert (found.upstream, found.cause, found.why) == ("database", cause, why)
    assert (found.explained, found.recovering) == (True, under_way is MENDED)
    still = goes_on((found,))
    assert (still.upstream, still.why, still.until) == ("database", why, moment(minutes=15))


def test_a_dependent_waits_for_an_upstream_that_serves_badly_just_after_a_person_was_called_for_it() -> None:
    """One cause is one notice, and a run of the dependent would not help it."""
    seen = views(database=2)
    seen["database"] = replace(seen["database"], failing_since=moment(minutes=-1))
    found = held("api", seen=seen)
    ended = past(IncidentState.NEEDS_OPERATOR, service="database", finished=moment(minutes=5))
    assert waiting(found) is None
    still = goes_on(found, after=timedelta(minutes=19), ended=ended)
    assert (
        still.why
        == "database is not healthy (2 of 3 ready), and its recovery ended needs-operator; a person was notified"
    )
    assert waiting(found, after=timedelta(minutes=20), ended=ended) is None
    assert waiting(held("api", seen=seen, own="api-1: ErrImagePull"), ended=ended) is None
    recovered = past(IncidentState.RECOVERED, service="database", finished=moment(minutes=5))
    assert waiting(found, ended=recovered) is None


def test_an_upstream_whose_check_is_not_met_counts_as_one_that_serves_badly() -> None:
    trouble = UnhealthyService(service=SERVICES["api"], began=moment())
    seen = HoldInput(views=views(), unmet={"database"}, timings=TERMS)
    (found,) = holds(trouble, SERVICES, seen, now=moment())
    ended = past(IncidentState.INEFFECTIVE, service="database", finished=moment())
    assert goes_on((found,), ended=ended).why.startswith("database does not pass its checks, and")


def test_a_dependent_suffers_from_its_upstream_the_first_by_priority() -> None:
    assert unhealthy_dependents("database", {"web", "cache", "database", "gone"}, SERVICES) == ("cache", "web")
    assert unhealthy_dependents("cache", {"api", "web"}, SERVICES) == ("web",)


DOWN = views(api=0, database=0)
BLINKED = with_database(views(api=0), serving_since=moment(seconds=10), lapsed_since=moment())
VERIFYING = OpenRuns(runs={"database": run(service="database", state=IncidentState.VERIFYING)})
BESIDE = OpenRuns(runs={name: run(service=name) for name in ("web", "cache")})
NOT_HELD: dict[str, tuple[str, dict[str, ServiceView], OpenRuns, float]] = {
    "all upstreams serve": ("web", views(web=0), OpenRuns(), 0),
    "it depends on nothing": ("database", views(web=0, api=0, cache=0, database=0), OpenRuns(), 0),
    "the deepest upstream serves again": ("api", views(web=0, api=0, cache=0), OpenRuns(), 0),
    "the upstream has served all through its own run": (
        "api",
        with_database(views(api=0, database=2), serving_since=moment(hours=-1)),
        MENDED,
        0,
    ),
    "the upstream's run verifies": ("api", RESTORED, VERIFYING, 1200),
    "siblings and dependents are being recovered": ("api", views(web=0, cache=0, api=0), BESIDE, 0),
    "the upstream is meant to be off": ("api", with_database(views(api=0), ready=0, desired=0), OpenRuns(), 0),
    "the upstream may rest at zero": ("api", at_zero(rests="HorizontalPodAutoscaler database"), OpenRuns(), 0),
    "the upstream never had a replica": ("api", at_zero(replicas=None), OpenRuns(), 0),
    "the upstream's workload is gone": ("api", at_zero(workload=None), OpenRuns(), 0),
    "the news of the upstream are old": ("api", with_database(DOWN, is_current=False), OpenRuns(), 0),
    "the upstream was never seen": ("api", {name: DOWN[name] for name in ("api", "web", "cache")}, OpenRuns(), 0),
    "the upstream has served for a while": ("api", BLINKED, OpenRuns(), 40),
}


@pytest.mark.parametrize(("name", "seen", "under_way", "seconds"), NOT_HELD.values(), ids=NOT_HELD)
def test_a_service_is_not_held_where(
    name: str, seen: dict[str, ServiceView], under_way: OpenRuns, seconds: float
) -> None:
    """P6: what cannot be seen is no explanation; the guard against staleness speaks for itself."""
    assert held(name, seen=seen, under_way=under_way, now=moment(seconds=seconds)) == ()


def test_an_upstream_that_blinks_holds_until_it_has_served_for_a_while() -> None:
    found = held("api", seen=BLINKED, now=moment(seconds=15))
    assert goes_on(found, after=timedelta(seconds=15)).until == moment(seconds=40)


@pytest.mark.parametrize(
    ("own", "began", "explained"),
    [
        ("", moment(), True),
        ("", moment(seconds=-60), True),
        ("", moment(seconds=-61), False),
        ("web-1: ImagePullBackOff", moment(minutes=1), False),
    ],
)
def test_a_trouble_that_began_after_its_upstream_and_says_nothing_of_its_own_is_explained(
    own: str, began: datetime, explained: bool
) -> None:
    """The upstream's probes may be slower than the dependent's, by a minute."""
    (found,) = held("api", seen=views(api=0, database=0), under_way=MENDED, own=own, began=began)
    assert found.explained is explained
    assert (own in found.why) is True
    still = waiting((found,), after=TERMS.limit)
    assert (still is not None) is explained, "at the limit the others start; the explained wait for the run"


PULL, PROCEED = "api-1: ErrImagePull", OnUpstreamFailure.PROCEED
EARLIER, AFTER = (past(IncidentState.FAILED, service="database", finished=moment(minutes=each)) for each in (-5, 5))
WAITS: dict[str, tuple[dict[str, Any], float, PastRun | None, bool]] = {
    "for no run up to the limit": ({"seen": DOWN}, 14.9, None, True),
    "no longer": ({"seen": DOWN}, 15, None, False),
    "not where it serves a little": ({"seen": views(api=0, database=1)}, 0, None, False),
    "with a trouble of its own, up to the limit": ({"seen": DOWN, "under_way": MENDED, "own": PULL}, 14, None, True),
    "until it has replicas again": ({"seen": at_zero()}, 300, None, True),
    "at zero with a trouble of its own, up to the limit": ({"seen": at_zero(), "own": PULL}, 14, None, True),
    "at zero with a trouble of its own, no longer": ({"seen": at_zero(), "own": PULL}, 15, None, False),
    "at zero as its author wants it, no longer": ({"seen": at_zero(), "choice": PROCEED}, 15, None, False),
    "one in vain before it went down says nothing": ({"seen": DOWN, "choice": PROCEED}, 0, EARLIER, True),
    "a new run counts more": ({"seen": DOWN, "under_way": MENDED, "choice": PROCEED}, 60, AFTER, True),
}


@pytest.mark.parametrize(("known", "minutes", "ended", "waits"), WAITS.values(), ids=WAITS)
def test_an_upstream_that_does_not_serve_is_waited_for(
    known: dict[str, Any], minutes: float, ended: PastRun | None, waits: bool
) -> None:
    """Serving is enough for those who depend on it: one of three replicas answers."""
    assert (waiting(held("api", **known), after=timedelta(minutes=minutes), ended=ended) is not None) is waits


@pytest.mark.parametrize("own", ["", "api-1: ErrImagePull"])
@pytest.mark.parametrize(
    "state", [IncidentState.FAILED, IncidentState.NEEDS_OPERATOR, IncidentState.ROLLED_BACK, IncidentState.INEFFECTIVE]
)
def test_after_the_upstreams_run_has_ended_in_vain_all_go_by_the_authors_choice(state: IncidentState, own: str) -> None:
    ended = past(state, service="database", finished=moment(minutes=5))
    seen = views(api=0, database=0)
    waits_on = held("api", seen=seen, own=own)
    for after in (timedelta(minutes=5), timedelta(hours=5)):
        assert f"its recovery ended {state}" in goes_on(waits_on, after=after, ended=ended).why
        assert (
            waiting(held("api", seen=seen, own=own, choice=OnUpstreamFailure.PROCEED), after=after, ended=ended) is None
        )


def test_an_upstream_that_is_given_up_lets_no_service_past_another_that_is_being_recovered() -> None:
    going = OpenRuns(runs={"cache": run(service="cache")})
    found = held("web", seen=views(web=0, cache=0, database=0), under_way=going, choice=OnUpstreamFailure.PROCEED)
    assert goes_on(found, after=timedelta(minutes=30), ended=AFTER).upstream == "cache"


def test_while_the_stack_is_being_recovered_every_claim_is_held_whatever_the_limit() -> None:
    for name in SERVICES:
        found = held(name, seen=views(**{name: 0}), under_way=OpenRuns(covered_by="run-7"))
        assert goes_on(found, after=timedelta(days=1)).why == "the stack is being recovered by run run-7"


def test_a_service_that_fails_again_after_its_run_of_the_stack_is_judged_by_itself_cause_first() -> None:
    """Else nobody would heal it before the stack's end, which waits for it."""
    covered = OpenRuns(covered_by="run-7", covered_until={"database": moment(minutes=5), "api": moment(minutes=6)})
    for failing, cause in ((moment(minutes=4), HoldCause.STACK), (moment(minutes=7), HoldCause.DOWN)):
        seen = views(web=0, api=0, database=0)
        seen = {name: replace(each, failing_since=failing) for name, each in seen.items()}
        assert [bool(held(each, seen=seen, under_way=covered)) for each in ("database", "web")] == [
            cause is HoldCause.STACK,
            True,
        ]
        assert held("api", seen=seen, under_way=covered)[0].cause is cause
        assert held("web", seen=seen, under_way=covered)[0].cause is HoldCause.STACK, "its run is still to come"


def test_a_service_that_is_well_after_its_run_of_the_stack_stays_covered_while_its_alert_lags() -> None:
    covered = OpenRuns(covered_by="run-7", covered_until={"database": moment(minutes=5)})
    assert [each.cause for each in held("database", seen=views(), under_way=covered)] == [HoldCause.STACK]


def well_again(*, api: datetime, database: datetime) -> dict[str, ServiceView]:
    """Return the views after the database went down and serves again since a moment, as the API is healthy."""
    seen = with_database(views(), serving_since=database, lapsed_since=moment())
    return {**seen, "api": replace(seen["api"], healthy_since=api)}


def test_a_service_that_got_well_with_its_upstream_waits_for_its_alerts_to_clear_only_if_it_was_held() -> None:
    found = held("api", seen=well_again(api=moment(minutes=2), database=moment(minutes=1)), now=moment(minutes=3))
    assert goes_on(found, after=timedelta(minutes=3)).why == "database serves again, and api is healthy since 12:02:00"
    assert waiting(found, after=timedelta(minutes=3), since=None) is None
    assert waiting(found, after=timedelta(minutes=17)) is None, "an alert that lags any longer is judged"


def test_a_service_that_is_well_when_its_hold_is_over_is_not_judged_by_itself() -> None:
    """Though its upstream serves but a moment."""
    now = moment(minutes=20)
    found = held("api", seen=well_again(api=now, database=now), now=now)
    assert goes_on(found, after=timedelta(minutes=20)).why == "database serves again, and api is healthy since 12:20:00"


def test_a_service_that_got_well_waits_while_its_upstreams_run_goes_on_and_for_the_lag_of_alerts_after_it() -> None:
    """A run that verifies for longer than alerts lag: what is well is not run for an alert that clears with the upstream's."""
    seen = well_again(api=moment(minutes=2), database=moment(minutes=1))
    for name in ("api", "web"):
        seen[name] = replace(seen[name], healthy_since=moment(minutes=2), serving_since=moment(minutes=2))
        found = held(name, seen=seen, under_way=VERIFYING, now=moment(minutes=30))
        assert waiting(found, after=timedelta(minutes=30)) is not None, name
    ended = past(IncidentState.RECOVERED, service="database", finished=moment(minutes=31))
    found = held("api", seen=seen, now=moment(minutes=32))
    assert goes_on(found, after=timedelta(minutes=32), ended=ended).until == moment(minutes=46)
    assert waiting(found, after=timedelta(minutes=46), ended=ended) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_causes_are_the_same_as_by_looking_at_all_upstreams_of_each(shape: str) -> None:
    needs = graph(shape, 30, seed=3).needs
    known = services(*((name, tuple(upstreams)) for name, upstreams in needs.items()))
    ill = {name for place, name in enumerate(needs) if place % 3}
    expected = {name for name in ill if not ill & set(upstreams_of(name, known))}
    assert (causes(ill, known), causes(set(), known)) == (frozenset(expected), frozenset())


graphs = st.integers(min_value=1, max_value=7).flatmap(
    lambda size: st.tuples(
        *(st.frozensets(st.integers(0, place - 1)) if place else st.just(frozenset()) for place in range(size))
    )
)


@given(graphs)
def test_every_upstream_stands_behind_its_own(graph: tuple[frozenset[int], ...]) -> None:
    known = {
        f"s{at}": replace(web(), name=f"s{at}", depends_on=tuple(f"s{other}" for other in sorted(needs)))
        for at, needs in enumerate(graph)
    }
    for name, service in known.items():
        found = upstreams_of(name, known)
        assert len(found) == len(set(found))
        assert set(found) == {*service.depends_on}.union(*(upstreams_of(each, known) for each in service.depends_on))
        for place, each in enumerate(found):
            assert set(known[each].depends_on) <= set(found[:place])


LONG = 90 * 4
"""Ticks of ninety minutes: every run is over, and every limit."""
FEW = settings(max_examples=30, deadline=None)
"""A stack's ninety minutes take a tenth of a second."""


@FEW
@given(stacks())
def test_whatever_breaks_a_hold_waits_for_what_may_be_healed_and_is_over_by_itself(stack: StackViews) -> None:
    stack.play(LONG)
    no_dependent_was_changed_while_its_upstream_might_still_be_healed(stack)
    no_service_is_held_for_ever(stack)
    each_held_service_was_looked_at_again_before_it_ran(stack)


def no_dependent_was_changed_while_its_upstream_might_still_be_healed(stack: StackViews) -> None:
    """It may until a hold's limit, and what it explains waits for its run; after a run in vain the author's choice counts."""
    for start in stack.starts:
        tries = stack.services[start.service].on_upstream_failure is OnUpstreamFailure.PROCEED
        for upstream in start.down:
            if upstream in start.given_up:
                assert tries, start
            else:
                assert start.held_for >= TERMS.limit, start
                assert not (start.explained and upstream in start.mended), start


def no_service_is_held_for_ever(stack: StackViews) -> None:
    """What is held in the end waits for what a person was told of, as its author wants it."""
    for name in (each for each in stack.held if stack.scripts[each].ruled):
        waits = stack.services[name].on_upstream_failure is OnUpstreamFailure.WAIT
        down = [each for each in upstreams_of(name, stack.services) if not stack.views[each].serving]
        ended_in_vain = [each for each in down if each in stack.ended and not stack.scripts[each].mends]
        recent = stack.now - stack.held[name] < TERMS.limit
        still_mended = any(each in stack.runs for each in down) and not stack.scripts[name].own
        got_well = stack.views[name].healthy
        assert recent or got_well or still_mended or (waits and ended_in_vain and stack.told[name]), name


def each_held_service_was_looked_at_again_before_it_ran(stack: StackViews) -> None:
    """What got well meanwhile is not run, though its alert still fires; it is closed once that has ended."""
    assert [each for each in stack.starts if each.held_for and each.well_for is not None] == []
    once_held = [name for name in stack.recovered if not any(each.service == name for each in stack.starts)]
    assert all(name not in stack.held for name in once_held)


@FEW
@given(stacks(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_the_outcome(stack: StackViews, chance: Random) -> None:
    arrival = list(stack.arrival)
    chance.shuffle(arrival)
    other = replace(stack, arrival=arrival, starts=[], told={}, recovered=[])
    assert stack.play(LONG).starts == other.play(LONG).starts
    assert stack.recovered == other.recovered


@FEW
@given(st.integers(1, 2), st.integers(1, 4), st.booleans())
def test_a_flapping_upstream_lets_nobody_go_and_makes_no_thrash(half: int, dependents: int, ruled: bool) -> None:
    """It serves for less than it must: not one run begins for a dependent before the limit, and no hold ends by a blink."""
    flapping = Script(breaks=1, mends=False, flaps=half, takes=10 * LONG, ruled=ruled)
    scripts = [flapping, *(Script(breaks=1) for _ in range(dependents))]
    stack = stack_of(scripts, [[], *([0] for _ in range(dependents))], [OnUpstreamFailure.WAIT] * (dependents + 1))
    stack.play(TERMS.limit // TICK)
    assert {each.service for each in stack.starts} <= {"s0"}
    assert len(stack.starts) <= 1


def test_when_the_cause_is_mended_what_got_well_by_itself_is_closed_and_the_rest_goes_level_by_level() -> None:
    """The database goes and takes all with it; the API has a trouble of its own besides, the web front end has none."""
    scripts = [Script(breaks=0, takes=20), Script(breaks=2, takes=10), Script(), Script()]
    stack = stack_of(scripts, [[], [0], [1], [2]], [OnUpstreamFailure.WAIT] * 4).play(LONG)
    assert [each.service for each in stack.starts] == ["s0", "s1"]
    assert stack.recovered == ["s2", "s3"]
    database, api = stack.starts
    assert api.at - database.at < timedelta(minutes=15)
    assert stack.told == dict.fromkeys(("s1", "s2", "s3"), 0)


def test_services_that_are_released_together_start_by_priority_and_then_by_name() -> None:
    scripts = [Script(breaks=0, takes=20), *(Script(breaks=2, takes=40) for _ in range(4))]
    stack = stack_of(scripts, [[], [0], [0], [0], [0]], [OnUpstreamFailure.WAIT] * 5)
    stack.services = {
        name: replace(each, priority={"s0": 1, "s1": 4}.get(name, 2)) for name, each in stack.services.items()
    }
    assert [each.service for each in stack.play(LONG).starts] == ["s0", "s2", "s3", "s4", "s1"]
