"""What checks have counted while all was well is known to the views, after a restart too."""

from datetime import datetime

import pytest

from kintsugi.model.known import GoodCount
from kintsugi.views.service_memory import CountMemory
from tests.unit.factories import moment
from tests.unit.views.cluster import FakeCaches

pytestmark = pytest.mark.looptime


def counted(value: int, at: datetime | None = None, *, service: str = "web") -> GoodCount:
    """Make a count."""
    return GoodCount(service=service, name="keys", value=value, moment=at or moment())


async def test_an_expression_sees_the_last_good_count_of_its_service() -> None:
    cluster = FakeCaches()
    cluster.services.counts.note(counted(7))
    cluster.services.counts.note(counted(9, service="api"))
    cluster.services.refresh(everything=True)
    assert cluster.services.views["web"].counts == {"keys": 7}


def test_a_count_of_an_earlier_life_is_known_until_it_is_counted_again() -> None:
    memory = CountMemory()
    memory.recall([counted(7, moment(hours=-1))])
    assert (memory.of("web"), memory.unsaved()) == ({"keys": 7}, ())
    memory.note(counted(8))
    memory.recall([counted(7, moment(hours=-1))])
    assert (memory.of("web"), memory.unsaved()) == ({"keys": 8}, (counted(8),))


def test_a_count_that_is_the_same_still_is_not_written_again() -> None:
    memory = CountMemory()
    memory.note(counted(8))
    memory.saved(memory.unsaved())
    memory.note(counted(8, moment(minutes=1)))
    assert memory.unsaved() == ()
    memory.note(counted(9, moment(minutes=2)))
    assert memory.unsaved() == (counted(9, moment(minutes=2)),)
