"""
Eight services, each with two or three faults one after the other, beside one daemon at the real clock. Its settings are the defaults, but
that all eight may be under recovery at a time.

P11: each fault is healed, or a person is told. And `kintsugi services` says what is true all the while.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.sequences import APP, WORKLOAD, Place, Watcher, catalog, deployed, in_order, silences
from tests.harness.cluster import KubectlError, RealCluster
from tests.harness.faults import Faults
from tests.harness.images import WEB_BAD
from tests.harness.notices import receiver
from tests.harness.registry import ADDRESS, Registry
from tests.harness.waiting import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(4 * 3600)]

GONE = f"{ADDRESS}/shop:gone"
GOOD_AFTER = 600
POLICY = "nobody-changes-the-shop"


def releases(place: Place) -> None:
    """Three bad releases, the next one minute after the last was taken back: the third calls a person."""
    for tag in (f"{GONE}-1", f"{GONE}-2"):
        place.fault(f"image {tag} is rolled out", partial(place.roll_out, tag))
        place.healed()
        place.rests(58)
    place.fault(f"image {GONE}-3 is rolled out", lambda: place.roll_out(f"{GONE}-3"))
    place.is_told()
    place.person("rolls it back", lambda: place.roll_out("web:good"))
    wait_for(place.is_whole, within=60, every=1, describe=place.story.state)


def configuration(place: Place) -> None:
    """A hand-over that a person mends, and another fault one minute later."""
    missing = place.cluster.get("configmap", "settings", place.namespace)

    def lose() -> None:
        place.cluster.api.delete("configmap", "settings", place.namespace)
        place.delete_pods(place.story.pods()[0]["metadata"]["name"])

    place.fault("a ConfigMap is gone, and a pod is replaced", lose)
    place.is_told()
    place.person("makes the ConfigMap again", lambda: place.cluster.apply(without_identity(missing)))
    wait_for(place.is_whole, within=120, every=1, describe=place.story.state)
    place.rests(60)
    place.fault("an image that does not exist is rolled out", lambda: place.roll_out(GONE))
    place.healed()


def crashes(place: Place) -> None:
    """A crash loop of one pod, a release that crashes one minute after it is mended, and a crash loop again."""
    place.fault("a pod crash-loops", lambda: place.faults.crash_loop(place.story.pods()[0]))
    place.healed()
    place.rests(58)
    place.fault("a release that crashes is rolled out", lambda: place.roll_out(WEB_BAD))
    place.healed()
    place.is_verified()
    place.fault("a pod crash-loops again", lambda: place.faults.crash_loop(place.story.pods()[0]))
    place.healed()


def quotas(place: Place) -> None:
    """A quota that is used up, lifted by a person; then pods that fit no node."""
    metadata = {"name": "small", "namespace": place.namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "1"}}}

    def use_up() -> None:
        place.cluster.apply(quota)
        place.delete_pods(place.story.pods()[0]["metadata"]["name"])

    def lift() -> None:
        place.cluster.api.delete("quota", "small", place.namespace)
        place.story.scale(1)
        place.story.scale(2)

    place.fault("a quota is used up, and a pod is gone", use_up)
    place.is_told()
    place.person("lifts the quota", lift)
    wait_for(place.is_whole, within=120, every=1, describe=place.story.state)
    place.rests(60)
    selector = {"spec": {"template": {"spec": {"nodeSelector": {"disk": "none"}}}}}
    place.fault("a release fits no node", lambda: place.story.patch(selector))
    place.healed()


def missing(place: Place) -> None:
    """A Deployment that somebody deletes, and a crash loop once it is there again."""
    place.fault("the Deployment is deleted", lambda: place.cluster.api.delete("deployment", WORKLOAD, place.namespace))
    place.is_told()
    place.person("applies it again", lambda: place.cluster.apply(*deployed(place.namespace)))
    wait_for(place.is_whole, within=60, every=1, describe=place.story.state)
    place.rests(60)
    place.fault("both pods crash-loop", lambda: place.faults.crash_loop(*place.story.pods()))
    place.healed()


def paused(place: Place) -> None:
    """A fault under a pause, healed when the pause ends; then a readiness probe that fails in both pods of the good template."""
    place.person("pauses the namespace", lambda: place.pause("release 2.0"))
    place.fault("an image that does not exist is rolled out", lambda: place.roll_out(GONE))
    place.is_told()
    place.person("ends the pause", lambda: place.pause(None))
    place.healed()
    place.is_verified()
    place.fault("both pods fail their readiness probe", lambda: place.faults.make_unready(*place.story.pods()))
    place.healed()


def liveness(place: Place) -> None:
    """A liveness probe that keeps ending a container of a good template, mended by a person; then a bad release."""
    failing = place.story.pods()[0]
    place.fault("a pod fails its liveness probe", lambda: place.faults.make_unready(failing))
    place.is_told()
    assert place.story.uids().count(failing["metadata"]["uid"]) == 1, place.story.state()
    place.person("deletes the pod", lambda: place.delete_pods(failing["metadata"]["name"]))
    wait_for(place.is_whole, within=60, every=1, describe=place.story.state)
    place.rests(60)
    place.fault("an image that does not exist is rolled out", lambda: place.roll_out(GONE))
    place.healed()


def refused(place: Place) -> None:
    """A bad release whose rollback an admission policy refuses: told once; healed once the policy is gone and a person resumes."""
    place.cluster.apply(*denying(place.namespace))
    wait_for(lambda: is_denied(place), within=30, describe="the API server goes by the policy")
    place.fault("an image that does not exist is rolled out", lambda: place.roll_out(GONE))
    place.is_told()
    place.rests(300)
    assert len([each for each in place.daemon.incidents() if each["service"] == place.name]) == 1, place.story.state()

    def resume() -> None:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            place.cluster.kubectl("delete", kind, POLICY)
        wait_for(lambda: not is_denied(place), within=30, describe="the API server goes by no policy")
        status, answer = place.daemon.delete(f"/api/v1/pauses/{place.incident()['id']}")
        assert status == 200, answer

    place.person("removes the policy, and resumes", resume)
    place.healed()


SEQUENCES: Mapping[str, Callable[[Place], None]] = {
    f"shop-{each.__name__}": each
    for each in (releases, configuration, crashes, quotas, missing, paused, liveness, refused)
}
CONTAINERS: Mapping[str, dict[str, Any]] = {
    "shop-configuration": {"envFrom": [{"configMapRef": {"name": "settings"}}]},
    "shop-liveness": {"livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 2}},
}


def test_each_fault_of_a_service_is_healed_or_told_and_what_is_shown_of_it_is_true(
    cluster: RealCluster, faults: Faults, daemon: StartDaemon, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        notices = stack.enter_context(receiver())
        stack.enter_context(Registry().running())
        namespaces = {name: stack.enter_context(cluster.namespace(name)) for name in SEQUENCES}
        for name, namespace in namespaces.items():
            settings = {"name": "settings", "namespace": namespace}
            cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": settings, "data": {"MODE": "shop"}})
            cluster.apply(*deployed(namespace, **CONTAINERS.get(name, {})))
        (tmp_path / "catalog").mkdir()
        (tmp_path / "catalog" / "services.yaml").write_text(catalog(namespaces))
        own = {
            "KINTSUGI_CATALOG__EXAMPLE": "false",
            "KINTSUGI_CATALOG__ADDITIONS": str(tmp_path / "catalog"),
            "KINTSUGI_WATCHDOG__GOOD_AFTER": "10m",
            "KINTSUGI_GUARDS__MAX_CONCURRENT_SERVICES": "8",
        }
        started = daemon(durations=1, deadlines=1, environment={**own, **notices.environment})
        places = [
            Place(name=name, namespace=namespace, cluster=cluster, daemon=started, faults=faults, notices=notices)
            for name, namespace in namespaces.items()
        ]
        watcher = Watcher(places)
        for each in places:
            wait_for(each.story.knows_good, within=GOOD_AFTER, every=5, describe=each.story.state)
        with ThreadPoolExecutor(len(places) + 1) as pool:
            watching = pool.submit(watcher.watch)
            ends = {each.name: pool.submit(SEQUENCES[each.name], each) for each in places}
            wait(ends.values())
            watcher.ended.set()
        watching.result()
        quiet = silences(watcher, cluster.audit().writes().where(user="kintsugi"))
    for place in places:
        for one in place.outcomes:
            print(f"{one.sequence:18} {one.fault:60} {one.end} after {one.after:.0f} s")
    for found in quiet:
        print(f"{found.service:18} longest silence {found.longest.total_seconds():.0f} s, since {found.since}")
    print(f"{watcher.asked} answers about a service, {len(watcher.untrue)} of them untrue", *watcher.untrue, sep="\n  ")
    failures = {name: str(end.exception()) for name, end in ends.items() if end.exception() is not None}
    assert not failures, "\n".join(f"{name}: {why}" for name, why in failures.items())
    assert not [each for each in quiet if each.broken], quiet
    assert not watcher.untrue
    assert all(in_order(looks) for looks in watcher.looks.values()), "the watcher has seen too little to say"


def without_identity(obj: Any) -> Any:
    """Return an object as it can be applied again."""
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace")}
    return {**obj, "metadata": metadata, "apiVersion": "v1", "kind": "ConfigMap"}


def denying(namespace: str) -> Iterator[dict[str, Any]]:
    """Yield the policy by which nobody but an administrator changes a Deployment of a namespace."""
    group = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
    only = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    yield {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [
                {
                    "expression": "!request.userInfo.username.startsWith('system:serviceaccount:default:')",
                    "message": "releases are frozen",
                }
            ],
        },
    }
    yield {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY},
        "spec": {
            "policyName": POLICY,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": only},
        },
    }


def is_denied(place: Place) -> bool:
    """Return whether the API server refuses a change of the daemon's: asked by a dry run as its account."""
    words = (
        "annotate",
        f"deployment/{APP}-deployment",
        "asked=yes",
        "--overwrite",
        "--dry-run=server",
        "-n",
        place.namespace,
    )
    try:
        place.cluster.kubectl(*words, "--as=system:serviceaccount:default:kintsugi")
    except KubectlError as error:
        return "releases are frozen" in str(error)
    return False
