"""What a watchdog calls once its deadline has come (P5, P6, DESIGN 6, E16, E17)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.model.documents import RollbackThen, RollbackWhen
from kintsugi.watchdog import FLAPPING, Call, Suspicion
from tests.unit.factories import moment, view
from tests.unit.watchdog.judging import INNOCENT, PATIENCE, judged_late

FAILING = view(healthy=False, ready=0, since=moment(minutes=20))
"""It has failed since ten minutes before the deadline at 30."""
LATE = moment(minutes=30)

OBJECTIONS = {
    "upstream": (
        replace(INNOCENT, upstream="database"),
        "not rolled back: its upstream database is not well, so the revision may be innocent",
    ),
    "managers": (
        replace(INNOCENT, managers=("Argo CD shop", "operator Web/web")),
        "not rolled back: deployment/web is managed by Argo CD shop, operator Web/web",
    ),
    "not ours": (
        replace(INNOCENT, ours=False),
        "not rolled back: someone has changed deployment/web since the run began",
    ),
    "known good": (
        replace(INNOCENT, known_good=True),
        "not rolled back: the revision that fails now was seen good before, so going back would not help",
    ),
}


def test_what_still_fails_and_nothing_speaks_against_is_rolled_back() -> None:
    judgement = judged_late(FAILING, now=LATE)
    assert (judgement.call, judgement.reason) == (Call.ROLL_BACK, "web is still failing at the deadline")


@pytest.mark.parametrize("when", RollbackWhen)
@pytest.mark.parametrize("then", RollbackThen)
@pytest.mark.parametrize("seen", [view(fresh=False), replace(FAILING, fresh=False), view(healthy=None)])
def test_a_blind_watchdog_waits_even_when_it_is_overdue(seen: object, when: RollbackWhen, then: RollbackThen) -> None:
    """P5, P6, E16: after a restart past the deadline nothing happens until the caches are synced."""
    judgement = judged_late(seen, now=moment(hours=9), when=when, then=then)  # type: ignore[arg-type]
    assert (judgement.call, judgement.reason) == (
        Call.WAIT,
        "the deadline has come, but web cannot be seen well enough to judge",
    )


@pytest.mark.parametrize("when", RollbackWhen)
@pytest.mark.parametrize("then", RollbackThen)
def test_what_has_become_well_meanwhile_is_not_taken_back(when: RollbackWhen, then: RollbackThen) -> None:
    """P5: an overdue watchdog looks again first."""
    judgement = judged_late(view(), now=LATE, when=when, then=then)
    assert (judgement.call, judgement.reason) == (
        Call.WAIT,
        "the deadline has come, but web is healthy: it is verified",
    )


@pytest.mark.parametrize(("suspicion", "reason"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_each_objection_calls_a_person_instead(suspicion: Suspicion, reason: str) -> None:
    judgement = judged_late(FAILING, now=LATE, suspicion=suspicion)
    assert (judgement.call, judgement.reason) == (Call.HAND_OVER, reason)


def test_the_likeliest_cause_is_named_first() -> None:
    everything = Suspicion(known_good=True, ours=False, upstream="database", managers=("Flux shop",))
    assert "its upstream database" in judged_late(FAILING, now=LATE, suspicion=everything).reason


@pytest.mark.parametrize(("suspicion", "_"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_always_is_the_authors_choice_whatever_speaks_against(suspicion: Suspicion, _: str) -> None:
    judgement = judged_late(FAILING, now=LATE, suspicion=suspicion, when=RollbackWhen.ALWAYS)
    assert judgement.call is Call.ROLL_BACK
    assert judgement.reason == "the deadline has come and the runbook always rolls back"


@pytest.mark.parametrize("when", RollbackWhen)
def test_park_leaves_everything_for_a_person(when: RollbackWhen) -> None:
    judgement = judged_late(FAILING, now=LATE, when=when, then=RollbackThen.PARK)
    assert judgement.call is Call.HAND_OVER
    assert judgement.reason == "the deadline has come: everything is left as it is for a person"


@pytest.mark.parametrize(("minutes", "call"), [(0, Call.WAIT), (2.9, Call.WAIT), (3, Call.ROLL_BACK)])
def test_the_failure_must_have_lasted(minutes: float, call: Call) -> None:
    failing = view(healthy=False, since=LATE)
    judgement = judged_late(failing, now=LATE + timedelta(minutes=minutes), looked_since=LATE)
    assert judgement.call is call
    if call is Call.WAIT:
        assert judgement.reason == "the deadline has come; web has not failed for 0:03:00 on end"


def test_what_neither_stays_well_nor_fails_for_long_goes_to_a_person() -> None:
    limit = FLAPPING * PATIENCE.failing_for
    for late, call in ((limit, Call.WAIT), (limit + timedelta(seconds=1), Call.HAND_OVER)):
        now = LATE + late
        judgement = judged_late(view(healthy=False, since=now), now=now, looked_since=LATE)
        assert judgement.call is call
    assert judgement.reason == "web neither stays well nor fails for long: it flaps"


suspicions = st.builds(
    Suspicion,
    known_good=st.booleans(),
    ours=st.booleans(),
    upstream=st.sampled_from(["", "database"]),
    managers=st.sampled_from([(), ("Flux shop",)]),
)


@given(
    suspicion=suspicions,
    healthy=st.sampled_from([True, False, None]),
    fresh=st.booleans(),
    lasting=st.integers(0, 1200),
    then=st.sampled_from(RollbackThen),
)
def test_it_never_goes_back_by_itself_unless_everything_speaks_for_it(
    suspicion: Suspicion, healthy: bool | None, fresh: bool, lasting: int, then: RollbackThen
) -> None:
    seen = view(healthy=healthy, fresh=fresh, since=LATE - timedelta(seconds=lasting))
    judgement = judged_late(seen, now=LATE, suspicion=suspicion, then=then)
    speaks_for_it = (
        fresh and healthy is False and suspicion == INNOCENT and lasting >= 180 and then is RollbackThen.UNDO
    )
    assert (judgement.call is Call.ROLL_BACK) == speaks_for_it
