"""What checks have counted while all was well, and how many replicas a workload last had, is known after a restart too."""

from dataclasses import replace
from datetime import datetime

import pytest

from kintsugi.model.good_state import GoodCount, SeenReplicas
from kintsugi.views.service_memory import CountMemory, ReplicaMemory, seen_now
from kubeobjects.autoscalers import rests
from kubeobjects.kept import HorizontalPodAutoscaler, Metadata, OwnerReference
from kubeobjects.workloads import AutoscalerSpec
from tests.unit.factories import catalog, moment, rule_text, runbook_text, service_text
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


RUNS = SeenReplicas(workload="uid-web", replicas=3, since=moment(hours=-2))


def test_the_last_number_and_the_beginning_of_each_stretch_with_replicas_are_known() -> None:
    assert seen_now(None, "uid-web", 0, moment()) is None
    begun = seen_now(None, "uid-web", 5, moment())
    assert begun == SeenReplicas(workload="uid-web", replicas=5, since=moment())
    more = seen_now(begun, "uid-web", 2, moment(minutes=1))
    assert more == replace(begun, replicas=2)
    ended = seen_now(more, "uid-web", 0, moment(minutes=2))
    assert ended == replace(more, until=moment(minutes=2))
    assert seen_now(ended, "uid-web", 0, moment(minutes=3)) == ended
    again = seen_now(ended, "uid-web", 1, moment(minutes=4))
    assert again == SeenReplicas(workload="uid-web", replicas=1, since=moment(minutes=4))


async def test_the_view_of_a_service_at_zero_says_with_how_many_it_is_started() -> None:
    cluster = FakeCaches()
    for replicas in (4, 0):
        cluster.deploy(replicas=replicas)
        view = cluster.seen()
    assert (view.desired, view.replicas) == (0, 4)
    cluster.services.reload(catalog(service_text(more="replicas: 7"), rule_text(), runbook_text()))
    assert cluster.services.views["web"].replicas == 7


async def test_no_replicas_are_noted_while_the_cluster_is_not_seen() -> None:
    """P6."""
    cluster = FakeCaches()
    cluster.clock_problem = "the clock was set"
    cluster.deploy(replicas=4)
    assert cluster.seen().replicas is None
    assert cluster.services.replicas.unsaved() == ()


async def test_replicas_that_an_earlier_life_has_seen_are_recalled() -> None:
    memory, cluster = ReplicaMemory(), FakeCaches()
    memory.recall(RUNS)
    cluster.deploy(replicas=0)
    workload = cluster.seen().workload
    assert memory.note(workload, moment()) == replace(RUNS, until=moment())
    assert memory.unsaved() == (replace(RUNS, until=moment()),)


async def test_a_workload_that_has_replicas_before_and_after_a_restart_had_them_all_along() -> None:
    """A restore that stopped it in between has then stopped this very stretch: it is held rather too long than too short."""
    cluster = FakeCaches()
    cluster.deploy(replicas=3)
    workload = cluster.seen().workload
    for known, since in ((RUNS, RUNS.since), (replace(RUNS, until=moment(hours=-1)), moment())):
        memory = ReplicaMemory()
        memory.note(workload, moment())
        memory.recall(known)
        assert memory.note(workload, moment(minutes=1)) == replace(RUNS, since=since)


async def test_saved_replicas_are_not_saved_again_and_those_of_a_workload_that_is_gone_are_forgotten() -> None:
    cluster = FakeCaches()
    cluster.deploy(replicas=3)
    cluster.services.refresh()
    memory = cluster.services.replicas
    seen = memory.unsaved()
    cluster.deploy(replicas=5)
    cluster.services.refresh()
    memory.saved(seen)
    assert [each.replicas for each in memory.unsaved()] == [5]
    memory.saved(memory.unsaved())
    assert memory.unsaved() == ()
    memory.forget_all_but(())
    cluster.deploy(replicas=0)
    assert cluster.seen().replicas is None


def scaler(least: int, *, owner: str = "") -> HorizontalPodAutoscaler:
    """Make an autoscaler."""
    owners = (OwnerReference(kind=owner, name="shop", uid="u", controller=True),) if owner else ()
    return HorizontalPodAutoscaler(
        metadata=Metadata(name="web", owner_references=owners), spec=AutoscalerSpec(min_replicas=least)
    )


def test_an_autoscaler_rests_at_zero_where_it_says_so_or_is_kedas() -> None:
    """KEDA's own have a least number of 1, and their ScaledObject scales to 0."""
    assert rests([scaler(1)]) == ""
    assert rests([scaler(1), scaler(0)]) == "the HorizontalPodAutoscaler web may let it rest at 0 (minReplicas: 0)"
    assert rests([scaler(1, owner="ScaledObject")]) == "the ScaledObject shop scales it, and may let it rest at 0"
