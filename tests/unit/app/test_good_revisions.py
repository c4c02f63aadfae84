"""Good revisions are noted once and again each day; one that fails by itself soon after is good no more; what is gone is forgotten."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from kintsugi.app.good_revisions import NOTED_EVERY, GoodRevisionTracker
from kintsugi.decisions.revision_checks import standing_text
from kintsugi.ledger import Ledger
from kintsugi.model.good_state import GoodCount, GoodRevision
from kintsugi.model.records import Reason, Verdict, VerdictKind
from kintsugi.pipeline.observed_state import MOST_GOOD
from kintsugi.views.service_memory import TemplateHealth
from kubediagnosis.facts import CheckFacts
from kubeobjects.pods import ContainerState, ContainerStateTerminated, ContainerStateWaiting
from tests.unit.factories import moment, pod, signal, virtual_clock
from tests.unit.pipeline.business import PipelineBench

pytestmark = pytest.mark.looptime


@dataclass(kw_only=True)
class ScriptedChecks:
    """The checks of web, as a test says that they were answered."""

    known: tuple[CheckFacts, ...] = ()
    left: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()

    def answers(self, service: str) -> tuple[CheckFacts, ...]:
        """Return the answers."""
        return self.known

    def unasked(self, service: str, since: datetime) -> tuple[str, ...]:
        """Name what was not asked."""
        return self.left

    def unanswered(self, service: str) -> tuple[str, ...]:
        """Name what has no answer."""
        return self.mute


def remembering(
    business: PipelineBench,
    ledger: Ledger,
    checks: ScriptedChecks | None = None,
    *,
    ready: Sequence[str] = ("web-3",),
    lasting: timedelta = timedelta(minutes=2),
) -> GoodRevisionTracker:
    """Return the part that remembers, over a cluster in which web is well once these pods are ready."""
    for name in ready:
        business.cluster.run(name, ready=True)
    services = business.cluster.services
    services.refresh()
    return GoodRevisionTracker(services, business.observed, ledger, checks or ScriptedChecks(), lasting=lasting)


async def test_a_revision_that_stays_good_is_noted_again_each_day(ledger: Ledger) -> None:
    """D10: what was not good for longer than `keep` is forgotten."""
    business = PipelineBench()
    part = remembering(business, ledger)
    noted: set[datetime] = set()
    for _ in range(3 * 24):
        await asyncio.sleep(3600)
        business.cluster.services.refresh(everything=True)
        await part.step()
        known = await ledger.good_state.good_revisions("uid-web")
        noted |= {each.last_good for each in known}
        assert {each.template for each in known} <= {"hash-1"}
    assert 3 <= len(noted) <= 4
    assert timedelta(hours=1) <= NOTED_EVERY


async def test_a_workload_that_is_gone_is_forgotten_in_memory_and_recalled_when_it_comes_back(ledger: Ledger) -> None:
    """A memory that is bounded by what the cluster has."""
    business = PipelineBench()
    part = remembering(business, ledger)
    await part.step()
    gone = GoodRevision(workload="uid-old", template="t", number=1, first_good=moment(), last_good=moment())
    business.observed.remember((gone,))
    await part.step()
    assert "uid-old" not in business.observed.remembered
    assert part.known_workloads() == frozenset({"uid-web"})


async def test_the_last_good_revisions_of_a_workload_are_remembered() -> None:
    business = PipelineBench()
    for number in range(1, 100):
        each = GoodRevision(
            workload="uid-web", template=f"t{number}", number=number, first_good=moment(), last_good=moment()
        )
        business.observed.remember((each,))
    assert len(business.observed.remembered["uid-web"]) == MOST_GOOD
    assert max(business.observed.remembered["uid-web"].values()) == 99


async def test_replicas_and_counts_are_noted_and_known_to_the_next_life(ledger: Ledger) -> None:
    business = PipelineBench()
    part = remembering(business, ledger)
    business.cluster.services.counts.note(GoodCount(service="web", name="keys", value=9, moment=moment()))
    await part.step()
    seen = await ledger.good_state.seen_replicas("uid-web")
    assert seen is not None
    assert (seen.replicas, [each.value for each in await ledger.good_state.good_counts()]) == (3, [9])

    later = PipelineBench()
    later.cluster.deploy(replicas=0)
    await remembering(later, ledger, ready=()).step()
    later.cluster.services.refresh(everything=True)
    view = later.cluster.services.views["web"]
    assert (view.desired, view.replicas, view.counts) == (0, 3, {"keys": 9})


async def noted(part: GoodRevisionTracker, ledger: Ledger) -> list[str]:
    """Return the templates that are known to be good once the part has looked again."""
    await part.step()
    return [each.template for each in await ledger.good_state.good_revisions("uid-web")]


async def test_a_revision_is_not_good_while_a_check_of_its_service_is_not_met(ledger: Ledger) -> None:
    """Pods that are ready and answer every request with an error are nothing to go back to."""
    business = PipelineBench()
    checks = ScriptedChecks(known=(CheckFacts(name="smoke", met=False, answer="health: not met (HTTP 502)"),))
    part = remembering(business, ledger, checks)
    await asyncio.sleep(600)
    with capture_logs() as logs:
        assert await noted(part, ledger) == []
        assert await noted(part, ledger) == []
    said = [each["why"] for each in logs if each["event"] == "revision is not good"]
    assert said == ["the check smoke fails: health: not met (HTTP 502)"]
    checks.known = (CheckFacts(name="smoke", met=True),)
    assert await noted(part, ledger) == ["hash-1"]


async def test_a_revision_is_not_good_while_a_signal_about_its_service_holds(ledger: Ledger) -> None:
    """An alert that names an object of somebody else is none about this service."""
    business = PipelineBench()
    part = remembering(business, ledger)
    await asyncio.sleep(600)
    foreign, own = signal(id="foreign", key="foreign"), signal(id="own", key="own")
    refused, started = (
        Verdict(kind=VerdictKind.REFUSED, reason=Reason.FOREIGN_TARGET, text="no", rule="web-alerts"),
        Verdict(kind=VerdictKind.OBSERVED, reason=Reason.MODE, text="observe", rule="web-alerts"),
    )
    await ledger.signals.accept([foreign, own], moment())
    await ledger.signals.settle({"foreign": refused, "own": started}, moment())
    assert await noted(part, ledger) == []
    await ledger.signals.accept([signal(id="end", key="own", ended=moment(minutes=5))], moment(minutes=5))
    assert await noted(part, ledger) == ["hash-1"]


@pytest.mark.parametrize(
    ("missing", "why_not"), [("left", "smoke has not been checked yet"), ("mute", "smoke had no answer yet")]
)
async def test_a_revision_is_not_good_before_the_checks_of_its_service_were_asked_and_one_was_answered(
    missing: str, why_not: str, ledger: Ledger
) -> None:
    """Ten minutes in which pods were ready show nothing where something could answer."""
    business, checks = PipelineBench(), ScriptedChecks()
    setattr(checks, missing, ("smoke",))
    part = remembering(business, ledger, checks)
    await asyncio.sleep(600)
    assert await noted(part, ledger) == []
    standing = business.observed.standings["web"]
    assert (standing.why_not, standing.none_good) == (why_not, f"no revision was seen good yet: {why_not}")
    checks.known, checks.left = (CheckFacts(name="smoke", met=True),), ()
    assert await noted(part, ledger) == ["hash-1"]


async def test_a_check_without_an_answer_is_no_objection_where_the_cluster_s_names_do_not_resolve(
    ledger: Ledger,
) -> None:
    """E35: all other work continues."""
    business = PipelineBench()
    business.observed.unresolved = lambda: "kubernetes.default.svc cannot be resolved"
    part = remembering(business, ledger, ScriptedChecks(mute=("smoke",)))
    await asyncio.sleep(600)
    assert await noted(part, ledger) == ["hash-1"]


async def test_a_service_says_when_its_revision_will_be_good_and_since_when_it_is(ledger: Ledger) -> None:
    business = PipelineBench()
    part = remembering(business, ledger)
    await asyncio.sleep(60)
    await part.step()
    standing, now = business.observed.standings["web"], moment(seconds=60)
    assert standing_text(standing, now) == "revision 1: good in 1m"
    assert business.observed.none_good("web") == (
        "no revision was seen good yet: healthy since 12:00:00, 2m are required"
    )
    business.cluster.run("web-1", ready=False)
    business.cluster.services.refresh()
    await part.step()
    assert standing_text(business.observed.standings["web"], now) == "revision 1: not good yet, the service is not well"
    assert business.observed.none_good("web") == (
        "no revision was seen good yet: healthy from 12:00:00 to 12:01:00, 2m are required"
    )
    business.cluster.run("web-1")
    business.cluster.services.refresh()
    await asyncio.sleep(120)
    await part.step()
    standing = business.observed.standings["web"]
    assert (standing_text(standing, now), standing.none_good) == ("revision 1: good since 2026-05-04 12:01", "")


def long_ready(
    ledger: Ledger, checks: ScriptedChecks | None = None, *, restarted: bool = False
) -> tuple[PipelineBench, GoodRevisionTracker]:
    """Return a daemon that starts now beside pods of revision 1 that are ready for an hour."""
    business = PipelineBench()
    for name in ("web-1", "web-2", "web-3"):
        business.cluster.run(name, template="hash-1", made=moment(minutes=-61) if restarted else None)
    business.cluster.services.templates = TemplateHealth()
    return business, remembering(business, ledger, checks, ready=())


async def test_a_revision_whose_pods_were_ready_long_before_is_adopted_and_later_seen_good(ledger: Ledger) -> None:
    business, part = long_ready(ledger)
    assert await noted(part, ledger) == ["hash-1"]
    assert business.observed.adopted("web") == {"hash-1": 1}
    text = standing_text(business.observed.standings["web"], moment())
    assert text == "revision 1: adopted as good at 2026-05-04 12:00"
    await asyncio.sleep(121)
    await part.step()
    assert business.observed.adopted("web") == {}
    (known,) = await ledger.good_state.good_revisions("uid-web")
    assert (known.adopted, known.first_good) == (False, moment())


async def test_a_revision_is_not_adopted_before_the_checks_of_its_service_are_answered(ledger: Ledger) -> None:
    checks = ScriptedChecks(left=("smoke",))
    _, part = long_ready(ledger, checks)
    assert await noted(part, ledger) == []
    checks.left = ()
    assert await noted(part, ledger) == ["hash-1"]


async def test_a_revision_is_not_adopted_while_the_ledger_knows_that_its_service_was_broken_shortly_before(
    ledger: Ledger,
) -> None:
    """Its pods were ready, and nobody reached them."""
    _, part = long_ready(ledger)
    observed = Verdict(kind=VerdictKind.OBSERVED, reason=Reason.MODE, text="observe", rule="web-alerts")
    await ledger.signals.accept([signal()], moment())
    await ledger.signals.settle({"sig-1": observed}, moment())
    await ledger.signals.accept([signal(id="end", ended=moment())], moment())
    assert await noted(part, ledger) == []
    await asyncio.sleep(121)
    assert await noted(part, ledger) == ["hash-1"]


async def test_a_revision_that_has_broken_since_it_was_seen_first_is_not_adopted(ledger: Ledger) -> None:
    business, part = long_ready(ledger)
    business.cluster.services.note_check("web", "smoke", met=False)
    business.cluster.services.refresh()
    business.cluster.services.note_check("web", "smoke", met=True)
    business.cluster.services.refresh()
    assert await noted(part, ledger) == []


async def test_a_revision_whose_containers_have_restarted_since_they_were_ready_is_not_adopted(ledger: Ledger) -> None:
    _, part = long_ready(ledger, restarted=True)
    assert await noted(part, ledger) == []


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
        return remembering(self.business, self.ledger, ready=(), lasting=LASTING)

    def be(self, name: str, *, waiting: str = "", ended: str = "", at: datetime | None = None) -> None:
        """Let a pod wait for a reason, or be ready after its container has ended for one."""
        made = pod(name, ready=not waiting, labels=OF_TEMPLATE, restarts=4 if waiting or ended else 0)
        (status,) = made.status.container_statuses
        state = ContainerState(waiting=ContainerStateWaiting(reason=waiting)) if waiting else status.state
        last = ContainerState(terminated=ContainerStateTerminated(exit_code=137, reason=ended, finished_at=at))
        status = replace(status, state=state, last_state=last if ended else status.last_state)
        versioned = replace(made.metadata, resource_version=self.cluster.version())
        status_of = replace(made.status, container_statuses=(status,))
        self.cluster.caches.pods.put(replace(made, metadata=versioned, status=status_of))

    def crash(self, names: Sequence[str] = PODS) -> None:
        """Let pods crash again and again."""
        for name in names:
            self.be(name, waiting="CrashLoopBackOff")

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
    """Until it is well again without a break."""
    trial = Trial(ledger)
    assert await trial.after(10) == ["hash-1"]
    trial.crash()
    with capture_logs() as logs:
        assert await trial.after(30) == []
    (said,) = [each for each in logs if each["event"] == "good revision forgotten"]
    assert (said["workload"], said["template"]) == ("uid-web", "hash-1")
    assert "crash loop" in said["why"]
    for name in PODS:
        trial.be(name)
    assert await trial.good() == []
    assert await trial.after(9) == []
    assert await trial.after(2) == ["hash-1"]


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


@pytest.mark.parametrize(
    ("good_for", "restarts", "crash", "good"),
    [(0, False, PODS[:2], ["hash-1"]), (61, False, PODS, ["hash-1"]), (0, True, PODS, [])],
    ids=["one of its pods does not fail", "it was good for more than an hour", "the daemon restarts"],
)
async def test_a_revision_is_on_trial_for_an_hour_across_restarts_and_good_while_one_of_its_pods_does_not_fail(
    good_for: float, restarts: bool, crash: Sequence[str], good: Sequence[str], ledger: Ledger
) -> None:
    """One pod may fail for its node or its volume. After an hour, what has changed since is more likely to be the cause."""
    trial = Trial(ledger)
    assert await trial.after(10) == ["hash-1"]
    assert await trial.after(good_for) == ["hash-1"]
    if restarts:
        trial.part = trial.started()
    trial.crash(crash)
    assert await trial.after(5) == good
