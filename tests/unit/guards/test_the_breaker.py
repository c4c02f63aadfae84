"""Signs that the observer is at fault stop every change, at any number of services; a share of sick services is none (E31, E32)."""

import pytest

from kintsugi.decisions.breaker import ObserverHealth, doubt
from kintsugi.model.records import Reason, VerdictKind
from tests.unit.guards.cases import guard_context, judged


@pytest.mark.parametrize(
    ("observer", "opens"),
    [
        (ObserverHealth(seen=10, nodes=1, nodes_stale=1), True),
        (ObserverHealth(seen=2, nodes=2, nodes_stale=1), False),
        (ObserverHealth(seen=2, nodes=2, nodes_stale=2), True),
        (ObserverHealth(seen=10, nodes=9, nodes_stale=4), False),
        (ObserverHealth(seen=10, nodes=9, nodes_stale=5), True),
        (ObserverHealth(seen=10, nodes=0, nodes_stale=0), False),
        (ObserverHealth(seen=1, nodes=1, nodes_back=1), True),
        (ObserverHealth(seen=1, nodes=4, nodes_stale=1, nodes_back=1), False),
        (ObserverHealth(seen=1, nodes=3, nodes_stale=1, nodes_back=1), True),
    ],
    ids=str,
)
def test_more_than_half_of_the_nodes_without_a_word_opens_the_breaker(observer: ObserverHealth, opens: bool) -> None:
    """E32: with one service or with ten; a single node that is silent beside others is that node's affair."""
    verdict = judged(guard_context(observer=observer))
    assert verdict.kind is (VerdictKind.REFUSED if opens else VerdictKind.STARTED)
    assert verdict.reason is (Reason.BREAKER if opens else Reason.MATCHED)


@pytest.mark.parametrize(
    ("observer", "sign"),
    [
        (
            ObserverHealth(seen=1, names="10.96.0.10 does not answer"),
            "Kintsugi's own name server does not answer (10.96.0.10 does",
        ),
        (ObserverHealth(seen=2, checks="2 of 2 services fail our checks"), "2 of 2 services fail our checks"),
        (ObserverHealth(seen=4, mute=3), "3 of 4 unrelated services are unhealthy, and no container reports a reason"),
    ],
)
def test_each_sign_opens_the_breaker_and_is_named(observer: ObserverHealth, sign: str) -> None:
    """E31, E32."""
    verdict = judged(guard_context(observer=observer))
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.BREAKER)
    assert verdict.text.startswith("the observer is suspected first: ")
    assert sign in verdict.text
    assert verdict.until is not None


@pytest.mark.parametrize(
    "observer",
    [ObserverHealth(mute=2, seen=4), ObserverHealth(mute=3, seen=3), ObserverHealth(mute=0, seen=9)],
    ids=str,
)
def test_a_share_of_few_services_is_no_sign(observer: ObserverHealth) -> None:
    """E32: of three services one may well be the cause of the other two; what says why is not counted at all."""
    assert judged(guard_context(observer=observer)).kind is VerdictKind.STARTED


def test_all_signs_are_told_the_nodes_first() -> None:
    verdict = judged(
        guard_context(
            observer=ObserverHealth(mute=10, seen=10, nodes=4, nodes_stale=3, nodes_back=1, names="it is away")
        )
    )
    assert verdict.text == (
        "the observer is suspected first: 3 of 4 nodes do not report; 1 of 4 nodes have just started to report again; "
        "Kintsugi's own name server does not answer (it is away); "
        "10 of 10 unrelated services are unhealthy, and no container reports a reason"
    )


def test_to_be_blind_is_a_doubt_as_any_sign_is() -> None:
    """E31, P6."""
    assert doubt(
        ObserverHealth(stale_reason="the watch of pods is interrupted", nodes=1, nodes_stale=1), 0.5
    ).startswith("the watch")
    assert (
        doubt(ObserverHealth(nodes=1, nodes_stale=1), 0.5)
        == "the observer is suspected first: 1 of 1 nodes do not report"
    )
    assert doubt(ObserverHealth(nodes=1), 0.5) == ""
