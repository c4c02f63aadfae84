"""The failure of one item is kept from the others, is said with its name, and is counted; the ledger's is everybody's."""

import asyncio

import pytest
from structlog.testing import capture_logs

from kintsugi.errors import LedgerUnavailable, ProbeFailed, StaleEpoch
from kintsugi.telemetry import Containment, FailureScope, Metrics


def test_an_error_of_one_item_is_said_with_its_name_and_counted_and_the_next_has_its_turn() -> None:
    """B16."""
    containment, metrics, reached = Containment(), Metrics(), []
    containment.on_contained(lambda scope: metrics.contained.labels(scope).inc())
    with capture_logs() as said:
        for name in ("web", "api"):
            with containment.around(FailureScope.SERVICE, name) as attempt:
                reached.append(int("v7" if name == "web" else "7"))
            assert attempt.failed is (name == "web")
    assert reached == [7]
    (line,) = said
    assert (line["scope"], line["name"], line["failures"]) == ("service", "web", 1)
    assert "ValueError" in line["error"]
    assert b'kintsugi_contained_total{scope="service"} 1.0' in metrics.exposition()


def test_a_failure_that_comes_again_and_again_is_said_ever_more_seldom() -> None:
    containment = Containment()
    with capture_logs() as said:
        for _ in range(100):
            with containment.around(FailureScope.RULE, "web-pods"):
                raise ProbeFailed("no answer")
    assert [line["failures"] for line in said] == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize(
    "error",
    [
        StaleEpoch("another daemon leads"),
        LedgerUnavailable("the disk is full"),
        ExceptionGroup("tasks", [ValueError("x"), StaleEpoch("another daemon leads")]),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_is_not_about_one_item_passes(error: BaseException) -> None:
    """P2."""
    containment = Containment()
    with pytest.raises(type(error)), containment.around(FailureScope.INCIDENT, "inc-1"):
        raise error
    if isinstance(error, Exception):
        with pytest.raises(type(error)):
            containment.contain(FailureScope.INCIDENT, "inc-1", error)
