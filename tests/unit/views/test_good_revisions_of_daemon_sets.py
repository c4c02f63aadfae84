"""A revision of a DaemonSet is good as any other: its status names none, so it is the one that all of its pods are of."""

import asyncio
from datetime import timedelta

import pytest
from msgspec import structs

from kintsugi.model.catalog import Catalog
from kintsugi.views import ServiceViews
from kubeobjects.kept import DaemonSet, Metadata, OwnerReference, PodTemplate
from kubeobjects.workloads import DaemonSetSpec, DaemonSetStatus
from tests.unit.factories import catalog, pod, rule_text, runbook_text, service_text, virtual_clock
from tests.unit.views.caches import scripted_caches

pytestmark = pytest.mark.looptime

LASTING = timedelta(minutes=2)


class Agents:
    """A DaemonSet of two pods, as the caches show it."""

    def __init__(self) -> None:
        self.caches = scripted_caches()
        self.versions = 0
        self.views = ServiceViews(self.caches, agents(), clock=virtual_clock, stale_after=timedelta(seconds=30))

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
            name="web", namespace="production", uid="uid-web", generation=generation, resource_version=self._version()
        )
        spec = DaemonSetSpec(template=PodTemplate(metadata=Metadata(labels={"app": "web"})))
        self.caches.daemon_sets.put(DaemonSet(metadata=metadata, spec=spec, status=status))

    def run(self, name: str, revision: str) -> None:
        """Let a pod of a revision be ready."""
        labels = {"app": "web", "controller-revision-hash": revision}
        made = pod(name, labels=labels, version=self._version())
        owner = OwnerReference(kind="DaemonSet", name="web", uid="uid-web", controller=True)
        metadata = structs.replace(made.metadata, owner_references=(owner,))
        self.caches.pods.put(structs.replace(made, metadata=metadata))

    def good(self) -> list[str]:
        """List the templates of the good revisions now."""
        self.views.refresh()
        return [each.template for each in self.views.good_revisions(LASTING)]

    def _version(self) -> str:
        self.versions += 1
        return str(self.versions)


def agents() -> Catalog:
    """Load a catalog of one service that is a DaemonSet."""
    service = service_text().replace("deployment/web", "daemonset/web")
    return catalog(service, rule_text(), runbook_text())


async def test_a_revision_that_all_pods_of_a_daemon_set_have_is_good_after_a_while() -> None:
    agents = Agents()
    agents.roll_out(1)
    for name in ("web-1", "web-2"):
        agents.run(name, "abc")
    assert agents.good() == []
    await asyncio.sleep(LASTING.total_seconds())
    assert agents.good() == ["web-abc"]


async def test_a_daemon_set_on_its_way_to_a_new_template_has_no_good_one_until_all_pods_are_of_that() -> None:
    agents = Agents()
    agents.roll_out(1)
    for name in ("web-1", "web-2"):
        agents.run(name, "abc")
    agents.good()
    await asyncio.sleep(600)
    agents.roll_out(2, updated=2, observed=1)
    assert agents.good() == []
    agents.roll_out(2, updated=1)
    agents.run("web-1", "def")
    assert agents.good() == []
    agents.run("web-2", "def")
    agents.roll_out(2)
    assert agents.good() == []
    await asyncio.sleep(LASTING.total_seconds())
    assert agents.good() == ["web-def"]
