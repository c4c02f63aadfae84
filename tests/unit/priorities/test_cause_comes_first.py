"""A dependent waits while an upstream explains its trouble, and no longer (DESIGN 7)."""

from dataclasses import replace
from datetime import timedelta

from kintsugi.model.views import ServiceView
from kintsugi.priorities import Hold, Upstream, hold
from tests.unit.factories import moment, services, view

EDGES = (("web", ("api", "cache")), ("api", ("database",)), ("cache", ("database",)), ("database", ()))
SERVICES = services(*EDGES)
LIMIT = timedelta(minutes=15)


def views(**ready: int) -> dict[str, ServiceView]:
    """Give the views of all services, with three ready pods unless told otherwise."""
    found = {name: view(service, ready=ready.get(name, 3)) for name, service in SERVICES.items()}
    return {name: replace(each, healthy=each.ready == each.desired) for name, each in found.items()}


def held(name: str, *, seen: dict[str, ServiceView], recovering: tuple[str, ...] = ()) -> Hold | None:
    """Ask for a service whose trouble was first seen now."""
    upstream = Upstream(views=seen, recovering=frozenset(recovering), limit=LIMIT)
    return hold(SERVICES[name], SERVICES, upstream, since=moment())


def test_nothing_is_held_while_all_upstreams_serve() -> None:
    assert held("web", seen=views()) is None


def test_a_service_that_depends_on_nothing_is_never_held() -> None:
    assert held("database", seen=views(web=0, api=0, cache=0, database=0)) is None


def test_a_dependent_waits_for_an_upstream_that_does_not_serve() -> None:
    waits = held("api", seen=views(database=0))
    assert waits == Hold(upstream="database", why="database is not serving (0 of 3 ready)", until=moment(minutes=15))


def test_the_deepest_cause_is_named() -> None:
    """Everything is down: the one to wait for is the database, level after level."""
    down = views(web=0, api=0, cache=0, database=0)
    assert [held(name, seen=down).upstream for name in ("web", "api", "cache")] == ["database"] * 3  # type: ignore[union-attr]


def test_when_the_deepest_serves_again_the_next_level_is_waited_for() -> None:
    back = views(web=0, api=0, cache=0)
    assert held("api", seen=back) is None
    assert held("cache", seen=back) is None
    waits = held("web", seen=back)
    assert waits is not None
    assert waits.upstream in {"api", "cache"}


def test_when_all_serve_again_the_last_is_judged_by_itself() -> None:
    assert held("web", seen=views(web=0)) is None


def test_one_arm_of_a_diamond_is_enough_to_wait() -> None:
    waits = held("web", seen=views(cache=0))
    assert waits is not None
    assert waits.upstream == "cache"


def test_an_upstream_that_serves_a_little_is_no_reason_to_wait() -> None:
    """Serving is enough for those who depend on it: one of three replicas answers."""
    assert held("api", seen=views(database=1)) is None


def test_an_upstream_that_is_being_recovered_is_waited_for_even_when_it_serves() -> None:
    waits = held("api", seen=views(database=1), recovering=("database",))
    assert waits == Hold(upstream="database", why="database is being recovered", until=moment(minutes=15))


def test_siblings_and_dependents_that_are_being_recovered_are_not_waited_for() -> None:
    assert held("api", seen=views(), recovering=("web", "cache")) is None


def test_an_upstream_that_is_meant_to_be_off_is_not_waited_for() -> None:
    seen = views()
    seen["database"] = replace(seen["database"], ready=0, desired=0)
    assert held("api", seen=seen) is None


def test_old_news_of_an_upstream_holds_nobody() -> None:
    """P6: what cannot be seen is no explanation; the guard against staleness speaks for itself."""
    seen = views(database=0)
    seen["database"] = replace(seen["database"], fresh=False)
    assert held("api", seen=seen) is None


def test_an_upstream_that_was_never_seen_holds_nobody() -> None:
    seen = views()
    del seen["database"]
    assert held("api", seen=seen) is None


def test_the_hold_ends_a_while_after_the_trouble_was_first_seen_however_often_it_is_asked() -> None:
    upstream = Upstream(views=views(database=0), recovering=frozenset(), limit=LIMIT)
    first = moment(minutes=-10)
    waits = hold(SERVICES["api"], SERVICES, upstream, since=first)
    assert waits is not None
    assert waits.until == first + LIMIT
