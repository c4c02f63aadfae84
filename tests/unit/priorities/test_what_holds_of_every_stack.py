"""Whatever breaks, in whatever order: what is true of every hold."""

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from kintsugi.decisions.priorities import upstreams_of
from kintsugi.model.services import OnUpstreamFailure
from tests.unit.priorities.stack import TERMS, TICK, Script, StackViews, Start, stack_of, stacks

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
    assert _order(stack.play(LONG).starts) == ["s0", "s2", "s3", "s4", "s1"]


def _order(starts: list[Start]) -> list[str]:
    return [each.service for each in starts]
