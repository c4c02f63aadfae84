"""PodCreation: a pod is refused before it is there, by a quota, a limit range, a webhook, a service account or pod security."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from kubediagnosis import evidence_items, last_change, words
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem
from kubediagnosis.facts import WorkloadFacts
from kubediagnosis.words import CreationRefusal

LATELY = timedelta(minutes=20)
"""Controllers try again at the latest after 1000 s (k8s.io/client-go/util/workqueue): an older Event is over."""

_CONDITION = "ReplicaFailure"
_REASON = "FailedCreate"


def pod_creation(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find what refuses the pods that are asked for: by the controller's condition, else by its Events while pods lack."""
    for said, seen in _messages(facts):
        refusal, names = words.creation_refusal(said)
        yield _cause(facts, refusal, names, (said, seen))


def _messages(facts: WorkloadFacts) -> Iterator[tuple[str, EvidenceItem]]:
    failed = [(holder, each) for holder, each in facts.conditions if each.type == _CONDITION and each.status == "True"]
    for holder, condition in failed[:1]:
        yield (
            condition.message,
            evidence_items.field(
                holder, f"status.conditions[{_CONDITION}]", condition.message, condition.last_transition_time
            ),
        )
    if failed or len(last_change.living(facts)) >= facts.desired:
        return
    event = evidence_items.newest(
        each
        for each in facts.events
        if each.reason == _REASON and each.at is not None and facts.now - each.at <= LATELY
    )
    if event is not None:
        yield event.message, evidence_items.event_item(event)


def _cause(
    facts: WorkloadFacts, refusal: CreationRefusal, names: Mapping[str, str], message: tuple[str, EvidenceItem]
) -> Cause:
    said, seen = message
    holder, field, confidence = _blamed(facts, refusal, names)
    return Cause(
        kind=CauseKind.CERTIFICATE if refusal is CreationRefusal.WEBHOOK_EXPIRED else CauseKind.POD_CREATION,
        object=holder,
        field=field,
        confidence=confidence,
        text=f"a required pod cannot be created: {evidence_items.short(said, 300)}",
        evidence=(seen,),
    )


def _blamed(facts: WorkloadFacts, refusal: CreationRefusal, names: Mapping[str, str]) -> tuple[str, str, Confidence]:
    """Return object, field and confidence: the template's where it came to ask for this only now, else who refuses."""
    name, resource = names.get("name", ""), names.get("resource", "")
    changed = last_change.suspected(facts)
    match refusal:
        case CreationRefusal.QUOTA | CreationRefusal.QUOTA_WANTS:
            if own := _asks(changed, resource):
                return facts.reference, own, Confidence.CERTAIN
            return f"resourcequota/{name}", f"spec.hard[{resource}]", Confidence.CERTAIN
        case CreationRefusal.LIMIT_RANGE:
            asked = f"{names.get('bound', 'limit')}s.{resource}"
            own = _asks(changed, asked)
            return facts.reference, own, Confidence.CERTAIN if own else Confidence.LIKELY
        case CreationRefusal.SERVICE_ACCOUNT:
            if "serviceAccountName" in changed:
                return facts.reference, "serviceAccountName", Confidence.CERTAIN
            return f"serviceaccount/{name}", "", Confidence.CERTAIN
        case CreationRefusal.POD_SECURITY:
            own = next((each for each in changed if "securityContext" in each or each.startswith("host")), "")
            if own or changed:
                return facts.reference, own, Confidence.LIKELY
            field = "metadata.labels[pod-security.kubernetes.io/enforce]"
            return f"namespace/{facts.namespace}", field, Confidence.CERTAIN
        case CreationRefusal.WEBHOOK_FAILED | CreationRefusal.WEBHOOK_EXPIRED | CreationRefusal.WEBHOOK_DENIED:
            holder = _webhook(facts, name)
            sure = bool(holder) and refusal is not CreationRefusal.WEBHOOK_DENIED  # who denies may be right
            return holder, f"webhooks[{name}]", Confidence.CERTAIN if sure else Confidence.LIKELY
        case CreationRefusal.OTHER:
            return facts.reference, "", Confidence.LIKELY


def _webhook(facts: WorkloadFacts, name: str) -> str:
    """Return the configuration that has a webhook of this name; which one it is, the refusal does not say."""
    found = [each.reference for each in facts.webhooks if name in each.names]
    return found[0] if len(found) == 1 else ""


def _asks(changed: tuple[str, ...], resource: str) -> str:
    """Return the changed field by which a template asks for a resource of a quota or limit range; "" where none does."""
    wanted = resource if "." in resource else f"requests.{resource}"
    return next((each for each in changed if each.endswith(f".resources.{wanted}")), "")
