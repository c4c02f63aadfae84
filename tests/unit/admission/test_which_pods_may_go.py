"""A pod that serves is deleted only while enough others of its service do; one that does not serve is never held (P7)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.disruptions import budgets_of, pod_budget
from kintsugi.model.views import ServiceView
from kubeobjects.kept import Pod
from tests.unit.factories import pod, view

NOBODY = frozenset[str]()


def pods(count: int, ready: int) -> tuple[Pod, ...]:
    """Return so many pods, of which the first ones are ready."""
    return tuple(pod(f"web-{number}", ready=number < ready) for number in range(count))


def web(count: int, ready: int, *, desired: int | None = None) -> ServiceView:
    """Return the service web with so many pods."""
    return view(ready=ready, desired=count if desired is None else desired, pods=pods(count, ready))


@pytest.mark.parametrize(
    ("count", "percent", "stay"),
    [(1, 50, 0), (2, 50, 1), (3, 50, 1), (4, 50, 2), (5, 50, 2), (3, 1, 2), (1, 1, 0), (4, 100, 0), (0, 50, 0)],
)
def test_a_share_is_rounded_up_so_that_one_pod_at_least_may_go(count: int, percent: int, stay: int) -> None:
    assert pod_budget(web(count, count), percent).desired_healthy == stay


@pytest.mark.parametrize(
    ("count", "ready", "disrupted", "allowed"),
    [(4, 4, (), 2), (4, 4, ("uid-web-0",), 1), (4, 4, ("uid-web-0", "uid-web-1"), 0), (4, 2, (), 0), (4, 0, (), 0)],
)
def test_a_pod_that_we_have_deleted_counts_as_gone_although_it_is_shown_as_ready_still(
    count: int, ready: int, disrupted: tuple[str, ...], allowed: int
) -> None:
    budget = pod_budget(web(count, ready), 50)
    assert budget.allowed(frozenset(disrupted)) == allowed
    assert bool(budget.objection(f"uid-web-{count - 1}", frozenset(disrupted))) is (allowed == 0 and ready == count)


def test_a_refusal_says_how_many_are_ready_and_how_many_must_stay() -> None:
    said = pod_budget(web(4, 3), 50).objection("uid-web-0", frozenset({"uid-web-1"}))
    assert said == "2 of 4 pods of web are ready, and 2 must stay so"


@pytest.mark.parametrize("ready", [0, 1, 2])
def test_a_pod_that_does_not_serve_is_never_held(ready: int) -> None:
    """Deleting it takes nothing away: a recovery in which all pods are down goes on at once."""
    budget = pod_budget(web(4, ready), 1)
    assert [budget.objection(f"uid-web-{number}", NOBODY) for number in range(ready, 4)] == [""] * (4 - ready)


def test_a_pod_that_is_being_deleted_again_is_not_counted_twice() -> None:
    """The intent of this very deletion is committed before it is asked for the last time."""
    assert pod_budget(web(1, 1), 50).objection("uid-web-0", frozenset({"uid-web-0"})) == ""


def test_a_pod_that_is_newer_than_what_is_seen_waits_until_it_is_seen() -> None:
    assert "newer than what is seen" in pod_budget(web(4, 4), 50).objection("uid-of-a-successor", NOBODY)


def test_a_service_that_is_scaled_to_none_keeps_nothing() -> None:
    assert pod_budget(web(3, 3, desired=0), 50).allowed(NOBODY) == 3


def test_without_a_workload_the_pods_that_are_there_count() -> None:
    assert pod_budget(replace(web(4, 4), workload=None, desired=0), 50).allowed(NOBODY) == 2


def test_a_pod_of_several_services_asks_each_of_them() -> None:
    one, other = web(4, 4), web(2, 2)
    views = {"web": one, "all": replace(other, service=replace(other.service, name="all"))}
    found = budgets_of("web-0", "production", views, 50, service="web")
    assert [each.service for each in found] == ["all", "web"]
    assert [each.service for each in budgets_of("web-3", "production", views, 50, service="web")] == ["web"]
    assert budgets_of("web-0", "staging", views, 50, service="web") == ()


@given(
    count=st.integers(0, 12),
    ready=st.integers(0, 12),
    percent=st.integers(1, 100),
    wanted=st.lists(st.integers(0, 11), max_size=30),
)
def test_no_more_pods_are_taken_than_the_share_whatever_is_asked_for(
    count: int, ready: int, percent: int, wanted: list[int]
) -> None:
    """Nothing comes back meanwhile: of those that served, enough are left, or as many as there were."""
    ready = min(ready, count)
    budget, gone = pod_budget(web(count, ready), percent), set[str]()
    for number in (each for each in wanted if each < count):
        uid = f"uid-web-{number}"
        if not budget.objection(uid, frozenset(gone)):
            gone.add(uid)
    left = ready - len([uid for uid in gone if uid in budget.ready])
    assert left >= min(ready, budget.desired_healthy)
    assert count - budget.desired_healthy == -(-count * percent // 100), "no more than the share, rounded up"
