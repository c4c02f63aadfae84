"""A revision is good when its rollout was complete and the service well for long enough, with that very template."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec import structs

from kintsugi.model.catalog import Catalog
from kubeobjects.kept import DaemonSet, Metadata, OwnerReference, PodTemplate
from kubeobjects.workloads import DaemonSetSpec, DaemonSetStatus
from tests.unit.factories import catalog, moment, pod, rule_text, runbook_text, service_text
from tests.unit.views.cluster import FakeCaches, well_cluster

pytestmark = pytest.mark.looptime


LASTING = timedelta(minutes=2)


def good(cluster: FakeCaches) -> list[int]:
    """List the numbers of the good revisions now."""
    cluster.services.refresh()
    return [each.number for each in cluster.services.good_revisions(LASTING)]


async def test_health_must_have_lasted() -> None:
    cluster = well_cluster()
    await asyncio.sleep(119)
    assert good(cluster) == []
    await asyncio.sleep(1)
    assert good(cluster) == [1]
    (revision,) = cluster.services.good_revisions(LASTING)
    assert (revision.workload, revision.template) == ("uid-web", "hash-1")
    assert (revision.first_good, revision.last_good) == (moment(), moment(minutes=2))


async def test_a_rollout_that_is_not_complete_is_not_good() -> None:
    cluster = well_cluster()
    await asyncio.sleep(600)
    cluster.deploy(2, rolled_out=False)
    assert good(cluster) == []


async def test_a_new_template_must_show_by_itself_that_it_is_good() -> None:
    """The service was well throughout a rolling update; that says nothing about the template of a moment ago."""
    cluster = well_cluster()
    await asyncio.sleep(600)
    assert good(cluster) == [1]
    cluster.deploy(2)
    assert good(cluster) == []
    await asyncio.sleep(119)
    assert good(cluster) == []
    await asyncio.sleep(1)
    assert good(cluster) == [2]


@pytest.mark.parametrize(
    ("fails", "recovers"),
    [
        (lambda cluster: cluster.run("web-1", ready=False), lambda cluster: cluster.run("web-1")),
        (lambda cluster: cluster.answer(ready=0), lambda cluster: cluster.answer(ready=3)),
        (
            lambda cluster: cluster.services.note_check("web", "smoke", met=False),
            lambda cluster: cluster.services.note_check("web", "smoke", met=True),
        ),
    ],
    ids=["a pod", "the endpoints", "a check, whatever its author calls healthy"],
)
async def test_a_failure_starts_the_time_anew(
    fails: Callable[[FakeCaches], None], recovers: Callable[[FakeCaches], None]
) -> None:
    """Where no endpoint leads to them the pods are ready, and nobody reaches them."""
    cluster = well_cluster()
    cluster.expose()
    cluster.answer(ready=3)
    for what in (fails, recovers):
        await asyncio.sleep(600)
        what(cluster)
        assert good(cluster) == []
    await asyncio.sleep(120)
    assert good(cluster) == [1]


@pytest.mark.parametrize("changed", [False, True])
async def test_a_gap_starts_the_time_anew_only_where_something_has_changed_in_it(changed: bool) -> None:
    """P6: while a watch is interrupted, no revision is good."""
    cluster = well_cluster()
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


def agents() -> Catalog:
    """Load a catalog of one service that is a DaemonSet."""
    service = service_text().replace("deployment/web", "daemonset/web")
    return catalog(service, rule_text(), runbook_text())


class Agents(FakeCaches):
    """A DaemonSet of two pods, as the caches show it."""

    def __init__(self) -> None:
        super().__init__(agents())
        self.roll_out(1)
        for name in ("web-1", "web-2"):
            self.show(name, "abc")

    def roll_out(self, generation: int, *, updated: int = 2, observed: int = 0) -> None:
        """Let the DaemonSet be of a generation, with so many pods of its template."""
        status = DaemonSetStatus(
            observed_generation=observed or generation,
            desired_number_scheduled=2,
            current_number_scheduled=2,
            number_ready=2,
            number_available=2,
            updated_number_scheduled=updated,
        )
        metadata = Metadata(
            name="web", namespace="production", uid="uid-web", generation=generation, resource_version=self.version()
        )
        spec = DaemonSetSpec(template=PodTemplate(metadata=Metadata(labels={"app": "web"})))
        self.caches.daemon_sets.put(DaemonSet(metadata=metadata, spec=spec, status=status))

    def show(self, name: str, revision: str) -> None:
        """Let a pod of a revision be ready."""
        labels = {"app": "web", "controller-revision-hash": revision}
        made = pod(name, labels=labels, version=self.version())
        owner = OwnerReference(kind="DaemonSet", name="web", uid="uid-web", controller=True)
        metadata = structs.replace(made.metadata, owner_references=(owner,))
        self.caches.pods.put(structs.replace(made, metadata=metadata))

    def good(self) -> list[str]:
        """List the templates of the good revisions now."""
        self.services.refresh()
        return [each.template for each in self.services.good_revisions(LASTING)]


async def test_a_revision_of_a_daemon_set_is_good_a_while_after_all_pods_have_it() -> None:
    agents = Agents()
    assert agents.good() == []
    await asyncio.sleep(LASTING.total_seconds())
    assert agents.good() == ["web-abc"]
    agents.roll_out(2, updated=2, observed=1)
    assert agents.good() == []
    agents.roll_out(2, updated=1)
    agents.show("web-1", "def")
    assert agents.good() == []
    agents.show("web-2", "def")
    agents.roll_out(2)
    assert agents.good() == []
    await asyncio.sleep(LASTING.total_seconds())
    assert agents.good() == ["web-def"]
