"""P8: what is done must be written down first, so that the database which we write to is never changed by us."""

import pytest

from kintsugi.decisions.guards import Limits, check
from kintsugi.decisions.planner import plan
from kintsugi.model.history import History
from kintsugi.model.records import Phase, Reason, StepRecord, StepState, VerdictKind
from kintsugi.runner.context import StepScope
from tests.unit.factories import NOW, run
from tests.unit.pipeline.business import PipelineBench

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
    business = PipelineBench()
    business.cluster.expose()
    rule = business.catalog.rules["web-pods"]
    request = business.observed.guard_context(
        rule, plan(rule, business.catalog.services["web"], business.catalog, now=NOW), (), approved=True
    )
    verdict = check(request, History(), Limits(ledger_host=host), now=NOW)
    refused = (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.PROTECTED)
    assert refused is own, verdict
    business.observed.limits = Limits(ledger_host=host)
    at = StepScope(phase=Phase.FORWARD, service="web", runbook="full-stack")
    step = StepRecord(run="run-1", path="x", state=StepState.PLANNED)
    assert bool(business.observed.change_context(run(), at, step).off_limits) is own
