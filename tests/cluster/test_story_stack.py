"""The shipped rules on the five services that they are about: each is seen, asked, and mended."""

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import HASTY, TIME_FOR_DEPENDENTS, TIME_FOR_PODS, StartDaemon
from tests.cluster.crashes import is_dead
from tests.cluster.database import free_volume
from tests.cluster.story import USER, ClusterStory, Json
from tests.harness import admission_policies
from tests.harness import stack as stacks
from tests.harness.admission_policies import Held
from tests.harness.cluster import RealCluster
from tests.harness.crash_points import KILL_AT
from tests.harness.stack import Fault, ServiceStack, Tier
from tests.harness.waiting import wait_for

PACE = 0.1
"""What every duration is multiplied by where a container's starts must be waited for, which Kubernetes spaces out."""

VOLUME, CLAIM, WORKLOAD = (
    "persistentvolumes/production-data-cache-0",
    "persistentvolumeclaims/data-cache-0",
    "statefulsets/cache",
)
RESET = [
    f"patch {VOLUME}",
    f"patch {WORKLOAD}",
    f"patch {WORKLOAD}",
    f"patch {VOLUME}",
    f"delete {CLAIM}",
    f"patch {WORKLOAD}",
    f"patch {WORKLOAD}",
]
"""What a cache that begins anew changes: kept, claims kept when scaled, stopped, marked, replaced, started, as before."""

TAKEN_BACK = [f"patch {WORKLOAD}", f"patch {VOLUME}", f"create {CLAIM}", f"patch {WORKLOAD}"]
"""And its way back: stopped, the old volume lets go of the claim that is no more, a claim asks for it, started."""


@pytest.fixture
def held(own_cluster: RealCluster) -> Iterator[None]:
    """Hold the daemon's account to its work: it has no business with Secrets or workers here."""
    admission_policies.enforce(own_cluster, Held(user=USER))
    yield
    admission_policies.lift(own_cluster)


def test_a_broken_pod_of_cache_api_and_ingress_is_mended_by_the_shipped_rules(
    stack: ServiceStack, daemon: StartDaemon
) -> None:
    """P2, P8: those pods, by uid, and no others; what was not ready for want of its upstream comes back by itself."""
    story = ClusterStory(stack.cluster, stack.namespace, daemon(environment={**TIME_FOR_PODS, **TIME_FOR_DEPENDENTS}))
    wait_for(lambda: all(story.service(tier).get("healthy") for tier in Tier), within=60, describe=story.state)
    story.begin()
    mended: list[str] = []
    for tier, fault in ((Tier.CACHE, Fault.STUCK), (Tier.API, Fault.CRASH_LOOP), (Tier.INGRESS, Fault.STUCK)):
        [victim] = stack.break_(tier, fault, pods=1)

        uid = victim["metadata"]["uid"]
        story.within(180).sees(f"{tier} is being mended", lambda uid=uid: uid in story.deleted_by_daemon())  # type: ignore[misc]
        story.within(180).ends("recovered", service=tier)
        mended.append(uid)
        stack.until_up(*Tier, within=120)
    assert story.deleted_by_daemon() == mended
    assert story.written_by_daemon("deployments") == story.written_by_daemon("statefulsets") == []


def test_a_cache_whose_dump_is_broken_begins_anew_by_a_persons_word_though_the_daemon_dies_and_goes_back_by_another(
    own_cluster: RealCluster, held: None, production: str, daemon: StartDaemon
) -> None:
    """P2, P3, P8: shown at two starts, asked, and only then, under the policies; what is on the old volume stays as it was."""
    own_cluster.apply(free_volume(production, "spare", "1Gi"))
    stack = stacks.stack(own_cluster, production, [Tier.CACHE])
    lets_go(own_cluster, stack)
    started = daemon(deadlines=HASTY, durations=PACE, environment={KILL_AT: "after effect anew/claim[]#0 1"})
    story = ClusterStory(own_cluster, production, started, app="cache").begin()
    wait_for(lambda: story.service(Tier.CACHE).get("healthy"), within=60, describe=story.state)
    old = stack.claim(Tier.CACHE)
    volume, folder = old["spec"]["volumeName"], stack.folder(old)

    stack.break_(Tier.CACHE, Fault.DUMP_BROKEN)
    broken = (folder / "dump.rdb").read_bytes()
    asking = story.within(300).reaches("awaiting-approval")
    [question] = story.daemon.incident(asking["id"])["questions"]
    print(question)
    assert story.writes() == []
    story.at("a person agrees", lambda: story.approve(asking))
    story.within(120).sees("it dies when it has deleted the claim", lambda: is_dead(story))
    story.at("it is started again", lambda: story.daemon.start({KILL_AT: ""}))

    story.within(240).ends("recovered", service=Tier.CACHE)
    assert stack.keys() == 0
    new = stack.claim(Tier.CACHE)["spec"]["volumeName"]
    assert new != volume
    kept = own_cluster.get("persistentvolume", volume)
    assert kept["metadata"]["labels"]["kintsugi.dev/incident"] == asking["id"]
    assert (kept["status"]["phase"], kept["spec"]["persistentVolumeReclaimPolicy"]) == ("Released", "Retain")
    assert (folder / "dump.rdb").read_bytes() == broken
    assert changed(story) == RESET

    story.at("a person takes it back", lambda: story.take_back(asking))
    story.within(120).sees("all is taken back", lambda: is_undone(story, asking))
    # The claim names its volume when it is made; a controller of the cluster binds the two afterwards.
    story.within(60).sees("its claim is bound", lambda: stack.claim(Tier.CACHE)["status"]["phase"] == "Bound")
    assert stack.claim(Tier.CACHE)["spec"]["volumeName"] == volume
    assert stack.workload(Tier.CACHE)["spec"]["replicas"] == 1
    assert (folder / "dump.rdb").read_bytes() == broken
    # Whether the newer claim went with its pod or was deleted before is a matter of moments.
    back = [each for each in changed(story)[len(RESET) :] if each != f"delete {CLAIM}"]
    assert back == TAKEN_BACK


def lets_go(cluster: RealCluster, stack: ServiceStack) -> None:
    """Let the cache's claim go when it is scaled down, and its volume with its claim."""
    volume = stack.claim(Tier.CACHE)["spec"]["volumeName"]
    cluster.api.patch("persistentvolume", volume, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
    policy = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}
    cluster.api.patch("statefulset", "cache", {"spec": policy}, stack.namespace)


def changed(story: ClusterStory) -> list[str]:
    """Return what the daemon has changed, in order, without what it only tried."""
    made = [each for each in story.writes() if "dryRun" not in each.uri]
    return [f"{each.verb} {each.resource}/{each.name}" for each in made]


def is_undone(story: ClusterStory, incident: Json) -> bool:
    """Return whether the first change that can be taken back has been, which is the last of the rollback."""
    return any((each["path"], each["state"]) == ("anew/stop#0~0", "done") for each in story.steps(incident))
