"""A revision that fails by itself soon after it was good is none to go back to, nor one that forbids going back."""

import asyncio
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from kintsugi.app.good_revisions import GoodRevisionTracker
from kintsugi.ledger import Ledger
from kubeobjects.kept import Pod
from kubeobjects.pods import ContainerState, ContainerStateTerminated, ContainerStateWaiting
from tests.unit.app.test_remembering_good_revisions import ScriptedChecks, noted
from tests.unit.factories import pod, virtual_clock
from tests.unit.pipeline.business import PipelineBench

pytestmark = pytest.mark.looptime

LASTING = timedelta(minutes=10)
PODS = ("web-1", "web-2", "web-3")
OF_TEMPLATE = {"app": "web", "pod-template-hash": "hash-1"}


class Trial:
    """Web has become good with revision 1, in the daemon's life."""

    def __init__(self, ledger: Ledger) -> None:
        self.business, self.ledger = PipelineBench(), ledger
        self.cluster = self.business.cluster
        for name in PODS:
            self.be(name)
        self.part = self.started()

    def started(self) -> GoodRevisionTracker:
        """Return the part as a process has it that has just started."""
        services, observed = self.cluster.services, self.business.observed
        services.refresh()
        return GoodRevisionTracker(services, observed, self.ledger, ScriptedChecks(), lasting=LASTING)

    def be(self, name: str, *, waiting: str = "", ended: str = "", at: datetime | None = None) -> None:
        """Let a pod wait for a reason, or be ready after its container has ended for one."""
        made = pod(name, ready=not waiting, labels=OF_TEMPLATE, restarts=4 if waiting or ended else 0)
        (status,) = made.status.container_statuses
        state = ContainerState(waiting=ContainerStateWaiting(reason=waiting)) if waiting else status.state
        last = ContainerState(terminated=ContainerStateTerminated(exit_code=137, reason=ended, finished_at=at))
        status = replace(status, state=state, last_state=last if ended else status.last_state)
        versioned = replace(made.metadata, resource_version=self.cluster.version())
        self._put(replace(made, metadata=versioned, status=replace(made.status, container_statuses=(status,))))

    def _put(self, made: Pod) -> None:
        self.cluster.caches.pods.put(made)

    async def good(self) -> list[str]:
        """Return the templates that are good now, as the ledger has them."""
        self.cluster.services.refresh(everything=True)
        found = await noted(self.part, self.ledger)
        assert self.business.observed.good("web") == frozenset(found)
        return found

    async def after(self, minutes: float) -> list[str]:
        """Return the templates that are good some minutes from now."""
        await asyncio.sleep(minutes * 60)
        return await self.good()


async def test_a_revision_whose_pods_all_crash_again_and_again_soon_after_it_was_good_is_good_no_more(
    ledger: Ledger,
) -> None:
    trial = Trial(ledger)
    assert await trial.after(10) == ["hash-1"]
    for name in PODS:
        trial.be(name, waiting="CrashLoopBackOff")
    with capture_logs() as logs:
        assert await trial.after(30) == []
    (said,) = [each for each in logs if each["event"] == "good revision forgotten"]
    assert (said["workload"], said["template"]) == ("uid-web", "hash-1")
    assert "crash loop" in said["why"]


async def test_a_revision_whose_pods_were_all_ended_for_want_of_memory_since_it_was_good_is_good_no_more(
    ledger: Ledger,
) -> None:
    """They are ready again, until the next time."""
    trial = Trial(ledger)
    assert await trial.after(10) == ["hash-1"]
    await asyncio.sleep(60)
    for name in PODS:
        trial.be(name, ended="OOMKilled", at=virtual_clock())
    assert await trial.after(1) == []


async def test_an_end_for_want_of_memory_before_a_revision_was_good_says_nothing_against_it(ledger: Ledger) -> None:
    trial = Trial(ledger)
    for name in PODS:
        trial.be(name, ended="OOMKilled", at=virtual_clock() - timedelta(minutes=1))
    assert await trial.after(10) == ["hash-1"]


async def test_a_revision_stays_good_while_one_of_its_pods_does_not_fail(ledger: Ledger) -> None:
    """One pod may fail for its node or its volume."""
    trial = Trial(ledger)
    assert await trial.after(10) == ["hash-1"]
    for name in PODS[:2]:
        trial.be(name, waiting="CrashLoopBackOff")
    assert await trial.after(5) == ["hash-1"]


async def test_a_revision_that_was_good_for_more_than_an_hour_stays_so_however_its_pods_fail(ledger: Ledger) -> None:
    """What has changed since is more likely to be the cause."""
    trial = Trial(ledger)
    assert await trial.after(10) == ["hash-1"]
    assert await trial.after(61) == ["hash-1"]
    for name in PODS:
        trial.be(name, waiting="CrashLoopBackOff")
    assert await trial.after(5) == ["hash-1"]


async def test_a_revision_stays_on_trial_across_a_restart_of_the_daemon(ledger: Ledger) -> None:
    trial = Trial(ledger)
    assert await trial.after(10) == ["hash-1"]
    trial.part = trial.started()
    for name in PODS:
        trial.be(name, waiting="CrashLoopBackOff")
    assert await trial.after(5) == []


async def test_a_revision_that_is_well_again_without_a_break_is_good_again(ledger: Ledger) -> None:
    trial = Trial(ledger)
    assert await trial.after(10) == ["hash-1"]
    for name in PODS:
        trial.be(name, waiting="CrashLoopBackOff")
    assert await trial.after(5) == []
    for name in PODS:
        trial.be(name)
    assert await trial.good() == []
    assert await trial.after(9) == []
    assert await trial.after(2) == ["hash-1"]
