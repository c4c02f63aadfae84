"""A service that does not say when it is healthy is so when its rollout is complete and its pods serve and answer."""

import pytest

from tests.unit.factories import catalog, rule_text, runbook_text, service_text
from tests.unit.views.cluster import FakeCaches

pytestmark = pytest.mark.looptime

CHECK = "checks: {smoke: [{id: health, run: 'curl http://web.production/', expect: status == 200}]}"
SERVICE = service_text(more=CHECK).replace("  healthy: desired > 0 && ready >= desired\n", "")
ASKED = rule_text("answers", on="check", more="check: smoke")
DERIVED = catalog(SERVICE, ASKED, runbook_text())


def well() -> FakeCaches:
    """Return a cluster in which web is well."""
    cluster = FakeCaches(DERIVED)
    cluster.deploy()
    cluster.expose()
    cluster.answer(3)
    for name in ("web-1", "web-2", "web-3"):
        cluster.run(name)
    return cluster


def is_healthy(cluster: FakeCaches) -> bool | None:
    cluster.services.refresh()
    return cluster.services.views["web"].healthy


async def test_a_service_whose_pods_serve_and_answer_is_healthy() -> None:
    assert is_healthy(well())


async def test_a_rollout_that_is_not_complete_is_not_health_beside_pods_that_serve() -> None:
    cluster = well()
    cluster.deploy(2, rolled_out=False)
    assert is_healthy(cluster) is False


async def test_a_pod_that_is_not_ready_is_not_health() -> None:
    cluster = well()
    cluster.run("web-3", ready=False)
    assert is_healthy(cluster) is False


async def test_a_kubernetes_service_that_leads_to_no_pod_is_not_health() -> None:
    cluster = well()
    cluster.answer(0)
    assert is_healthy(cluster) is False


async def test_a_service_that_is_scaled_to_none_is_not_healthy() -> None:
    cluster = well()
    cluster.deploy(replicas=0)
    assert is_healthy(cluster) is False


async def test_a_check_that_is_not_met_is_not_health_until_it_is_met_again() -> None:
    cluster = well()
    cluster.services.note_check("web", "smoke", met=False)
    assert is_healthy(cluster) is False
    cluster.services.note_check("web", "smoke", met=True)
    assert is_healthy(cluster)


async def test_a_check_that_no_rule_asks_any_more_counts_no_longer() -> None:
    cluster = well()
    cluster.services.note_check("web", "smoke", met=False)
    cluster.services.reload(catalog(SERVICE, runbook_text()))
    assert is_healthy(cluster)
