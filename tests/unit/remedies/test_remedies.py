"""Which remedy fits a cause: what is taken back at once, what waits, what is restarted, moved or enlarged, and what is a person's."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from kintsugi.decisions.remedies import remedy
from kintsugi.model.remedies import (
    ClaimSize,
    ContainerMemory,
    KeptTemplateFacts,
    Remedy,
    RemedyKind,
    RevisionFacts,
    WorkloadState,
)
from kintsugi.model.services import NOTHING_ALLOWED, MaxAllowed
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis, EvidenceItem, EvidenceSource, RegistryAnswer

CERTAIN, LIKELY = Confidence.CERTAIN, Confidence.LIKELY
HAND_OVER, WAIT, RESTART = RemedyKind.HAND_OVER, RemedyKind.WAIT, RemedyKind.RESTART
ROLL_BACK, ROLL_BACK_ASKED = RemedyKind.ROLL_BACK, RemedyKind.ROLL_BACK_ASKED
CANARY, MOVE_PODS, RAISE = RemedyKind.RESTART_CANARY, RemedyKind.MOVE_PODS, RemedyKind.RAISE_MEMORY

WEB, NEW_POD, OLD_POD = "deployment/web", "pod/web-new-1", "pod/web-old-1"
IMAGE = "containers[web].image"
NEW = RevisionFacts(revision=4, good=3, changed=(IMAGE,), pods=frozenset({NEW_POD}))
"""The revision in force is new, and the one before it was good."""
GOOD = RevisionFacts(revision=4, known_good=True)
NO_STATE = WorkloadState(failing=("web-1",))
THREE = WorkloadState(serving=("web-1", "web-2", "web-3"), replicas=3)
ONE = WorkloadState(serving=("web-1",), replicas=1)
NONE = WorkloadState(failing=("web-1", "web-2", "web-3"), replicas=3)


def cause(
    kind: CauseKind, object_: str = WEB, field: str = "", shown_by: Collection[str] = (NEW_POD,), seen: str = "status"
) -> Cause:
    """Return a cause that a field of these objects shows."""
    evidence = tuple(EvidenceItem(source=EvidenceSource.FIELD, object=each, field=seen, text="") for each in shown_by)
    return Cause(kind=kind, object=object_, field=field, confidence=LIKELY, text="it is so", evidence=evidence)


def image(registry: RegistryAnswer = RegistryAnswer.NOT_FOUND, pod: str = NEW_POD) -> Cause:
    """Return that an image cannot be had."""
    found = cause(CauseKind.IMAGE_PULL, field=IMAGE, shown_by=[pod])
    return replace(found, confidence=CERTAIN, registry=registry)


def helps(*causes: Cause, facts: RevisionFacts = NEW, state: WorkloadState = NO_STATE, workload: str = WEB) -> Remedy:
    """Return what helps a workload."""
    causes = tuple(replace(each, object=workload) if each.object == WEB else each for each in causes)
    at = datetime(2026, 11, 27, tzinfo=UTC)
    return remedy(Diagnosis(object=workload, namespace="production", at=at, summary="", causes=causes), facts, state)


class Case(NamedTuple):
    """A cause, what fits it, what the reason says, and what is so besides."""

    found: Cause
    kind: RemedyKind
    why: str = ""
    facts: RevisionFacts = GOOD
    state: WorkloadState = THREE
    workload: str = WEB
    name: str = ""

    def check(self) -> None:
        """Ask for the remedy."""
        found = helps(self.found, facts=self.facts, state=self.state, workload=self.workload)
        assert (found.kind, found.name if self.name else "") == (self.kind, self.name)
        assert self.why in found.reason


REFUSED = (
    RegistryAnswer.NOT_FOUND,
    RegistryAnswer.DENIED,
    RegistryAnswer.UNAUTHORIZED,
    RegistryAnswer.INVALID_NAME,
)


@pytest.mark.parametrize("registry", RegistryAnswer)
def test_an_image_is_taken_back_at_once_only_where_the_registry_refuses_it_for_good(registry: RegistryAnswer) -> None:
    assert helps(image(registry)).kind is (ROLL_BACK if registry in REFUSED else WAIT)


NEVER_GOOD = "no revision was seen good yet: healthy since 01:43:00, 10m are required"
ADOPTED = "revision 3 was adopted as good"
KEPT = replace(NEW, good=0, kept=KeptTemplateFacts(difference="image shop:2.0 instead of image shop:2.1"))
LACKS = KeptTemplateFacts(difference="", missing=("containers[web].env[TOKEN]", "containers[web].args"))
BUSY = image(RegistryAnswer.BUSY)
PORT = cause(CauseKind.SERVICE_ROUTING, field="containers[web].ports[http].name")
RENAMED = replace(NEW, changed=(PORT.field,))
TEMPLATES = {
    "a template that was good before stays": Case(
        image(), HAND_OVER, "revision 4 was seen good before", replace(NEW, known_good=True)
    ),
    "nothing is taken back to nothing": Case(
        image(), HAND_OVER, f"since {NEVER_GOOD}", replace(NEW, good=0, none_good=NEVER_GOOD)
    ),
    "a revision that was adopted is named so": Case(image(), ROLL_BACK, ADOPTED, replace(NEW, adopted=True)),
    "also in a Helm release": Case(image(), ROLL_BACK_ASKED, ADOPTED, replace(NEW, adopted=True, release="shop")),
    "a workload of somebody else is a person's": Case(
        image(), HAND_OVER, "Argo CD shop", replace(NEW, managers=("Argo CD shop",))
    ),
    "a Helm release is asked about, with Helm's own command": Case(
        image(), ROLL_BACK_ASKED, "helm rollback shop -n production", replace(NEW, release="shop")
    ),
    "an upstream that is not well is waited for": Case(image(), WAIT, "", replace(NEW, upstream="database")),
    "a template that only the ledger has is asked about": Case(
        image(), ROLL_BACK_ASKED, "has the last good template (image shop:2.0 instead of image shop:2.1)", KEPT
    ),
    "values that are not kept are named to a person": Case(
        image(),
        HAND_OVER,
        "lacks the values of containers[web].env[TOKEN], containers[web].args",
        replace(KEPT, kept=LACKS),
    ),
    "a kept template is not for what may pass": Case(BUSY, WAIT, "", KEPT),
    "nor while an upstream is not well": Case(image(), WAIT, "", replace(KEPT, upstream="database")),
    "nor for a workload of somebody else": Case(image(), HAND_OVER, "", replace(KEPT, managers=("Argo CD shop",))),
    "an image that the good revision has, too": Case(
        image(), HAND_OVER, "", replace(NEW, changed=("containers[web].env[A]",))
    ),
    "a pod of an earlier template says nothing of this one": Case(image(pod=OLD_POD), HAND_OVER, "", NEW),
    "kubectl cannot undo a paused rollout": Case(image(), HAND_OVER, "", replace(NEW, paused=True)),
    "also where a container ends": Case(
        cause(CauseKind.CONTAINER_EXIT, field=IMAGE), HAND_OVER, "", replace(NEW, paused=True)
    ),
    "a port that a Service may miss is waited for": Case(PORT, WAIT, "", RENAMED),
    "a port that a Service certainly misses is taken back at once": Case(
        replace(PORT, confidence=CERTAIN), ROLL_BACK, "", RENAMED
    ),
    "an upstream is waited for": Case(cause(CauseKind.UPSTREAM, "deployment/api"), WAIT, "", NEW),
    "an observer is waited for": Case(cause(CauseKind.OBSERVER, "deployment/api"), WAIT, "", NEW),
}


@pytest.mark.parametrize("case", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_is_taken_back_only_where_that_helps_and_is_ours_to_do(case: Case) -> None:
    case.check()


@pytest.mark.parametrize(
    "each", [CauseKind.CONTAINER_EXIT, CauseKind.OUT_OF_MEMORY, CauseKind.STARTUP_PROBE, CauseKind.READINESS_PROBE]
)
def test_a_template_that_broke_it_is_taken_back_and_a_pod_of_its_own_fault_restarted(each: CauseKind) -> None:
    assert helps(cause(each, field=IMAGE)).kind is ROLL_BACK
    assert helps(cause(each, "pod/web-new-1", "containers[web]")).kind is RESTART


@pytest.mark.parametrize(
    ("each", "object_", "field"),
    [
        (CauseKind.MISSING_CONFIGURATION, "configmap/settings", ""),
        (CauseKind.UNSCHEDULABLE, WEB, "containers[web].resources.requests.cpu"),
        (CauseKind.POD_CREATION, "resourcequota/few", "spec.hard[pods]"),
        (CauseKind.VOLUME, "persistentvolumeclaim/data", "status.phase"),
        (CauseKind.NODE, "node/a", "spec.unschedulable"),
        (CauseKind.SCALED_TO_ZERO, WEB, "spec.replicas"),
        (CauseKind.SERVICE_ROUTING, "service/web", "spec.selector[app]"),
        (CauseKind.CERTIFICATE, "validatingwebhookconfiguration/guard", "webhooks[guard]"),
        (CauseKind.FINALIZER, "pod/web-1", "metadata.finalizers"),
        (CauseKind.POD_TERMINATION, "pod/web-1", "metadata.deletionGracePeriodSeconds"),
        (CauseKind.PAUSED_ROLLOUT, "deployment/web", "spec.paused"),
        (CauseKind.NAME_RESOLUTION, "deployment/coredns", ""),
        (CauseKind.NETWORK_POLICY, "networkpolicy/deny", "spec.ingress"),
        (CauseKind.AUTOSCALER, "horizontalpodautoscaler/web", "spec.maxReplicas"),
        (CauseKind.DISRUPTION_BUDGET, "poddisruptionbudget/web", "spec.minAvailable"),
    ],
)
def test_a_cause_beyond_a_restart_is_handed_over(each: CauseKind, object_: str, field: str) -> None:
    assert helps(cause(each, object_, field)).kind is HAND_OVER


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ("containers[web].command", ROLL_BACK),
        ("containers[web].image", ROLL_BACK),
        ("containers[web].env[CACHE]", ROLL_BACK),
        ("containers[web].readinessProbe.httpGet.path", RESTART),
        ("containers[website].command", RESTART),
    ],
)
def test_a_change_of_what_a_container_runs_explains_that_its_memory_is_no_longer_enough(
    changed: str, kind: RemedyKind
) -> None:
    found = cause(CauseKind.OUT_OF_MEMORY, field="containers[web].resources.limits.memory")
    assert helps(found, facts=replace(NEW, changed=(changed,))).kind is kind


@pytest.mark.parametrize(
    ("field", "shown", "serving", "kind"),
    [
        ("initContainers[wait]", "state.terminated", ("web-1",), WAIT),
        ("initContainers[migrate].image", "state.running.startedAt", ("web-1",), WAIT),
        ("initContainers[migrate].image", "state.running.startedAt", (), ROLL_BACK_ASKED),
        ("initContainers[migrate].image", "state.terminated", (), ROLL_BACK),
    ],
)
def test_an_init_container_that_only_hangs_is_given_until_the_deadline_unless_no_pod_serves(
    field: str, shown: str, serving: tuple[str, ...], kind: RemedyKind
) -> None:
    facts = replace(NEW, changed=("initContainers[wait]", "initContainers[migrate].image"))
    found = cause(CauseKind.INIT_CONTAINER, field=field, seen=f"status.initContainerStatuses[migrate].{shown}")
    assert helps(found, facts=facts, state=WorkloadState(serving=serving)).kind is kind


def test_a_restart_is_tried_where_no_cause_is_known_but_of_a_template_that_was_never_good() -> None:
    assert helps(facts=replace(NEW, known_good=True)).kind is RESTART
    assert helps(facts=RevisionFacts(revision=1)).kind is RESTART
    assert helps(facts=RevisionFacts(revision=1), state=THREE).kind is WAIT
    assert helps().kind is WAIT


def test_a_template_is_not_taken_back_at_once_for_what_only_events_say() -> None:
    """Whoever may create Events in a namespace can write the kubelet's."""
    event = EvidenceItem(source=EvidenceSource.EVENT, object=NEW_POD, field="Killing", text="failed liveness probe")
    found = cause(CauseKind.LIVENESS_PROBE, field=IMAGE)
    assert helps(replace(found, evidence=(event,))).kind is WAIT
    assert helps(replace(found, evidence=(event, *found.evidence))).kind is ROLL_BACK


SILENT = cause(CauseKind.NOT_ANSWERING, shown_by=())
STALE = cause(CauseKind.STALE_CONFIGURATION, "secret/login", "data[password]", shown_by=["secret/login", "pod/web-2"])
UNREADY = cause(CauseKind.READINESS_PROBE, field="containers[web].readinessProbe")
KILLED = cause(CauseKind.LIVENESS_PROBE, shown_by=["pod/web-1"])
STOPPED = cause(CauseKind.SCALED_TO_ZERO, field="spec.replicas")
LOST = cause(CauseKind.NODE, "node/a", "status.conditions[Ready]")
PRESSED = cause(CauseKind.NODE, "node/a", "status.conditions[DiskPressure]")
ARGO = replace(GOOD, managers=("Argo CD shop",))


def tried(kind: RemedyKind, state: WorkloadState = THREE) -> WorkloadState:
    """Return a state in which a remedy was tried before."""
    return replace(state, tried=frozenset({kind}))


PODS = {
    "one of the ready pods that do not answer is restarted first": Case(SILENT, CANARY, name="web-1"),
    "one that began before the configuration changed": Case(STALE, CANARY, name="web-2"),
    "a configuration that is wrong is mended by no restart": Case(
        cause(CauseKind.NOT_ANSWERING, "configmap/settings", "data[url]", ()),
        HAND_OVER,
        "a restart of deployment/web does not help",
    ),
    "of pods that alone do not answer only those are restarted": Case(
        cause(CauseKind.NOT_ANSWERING, "pod/web-2", "", ["pod/web-2"]), CANARY, "no other pod is", name="web-2"
    ),
    "pods of another workload behind the Service are left to a person": Case(
        cause(CauseKind.NOT_ANSWERING, "deployment/web-next", "spec.template", ["pod/next-1"]), HAND_OVER
    ),
    "one of the pods that fail readiness is restarted first": Case(UNREADY, RESTART, state=NONE, name="web-1"),
    "no pod whose container uses all the CPU that its template allows": Case(
        replace(UNREADY, field="containers[web].resources.limits.cpu"), HAND_OVER, "the same limit", state=NONE
    ),
    "a template that was never good is not excused by that": Case(
        replace(UNREADY, field="containers[web].resources.limits.cpu"), RESTART, facts=NEW, state=NONE
    ),
    "one that shows the cause": Case(
        cause(CauseKind.CONTAINER_EXIT, shown_by=["pod/web-2"]), RESTART, state=NONE, name="web-2"
    ),
    "not once more": Case(UNREADY, HAND_OVER, "restart was tried before", state=tried(RESTART, NONE)),
    "nor in another way": Case(UNREADY, HAND_OVER, f"{CANARY} was tried before", state=tried(CANARY, NONE)),
    "not while an upstream is not well": Case(UNREADY, WAIT, facts=replace(GOOD, upstream="db"), state=NONE),
    "a program that a wrong value of a ConfigMap ends": Case(
        cause(CauseKind.CONTAINER_EXIT, "configmap/settings", "data[currency]"), HAND_OVER, state=NONE
    ),
    "what fails its liveness probe is restarted by its kubelet": Case(KILLED, HAND_OVER, state=NONE),
    "the only ready pod is ended after its successor is": Case(SILENT, RemedyKind.ROLLOUT_RESTART, state=ONE),
    "a StatefulSet has no successor before": Case(
        SILENT,
        HAND_OVER,
        "kubectl rollout restart statefulset/web -n production",
        state=ONE,
        workload="statefulset/web",
    ),
    "nobody stamps the template of somebody else": Case(SILENT, HAND_OVER, facts=ARGO, state=ONE),
    "but a pod of it is restarted": Case(SILENT, CANARY, facts=ARGO),
    "a DaemonSet's ready pod is left alone": Case(SILENT, HAND_OVER, workload="daemonset/web"),
    "no restart while an upstream is not well": Case(SILENT, WAIT, facts=replace(GOOD, upstream="database")),
    "no canary twice": Case(SILENT, HAND_OVER, f"{CANARY} was tried before and did not help", state=tried(CANARY)),
    "no restart of the only pod twice": Case(
        SILENT,
        HAND_OVER,
        f"{RemedyKind.ROLLOUT_RESTART} was tried before and did not help",
        state=tried(RemedyKind.ROLLOUT_RESTART, ONE),
    ),
    "what was scaled to zero is scaled back by approval": Case(STOPPED, RemedyKind.SCALE_BACK_ASKED),
    "not to an unknown number": Case(
        STOPPED, HAND_OVER, "the earlier number of replicas is unknown", state=replace(THREE, replicas=None)
    ),
    "not what an autoscaler may let rest": Case(
        STOPPED,
        HAND_OVER,
        "ScaledObject web may let it rest",
        state=replace(THREE, rests="ScaledObject web may let it rest"),
    ),
    "not what another manages": Case(
        STOPPED, HAND_OVER, "Argo CD shop manages the workload and would undo a scale", facts=ARGO
    ),
    "not twice": Case(STOPPED, HAND_OVER, "did not help", state=tried(RemedyKind.SCALE_BACK_ASKED)),
    "pods are moved from a node that does not report": Case(LOST, MOVE_PODS, "kubectl uncordon a", name="a"),
    "from one under pressure": Case(PRESSED, MOVE_PODS, name="a"),
    "from one whose pods fail": Case(cause(CauseKind.NODE, "node/a"), MOVE_PODS, name="a"),
    "a StatefulSet's pod stays where it may still run": Case(LOST, HAND_OVER, workload="statefulset/web"),
    "a StatefulSet's pod is moved from pressure": Case(PRESSED, MOVE_PODS, workload="statefulset/web"),
    "a DaemonSet's pods belong to their node": Case(PRESSED, HAND_OVER, workload="daemonset/web"),
    "a person's cordon is a person's": Case(cause(CauseKind.NODE, "node/a", "spec.unschedulable"), HAND_OVER),
    "pods are not moved twice": Case(PRESSED, HAND_OVER, state=tried(MOVE_PODS)),
}


@pytest.mark.parametrize("case", PODS.values(), ids=PODS)
def test_pods_whose_template_is_not_at_fault_are_helped_as_they_are_and_not_twice(case: Case) -> None:
    case.check()


def test_no_pod_is_restarted_beside_an_upstream_that_is_a_cause_too() -> None:
    upstream = cause(CauseKind.UPSTREAM, "deployment/api", shown_by=())
    assert helps(UNREADY, upstream, facts=GOOD, state=NONE).kind is WAIT
    assert helps(UNREADY, replace(upstream, is_warning=True), facts=GOOD, state=NONE).kind is RESTART


FIELD = "containers[app].resources.limits.memory"


def ended(*pods: str) -> Cause:
    """Return that these pods were ended at their limit of memory."""
    seen = "status.containerStatuses[app].lastState.terminated"
    found = cause(CauseKind.OUT_OF_MEMORY, field=FIELD, shown_by=[f"pod/{each}" for each in pods], seen=seen)
    return replace(found, confidence=CERTAIN)


def has(pod: str, limit: str = "64Mi", request: str = "32Mi", *, pending: str = "") -> ContainerMemory:
    """Return what the container of a pod has."""
    return ContainerMemory(pod=pod, container="app", limit=limit, request=request, pending=pending)


TWO = WorkloadState(failing=("web-1",), memory=(has("web-1"), has("web-2")), max_allowed=MaxAllowed(memory="1Gi"))
SET = "kubectl set resources deployment/web -c app --limits=memory=164Mi"


def raised(state: WorkloadState = TWO, *pods: str) -> Remedy:
    """Return what helps pods of a good template that are ended at their limit."""
    return helps(ended(*(pods or ("web-1",))), facts=GOOD, state=state)


def test_a_limit_is_raised_in_all_pods_that_have_the_same_until_they_are_replaced() -> None:
    found = raised()
    assert (found.kind, found.name, found.amount, found.request) == (RAISE, "app", "164Mi", "32Mi")
    assert found.pods == ("web-1", "web-2")
    assert [
        each for each in ("until its pods are replaced", FIELD, f"{SET} -n production") if each not in found.reason
    ] == []


@pytest.mark.parametrize(
    ("limit", "amount"),
    [("64Mi", "164Mi"), ("500Mi", "600Mi"), ("600Mi", "720Mi"), ("1000M", "1145Mi"), ("900Mi", "1Gi")],
)
def test_a_limit_is_raised_as_the_vertical_pod_autoscaler_would_and_not_above_the_ceiling(
    limit: str, amount: str
) -> None:
    ceiling = MaxAllowed(memory="1Gi" if limit == "900Mi" else "2Gi")
    assert raised(WorkloadState(memory=(has("web-1", limit),), max_allowed=ceiling)).amount == amount


def test_a_pod_that_asks_for_as_much_as_its_limit_stays_of_its_class() -> None:
    found = raised(replace(TWO, memory=(has("web-1", "64Mi", "65536Ki"),)))
    assert (found.amount, found.request) == ("164Mi", "164Mi")
    assert "--requests=memory=164Mi" in found.reason


def test_a_pod_whose_limit_was_raised_already_is_left_as_it_is() -> None:
    state = replace(TWO, memory=(has("web-1"), has("web-2", "164Mi")))
    assert raised(state).pods == ("web-1",)
    assert raised(state, "web-1", "web-2").amount == "264Mi"


DATA = ClaimSize(name="data-0", requested="1Gi", capacity="1Gi", grows=True)
CLAIM = WorkloadState(claims=(DATA,), max_allowed=MaxAllowed(storage="4Gi"))
FULL = cause(CauseKind.VOLUME, "persistentvolumeclaim/data-0", "status.capacity[storage]")


def sized(size: str) -> WorkloadState:
    """Return the state with a claim of this size."""
    return replace(CLAIM, claims=(replace(DATA, requested=size, capacity=size),))


OOM = ended("web-1")
LOWERED = RevisionFacts(revision=5, good=4, changed=(FIELD,), pods=frozenset({"pod/web-1"}))
LIMITS = {
    "no ceiling of memory": Case(
        OOM, HAND_OVER, "declares no maxAllowed.memory", state=replace(TWO, max_allowed=NOTHING_ALLOWED)
    ),
    "a ceiling of storage alone": Case(
        OOM, HAND_OVER, "declares no maxAllowed.memory", state=replace(TWO, max_allowed=MaxAllowed(storage="1Gi"))
    ),
    "the limit is at the ceiling": Case(
        OOM, HAND_OVER, "maxAllowed.memory of 64Mi", state=replace(TWO, max_allowed=MaxAllowed(memory="64Mi"))
    ),
    "the limit was raised before": Case(OOM, HAND_OVER, "was already raised for this cause", state=tried(RAISE, TWO)),
    "the node has no room": Case(
        OOM, HAND_OVER, "(Deferred: no room)", state=replace(TWO, memory=(has("web-1", pending="Deferred: no room"),))
    ),
    "a person has the command": Case(
        OOM, HAND_OVER, f"{SET} -n production", state=replace(TWO, max_allowed=NOTHING_ALLOWED)
    ),
    "it did not certainly end at its limit": Case(replace(OOM, confidence=LIKELY), RESTART, state=TWO),
    "no limit is named": Case(replace(OOM, field="containers[app]"), RESTART, state=TWO),
    "a limit that a new template has lowered is taken back": Case(OOM, ROLL_BACK, facts=LOWERED, state=TWO),
    "a full claim grows by approval": Case(
        FULL, RemedyKind.GROW_CLAIM_ASKED, "cannot be made smaller again", state=CLAIM, name="data-0"
    ),
    "no ceiling of storage": Case(
        FULL, HAND_OVER, "declares no maxAllowed.storage", state=replace(CLAIM, max_allowed=NOTHING_ALLOWED)
    ),
    "a ceiling of memory alone": Case(
        FULL, HAND_OVER, "declares no maxAllowed.storage", state=replace(CLAIM, max_allowed=MaxAllowed(memory="4Gi"))
    ),
    "the claim is at the ceiling": Case(
        FULL, HAND_OVER, "above its service's maxAllowed.storage of 4Gi", state=sized("4Gi")
    ),
    "its class does not expand": Case(
        FULL, HAND_OVER, "does not allow expansion", state=replace(CLAIM, claims=(replace(DATA, grows=False),))
    ),
    "its class is unknown": Case(
        FULL, HAND_OVER, "may not allow expansion", state=replace(CLAIM, claims=(replace(DATA, grows=None),))
    ),
    "it grows already": Case(
        FULL, HAND_OVER, "already requests 2Gi", state=replace(CLAIM, claims=(replace(DATA, requested="2Gi"),))
    ),
    "it grew before": Case(
        FULL, HAND_OVER, "was already enlarged for this cause", state=tried(RemedyKind.GROW_CLAIM_ASKED, CLAIM)
    ),
    "a person has the command for the claim": Case(
        FULL, HAND_OVER, "kubectl patch pvc data-0 -p", state=replace(CLAIM, max_allowed=NOTHING_ALLOWED)
    ),
    "a claim that is lost does not grow": Case(replace(FULL, field="status.phase"), HAND_OVER, state=CLAIM),
}


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS)
def test_a_limit_is_raised_and_a_claim_grows_only_up_to_the_ceiling_of_their_service_and_once(case: Case) -> None:
    case.check()


@pytest.mark.parametrize(("size", "amount"), [("1Gi", "1536Mi"), ("3Gi", "4Gi")])
def test_a_claim_grows_by_half_and_to_the_ceiling_at_most(size: str, amount: str) -> None:
    assert helps(FULL, facts=GOOD, state=sized(size)).amount == amount
