"""P8: what is done must be written down first, so that the database which we write to is never changed by us."""

import pytest

from kintsugi.guards import Limits, check
from kintsugi.model.history import History
from kintsugi.model.records import Phase, Reason, StepRecord, StepState, VerdictKind
from kintsugi.planner import plan
from kintsugi.runner.memory import Bearings
from tests.unit.factories import NOW, run
from tests.unit.pipeline.business import Business

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("web-front.production.svc.cluster.local", True),
        ("web-front.production", True),
        ("WEB-FRONT.production.svc.", True),
        ("web-1.web-front.production.svc.cluster.local", True),
        ("10.0.0.7", True),
        ("web-front.staging", False),
        ("other.production", False),
        ("10.0.0.8", False),
        ("", False),
    ],
)
async def test_a_service_that_holds_the_ledger_is_refused(host: str, own: bool) -> None:
    """Nor does the runbook of another service come to it."""
    business = Business()
    business.cluster.expose()
    rule = business.catalog.rules["web-pods"]
    claim = business.world.claim(
        rule, plan(rule, business.catalog.services["web"], business.catalog, now=NOW), None, approved=True
    )
    verdict = check(claim, History(), Limits(ledger_host=host), now=NOW)
    refused = (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.PROTECTED)
    assert refused is own, verdict
    business.world.limits = Limits(ledger_host=host)
    at = Bearings(phase=Phase.FORWARD, service="web", runbook="full-stack")
    step = StepRecord(run="run-1", path="x", state=StepState.PLANNED)
    assert bool(business.world.circumstances(run(), at, step).off_limits) is own
