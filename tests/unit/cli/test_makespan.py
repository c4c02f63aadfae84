"""What several recoveries took together, what must follow each other in them, and what one after another would have taken."""

import pytest

from kintsugi.cli.demo.makespan import RunSpan, makespan

NEEDS = {"database": (), "cache": (), "api": ("database", "cache"), "web": ("api",), "ingress": ("web",)}


def span(service: str, began: float, ended: float) -> RunSpan:
    """Return the run of a service."""
    return RunSpan(service=service, began=began, ended=ended)


def test_runs_that_go_together_save_the_shorter_one_and_a_chain_saves_nothing() -> None:
    chain = [span("database", 2, 10), span("api", 10, 15), span("web", 15, 19)]
    alone = makespan(chain, NEEDS, whole=20)
    assert (alone.one_by_one, alone.saved, alone.critical_path) == (20, 0, 17)
    together = makespan([*chain, span("cache", 3, 6)], NEEDS, whole=20)
    assert (together.one_by_one, together.saved, together.critical_path) == (23, 3, 17)


def test_a_dependent_that_starts_while_its_upstream_is_verified_adds_only_what_comes_after() -> None:
    found = makespan([span("database", 0, 10), span("api", 8, 13)], NEEDS, whole=13)
    assert (found.critical_path, found.saved) == (13, 2)


def test_a_service_that_got_well_without_a_run_passes_on_what_stands_before_it() -> None:
    found = makespan([span("database", 0, 10), span("ingress", 12, 15)], NEEDS, whole=15)
    assert found.critical_path == 13


@pytest.mark.parametrize("needs", [{}, {"a": ("b",), "b": ("a",)}])
def test_the_makespan_ends_for_spans_that_depend_on_themselves_or_on_unknown_ones(
    needs: dict[str, tuple[str, ...]],
) -> None:
    assert makespan([span("a", 0, 4), span("b", 1, 3)], needs, whole=4).critical_path >= 4
