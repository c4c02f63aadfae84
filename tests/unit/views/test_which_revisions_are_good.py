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
