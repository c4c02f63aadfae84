"""Services that are well are diagnosed one after another, and their views have the warnings."""

import asyncio
from datetime import timedelta

import pytest

from kintsugi.errors import NotRecorded, ServerUnavailable
from kintsugi.model.records import Target
from kintsugi.pipeline.diagnoses import WarningWatch
from kintsugi.telemetry import Containment
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis, EvidenceItem, EvidenceSource
from tests.unit import factories
from tests.unit.views.cluster import FakeCaches
from tests.unit.virtual import play

pytestmark = pytest.mark.looptime


def cause(text: str, kind: CauseKind = CauseKind.NAME_RESOLUTION, *, is_warning: bool = True) -> Cause:
    """Return a cause."""
    seen = EvidenceItem(source=EvidenceSource.FIELD, object="deployment/web", field="x", text="y")
    return Cause(
        kind=kind,
        object="deployment/web",
        confidence=Confidence.LIKELY,
        text=text,
        evidence=(seen,),
        is_warning=is_warning,
    )


class ScriptedDiagnoser:
    """Finds what a test says."""

    def __init__(self, *found: Cause) -> None:
        self.found: tuple[Cause, ...] = found
        self.error: Exception | None = None
        self.asked: list[str] = []

    async def diagnose(self, target: Target) -> Diagnosis:
        """Answer."""
        self.asked.append(f"{target.kind}/{target.name}")
        if self.error is not None:
            raise self.error
        return Diagnosis(
            object="deployment/web", namespace=target.namespace, at=factories.NOW, summary="", causes=self.found
        )


def well() -> FakeCaches:
    """Return a cluster in which web is well."""
    cluster = FakeCaches()
    cluster.deploy()
    for name in ("web-1", "web-2", "web-3"):
        cluster.run(name)
    cluster.services.refresh()
    return cluster


def watch(cluster: FakeCaches, diagnoser: ScriptedDiagnoser) -> WarningWatch:
    """Return what is tested."""
    within = timedelta(seconds=10)
    return WarningWatch(
        services=cluster.services, diagnose_alone=diagnoser.diagnose, containment=Containment(), within=within
    )


def shown(cluster: FakeCaches) -> tuple[str, ...]:
    """Return the warnings of the view."""
    cluster.services.refresh()
    return cluster.services.views["web"].warnings


async def test_warnings_of_a_diagnosis_are_in_the_view_and_no_other_cause_is() -> None:
    cluster = well()
    others = cause("a limit", CauseKind.AUTOSCALER, is_warning=False), cause("stale", CauseKind.STALE_CONFIGURATION)
    watching = watch(cluster, diagnoser := ScriptedDiagnoser(cause("no such port"), *others))
    await watching.diagnose("web")
    assert shown(cluster) == ("no such port", "stale")
    diagnoser.found = ()
    await watching.diagnose("web")
    assert shown(cluster) == ()


@pytest.mark.parametrize("error", [ServerUnavailable("no answer"), NotRecorded("it is gone"), TimeoutError()])
async def test_a_diagnosis_that_cannot_be_made_leaves_what_was_known(error: Exception) -> None:
    """P6."""
    cluster = well()
    watching = watch(cluster, diagnoser := ScriptedDiagnoser(cause("no such port")))
    await watching.diagnose("web")
    diagnoser.error = error
    await watching.diagnose("web")
    assert shown(cluster) == ("no such port",)


async def test_a_service_that_is_not_well_has_no_warnings_and_is_not_diagnosed() -> None:
    cluster = well()
    watching = watch(cluster, diagnoser := ScriptedDiagnoser(cause("no such port")))
    await watching.diagnose("web")
    cluster.run("web-1", ready=False)
    cluster.services.refresh()
    await watching.diagnose("web")
    assert (shown(cluster), len(diagnoser.asked)) == ((), 1)


async def test_a_cluster_that_is_not_seen_leaves_the_warnings_as_they_were() -> None:
    """P6."""
    cluster = well()
    watching = watch(cluster, diagnoser := ScriptedDiagnoser(cause("no such port")))
    await watching.diagnose("web")
    cluster.caches.pods.silent_for = 10_000
    cluster.services.refresh()
    await watching.diagnose("web")
    assert (cluster.services.views["web"].warnings, len(diagnoser.asked)) == (("no such port",), 1)


def test_each_service_is_diagnosed_once_an_interval() -> None:
    async def story() -> list[str]:
        cluster, diagnoser = well(), ScriptedDiagnoser()
        running = asyncio.create_task(watch(cluster, diagnoser).run())
        await asyncio.sleep(301)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return diagnoser.asked

    asked = play(story())
    assert asked.count("deployment/web") == 5
