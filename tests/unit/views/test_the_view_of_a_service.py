"""One value says how a service is: from the watch, since when, and whether it can be trusted (P6)."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from kintsugi.views.service_objects import PvcNames
from kubeobjects.kept import (
    HorizontalPodAutoscaler,
    Metadata,
    Object,
    OwnerReference,
    PersistentVolumeClaim,
    PodTemplate,
    StatefulSet,
)
from kubeobjects.network import ServicePort
from kubeobjects.pods import ClaimVolume, PodSpec, Volume
from kubeobjects.workloads import AutoscalerSpec, ScaleTarget, StatefulSetSpec
from tests.unit.factories import catalog, moment, pod, rule_text, runbook_text, service_text
from tests.unit.views.cluster import REVISION, FakeCaches, whole_cluster

pytestmark = pytest.mark.looptime


async def test_a_service_that_is_well() -> None:
    view = whole_cluster().seen()
    assert (view.ready, view.desired, view.healthy, view.healthy_since) == (3, 3, True, moment())
    assert (view.template, view.revision) == ("hash-1", 1)
    assert (view.cluster_ip, view.port) == ("10.0.0.7", 80)
    assert [pod.metadata.name for pod in view.pods] == ["web-1", "web-2", "web-3"]
    assert view.serving


async def test_a_service_is_reached_at_its_cluster_ip_by_its_tcp_ports_or_at_its_ready_endpoints() -> None:
    cluster = whole_cluster()
    ports = (ServicePort(port=53, protocol="UDP"), ServicePort(port=80), ServicePort(port=8443))
    cluster.expose(ports=ports)
    view = cluster.seen()
    assert view.host == "web-front.production.svc"
    assert [(each.host, each.port) for each in view.addresses] == [("10.0.0.7", 80), ("10.0.0.7", 8443)]
    cluster.expose(cluster_ip="None")
    cluster.point("web-front", {"10.1.0.2": True, "10.1.0.1": True, "10.1.0.3": False})
    view = cluster.seen()
    assert view.host == "web-front.production.svc"
    assert [(each.host, each.port) for each in view.addresses] == [("10.1.0.1", 5432), ("10.1.0.2", 5432)]
    cluster = FakeCaches()
    cluster.deploy()
    assert (cluster.seen().host, cluster.seen().addresses) == ("", ()), (
        "without a Kubernetes Service it is reached nowhere"
    )


async def test_the_pods_behind_a_service_are_those_that_take_its_traffic_of_any_workload() -> None:
    cluster = whole_cluster()
    cluster.run("next-1", template="7d4")
    cluster.point("web-front", {"web-1": True, "next-1": True, "web-2": False, "gone": True})
    cluster.services.refresh()
    found = {each.address.name: (each.workload, each.template) for each in cluster.services.backends("web")}
    assert found == {"next-1": ("deployment/web", "7d4"), "web-1": ("replicaset/web-7d4", "")}
    assert cluster.services.backends("unknown") == ()


@pytest.mark.parametrize(
    ("ready", "endpoints", "serving"),
    [
        (False, (1, 2), True),
        (True, (0, 3), False),
        (True, (0, 0), False),
    ],
    ids=["one replica answers", "all of them are taken out of the Service", "the Service leads nowhere"],
)
async def test_a_service_serves_by_the_ready_endpoints_of_its_kubernetes_service(
    ready: bool, endpoints: tuple[int, int], serving: bool
) -> None:
    """Serving and healthy are two things."""
    cluster = whole_cluster()
    cluster.answer(*endpoints)
    cluster.run("web-2", ready=ready)
    view = cluster.seen()
    assert (view.serving, view.healthy) == (serving, ready)


@pytest.mark.parametrize("unready_too", [False, True])
async def test_a_service_without_endpoints_to_go_by_serves_by_its_ready_pods(unready_too: bool) -> None:
    cluster = FakeCaches()
    cluster.deploy()
    if unready_too:
        cluster.expose(unready_too=True)
        cluster.answer(1)
    cluster.run("web-1", ready=False)
    assert not cluster.seen().serving
    cluster.run("web-1")
    assert cluster.seen().serving


@pytest.mark.parametrize("unready_too", [False, True])
async def test_a_service_whose_kubernetes_service_selects_none_of_its_pods_does_not_serve(unready_too: bool) -> None:
    """It is the one that has led to them so far: where that was never seen, the one of the workload's own name."""
    cluster = whole_cluster()
    assert cluster.seen().serving
    cluster.expose(selector={"app": "wbe"}, unready_too=unready_too)
    assert cluster.seen().serving, "its endpoints are there still"
    cluster.answer(0)
    view = cluster.seen()
    assert (view.serving, view.ready, view.ready_endpoints) == (False, 3, 0)
    assert (view.host, view.lapsed_since) == ("web-front.production.svc", moment())
    cluster.expose()
    cluster.answer(3)
    assert cluster.seen().serving


@pytest.mark.parametrize(("name", "serving"), [("web", False), ("metrics", True)])
async def test_a_kubernetes_service_that_was_never_seen_to_lead_to_the_pods_is_theirs_by_the_workload_s_name(
    name: str, serving: bool
) -> None:
    cluster = FakeCaches()
    cluster.deploy()
    cluster.run("web-1")
    cluster.expose(name, selector={"app": "other"})
    assert cluster.seen().serving is serving


async def test_a_kubernetes_service_that_leads_to_other_pods_by_now_is_not_the_workload_s() -> None:
    cluster = FakeCaches()
    cluster.deploy()
    cluster.run("web-1")
    cluster.expose("web", selector={"app": "web-green"})
    cluster.point("web", {"10.1.0.9": True})
    view = cluster.seen()
    assert (view.serving, view.host, view.ready_endpoints) == (True, "", None)


async def test_a_service_whose_kubernetes_service_is_gone_does_not_serve_until_another_one_leads_to_its_pods() -> None:
    cluster = whole_cluster()
    assert cluster.seen().serving
    cluster.conceal("web-front")
    view = cluster.seen()
    assert (view.serving, view.lost_service, view.ready) == (False, "web-front", 3)
    cluster.expose("web-anew")
    cluster.point("web-anew", {"10.1.0.9": True})
    view = cluster.seen()
    assert (view.serving, view.lost_service) == (True, "")


async def test_a_workload_that_is_gone_has_a_time_where_it_was_seen_to_go_and_is_logged_once() -> None:
    with capture_logs() as logged:
        cluster = FakeCaches()
        never = cluster.seen()
        await asyncio.sleep(30)
    assert (never.workload_missing, never.missing_since, never.healthy) == (True, None, False)
    assert [each["event"] for each in logged] == ["workload not found"]
    cluster.deploy()
    assert not cluster.seen().workload_missing
    cluster.undeploy()
    assert cluster.seen().workload_missing
    await asyncio.sleep(60)
    gone = cluster.seen()
    assert (gone.workload_missing, gone.missing_since) == (True, moment(seconds=30))


async def test_a_workload_that_is_made_anew_without_a_kubernetes_service_has_lost_none() -> None:
    cluster = whole_cluster()
    cluster.seen()
    cluster.conceal("web-front")
    cluster.undeploy()
    cluster.seen()
    cluster.deploy()
    assert cluster.seen().lost_service == ""


async def test_endpoints_without_a_port_serve_nobody() -> None:
    """Kubernetes lists pods that do not have a Service's named target port without any port."""
    cluster = whole_cluster()
    cluster.answer(3, ports=())
    view = cluster.seen()
    assert (view.serving, view.ready, view.ready_endpoints) == (False, 3, 0)


async def test_the_view_says_since_when_a_service_serves_and_when_it_last_stopped() -> None:
    cluster = whole_cluster()
    first = cluster.seen()
    assert (first.serving_since, first.lapsed_since) == (moment(minutes=-60), None), "a restart of ours is no lapse"
    await asyncio.sleep(10)
    cluster.answer(0, 1)
    down = cluster.seen()
    assert (down.serving_since, down.lapsed_since) == (None, moment(seconds=10))
    await asyncio.sleep(10)
    assert cluster.seen().lapsed_since == moment(seconds=10)
    for name in ("web-1", "web-2", "web-3"):
        cluster.gone(name)
    cluster.run("web-4", made=moment(seconds=20))
    cluster.answer(1)
    back = cluster.seen()
    assert (back.serving_since, back.lapsed_since) == (moment(seconds=20), moment(seconds=10))


async def test_a_service_that_was_down_when_it_was_first_looked_at_stopped_at_no_known_moment() -> None:
    cluster = whole_cluster()
    cluster.answer(0, 1)
    assert cluster.seen().lapsed_since is None


async def test_only_the_ready_pods_that_are_there_and_a_service_s_own_count() -> None:
    cluster = whole_cluster()
    cluster.run("api-1", app="api")
    assert cluster.seen().ready == 3
    cluster.run("web-2", ready=False)
    view = cluster.seen()
    assert (view.ready, view.healthy) == (2, False)
    cluster.gone("web-2")
    cluster.run("web-1", app="other")
    assert [pod.metadata.name for pod in cluster.seen().pods] == ["web-3"]


async def test_health_and_failure_last_unbroken() -> None:
    cluster = whole_cluster()
    assert cluster.seen().healthy_since == moment()
    await asyncio.sleep(60)
    cluster.run("web-1")
    assert cluster.seen().healthy_since == moment()
    cluster.run("web-2", ready=False)
    view = cluster.seen()
    assert (view.healthy_since, view.failing_since) == (None, moment(seconds=60))
    await asyncio.sleep(60)
    cluster.run("web-2")
    view = cluster.seen()
    assert (view.healthy_since, view.failing_since) == (moment(seconds=120), None)


@pytest.mark.parametrize("blindness", ["silent", "unsynced", "interrupted"])
async def test_a_view_that_cannot_be_trusted_is_neither_well_nor_failing(blindness: str) -> None:
    """P6: and when it is seen again and nothing of it has changed, its time goes on."""
    cluster = whole_cluster()
    before = cluster.seen()
    await asyncio.sleep(600)
    match blindness:
        case "silent":
            cluster.caches.pods.silent_for = 31.0
        case "unsynced":
            cluster.caches.pods.synced = False
        case _:
            cluster.caches.pods.problem = "the connection was reset"
    cluster.services.refresh(everything=True)
    view = cluster.services.views["web"]
    assert (view.is_current, view.healthy, view.healthy_since, view.failing_since) == (False, None, None, None)
    cluster.caches.pods.silent_for, cluster.caches.pods.synced, cluster.caches.pods.problem = 0.0, True, ""
    view = cluster.seen()
    assert (view.healthy_since, view.serving_since) == (moment(), before.serving_since)


@pytest.mark.parametrize("sampled", [True, False], ids=["the gap was noticed", "the gap was over before a look"])
async def test_a_service_whose_objects_have_changed_in_a_gap_starts_its_times_anew(sampled: bool) -> None:
    """P6: a pod that broke and was well again; a change of another service's is none."""
    cluster = whole_cluster()
    cluster.run("api-1", app="api")
    cluster.seen()
    await asyncio.sleep(600)
    cluster.caches.pods.problem = "the connection was reset"
    if sampled:
        cluster.seen()
    cluster.run("api-1", app="api", ready=False)
    cluster.caches.pods.problem, cluster.caches.pods.gaps = "", 1
    assert cluster.seen().healthy_since == moment()
    await asyncio.sleep(60)
    cluster.caches.pods.problem = "the connection was reset"
    if sampled:
        cluster.seen()
    cluster.run("web-1", ready=False)
    cluster.run("web-1")
    cluster.caches.pods.problem, cluster.caches.pods.gaps = "", 2
    assert cluster.seen().healthy_since == moment(seconds=660)


async def test_a_failure_that_a_gap_ends_with_begins_then_and_one_that_goes_on_goes_on() -> None:
    cluster = whole_cluster()
    cluster.seen()
    await asyncio.sleep(60)
    cluster.caches.endpoints.problem = "the connection was reset"
    cluster.run("web-1", ready=False)
    assert cluster.seen().healthy is None
    await asyncio.sleep(60)
    cluster.caches.endpoints.problem = ""
    assert cluster.seen().failing_since == moment(seconds=120)
    cluster.caches.endpoints.problem = "the connection was reset"
    assert cluster.seen().failing_since is None
    await asyncio.sleep(60)
    cluster.caches.endpoints.problem = ""
    assert cluster.seen().failing_since == moment(seconds=120)


@pytest.mark.parametrize("kind", ["autoscalers", "namespaces", "nodes", "stateful_sets", "daemon_sets"])
async def test_a_kind_by_which_its_health_is_not_judged_takes_nothing_from_a_service(kind: str) -> None:
    """P6: it still keeps changes from being made."""
    cluster = whole_cluster()
    cluster.seen()
    await asyncio.sleep(600)
    getattr(cluster.caches, kind).problem = "the connection was reset"
    view = cluster.seen()
    assert (view.is_current, view.healthy, view.healthy_since) == (True, True, moment())
    assert "is interrupted" in cluster.services.stale_reason


async def test_a_watch_that_sends_no_bookmarks_may_be_silent_until_it_is_opened_anew() -> None:
    """P6, B3."""
    cluster = whole_cluster()
    cluster.caches.pods.sends_bookmarks = False
    cluster.caches.pods.silent_for = 89.0
    assert cluster.seen().is_current
    cluster.caches.pods.silent_for = 91.0
    assert not cluster.seen().is_current


async def test_a_health_that_cannot_be_answered_is_unknown() -> None:
    cluster = FakeCaches()
    text = service_text(healthy="workload.status.unavailableReplicas == 0")
    cluster.services.reload(catalog(text, rule_text(), runbook_text()))
    assert cluster.seen().healthy is None


async def test_the_watch_that_is_blind_is_named() -> None:
    cluster = FakeCaches()
    assert cluster.services.stale_reason == ""
    cluster.caches.replica_sets.silent_for = 45.0
    assert cluster.services.stale_reason == "the watch of replica sets has been silent for 45 s"
    cluster.caches.services.problem = "the connection was reset"
    assert cluster.services.stale_reason == "the watch of services is interrupted: the connection was reset"
    cluster.caches.pods.synced = False
    assert cluster.services.stale_reason == "the cache of pods is not synced yet"


async def test_going_blind_and_seeing_again_are_noticed_without_any_change_of_an_object() -> None:
    """P6: a view that was made before a watch broke off must not pass for what is so."""
    cluster = whole_cluster()
    cluster.seen()
    running = asyncio.create_task(cluster.services.run(timedelta(milliseconds=100)))
    await asyncio.sleep(5)
    cluster.caches.pods.problem = "the connection was reset"
    await asyncio.sleep(1.2)
    blind = cluster.services.views["web"]
    assert not blind.is_current
    cluster.caches.pods.problem = ""
    await asyncio.sleep(0.2)
    assert cluster.services.views["web"].is_current
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_clock_in_doubt_blinds_and_what_holds_is_counted_anew_afterwards() -> None:
    """C9: neither well nor failing meanwhile; restarts that were seen move with the time that is set."""
    cluster = FakeCaches()
    cluster.deploy()
    cluster.run("web-1", restarts=7)
    await asyncio.sleep(10)
    cluster.run("web-1", restarts=8)
    assert cluster.seen().failing_since == moment()
    cluster.clock_problem = "this machine's clock was set 1h back"
    assert cluster.services.stale_reason == cluster.clock_problem
    assert (cluster.seen().healthy, cluster.seen().failing_since) == (None, None)
    await asyncio.sleep(60)
    cluster.clock_problem = ""
    cluster.services.clock_set(timedelta(hours=-1))
    view = cluster.seen()
    assert (view.failing_since, view.last_restart) == (moment(seconds=70), moment(hours=-1, seconds=10))


async def test_restarts_are_counted_from_when_they_were_first_seen() -> None:
    cluster = FakeCaches()
    cluster.run("web-1", restarts=7)
    assert (cluster.seen().restarts, cluster.seen().last_restart) == (0, None)
    await asyncio.sleep(10)
    cluster.run("web-1", restarts=9)
    view = cluster.seen()
    assert (view.restarts, view.last_restart, view.crash_interval) == (2, moment(seconds=10), timedelta(0))
    await asyncio.sleep(40)
    cluster.run("web-1", restarts=10)
    view = cluster.seen()
    assert (view.restarts, view.last_restart, view.crash_interval) == (3, moment(seconds=50), timedelta(seconds=40))
    cluster.gone("web-1")
    cluster.run("web-1", restarts=0, uid="another")
    assert cluster.seen().restarts == 3, "a successor has restarted nothing"


async def test_other_managers_of_the_workload_are_named() -> None:
    cluster = whole_cluster()
    for kind, name in (("Deployment", "web"), ("Deployment", "api"), ("StatefulSet", "web")):
        target = AutoscalerSpec(scale_target_ref=ScaleTarget(kind=kind, name=name))
        meta = Metadata(name=f"{kind}-{name}".lower(), namespace="production")
        cluster.caches.autoscalers.put(HorizontalPodAutoscaler(metadata=meta, spec=target))
    assert [str(each) for each in cluster.seen().managers] == ["HPA deployment-web"]


async def test_the_front_leads_to_the_pods_and_is_the_first_by_name() -> None:
    cluster = FakeCaches()
    cluster.deploy()
    cluster.expose("a-nothing", selector={})
    cluster.expose("b-other", selector={"app": "api"})
    assert cluster.seen().port == 0
    cluster.expose("d-web")
    cluster.expose("c-web")
    assert cluster.seen().port == 80


async def test_only_what_changed_is_looked_at_again() -> None:
    cluster = whole_cluster()
    told: list[str] = []
    cluster.services.on_view(lambda view: told.append(view.name))
    cluster.services.refresh()
    assert told == ["web"]
    assert cluster.services.refresh() == ()
    cluster.run("web-1", ready=False)
    cluster.run("web-2", ready=False)
    assert len(cluster.services.refresh()) == 1


async def test_a_new_catalog_drops_the_services_that_it_no_longer_has() -> None:
    cluster = whole_cluster()
    text = service_text("api")
    cluster.services.reload(catalog(text, rule_text(service="api"), runbook_text()))
    assert set(cluster.services.views) == {"api"}


def test_the_claims_of_a_workload_are_known_when_it_has_no_pods() -> None:
    """One that stands at zero, as while its database is restored."""
    claim = ClaimVolume(claim_name="database-pvc")
    template = PodTemplate(spec=PodSpec(volumes=(Volume(name="data", persistent_volume_claim=claim),)))
    made = Object(metadata=Metadata(name="logs"))
    stopped = StatefulSet(
        metadata=Metadata(name="database"),
        spec=StatefulSetSpec(replicas=0, template=template, volume_claim_templates=(made,)),
    )
    known = PvcNames.of([], stopped)
    assert all(name in known for name in ("database-pvc", "logs-database-0"))
    assert not any(name in known for name in ("logs-database-1", "logs-database-00", "logs-database-", "database-0"))


async def test_a_claim_belongs_to_a_service_by_what_mounts_it_and_not_by_its_labels() -> None:
    """Claims with the labels of the service, also one that a stranger's pod mounts, are no claims of a restore."""
    cluster = whole_cluster()
    for name in ("ours", "labelled", "mounted-by-a-stranger"):
        metadata = Metadata(name=name, namespace="production", labels={"app": "web"}, resource_version="1")
        cluster.caches.pvcs.put(PersistentVolumeClaim(metadata=metadata))
    for name, claim, maker in (("web-1", "ours", "uid-web-1"), ("stranger", "mounted-by-a-stranger", "uid-other")):
        volume = Volume(name="data", persistent_volume_claim=ClaimVolume(claim_name=claim))
        owner = OwnerReference(kind="ReplicaSet", name="web-1", uid=maker, controller=True)
        made = pod(name)
        metadata = replace(made.metadata, owner_references=(owner,), resource_version=cluster.version())
        cluster.caches.pods.put(replace(made, metadata=metadata, spec=replace(made.spec, volumes=(volume,))))
    view = cluster.seen()
    assert [each.metadata.name for each in view.pvcs] == ["ours"]
    assert sorted(each.metadata.name for each in view.labelled_pvcs) == ["labelled", "mounted-by-a-stranger"]


async def test_the_claims_of_all_replicas_of_a_stateful_set_are_its_own_while_it_is_scaled_to_none() -> None:
    """A restore replaces the claims of the standbys, too, and none of a replica that was scaled away before."""
    cluster = FakeCaches(
        catalog(service_text().replace("deployment/web", "statefulset/db"), rule_text(), runbook_text())
    )
    for ordinal in range(3):
        metadata = Metadata(name=f"data-db-{ordinal}", namespace="production", resource_version="1")
        cluster.caches.pvcs.put(PersistentVolumeClaim(metadata=metadata))
    for replicas in (2, 0, 1):
        spec = StatefulSetSpec(replicas=replicas, volume_claim_templates=(Object(metadata=Metadata(name="data")),))
        metadata = Metadata(name="db", namespace="production", uid="uid-db", resource_version=cluster.version())
        cluster.caches.stateful_sets.put(StatefulSet(metadata=metadata, spec=spec))
        claims = [each.metadata.name for each in cluster.seen().pvcs]
        assert claims == [f"data-db-{ordinal}" for ordinal in range(replicas or 2)]


async def test_a_revision_that_is_no_number_counts_for_none() -> None:
    """B16: whoever may write a Deployment may write what they like into its annotations."""
    cluster = whole_cluster()
    for store in (cluster.caches.deployments, cluster.caches.replica_sets):
        for item in tuple(store.store.values()):
            metadata = replace(
                item.metadata, annotations={**item.metadata.annotations, REVISION: "v7"}, resource_version="v7"
            )
            store.put(replace(item, metadata=metadata))
    (view,) = cluster.services.refresh()
    assert (view.revision, view.template, view.is_current, view.healthy) == (0, "hash-1", True, True)


async def test_a_workload_that_cannot_be_read_leaves_its_service_unreadable_and_no_other() -> None:
    """B16, P6: without its Deployment a service would look as if nothing were wanted of it."""
    cluster = whole_cluster()
    cluster.caches.deployments.mirror.mark_undecodable(("production", "web"), "replicas: expected int")
    view = cluster.seen()
    assert (view.is_current, view.healthy) == (False, None)
    cluster.deploy(2)
    assert cluster.seen().is_current


async def test_a_listener_that_fails_keeps_the_news_from_nobody() -> None:
    """B16."""
    cluster = whole_cluster()
    told: list[str] = []
    cluster.services.on_view(lambda view: told.append(view.name[999]))
    cluster.services.on_view(lambda view: told.append(view.name))
    with capture_logs() as said:
        cluster.services.refresh(everything=True)
    assert told == ["web"]
    assert [line["name"] for line in said] == ["web"]


def test_the_claims_of_two_million_replicas_are_not_listed() -> None:
    """B16: a typo in `kubectl scale`; listed they take seconds of every refresh, and memory without need."""
    made = Object(metadata=Metadata(name="data"))
    spec = StatefulSetSpec(replicas=2_000_000, volume_claim_templates=(made,))
    names = PvcNames.of([], StatefulSet(metadata=Metadata(name="database"), spec=spec))
    assert "data-database-1999999" in names
    assert not any(name in names for name in ("data-database-2000000", "data-database-01", "data-other-1"))
    assert (len(names.prefixes), len(names.mounted)) == (1, 0)


async def test_events_that_cannot_be_listed_hold_nobody_up() -> None:
    """B20: a daemon that may not list them says that it is ready, and then it must act."""
    cluster = FakeCaches()
    cluster.caches.events.synced = False
    cluster.caches.events.silent_for = 1e9
    cluster.caches.events.problem = "forbidden"
    assert cluster.services.stale_reason == "", "events are hints, whose silence blinds nobody"
    async with asyncio.timeout(1):
        await cluster.caches.synced()

    cluster.caches.pods.synced = False
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await cluster.caches.synced()


async def test_pods_that_came_and_went_leave_their_restarts_and_nothing_else() -> None:
    cluster = FakeCaches()
    for number in range(50):
        cluster.run("web-1", restarts=0, uid=f"uid-{number}")
        cluster.run("web-1", restarts=1, uid=f"uid-{number}")
        cluster.gone("web-1")
    tally = cluster.services._tallies["web"]
    assert (len(tally.seen), len(tally.moments)) == (0, 0)
    assert tally.restarts.count == 50
