"""Which remedy fits a cause: what is taken back at once, what waits, what is restarted and what is a person's."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kintsugi.decisions.remedies import remedy
from kintsugi.model.remedies import KeptTemplateFacts, RemedyKind, RevisionFacts, WorkloadState
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis, EvidenceItem, EvidenceSource, RegistryAnswer

WEB, NEW_POD, OLD_POD = "deployment/web", "pod/web-new-1", "pod/web-old-1"
IMAGE = "containers[web].image"
NO_STATE = WorkloadState()
REVISIONS = RevisionFacts(revision=4, good=3, changed=(IMAGE,), pods=frozenset({NEW_POD}))


def of(pod: str) -> tuple[EvidenceItem, ...]:
    """Return what was read of a pod."""
    return (EvidenceItem(source=EvidenceSource.FIELD, object=pod, field="status", text="waits"),)


def image(registry: RegistryAnswer = RegistryAnswer.NOT_FOUND, pod: str = NEW_POD) -> Cause:
    """Return that an image cannot be had."""
    return Cause(
        kind=CauseKind.IMAGE_PULL,
        object=WEB,
        field=IMAGE,
        confidence=Confidence.CERTAIN,
        text="container web cannot pull image shop:2.1",
        evidence=of(pod),
        registry=registry,
    )


def cause(kind: CauseKind, object_: str = WEB, field: str = IMAGE) -> Cause:
    """Return another cause, of a pod of the new template."""
    return Cause(
        kind=kind, object=object_, field=field, confidence=Confidence.LIKELY, text="it ends", evidence=of(NEW_POD)
    )


def diagnosis(*causes: Cause) -> Diagnosis:
    """Return what was found."""
    return Diagnosis(
        object=WEB, namespace="production", at=datetime(2026, 11, 27, tzinfo=UTC), summary="", causes=causes
    )


def kind(*causes: Cause, facts: RevisionFacts = REVISIONS, state: WorkloadState = NO_STATE) -> RemedyKind:
    """Return the word for what helps."""
    return remedy(diagnosis(*causes), facts, state).kind


REFUSED = (
    RegistryAnswer.NOT_FOUND,
    RegistryAnswer.DENIED,
    RegistryAnswer.UNAUTHORIZED,
    RegistryAnswer.INVALID_NAME,
)


@pytest.mark.parametrize("registry", RegistryAnswer)
def test_an_image_is_taken_back_at_once_only_where_the_registry_refuses_it_for_good(registry: RegistryAnswer) -> None:
    assert kind(image(registry)) is (RemedyKind.ROLL_BACK if registry in REFUSED else RemedyKind.WAIT)


def test_a_template_that_was_good_before_is_not_taken_back() -> None:
    found = remedy(diagnosis(image()), replace(REVISIONS, known_good=True))
    assert found.kind is RemedyKind.HAND_OVER
    assert "revision 4 was seen good before" in found.reason


def test_a_template_is_not_taken_back_to_nothing() -> None:
    why = "no revision was seen good yet: healthy since 01:43:00, 10m are required"
    found = remedy(diagnosis(image()), replace(REVISIONS, good=0, none_good=why))
    assert found.kind is RemedyKind.HAND_OVER
    assert f"since {why}" in found.reason


@pytest.mark.parametrize("release", ["", "shop"])
def test_a_revision_that_was_adopted_is_named_so_where_it_is_gone_back_to(release: str) -> None:
    found = remedy(diagnosis(image()), replace(REVISIONS, adopted=True, release=release))
    assert "revision 3 was adopted as good" in found.reason


def test_a_workload_that_somebody_else_keeps_as_it_is_is_a_person_s() -> None:
    found = remedy(diagnosis(image()), replace(REVISIONS, managers=("Argo CD shop",)))
    assert found.kind is RemedyKind.HAND_OVER
    assert "Argo CD shop" in found.reason


def test_a_helm_release_is_taken_back_by_approval_with_helm_s_own_command_beside_it() -> None:
    found = remedy(diagnosis(image()), replace(REVISIONS, release="shop"))
    assert found.kind is RemedyKind.ROLL_BACK_ASKED
    assert "helm rollback shop -n production" in found.reason


def test_a_template_is_not_taken_back_while_an_upstream_is_not_well() -> None:
    assert kind(image(), facts=replace(REVISIONS, upstream="database")) is RemedyKind.WAIT


KEPT = replace(REVISIONS, good=0, kept=KeptTemplateFacts(difference="image shop:2.0 instead of image shop:2.1"))


def test_a_template_that_only_the_ledger_has_is_gone_back_to_by_approval() -> None:
    found = remedy(diagnosis(image()), KEPT)
    assert found.kind is RemedyKind.ROLL_BACK_ASKED
    assert "the ledger has the last good template (image shop:2.0 instead of image shop:2.1)" in found.reason


def test_a_template_of_which_values_are_not_kept_is_a_person_s_and_they_are_named() -> None:
    kept = KeptTemplateFacts(difference="", missing=("containers[web].env[TOKEN]", "containers[web].args"))
    found = remedy(diagnosis(image()), replace(KEPT, kept=kept))
    assert found.kind is RemedyKind.HAND_OVER
    assert "lacks the values of containers[web].env[TOKEN], containers[web].args" in found.reason


def test_a_template_that_only_the_ledger_has_is_not_gone_back_to_for_what_may_pass() -> None:
    assert kind(image(RegistryAnswer.BUSY), facts=KEPT) is RemedyKind.WAIT
    assert kind(image(), facts=replace(KEPT, upstream="database")) is RemedyKind.WAIT
    assert kind(image(), facts=replace(KEPT, managers=("Argo CD shop",))) is RemedyKind.HAND_OVER


def test_an_image_that_the_good_revision_has_too_is_not_mended_by_going_back() -> None:
    other = replace(REVISIONS, changed=("containers[web].env[A]",))
    assert kind(image(), facts=other) is RemedyKind.HAND_OVER


def test_a_pod_of_an_earlier_template_says_nothing_of_the_one_in_force() -> None:
    assert kind(image(pod=OLD_POD)) is RemedyKind.HAND_OVER


@pytest.mark.parametrize(
    "each", [CauseKind.CONTAINER_EXIT, CauseKind.OUT_OF_MEMORY, CauseKind.LIVENESS_PROBE, CauseKind.READINESS_PROBE]
)
def test_a_template_that_broke_it_is_taken_back_and_a_pod_of_its_own_fault_restarted(each: CauseKind) -> None:
    assert kind(cause(each)) is RemedyKind.ROLL_BACK
    assert kind(cause(each, "pod/web-new-1", "containers[web]")) is RemedyKind.RESTART


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
    assert kind(cause(each, object_, field)) is RemedyKind.HAND_OVER


@pytest.mark.parametrize("each", [CauseKind.UPSTREAM, CauseKind.OBSERVER])
def test_a_cause_that_lies_elsewhere_is_waited_for(each: CauseKind) -> None:
    assert kind(cause(each, "deployment/api", "")) is RemedyKind.WAIT


@pytest.mark.parametrize(
    ("changed", "helps"),
    [
        ("containers[web].command", RemedyKind.ROLL_BACK),
        ("containers[web].image", RemedyKind.ROLL_BACK),
        ("containers[web].env[CACHE]", RemedyKind.ROLL_BACK),
        ("containers[web].readinessProbe.httpGet.path", RemedyKind.RESTART),
        ("containers[website].command", RemedyKind.RESTART),
    ],
)
def test_a_change_of_what_a_container_runs_explains_that_its_memory_is_no_longer_enough(
    changed: str, helps: RemedyKind
) -> None:
    field = "containers[web].resources.limits.memory"
    assert kind(cause(CauseKind.OUT_OF_MEMORY, field=field), facts=replace(REVISIONS, changed=(changed,))) is helps


@pytest.mark.parametrize(
    ("field", "shown", "serving", "helps"),
    [
        ("initContainers[wait]", "state.terminated", ("web-1",), RemedyKind.WAIT),
        ("initContainers[migrate].image", "state.running.startedAt", ("web-1",), RemedyKind.WAIT),
        ("initContainers[migrate].image", "state.running.startedAt", (), RemedyKind.ROLL_BACK_ASKED),
        ("initContainers[migrate].image", "state.terminated", (), RemedyKind.ROLL_BACK),
    ],
)
def test_an_init_container_that_only_hangs_is_given_until_the_deadline_unless_no_pod_serves(
    field: str, shown: str, serving: tuple[str, ...], helps: RemedyKind
) -> None:
    new = replace(REVISIONS, changed=("initContainers[wait]", "initContainers[migrate].image"))
    seen = tuple(replace(each, field=f"status.initContainerStatuses[migrate].{shown}") for each in of(NEW_POD))
    found = replace(cause(CauseKind.INIT_CONTAINER, field=field), evidence=seen)
    assert kind(found, facts=new, state=WorkloadState(serving=serving)) is helps


@pytest.mark.parametrize("each", [CauseKind.IMAGE_PULL, CauseKind.CONTAINER_EXIT])
def test_a_paused_rollout_is_not_taken_back(each: CauseKind) -> None:
    """`kubectl rollout undo` is refused while a rollout is paused."""
    assert kind(cause(each), facts=replace(REVISIONS, paused=True)) is RemedyKind.HAND_OVER


def test_a_port_that_was_renamed_is_not_taken_back_at_once() -> None:
    new = replace(REVISIONS, changed=("containers[web].ports[http].name",))
    assert kind(cause(CauseKind.SERVICE_ROUTING, field="containers[web].ports[http].name"), facts=new) is (
        RemedyKind.WAIT
    )


def test_a_restart_is_tried_where_no_cause_is_known_but_of_a_template_that_was_never_good() -> None:
    assert kind(facts=replace(REVISIONS, known_good=True)) is RemedyKind.RESTART
    assert kind(facts=RevisionFacts(revision=1)) is RemedyKind.RESTART
    assert kind() is RemedyKind.WAIT


def test_a_template_is_not_taken_back_at_once_for_what_only_events_say() -> None:
    """Whoever may create Events in a namespace can write the kubelet's."""
    event = EvidenceItem(source=EvidenceSource.EVENT, object=NEW_POD, field="Killing", text="failed liveness probe")
    found = replace(cause(CauseKind.LIVENESS_PROBE), evidence=(event,))
    assert kind(found) is RemedyKind.WAIT
    assert kind(replace(found, evidence=(event, *of(NEW_POD)))) is RemedyKind.ROLL_BACK
