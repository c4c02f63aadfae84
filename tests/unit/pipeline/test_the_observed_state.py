"""The state of the cluster that decisions see, and the incident about an observer that is in doubt (E31)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec
import pytest

from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.planner import plan
from kintsugi.errors import ProbeFailed
from kintsugi.ledger import Ledger
from kintsugi.ledger.incidents.incidents import Incidents
from kintsugi.model.good_state import GoodRevision
from kintsugi.model.records import Incident, IncidentState
from kintsugi.model.rules import Mode
from kintsugi.pipeline.observer_incident import ObserverIncident
from kubeobjects.cluster import NodeStatus
from kubeobjects.kept import Condition, Metadata, Namespace, Node, Pod
from kubeobjects.pods import ContainerState, ContainerStateTerminated
from tests.unit.factories import NOW, catalog, moment, pod, rule_text, run, runbook_text, service_text
from tests.unit.pipeline.business import ALERT_RULE, PipelineBench

pytestmark = pytest.mark.looptime


def of_services(*services: str, ill: Sequence[str] = ()) -> PipelineBench:
    """Return the pipeline over services, some of which have a pod that is not ready."""
    business = PipelineBench(known=catalog(*services, rule_text(), ALERT_RULE, runbook_text()))
    for name in ill:
        business.cluster.run(f"{name}-1", app=name, ready=False)
    business.cluster.services.refresh()
    return business


def chain() -> PipelineBench:
    """Return the service web that depends on a database of which there is nothing."""
    return of_services(service_text("database", priority=1), service_text(depends_on=("database",)))


def crashed(name: str, app: str, where: str) -> Pod:
    """Return a pod on a node whose container has ended, and says why."""
    found = pod(name, ready=False, labels={"app": app})
    ended = ContainerState(terminated=ContainerStateTerminated(exit_code=1, reason="Error"))
    (main,) = found.status.container_statuses
    told = msgspec.structs.replace(main, last_state=ended)
    status = msgspec.structs.replace(found.status, container_statuses=(told,))
    spec = msgspec.structs.replace(found.spec, node_name=where)
    return msgspec.structs.replace(found, spec=spec, status=status)


def node(name: str, ready: str, *, since: datetime | None = None, created: datetime | None = None) -> Node:
    """Return a node that reports itself so."""
    conditions = (Condition(type="Ready", status=ready, last_transition_time=since),) if ready else ()
    metadata = Metadata(name=name, uid=name, resource_version=f"{ready}-{since}", creation_timestamp=created)
    return Node(metadata=metadata, status=NodeStatus(conditions=conditions))


async def test_nodes_that_do_not_report_are_stale() -> None:
    business = PipelineBench()
    for name, ready in (("a", "True"), ("b", "Unknown"), ("c", "False"), ("d", "")):
        business.cluster.caches.nodes.put(node(name, ready))
    seen = business.observed.observer()
    assert (seen.nodes, seen.nodes_stale) == (4, 2), "a kubelet that says False reports"


async def test_a_node_that_reports_again_counts_as_silent_until_its_pods_have_had_the_time_of_a_start() -> None:
    """E32: the cluster says that all its pods are not ready, until its kubelet has asked them."""
    business = PipelineBench()
    observed, long_ago = business.observed, business.observed.clock() - timedelta(days=9)
    just_now, before = observed.clock() - observed.start_up / 2, observed.clock() - observed.start_up * 2
    for name, since, created in (("back", just_now, long_ago), ("new", just_now, just_now), ("old", before, long_ago)):
        business.cluster.caches.nodes.put(node(name, "True", since=since, created=created))
    assert (observed.observer().nodes_stale, observed.observer().nodes_back) == (0, 1)


async def test_services_that_fail_under_one_upstream_or_behind_one_kubernetes_service_count_once() -> None:
    """E32: a database that is down is one trouble, however many services feel it; a canary fails with its service."""
    business = of_services(
        service_text("database", priority=1),
        service_text("api", depends_on=("database",)),
        service_text(depends_on=("api",)),
        service_text("mail", priority=9),
        ill=("database", "api", "mail"),
    )
    assert business.observed.observer() == ObserverHealth(mute=2, seen=4)
    business = of_services(*map(service_text, ("web", "canary", "mail")), ill=("canary", "mail"))
    assert business.observed.observer() == ObserverHealth(mute=3, seen=3)
    views = business.cluster.services.views
    views |= {name: replace(views[name], host="front.production.svc") for name in ("web", "canary")}
    assert business.observed.observer() == ObserverHealth(mute=2, seen=2)


async def test_a_service_of_which_a_fresh_kubelet_says_why_its_containers_ended_is_broken_and_not_the_observer() -> (
    None
):
    """E32: two of two; what a node that does not report has last said is old news."""
    business = of_services(service_text("database", priority=1), service_text())
    for app, where in (("database", "a"), ("web", "b")):
        business.cluster.caches.pods.put(crashed(f"{app}-crashed", app, where))
    for name in ("web-1", "web-2", "web-3"):
        business.cluster.gone(name)
    business.cluster.caches.nodes.put(node("a", "True"))
    business.cluster.caches.nodes.put(node("b", "True"))
    business.cluster.services.refresh()
    assert business.observed.observer() == ObserverHealth(mute=0, seen=2, nodes=2)
    business.cluster.caches.nodes.put(node("b", "Unknown"))
    assert business.observed.observer() == ObserverHealth(mute=1, seen=2, nodes=2, nodes_stale=1)


async def test_the_signs_of_our_own_names_and_checks_are_the_observers() -> None:
    business = PipelineBench()
    business.observed.names = lambda: "10.96.0.10 does not answer"
    business.observed.checks = lambda: "all checks fail"
    seen = business.observed.observer()
    assert (seen.names, seen.checks) == ("10.96.0.10 does not answer", "all checks fail")


@pytest.mark.parametrize(("value", "reason"), [("a release", "a release"), ("", "no reason given")])
async def test_an_annotation_of_the_namespace_is_a_pause(value: str, reason: str) -> None:
    business = PipelineBench()
    meta = Metadata(name="production", annotations={"kintsugi.dev/paused": value}, resource_version="2")
    business.cluster.caches.namespaces.put(Namespace(metadata=meta))
    said = business.observed.annotation_pause("production")
    assert said == f"paused by annotation kintsugi.dev/paused on namespace production: {reason}"
    assert business.observed.annotation_pause("staging") == ""


@pytest.mark.parametrize(
    ("kind", "key", "what"),
    [
        ("namespaces", ("", "production"), "namespace production cannot be read (too new)"),
        ("services", ("production", "db"), "Service db in production cannot be read (too new)"),
        ("autoscalers", ("production", "web"), "HorizontalPodAutoscaler web in production cannot be read (too new)"),
        ("endpoints", ("production", "db-1"), "EndpointSlice db-1 in production cannot be read (too new)"),
        ("pods", ("production", "db-0"), "Pod db-0 in production cannot be read (too new)"),
    ],
)
async def test_an_object_that_cannot_be_read_and_may_forbid_a_change_is_a_pause_of_its_namespace(
    kind: str, key: tuple[str, str], what: str
) -> None:
    """P6, B16: a person's pause, the ledger's own database and another manager are not seen in an object set aside."""
    business = PipelineBench()
    business.cluster.expose("db")
    business.observed.limits = replace(business.observed.limits, ledger_host="db.production")
    assert business.observed.annotation_pause("production") == ""
    getattr(business.cluster.caches, kind).mirror.mark_undecodable(key, "too new")
    said = business.observed.annotation_pause("production")
    assert (
        said
        == f"{what}, and may forbid changes: nothing is changed in production until it has a form that Kintsugi reads"
    )
    assert bool(business.observed.annotation_pause("staging")) is (kind == "services"), "any may be behind the ledger's"


async def test_a_pod_that_cannot_be_read_pauses_no_namespace_without_the_ledger() -> None:
    """B16: the others are processed."""
    business = PipelineBench()
    for each in (business.cluster.caches.pods, business.cluster.caches.endpoints, business.cluster.caches.events):
        each.mirror.mark_undecodable(("production", "odd"), "too new")
    assert business.observed.annotation_pause("production") == ""


async def test_an_alias_of_the_ledger_that_cannot_be_read_pauses_every_namespace() -> None:
    """P8: the Service behind it is in a namespace that is not known then."""
    business = PipelineBench()
    business.observed.limits = replace(business.observed.limits, ledger_host="db.kintsugi.svc")
    business.cluster.caches.services.mirror.mark_undecodable(("kintsugi", "db"), "too new")
    assert "Service db in kintsugi cannot be read" in business.observed.annotation_pause("production")


async def test_a_namespace_that_is_not_seen_although_its_pods_are_is_paused() -> None:
    """P6: an object whose name cannot be read, or one that a fault of the cache has lost."""
    business = PipelineBench()
    business.cluster.caches.namespaces.mirror.remove(("", "production"))
    said = business.observed.annotation_pause("production")
    assert (
        said == "namespace production is not seen although pods in it are, and may be paused: nothing is changed there"
    )
    assert business.observed.annotation_pause("staging") == ""


async def test_the_good_templates_are_those_of_this_very_workload() -> None:
    business = PipelineBench()
    for workload, template in (("uid-web", "hash-1"), ("uid-web", "hash-2"), ("uid-other", "hash-3")):
        business.observed.remember(
            (GoodRevision(workload=workload, template=template, number=1, first_good=moment(), last_good=moment()),)
        )
    assert business.observed.good("web") == {"hash-1", "hash-2"}
    assert business.observed.good("nothing") == frozenset()


async def test_a_service_does_not_wait_for_its_own_run() -> None:
    business = PipelineBench()
    business.supervisor.under_way = [run()]
    assert business.observed.holds(business.catalog.services["web"], business.catalog, moment()) == ()


async def test_a_change_waits_for_the_run_of_an_upstream_that_went_down_but_no_longer_than_a_hold_may_last() -> None:
    """The run of the upstream may need a lock that the waiting run has."""
    business = chain()
    assert business.observed.upstream("web") == ""
    business.supervisor.under_way = [run(service="database"), run()]
    assert business.observed.upstream("web") == "database is being recovered by run run-1"
    assert business.observed.upstream("database") == ""
    assert business.observed.upstream("stack") == ""
    business.supervisor.under_way = [run(service="stack"), run(service="database"), run()]
    assert business.observed.upstream("web") == "database is being recovered by run run-1", "in a run about all, too"
    await asyncio.sleep(15 * 60)
    assert business.observed.upstream("web") == ""


@pytest.mark.parametrize("good", ["hash-1", "hash-0"])
async def test_a_template_that_has_changed_since_it_was_good_is_no_upstreams_fault(good: str) -> None:
    business = chain()
    revision = GoodRevision(workload="uid-web", template=good, number=1, first_good=moment(), last_good=moment())
    business.observed.remember((revision,))
    business.supervisor.under_way = [run(service="database")]
    (held,) = business.observed.holds(business.catalog.services["web"], business.catalog, moment())
    assert held.explained is (good == "hash-1")
    assert ("independent" in held.why) is (good == "hash-0")


@pytest.mark.parametrize("mode", Mode)
async def test_the_global_mode_caps_the_rules(mode: Mode) -> None:
    business = PipelineBench(mode=mode)
    rule = business.catalog.rules["web-pods"]
    bound = plan(rule, business.catalog.services["web"], business.catalog, now=moment())
    assert business.observed.guard_context(rule, bound, (), approved=False).mode is mode


@dataclass
class FakeSilences:
    """Holds what is suppressed there, and counts how often it is asked."""

    quiet: frozenset[str] = frozenset()
    away: bool = False
    asked: int = 0

    async def suppressed(self) -> frozenset[str]:
        """Answer once."""
        self.asked += 1
        if self.away:
            raise ProbeFailed("Alertmanager cannot be asked")
        return self.quiet


async def keys(read: list[str]) -> AsyncIterator[str]:
    """Yield ten thousand alerts of one incident, and note which of them were read."""
    for number in range(10_000):
        read.append(f"fp-{number}")
        yield read[-1]


ALL = frozenset(f"fp-{number}" for number in range(10_000))


@pytest.mark.parametrize(
    ("quiet", "read"),
    [(frozenset(), 0), (frozenset({"another"}), 1), (frozenset({"fp-0", "fp-1"}), 3), (ALL, len(ALL))],
    ids=["nothing is silenced", "something else is", "two of them are", "all are"],
)
async def test_silences_are_asked_for_once_and_no_more_alerts_are_read_than_needed(
    quiet: frozenset[str], read: int
) -> None:
    """A19."""
    business, alertmanager, noted = PipelineBench(), FakeSilences(quiet), list[str]()
    business.observed.silences = alertmanager.suppressed
    assert ("silenced" in await business.observed.silence(keys(noted))) is (quiet == ALL)
    assert (alertmanager.asked, len(noted)) == (1, read)


async def test_silences_that_cannot_be_asked_for_hold_changes() -> None:
    """P6, A19."""
    business = PipelineBench()
    business.observed.silences = FakeSilences(away=True).suppressed
    assert "it is unknown" in await business.observed.silence(keys([]))


TIMEOUT = timedelta(minutes=2)


class ClosedByOther(Incidents):
    """Incidents of which the one about the observer is closed by somebody else, as soon as it was read."""

    async def observer_incident(self) -> Incident | None:
        """Return it, and close it."""
        found = await super().observer_incident()
        if found is not None:
            await self.move_incident(found.id, IncidentState.CANCELLED, "by hand", NOW)
        return found


@dataclass
class ObserverChecks:
    """An observer that is in doubt for as long as `why` says so, and who looks once a second."""

    ledger: Ledger
    business: PipelineBench = field(default_factory=PipelineBench)
    why: str = ""

    def __post_init__(self) -> None:
        self.business.observed.names = lambda: self.why
        self.observer = ObserverIncident(self.ledger, self.business.observed, notify_after=TIMEOUT)

    async def told(self) -> tuple[tuple[IncidentState, str], ...]:
        """List the incidents about the observer: how each stands, and why."""
        return tuple((each.state, each.reason) for each in await self.ledger.incidents.newest())

    async def look_for(self, lasting: timedelta, why: str) -> None:
        """Look for so long while it is so."""
        self.why = why
        for _ in range(int(lasting.total_seconds())):
            await self.observer.step()
            await asyncio.sleep(1)


OPENED = (
    IncidentState.OPEN,
    (
        "nothing is changed while the observed state is in doubt: the observer is suspected first: "
        "Kintsugi's own name server does not answer (it is away)"
    ),
)


async def test_a_doubt_that_lasts_is_one_incident_which_ends_with_it(ledger: Ledger) -> None:
    looks = ObserverChecks(ledger=ledger)
    await looks.look_for(TIMEOUT * 2, "")
    await looks.look_for(TIMEOUT, "it is away")
    assert await looks.told() == (), "not yet"
    await looks.look_for(TIMEOUT, "it is away")
    assert await looks.told() == (OPENED,)
    await looks.look_for(TIMEOUT * 2, "")
    ((state, reason),) = await looks.told()
    assert state is IncidentState.NO_ACTION
    assert reason.startswith("the observed state can be trusted again; it was in doubt since ")
    notices = [notice.kind for notice in await ledger.outbox.due_notices(moment(hours=1))]
    assert notices == [IncidentState.OPEN, IncidentState.NO_ACTION], "a person hears of both"


async def test_an_observer_that_comes_and_goes_is_one_incident(ledger: Ledger) -> None:
    looks = ObserverChecks(ledger=ledger)
    await looks.look_for(TIMEOUT * 2, "it is away")
    for _ in range(5):
        await looks.look_for(TIMEOUT / 2, "")
        await looks.look_for(TIMEOUT / 2, "it is away")
    assert await looks.told() == (OPENED,)


async def test_an_incident_that_an_earlier_life_has_opened_is_closed_once_all_is_well(ledger: Ledger) -> None:
    await ledger.incidents.open_observer_incident("it was away", Mode.AUTO, NOW)
    looks = ObserverChecks(ledger=ledger)
    await looks.look_for(TIMEOUT * 2, "")
    assert [state for state, _ in await looks.told()] == [IncidentState.NO_ACTION]


async def test_an_incident_that_somebody_else_has_closed_is_closed(ledger: Ledger) -> None:
    await ledger.incidents.open_observer_incident("it was away", Mode.AUTO, NOW)
    ledger.incidents = ClosedByOther(ledger._store)
    looks = ObserverChecks(ledger=ledger)
    await looks.look_for(TIMEOUT * 2, "")
    assert await looks.told() == ((IncidentState.CANCELLED, "by hand"),)


async def test_the_look_after_waiting_incidents_leaves_the_observer_s_alone(ledger: Ledger) -> None:
    opened = await ledger.incidents.open_observer_incident("it is away", Mode.AUTO, NOW)
    await PipelineBench(ledger=ledger).pending_incidents.reconcile()
    assert await ledger.incidents.observer_incident() == opened
