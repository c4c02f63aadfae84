"""The blast radius is bounded: changes an hour in a namespace, services at once (P7, S1, S2)."""

from dataclasses import replace
from datetime import datetime
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.priorities import Slots, overtaker, rank
from kintsugi.model.history import History, PastRun
from kintsugi.model.records import IncidentState, Reason, VerdictKind
from kintsugi.model.services import Service
from tests.unit.factories import moment, past, web
from tests.unit.guards.cases import judged

SMALL = Limits(budget=3)


def active(count: int) -> tuple[PastRun, ...]:
    """Return that many runs under way, of other services."""
    return tuple(past(IncidentState.RUNNING, finished=None, service=f"other-{n}") for n in range(count))


@pytest.mark.parametrize(("running", "starts"), [(0, True), (2, True), (3, False), (7, False)])
def test_only_so_many_services_are_recovered_at_once(running: int, starts: bool) -> None:
    verdict = judged(history=History(active=active(running)))
    assert verdict.kind is (VerdictKind.STARTED if starts else VerdictKind.REFUSED)
    if not starts:
        assert (verdict.reason, verdict.until) == (Reason.BUDGET, moment(seconds=30))
        assert verdict.text == f"{running} services are being recovered; the limit is 3"


@pytest.mark.parametrize(
    ("places", "refused"),
    [
        ((), ""),
        (("production",), "1 services of production are being recovered; the limit there is 1"),
        (("staging",), ""),
        (("staging", "bank", "shop"), "3 services are being recovered; the limit is 3"),
    ],
    ids=["nowhere", "here", "elsewhere", "everywhere"],
)
def test_only_so_many_services_of_one_namespace_are_recovered_at_once(places: tuple[str, ...], refused: str) -> None:
    running = tuple(replace(run, namespace=place) for run, place in zip(active(len(places)), places, strict=True))
    verdict = judged(history=History(active=running), limits=Limits(max_concurrent_services_per_namespace=1))
    assert verdict.text == (refused or "rule web-pods starts mend")
    assert verdict.until == (moment(seconds=30) if refused else None)


@pytest.mark.parametrize(
    ("taken", "ahead", "refused"),
    [
        ((), ("a/one",), "the limit is 1 services of a at once; services with a higher priority come first: one"),
        ((), ("b/one",), ""),
        (("b",), ("b/one", "b/two"), ""),
        (
            (),
            ("b/one", "c/two"),
            "the limit is 2 services at once; services with a higher priority come first: one, two",
        ),
        (
            ("b",),
            ("b/one", "c/two"),
            "the limit is 2 services at once; services with a higher priority come first: two",
        ),
    ],
    ids=str,
)
def test_a_service_that_comes_before_takes_a_slot_only_where_there_is_one_for_it(
    taken: tuple[str, ...], ahead: tuple[str, ...], refused: str
) -> None:
    """Two in the cluster, one in a namespace: what waits because its namespace is full keeps no slot from the others."""
    before = [replace(web(), name=each.partition("/")[2], namespace=each.partition("/")[0]) for each in ahead]
    assert Slots(most=2, most_in_namespace=1, taken=taken).refusal("a", before) == refused


def waiting(*names: str) -> list[Service]:
    """Return services that wait for a slot, each PRIORITY/NAMESPACE/NAME, in their order."""
    parts = sorted((int(priority), name, place) for priority, place, name in (each.split("/") for each in names))
    return [replace(web(), name=name, namespace=place, priority=priority) for priority, name, place in parts]


@pytest.mark.parametrize(
    ("taken", "wanting", "who"),
    [
        (("a", "b"), ("1/c/database",), "database"),
        (("a", "b"), ("3/c/database",), ""),
        (("a", "b"), ("4/c/database",), ""),
        (("a",), ("1/c/database",), ""),
        (("a",), ("1/c/database", "2/c/cache", "2/d/mail"), "mail"),
        (("a", "b"), ("1/b/database",), ""),
        (("a", "b"), ("1/a/database",), "database"),
        (("b", "a"), ("1/b/database", "2/c/mail"), "mail"),
    ],
    ids=[
        "a higher priority",
        "the same priority",
        "a lower one",
        "there is one left",
        "what is left goes to the first of them",
        "its namespace would be full all the same",
        "one of the same namespace makes room",
        "who cannot use it is passed over",
    ],
)
def test_a_slot_is_given_away_only_to_a_higher_priority_that_has_none_and_could_use_it(
    taken: tuple[str, ...], wanting: tuple[str, ...], who: str
) -> None:
    """Two in the cluster, one in a namespace; the one that is asked is of namespace a and priority 3."""
    slots = Slots(most=2, most_in_namespace=1, taken=taken)
    assert overtaker(replace(web(), namespace="a", priority=3), waiting(*wanting), slots) == who


@given(
    most=st.integers(1, 4),
    there=st.integers(1, 4),
    running=st.lists(st.tuples(st.integers(1, 5), st.sampled_from("abc")), min_size=1, max_size=4),
    wanting=st.lists(st.tuples(st.integers(1, 5), st.sampled_from("abc")), max_size=4),
)
def test_slots_that_are_given_away_end_with_the_highest_priorities_and_never_go_round(
    most: int, there: int, running: list[tuple[int, str]], wanting: list[tuple[int, str]]
) -> None:
    """Each that is under way is asked again and again; who gives its slot away waits with the others."""
    limits = Slots(most=most, most_in_namespace=there)
    names = (f"s{number}" for number in range(20))
    known = {
        name: replace(web(), name=name, priority=p, namespace=n)
        for name, (p, n) in zip(names, [*running, *wanting], strict=False)
    }
    line, active = sorted(known.values(), key=rank), list[Service]()
    for each in list(known.values())[: len(running)]:  # those that came first have the slots
        if not limits_of(limits, active).refusal(each.namespace):
            active.append(each)
    for turns in count():
        assert turns < 50, "it goes round"
        line = sorted((each for each in known.values() if each not in active), key=rank)
        gives = next((each for each in active if overtaker(each, line, limits_of(limits, active))), None)
        if gives is not None:
            taker = overtaker(gives, line, limits_of(limits, active))
            assert known[taker].priority < gives.priority
            active.remove(gives)
            line = sorted([*line, gives], key=rank)
        starts = [
            each
            for each in line
            if not limits_of(limits, active).refusal(each.namespace, [one for one in line if rank(one) < rank(each)])
        ]
        if gives is None and not starts:
            break
        active += starts[:1]
        assert len(active) <= most
    for each in line:
        lower = [one for one in active if one.priority > each.priority]
        assert not any(limits_of(limits, active).without(one.namespace).left_in(each.namespace) for one in lower)


def limits_of(slots: Slots, active: list[Service]) -> Slots:
    """Return the slots as these services have taken them."""
    return replace(slots, taken=tuple(each.namespace for each in active))


@pytest.mark.parametrize(
    ("minutes_ago", "until"),
    [
        ([], None),
        ([5, 10], None),
        ([5, 10, 20], moment(minutes=40)),
        ([20, 5, 10], moment(minutes=40)),
        ([5, 10, 61], None),
        ([5, 10, 60], None),
        ([1, 2, 3, 4, 5], moment(minutes=57)),
    ],
    ids=str,
)
def test_a_spent_budget_says_when_there_is_room_again(minutes_ago: list[int], until: datetime | None) -> None:
    history = History(disruptions=tuple(moment(minutes=-each) for each in minutes_ago))
    verdict = judged(history=history, limits=SMALL)
    assert (verdict.reason, verdict.until) == (Reason.BUDGET if until else Reason.MATCHED, until)
