"""A revision is good when its rollout was complete and the service well for long enough, with that very template."""

import asyncio
from datetime import timedelta

import pytest

from tests.unit.factories import moment
from tests.unit.views.cluster import FakeCaches

pytestmark = pytest.mark.looptime

LASTING = timedelta(minutes=2)


async def well() -> FakeCaches:
    """Return a cluster in which web is well with revision 1."""
    cluster = FakeCaches()
    cluster.deploy(1)
    for name in ("web-1", "web-2", "web-3"):
        cluster.run(name)
    cluster.services.refresh()
    return cluster


def good(cluster: FakeCaches) -> list[int]:
    """List the numbers of the good revisions now."""
    cluster.services.refresh()
    return [each.number for each in cluster.services.good_revisions(LASTING)]


async def test_health_must_have_lasted() -> None:
    cluster = await well()
    await asyncio.sleep(119)
    assert good(cluster) == []
    await asyncio.sleep(1)
    assert good(cluster) == [1]
    (revision,) = cluster.services.good_revisions(LASTING)
    assert (revision.workload, revision.template) == ("uid-web", "hash-1")
    assert (revision.first_good, revision.last_good) == (moment(), moment(minutes=2))


async def test_a_rollout_that_is_not_complete_is_not_good() -> None:
    cluster = await well()
    await asyncio.sleep(600)
    cluster.deploy(2, rolled_out=False)
    assert good(cluster) == []


async def test_a_new_template_must_show_by_itself_that_it_is_good() -> None:
    """The service was well throughout a rolling update; that says nothing about the template of a moment ago."""
    cluster = await well()
    await asyncio.sleep(600)
    assert good(cluster) == [1]
    cluster.deploy(2)
    assert good(cluster) == []
    await asyncio.sleep(119)
    assert good(cluster) == []
    await asyncio.sleep(1)
    assert good(cluster) == [2]


async def test_a_failure_starts_the_time_anew() -> None:
    cluster = await well()
    await asyncio.sleep(600)
    cluster.run("web-1", ready=False)
    assert good(cluster) == []
    cluster.run("web-1")
    assert good(cluster) == []
    await asyncio.sleep(120)
    assert good(cluster) == [1]


@pytest.mark.parametrize("changed", [False, True])
async def test_a_gap_starts_the_time_anew_only_where_something_has_changed_in_it(changed: bool) -> None:
    """P6: while a watch is interrupted, no revision is good."""
    cluster = await well()
    await asyncio.sleep(119)
    cluster.caches.pods.problem = "reset"
    assert good(cluster) == []
    if changed:
        cluster.run("web-1")
    await asyncio.sleep(1)
    assert good(cluster) == []
    cluster.caches.pods.problem = ""
    assert good(cluster) == ([] if changed else [1])
    await asyncio.sleep(120)
    assert good(cluster) == [1]


async def test_a_check_that_was_not_met_starts_the_time_anew_whatever_its_author_calls_healthy() -> None:
    cluster = await well()
    await asyncio.sleep(600)
    cluster.services.note_check("web", "smoke", met=False)
    assert good(cluster) == []
    cluster.services.note_check("web", "smoke", met=True)
    assert good(cluster) == []
    await asyncio.sleep(120)
    assert good(cluster) == [1]


async def test_a_template_whose_pods_no_endpoint_leads_to_is_not_good() -> None:
    """A Service without a port, or of another name for it: the pods are ready, and nobody reaches them."""
    cluster = await well()
    cluster.expose()
    cluster.answer(ready=0)
    await asyncio.sleep(600)
    assert good(cluster) == []
    cluster.answer(ready=3)
    assert good(cluster) == []
    await asyncio.sleep(120)
    assert good(cluster) == [1]
