"""A service without a selector of its own has that of its workload, from when that is seen, and none of any pod before."""

from collections.abc import Sequence

import pytest

from kintsugi.model.views import ServiceView
from kubeobjects.selectors import NOTHING
from tests.unit.factories import catalog, runbook_text, service_text
from tests.unit.views.cluster import FakeCaches

pytestmark = pytest.mark.looptime

DERIVED = catalog(service_text().replace("  selector: app=web\n", ""), runbook_text())


def seen(cluster: FakeCaches) -> ServiceView:
    """Look at the service web now."""
    cluster.services.refresh()
    return cluster.services.views["web"]


def pods_of(view: ServiceView) -> Sequence[str]:
    return [each.metadata.name for each in view.pods]


async def test_a_service_whose_workload_was_never_seen_has_no_pods() -> None:
    cluster = FakeCaches(DERIVED)
    cluster.run("web-1")
    view = seen(cluster)
    assert (pods_of(view), view.service.selector, view.healthy) == ([], NOTHING, False)
    assert not view.service.selector.matches({"app": "web"})


@pytest.mark.parametrize("first", ["pod", "workload"])
async def test_the_selector_is_the_workload_s_whichever_is_seen_first(first: str) -> None:
    cluster = FakeCaches(DERIVED)
    told: list[str] = []
    cluster.services.on_new_selector(lambda: told.append("anew"))
    if first == "pod":
        cluster.run("web-1")
        cluster.run("other", app="api")
        cluster.deploy()
    else:
        cluster.deploy()
        cluster.run("web-1")
        cluster.run("other", app="api")
    view = seen(cluster)
    assert (pods_of(view), str(view.service.selector)) == (["web-1"], "app=web")
    assert told == ["anew"], "what goes by pods looks at them again"


async def test_a_workload_that_is_made_anew_with_another_selector_has_other_pods() -> None:
    cluster = FakeCaches(DERIVED)
    cluster.deploy()
    cluster.run("web-1")
    cluster.run("web-2", app="web-two")
    assert pods_of(seen(cluster)) == ["web-1"]
    cluster.deploy(2, selects={"app": "web-two"})
    assert pods_of(seen(cluster)) == ["web-2"]


async def test_a_workload_that_selects_everything_gives_its_service_nothing() -> None:
    cluster = FakeCaches(DERIVED)
    cluster.deploy(selects={})
    cluster.run("web-1")
    assert pods_of(seen(cluster)) == []


async def test_a_selector_that_is_written_stays_whatever_the_workload_selects() -> None:
    cluster = FakeCaches()
    cluster.deploy(selects={"app": "web-two"})
    cluster.run("web-1")
    view = seen(cluster)
    assert (pods_of(view), str(view.service.selector)) == (["web-1"], "app=web")
