"""When most of what we see looks broken, the observer is suspected first (E31, E32)."""

import pytest

from kintsugi.guards import Observer
from kintsugi.model.records import Reason, VerdictKind
from tests.unit.guards.questions import circumstances, judged


@pytest.mark.parametrize(
    ("observer", "opens"),
    [
        (Observer(sick=5, seen=10), False),
        (Observer(sick=6, seen=10), True),
        (Observer(sick=10, seen=10), True),
        (Observer(sick=3, seen=3), False),
        (Observer(sick=2, seen=4), False),
        (Observer(sick=3, seen=4), True),
        (Observer(sick=0, seen=0), False),
        (Observer(seen=10, nodes=1, nodes_stale=1), False),
        (Observer(seen=10, nodes=2, nodes_stale=1), False),
        (Observer(seen=10, nodes=2, nodes_stale=2), True),
        (Observer(seen=10, nodes=9, nodes_stale=4), False),
        (Observer(seen=10, nodes=9, nodes_stale=5), True),
        (Observer(seen=10, nodes=0, nodes_stale=0), False),
    ],
    ids=str,
)
def test_more_than_half_opens_the_breaker(observer: Observer, opens: bool) -> None:
    """E32: taint half of the nodes and nothing is refused; one more, and nothing is done."""
    verdict = judged(circumstances(observer=observer))
    assert verdict.kind is (VerdictKind.REFUSED if opens else VerdictKind.STARTED)
    assert verdict.reason is (Reason.BREAKER if opens else Reason.MATCHED)


def test_stale_nodes_are_told_of_before_services() -> None:
    verdict = judged(circumstances(observer=Observer(sick=10, seen=10, nodes=4, nodes_stale=3)))
    assert verdict.text == "3 of 4 nodes do not report: the cluster's state is in doubt"
