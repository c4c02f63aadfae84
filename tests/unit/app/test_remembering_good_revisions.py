"""Good revisions are noted once and again each day, and what is gone is not kept in memory."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from kintsugi.app.remembering import NOTED_EVERY, Remembering
from kintsugi.model.records import GoodRevision
from kintsugi.pipeline.facts import MOST_GOOD
from tests.unit.factories import moment
from tests.unit.pipeline.business import Business

pytestmark = pytest.mark.looptime


class Notes:
    """A ledger that keeps what is noted."""

    def __init__(self) -> None:
        self.noted: list[GoodRevision] = []

    async def note_good(self, revisions: Sequence[GoodRevision]) -> None:
        """Keep them."""
        self.noted += revisions

    async def good_revisions(self, workload: str) -> tuple[GoodRevision, ...]:
        """List those of a workload."""
        return tuple(each for each in self.noted if each.workload == workload)


def remembering(business: Business, notes: Notes) -> Remembering:
    """Return the part that remembers, over a cluster in which web is well."""
    business.cluster.run("web-3", ready=True)
    business.cluster.services.refresh()
    return Remembering(business.cluster.services, business.world, notes, lasting=timedelta(minutes=2))


async def test_a_revision_that_stays_good_is_noted_again_each_day() -> None:
    """D10: what was not good for longer than `keep` is forgotten."""
    business, notes = Business(), Notes()
    part = remembering(business, notes)
    for _ in range(3 * 24):
        await asyncio.sleep(3600)
        business.cluster.services.refresh(everything=True)
        await part.step()
    assert 3 <= len(notes.noted) <= 4
    assert {each.template for each in notes.noted} == {"hash-1"}
    assert timedelta(hours=1) <= NOTED_EVERY


async def test_a_workload_that_is_gone_is_forgotten_in_memory_and_recalled_when_it_comes_back() -> None:
    """A memory that is bounded by what the cluster has."""
    business, notes = Business(), Notes()
    part = remembering(business, notes)
    await part.step()
    gone = GoodRevision(workload="uid-old", template="t", number=1, first_good=moment(), last_good=moment())
    business.world.remember((gone,))
    await part.step()
    assert "uid-old" not in business.world.remembered
    assert part.there() == {"uid-web"}


async def test_of_a_workload_the_last_good_revisions_are_remembered() -> None:
    business = Business()
    for number in range(1, 100):
        each = GoodRevision(
            workload="uid-web", template=f"t{number}", number=number, first_good=moment(), last_good=moment()
        )
        business.world.remember((each,))
    assert len(business.world.remembered["uid-web"]) == MOST_GOOD
    assert max(business.world.remembered["uid-web"].values()) == 99
