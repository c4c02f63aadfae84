"""What suffers from another service's trouble is named in its notices, and not told of by itself."""

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState
from kintsugi.pipeline.affected_services import AffectedServices
from tests.harness.ledger_rows import keep
from tests.unit.factories import NOW, incident, services, view

EDGES = (("web", ("frontend",)), ("frontend", ("cart",)), ("cart", ()), ("mail", ("cart",)), ("other", ()))
SERVICES = services(*EDGES)


def suffering(
    ledger: Ledger, *, ill: Iterable[str] = (), unmet: Iterable[str] = (), explaining: str = ""
) -> AffectedServices:
    """Return what names them, where these services are not well, or do not answer as their checks expect."""
    views = {name: view(service, healthy=name not in ill) for name, service in SERVICES.items()}
    observed = SimpleNamespace(
        views=views, unmet=lambda: frozenset(unmet), explaining=lambda service, began: explaining
    )
    active = SimpleNamespace(catalog=SimpleNamespace(services=SERVICES))
    return AffectedServices(incidents=ledger.incidents, active_catalog=active, observed=observed)  # type: ignore[arg-type]


async def test_a_service_that_is_held_not_well_or_not_answering_is_named_where_it_depends_on_the_cause(
    ledger: Ledger,
) -> None:
    cart, held = (
        incident(service="cart", state=IncidentState.NEEDS_OPERATOR),
        replace(incident(service="web", state=IncidentState.HELD), id="inc-2"),
    )
    await keep(ledger, replace(cart, closed=NOW), held)
    found = suffering(ledger, ill=("frontend", "other"), unmet=("mail", "other"))
    assert set(await found.of_incident("inc-1")) == {"web", "frontend", "mail"}
    assert await suffering(ledger).of_incident("inc-1") == ("web",)


@pytest.mark.parametrize(
    ("state", "is_closed", "ill", "named"),
    [
        (IncidentState.RUNNING, False, (), ("web",)),
        (IncidentState.NEEDS_OPERATOR, True, ("cart",), ("web",)),
        (IncidentState.NEEDS_OPERATOR, True, (), ()),
        (IncidentState.RECOVERED, True, ("cart",), ()),
    ],
)
async def test_services_that_suffer_now_are_named_until_an_incident_is_over_and_its_service_well(
    ledger: Ledger, state: IncidentState, is_closed: bool, ill: tuple[str, ...], named: tuple[str, ...]
) -> None:
    cart = replace(incident(service="cart", state=state), closed=NOW if is_closed else None)
    await keep(ledger, cart)
    assert await suffering(ledger, ill=(*ill, "web", "other")).now(cart) == named


@pytest.mark.parametrize(
    ("state", "is_closed", "is_told"),
    [
        (IncidentState.RUNNING, False, True),
        (IncidentState.AWAITING_APPROVAL, False, True),
        (IncidentState.NEEDS_OPERATOR, True, True),
        (IncidentState.RECOVERED, True, False),
    ],
)
async def test_a_hold_is_told_by_itself_only_where_nobody_is_told_of_its_upstream(
    ledger: Ledger, state: IncidentState, is_closed: bool, is_told: bool
) -> None:
    held = replace(incident(service="frontend", state=IncidentState.HELD), id="inc-2")
    assert not await suffering(ledger, explaining="cart").is_notified_elsewhere(held)
    await keep(ledger, replace(incident(service="cart", state=state), closed=NOW if is_closed else None))
    assert await suffering(ledger, explaining="cart").is_notified_elsewhere(held) is is_told
    assert not await suffering(ledger).is_notified_elsewhere(held)
