"""Time to take effect, more of it after each run that did not help, and a stop after several (E19, S3, S4)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.recurrence import unhelpful_streak
from kintsugi.model.history import History, PastRun
from kintsugi.model.records import FINAL_STATES, IncidentState, Reason, VerdictKind
from tests.unit.factories import NOW, moment, past, rule
from tests.unit.guards.questions import guard_context, judged

MANY = Limits(failures=1000)
"""Limits under which only the cooldown speaks."""

finals = st.sampled_from(sorted(FINAL_STATES))
USELESS = frozenset(
    {IncidentState.INEFFECTIVE, IncidentState.FAILED, IncidentState.ROLLED_BACK, IncidentState.NEEDS_OPERATOR}
)
SAYS_NOTHING = frozenset({IncidentState.CANCELLED, IncidentState.NO_ACTION})
HANDED_OVER = (IncidentState.FAILED, IncidentState.NEEDS_OPERATOR)
OURS = sorted(USELESS.difference(HANDED_OVER))
"""Useless ends after which we may try again by ourselves: what was handed over to a person is left to them first."""

useless = st.sampled_from(OURS)
helpful = st.sampled_from(sorted(FINAL_STATES - USELESS - SAYS_NOTHING))


def ended(states: list[IncidentState], *, rule_name: str = "web-pods") -> tuple[PastRun, ...]:
    """Return runs that ended so, the newest first, the last one now and each an hour before the next."""
    return tuple(past(state, finished=moment(hours=-n), rule=rule_name) for n, state in enumerate(states))


@pytest.mark.parametrize(
    ("streak", "minutes"), [(0, 10), (1, 20), (2, 40), (3, 80), (4, 120), (5, 120), (10, 120), (90, 120)]
)
def test_the_cooldown_doubles_and_is_capped(streak: int, minutes: int) -> None:
    states = [IncidentState.INEFFECTIVE] * streak + [IncidentState.RECOVERED]
    verdict = judged(history=History(recent=ended(states)), limits=MANY)
    assert (verdict.reason, verdict.until) == (Reason.COOLDOWN, moment(minutes=minutes))


def test_a_rule_that_asks_for_more_than_the_cap_has_it() -> None:
    context = guard_context(rule=rule(cooldown=timedelta(hours=6)))
    verdict = judged(context, History(recent=ended([IncidentState.INEFFECTIVE])), limits=MANY)
    assert verdict.until == moment(hours=6)


def test_a_rule_without_a_cooldown_has_none_however_often_it_was_useless() -> None:
    context = guard_context(rule=rule(cooldown=timedelta(0)))
    assert (
        judged(context, History(recent=ended([IncidentState.INEFFECTIVE] * 90)), limits=MANY).kind
        is VerdictKind.STARTED
    )


def test_the_cooldown_of_another_rule_is_not_this_ones() -> None:
    history = History(recent=ended([IncidentState.RECOVERED], rule_name="web-alerts"))
    assert judged(history=history).kind is VerdictKind.STARTED


def test_the_cooldown_of_another_service_is_not_this_ones() -> None:
    assert judged(history=History(recent=(past(service="api"),))).kind is VerdictKind.STARTED


@pytest.mark.parametrize("state", OURS)
def test_a_useless_end_doubles_the_cooldown_and_counts_as_a_failure(state: IncidentState) -> None:
    """E19: what goes on firing after a run that looked like a success counts against the remedy."""
    assert judged(history=History(recent=ended([state]))).until == moment(minutes=20)
    assert judged(history=History(recent=ended([state] * 3))).reason is Reason.FAILURES


@pytest.mark.parametrize("state", [IncidentState.RECOVERED, IncidentState.PASSED])
def test_only_a_run_that_helped_ends_the_streaks(state: IncidentState) -> None:
    states = [state] + [IncidentState.INEFFECTIVE] * 5
    verdict = judged(history=History(recent=ended(states)))
    assert (verdict.reason, verdict.until) == (Reason.COOLDOWN, moment(minutes=10))


def test_failures_of_all_rules_of_a_service_count_together() -> None:
    history = History(
        recent=(
            past(IncidentState.INEFFECTIVE, finished=moment(minutes=-1), rule="web-pods"),
            past(IncidentState.ROLLED_BACK, finished=moment(minutes=-2), rule="web-alerts"),
            past(IncidentState.INEFFECTIVE, finished=moment(minutes=-3), rule="web-claims"),
        )
    )
    verdict = judged(guard_context(rule=rule(name="web-too-few")), history)
    assert (verdict.reason, verdict.until) == (Reason.FAILURES, moment(minutes=59))


def test_the_order_in_which_history_lists_runs_does_not_matter() -> None:
    runs = ended(
        [IncidentState.RECOVERED, IncidentState.INEFFECTIVE, IncidentState.INEFFECTIVE, IncidentState.INEFFECTIVE]
    )
    assert judged(history=History(recent=tuple(reversed(runs)))).reason is Reason.COOLDOWN


@given(st.lists(finals, max_size=40), st.timedeltas(timedelta(0), timedelta(hours=3)))
def test_the_cooldown_is_never_below_the_rules_nor_above_the_cap(
    states: list[IncidentState], cooldown: timedelta
) -> None:
    verdict = judged(guard_context(rule=rule(cooldown=cooldown)), History(recent=ended(states)), limits=MANY)
    if verdict.kind is VerdictKind.STARTED:
        assert not states or not cooldown
        return
    assert verdict.until is not None
    if verdict.reason is Reason.COOLDOWN:  # what was handed over to a person is theirs first, for a time of its own
        assert cooldown <= verdict.until - NOW <= max(MANY.cooldown_max, cooldown)


@given(st.lists(useless, min_size=1, max_size=30))
def test_another_useless_run_never_shortens_the_cooldown(states: list[IncidentState]) -> None:
    shorter = judged(history=History(recent=ended(states[1:])), limits=MANY).until or NOW
    longer = judged(history=History(recent=ended(states)), limits=MANY).until
    assert longer is not None
    assert longer >= shorter


@pytest.mark.parametrize("state", sorted(SAYS_NOTHING))
def test_a_run_that_changed_nothing_neither_lengthens_a_streak_nor_ends_it(state: IncidentState) -> None:
    """Alerts that flap, or are fired and resolved at once, must not keep a useless remedy going."""
    failed = [IncidentState.INEFFECTIVE, IncidentState.INEFFECTIVE, IncidentState.ROLLED_BACK]
    between = [each for end in failed for each in (state, state, end)]
    quick = tuple(past(each, finished=moment(minutes=-n)) for n, each in enumerate(between, 11))
    assert judged(history=History(recent=quick)).reason is Reason.FAILURES
    assert judged(history=History(recent=quick[:-1])).reason is Reason.COOLDOWN


@given(st.lists(finals, max_size=30))
def test_a_streak_is_the_same_with_and_without_the_runs_that_changed_nothing(states: list[IncidentState]) -> None:
    told = [state for state in states if state not in SAYS_NOTHING]
    with_all, without = (unhelpful_streak(list(ended(each))) for each in (states, told))
    assert [run.state for run in with_all] == [run.state for run in without]


@pytest.mark.parametrize("state", sorted(SAYS_NOTHING))
def test_a_run_that_changed_nothing_rests_as_long_as_the_rule_says_and_no_longer(state: IncidentState) -> None:
    """The doubled time is counted from the run that did not help."""
    nothing, failed = past(state, finished=moment()), past(IncidentState.INEFFECTIVE, finished=moment(minutes=-5))
    verdict = judged(history=History(recent=(nothing, failed)))
    assert (verdict.reason, verdict.until) == (Reason.COOLDOWN, moment(minutes=15))
    assert "after a run that ended ineffective" in verdict.text
    failed = past(IncidentState.INEFFECTIVE, finished=moment(minutes=-15))
    verdict = judged(history=History(recent=(nothing, failed)))
    assert verdict.until == moment(minutes=10)
    assert f"after a run that ended {state}" in verdict.text


@pytest.mark.parametrize("state", sorted(SAYS_NOTHING))
def test_a_service_stays_handed_over_whatever_came_to_nothing_since(state: IncidentState) -> None:
    history = History(
        recent=(
            past(state, finished=moment(), rule="web-alerts"),
            past(IncidentState.NEEDS_OPERATOR, finished=moment(minutes=-10)),
        )
    )
    assert judged(history=history).reason is Reason.HUMAN


@given(st.lists(useless, max_size=20), helpful, st.lists(finals, max_size=20))
def test_only_the_useless_runs_since_the_last_helpful_one_count(
    streak: list[IncidentState], turn: IncidentState, before: list[IncidentState]
) -> None:
    whole = judged(history=History(recent=ended([*streak, turn, *before])))
    assert whole == judged(history=History(recent=ended([*streak, turn])))


@pytest.mark.parametrize("state", HANDED_OVER)
def test_a_service_that_was_handed_over_is_left_to_the_person_whatever_the_rule(state: IncidentState) -> None:
    """E15, E17: a run of another rule would undo under their hands what they do, and be refused as the last one; an hour later it is ours again."""
    handed = past(state, rule="web-alerts")
    verdict = judged(history=History(recent=(handed,)))
    assert (verdict.reason, verdict.until) == (Reason.HUMAN, moment(hours=1))
    later = past(state, rule="web-alerts", finished=moment(hours=-1))
    assert judged(history=History(recent=(later,))).kind is VerdictKind.STARTED
