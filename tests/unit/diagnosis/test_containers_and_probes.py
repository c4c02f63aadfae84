"""ContainerStart, ContainerExit, OutOfMemory, InitContainer and the three probes, each with what looks like it."""

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.decisions.remedies import is_hint
from kubediagnosis.causes import CauseKind, Confidence
from kubediagnosis.facts import ConfigurationFacts, ConfigurationType, HostReference, LogFacts
from kubediagnosis.words import error_line
from kubeobjects.metadata import Metadata
from kubeobjects.workloads import ContainerMetrics, PodMetrics
from tests.unit.diagnosis.around import written
from tests.unit.diagnosis.workload import (
    APP,
    CERTAIN,
    GOOD,
    LIKELY,
    TEMPLATE,
    UNREADY,
    Json,
    Workload,
    ago,
    crashes,
    ends,
    new,
    old,
    row,
    runs,
    waits,
)

EXIT = CauseKind.CONTAINER_EXIT
START = CauseKind.CONTAINER_START
NOT_RUN = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: exec: "/bin/shopp": stat /bin/shopp: no such file or directory: unknown'
)
AS_ROOT = waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root (pod: …)")
NO_ROOT = ((*APP, "securityContext"), {"runAsNonRoot": True})


@pytest.mark.parametrize(
    "container",
    [
        waits("RunContainerError", NOT_RUN),
        waits("CrashLoopBackOff", "back-off", restarts=3, ended=ends(128, "StartError", NOT_RUN)),
    ],
)
def test_a_command_that_cannot_be_run_is_the_template_s(container: Json) -> None:
    (cause,) = new((*APP, "command"), ["/bin/shopp"], container).causes()
    assert row(cause) == (START, "deployment/web", "containers[app].command", CERTAIN)
    assert "/bin/shopp" in cause.text


def test_an_image_that_would_run_as_root_is_the_security_context_s() -> None:
    (cause,) = new(*NO_ROOT, AS_ROOT).causes()
    assert row(cause) == (START, "deployment/web", "containers[app].securityContext.runAsNonRoot", CERTAIN)


def test_a_new_image_that_runs_as_root_is_likelier_than_the_rule_that_forbids_it() -> None:
    web = Workload(template=Workload().change(*NO_ROOT).template)
    web.change((*APP, "image"), "shop:root").roll_out(AS_ROOT)
    assert row(web.causes()[0]) == (START, "deployment/web", "containers[app].image", LIKELY)


def test_a_runtime_that_fails_for_another_reason_is_never_certain() -> None:
    web = old(waits("CreateContainerError", "context deadline exceeded"))
    assert row(web.causes()[0]) == (START, "deployment/web", "containers[app]", LIKELY)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ((*APP, "image"), "shop:bad", "containers[app].image"),
        ((*APP, "env", 0), {"name": "OTHER", "value": "x"}, "containers[app].env[OTHER]"),
        ((*APP, "env", 0, "value"), "http://nowhere", "containers[app].env[UPSTREAM]"),
        ((*APP, "command"), ["/bin/sh", "-c", "exit 137"], "containers[app].command"),
    ],
)
def test_a_crash_of_a_new_template_is_of_the_field_that_changed(
    path: tuple[str | int, ...], value: object, field: str
) -> None:
    (cause,) = new(path, value, crashes(137)).causes()
    assert row(cause) == (EXIT, "deployment/web", field, LIKELY)
    assert "exit code 137" in cause.text


def test_a_crash_has_the_last_telling_line_of_the_log() -> None:
    line = "fatal: CURRENCY is XYZ"
    (cause,) = old(crashes(3)).also(logs=(LogFacts(pod="web-good-3", container="app", line=line),)).causes()
    assert cause.text.endswith(line)
    assert cause.evidence[-1].text == line


def test_pods_that_all_crash_are_their_workload_s() -> None:
    web = old(crashes(1))
    web.pods[1] = web.pod("web-good-4", "7d9f", created=ago(50), app=crashes(1))
    (cause,) = web.causes()
    assert row(cause) == (EXIT, "deployment/web", "containers[app]", LIKELY)
    assert {each.object for each in cause.evidence} == {"pod/web-good-3", "pod/web-good-4"}


def setting(seconds: float) -> ConfigurationFacts:
    """Return the settings as they were written so long ago."""
    return written("settings", "currency", seconds, kind=ConfigurationType.CONFIG_MAP)


@pytest.mark.parametrize(
    ("seconds", "thing", "field"),
    [
        (90, "configmap/settings", "data[currency]"),
        (30, "pod/web-good-3", "containers[app]"),
        (10 * 86400, "pod/web-good-3", "containers[app]"),
    ],
    ids=["after the template and before the pod", "after the pod was made", "long before the template"],
)
def test_configuration_that_changed_last_before_a_crash_is_the_cause(seconds: float, thing: str, field: str) -> None:
    web = old(crashes(3)).also(configurations=(setting(seconds),))
    assert row(web.causes()[0]) == (EXIT, thing, field, LIKELY)


@pytest.mark.parametrize("returned", [True, False], ids=["it says so", "it is older"])
def test_a_template_that_came_back_is_not_suspected(returned: bool) -> None:
    """A rollback took it back: what the template before it had other is not what broke."""
    web = new((*APP, "image"), "shop:2", crashes(1))
    first, second = web.revisions
    before = replace(first, created=ago(600) if returned else ago(60))
    web.revisions = [before, replace(second, returned=returned)]
    assert row(web.causes()[0])[2] == "containers[app]"


OOM = ends(137, "OOMKilled")


@pytest.mark.parametrize(
    ("container", "certain"),
    [
        (waits("CrashLoopBackOff", "back-off", restarts=3, ended=OOM), True),
        (runs(restarts=2, seconds=20, ended=OOM), True),
        (runs(restarts=1, ended=OOM), None),
        (runs(restarts=5, ended=ends(137, "OOMKilled", seconds=7200)), None),
        (crashes(137), False),
    ],
    ids=["again and again", "between two ends", "once", "long ago", "137 without the kernel"],
)
def test_only_what_the_kernel_ended_for_its_memory_is_out_of_memory(container: Json, certain: bool | None) -> None:
    limit = (CauseKind.OUT_OF_MEMORY, "deployment/web", "containers[app].resources.limits.memory", CERTAIN)
    other = (EXIT, "pod/web-good-3", "containers[app]", LIKELY)
    found = [row(each) for each in old(container).causes()]
    assert found == ([] if certain is None else [limit] if certain else [other])


def test_memory_of_a_container_without_a_limit_is_only_likely_its_own() -> None:
    web = Workload().change((*APP, "resources"), {}).replace_pod(waits("CrashLoopBackOff", "", restarts=3, ended=OOM))
    assert row(web.causes()[0]) == (CauseKind.OUT_OF_MEMORY, "deployment/web", "containers[app]", LIKELY)


def hanging(seconds: float = 180) -> Workload:
    """Roll out an init container that runs for so long."""
    web = Workload()
    web.template["spec"]["initContainers"].append({"name": "wait", "image": "shop:1", "args": ["wait"]})
    return web.roll_out(
        waits("PodInitializing"), wait=runs(ready=False, seconds=seconds), metrics=waits("PodInitializing")
    )


def test_an_init_container_that_hangs_and_is_new_is_named_as_a_whole() -> None:
    (cause,) = hanging().causes()
    assert row(cause) == (CauseKind.INIT_CONTAINER, "deployment/web", "initContainers[wait]", LIKELY)


@pytest.mark.parametrize(("seconds", "confidence"), [(180, CERTAIN), (20, LIKELY)])
def test_a_service_that_is_not_there_is_why_an_init_container_hangs_that_asks_for_it(
    seconds: float, confidence: Confidence
) -> None:
    field = "initContainers[wait].args"
    web = hanging(seconds).also(hosts=(HostReference(field=field, host="depo"),))
    assert row(web.causes()[0]) == (CauseKind.NAME_RESOLUTION, "deployment/web", field, confidence)


def killed(web: Workload, pod: str, probe: str, *, count: int = 1, seconds: float = 20) -> Workload:
    """Let the kubelet end the container for a probe."""
    failed = f"{probe.title()} probe failed: HTTP probe failed with statuscode: 404"
    said = f"Container app failed {probe} probe, will be restarted"
    web.event(pod, "Unhealthy", failed, container="app")
    return web.event(pod, "Killing", said, count=count, container="app", seconds=seconds)


def by_liveness(container: Json, *, count: int = 3) -> Workload:
    """Roll out a probe of a wrong port, for which the kubelet ends the new pod's container so often."""
    return killed(
        new((*APP, "livenessProbe", "httpGet", "port"), 8081, container), "pod/web-new-1", "liveness", count=count
    )


def test_a_liveness_probe_that_ends_its_container_again_and_again_is_certain() -> None:
    (cause,) = by_liveness(runs(restarts=3, seconds=5, ended=ends(137))).causes()
    assert row(cause) == (CauseKind.LIVENESS_PROBE, "deployment/web", "containers[app].livenessProbe", CERTAIN)
    assert cause.text.endswith("HTTP probe failed with statuscode: 404")


def test_a_container_in_back_off_for_its_liveness_probe_did_not_end_by_itself() -> None:
    assert [each.kind for each in by_liveness(crashes(137), count=4).causes()] == [CauseKind.LIVENESS_PROBE]


def test_a_liveness_probe_that_only_events_blame_is_likely_and_no_reason_to_roll_back() -> None:
    """Whoever may create Events can write the kubelet's: the container ended by itself."""
    web = by_liveness(runs(restarts=3, seconds=5, ended=ends(1)))
    (cause,) = (each for each in web.causes() if each.kind is CauseKind.LIVENESS_PROBE)
    assert (cause.confidence, is_hint(cause)) == (LIKELY, True)


@pytest.mark.parametrize(
    ("used", "field"),
    [("460m", "containers[app].resources.limits.cpu"), ("300m", "containers[app].readinessProbe")],
    ids=["at its limit", "below it"],
)
def test_a_probe_that_a_container_at_its_cpu_limit_fails_is_handed_over_with_what_it_uses(
    used: str, field: str
) -> None:
    web = Workload().change((*APP, "resources"), {"limits": {"cpu": "500m"}})
    web.pods = [web.pod(each, GOOD, app=runs(ready=False)) for each in ("web-good-1", "web-good-2")]
    measured = ContainerMetrics(name="app", usage={"cpu": used})
    usage = (PodMetrics(metadata=Metadata(name="web-good-1"), containers=(measured,)),)
    (cause, *_) = (each for each in web.also(usage=usage).causes() if each.field == field)
    assert (cause.kind, cause.object) == (CauseKind.READINESS_PROBE, "deployment/web")
    assert ("uses 460m of its CPU limit of 500m, and the probe waits 1 s" in cause.text) is field.endswith(".cpu")


@pytest.mark.parametrize(
    ("before", "changed", "field"),
    [
        ({"limits": {"cpu": "500m"}}, ((*APP, "image"), "shop:2"), "containers[app].readinessProbe"),
        ({}, ((*APP, "resources"), {"limits": {"cpu": "500m"}}), "containers[app].resources.limits.cpu"),
    ],
    ids=["an old limit", "a limit of its own"],
)
def test_a_new_template_that_is_not_ready_is_excused_by_no_limit_that_it_has_not_set(
    before: Json, changed: tuple[tuple[str | int, ...], object], field: str
) -> None:
    template = deepcopy(TEMPLATE)
    template["spec"]["containers"][0]["resources"] = before
    measured = ContainerMetrics(name="app", usage={"cpu": "500m"})
    usage = (PodMetrics(metadata=Metadata(name="web-new-1"), containers=(measured,)),)
    web = Workload(template=template, more={"usage": usage}).change(*changed)
    (cause,) = web.roll_out(runs(ready=False, seconds=600)).causes()
    assert (cause.kind, cause.field) == (CauseKind.READINESS_PROBE, field)


UNSTARTED = waits("PodInitializing")
NO_CAUSE = {
    "ended once, and ready again": old(runs(restarts=1, ended=ends(137))),
    "ended once, and made anew": old(waits("ContainerCreating")),
    "ended once, and started again": old(runs(ready=False, seconds=5, restarts=1, ended=ends(1))),
    "its first end": old({"ready": False, "restartCount": 0, "state": {"terminated": ends(1)}}),
    "hung once": killed(old(runs(restarts=1, ended=ends(137))), "pod/web-good-3", "liveness"),
    "hung long ago": killed(old(runs(restarts=3, ended=ends(137))), "pod/web-good-3", "liveness", seconds=3600),
    "an init container that has just begun": old(UNSTARTED, migrate=runs(ready=False, seconds=20), metrics=UNSTARTED),
    "slow to start, and in time": Workload()
    .roll_out(runs(ready=False, started=False, seconds=20))
    .event("pod/web-new-1", "Unhealthy", UNREADY.replace("Readiness", "Startup"), count=4, container="app"),
}


@pytest.mark.parametrize("web", NO_CAUSE.values(), ids=NO_CAUSE)
def test_a_container_that_is_well_again_or_still_in_time_is_no_cause(web: Workload) -> None:
    assert web.causes() == ()


@pytest.mark.parametrize(
    ("seconds", "ran", "kinds"),
    [
        (150, 200, [CauseKind.CONTAINER_EXIT]),
        (300, 200, [CauseKind.READINESS_PROBE]),
        (150, 86400, [CauseKind.READINESS_PROBE]),
    ],
    ids=["as long as before", "for longer", "after a day of service"],
)
def test_a_container_that_has_failed_before_is_unready_by_its_probe_only_once_it_outlives_its_last_run(
    seconds: float, ran: float, kinds: list[CauseKind]
) -> None:
    ended = ends(1, seconds=seconds + 20, ran=ran)
    web = new((*APP, "image"), "shop:2", runs(ready=False, seconds=seconds, restarts=2, ended=ended))
    assert [each.kind for each in web.unhealthy("web-new-1", count=30).causes()] == kinds


@pytest.mark.parametrize(
    ("line", "told"), [("x509: certificate has expired: failed", True), ("GET /ready 503", False)], ids=["error", "any"]
)
def test_an_error_in_the_log_of_a_container_that_runs_unready_stands_in_its_cause(line: str, told: bool) -> None:
    others = LogFacts(pod="web-good-1", container="metrics", line="fatal: another container's")
    logs = (others, LogFacts(pod="web-good-1", container="app", line=line))
    web = Workload().also(running_logs=logs)
    web.pods[0] = web.pod("web-good-1", "7d9f", app=runs(ready=False, seconds=600))
    web.unhealthy("web-good-1", count=30)
    says = f"; its log says: {line}" if told else ""
    expected = f"container app fails its readiness probe: HTTP probe failed with statuscode: 503{says}"
    assert web.causes()[0].text == expected


GATES = (("spec", "readinessGates"), [{"conditionType": "shop.test/checked"}])
WAITS_FOR_GATE = {"status": "False", "reason": "ReadinessGatesNotReady", "message": "the status of it is not True"}


def test_a_pod_that_waits_for_a_condition_which_is_false_says_which_and_why() -> None:
    web = new(*GATES, runs(seconds=300))
    conditions = web.pods[-1]["status"]["conditions"]
    conditions[0] |= WAITS_FOR_GATE
    gate = {"type": "shop.test/checked", "status": "False", "reason": "Unregistered", "message": "no target group"}
    conditions.append(gate)
    (cause,) = web.causes()
    assert row(cause) == (CauseKind.READINESS_GATE, "deployment/web", "readinessGates[shop.test/checked]", CERTAIN)
    assert cause.text.endswith("which the pod waits for, is False (Unregistered: no target group)")
    gate["status"] = "True"
    assert web.causes() == ()


def test_a_readiness_gate_has_the_start_up_that_a_pod_may_take() -> None:
    web = new(*GATES, runs(seconds=100))
    since = web.pods[-1]["metadata"]["creationTimestamp"]
    web.pods[-1]["status"]["conditions"][0] |= {**WAITS_FOR_GATE, "lastTransitionTime": since}
    assert web.also(start_up=timedelta(minutes=10)).causes() == ()
    kinds = [each.kind for each in web.also(start_up=timedelta(minutes=1)).causes()]
    assert kinds == [CauseKind.READINESS_GATE]


def test_a_container_that_has_just_started_is_not_unready_yet() -> None:
    web = old(runs(ready=False, seconds=20)).unhealthy("web-good-3", count=2)
    web.pods[0]["status"]["conditions"][0]["lastTransitionTime"] = web.pods[0]["metadata"]["creationTimestamp"]
    assert web.causes() == ()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["listening", "ERROR no database", "bye"], "ERROR no database"),
        (["one", "two", "  "], "two"),
        ([], ""),
    ],
)
def test_the_telling_line_of_a_log_is_the_last_that_says_what_went_wrong(lines: list[str], told: str) -> None:
    assert error_line(lines) == told
