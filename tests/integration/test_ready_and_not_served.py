"""A service of three lines whose pods are ready while its Kubernetes Service leads elsewhere: a person has it, and nothing is changed."""

from pathlib import Path

import pytest

from kintsugi.model.records import IncidentState
from tests.harness.daemon import ROOT
from tests.integration.crash_story import made
from tests.integration.ladder_stage import BY_HTTP, front_service, ladder

pytestmark = pytest.mark.long

THREE_LINES = """
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: front}
spec:
  namespace: production
  workload: deployment/front
"""


async def test_a_port_that_leads_elsewhere_is_handed_over_with_the_service_s_field_and_no_pod_is_restarted(
    tmp_path: Path,
) -> None:
    rules = (ROOT / "rules" / "any-service.yaml").read_text()
    async with ladder(tmp_path, rules, replicas=2, service=THREE_LINES, probe=BY_HTTP) as stage:
        stage.start()
        async with stage.ledger() as ledger:

            async def is_met() -> bool:
                return any(each.name.endswith("/health") for each in await ledger.revisions.good_counts())

            await stage.until(is_met)
            stage.cluster.apply(front_service(9999))
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.NEEDS_OPERATOR, incident
    assert "Service front routes to port 9999, but the containers listen on 8080" in incident.reason, incident
    assert made(stage) == []
