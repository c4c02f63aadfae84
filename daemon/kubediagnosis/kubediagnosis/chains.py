"""Upstream and Observer: the service itself is well, but an upstream is not, or the observer is in doubt."""

from collections.abc import Callable, Iterator, Sequence

from kubediagnosis import answering, evidence_items
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import WorkloadFacts
from kubeobjects import predicates

Found = Callable[[WorkloadFacts], Sequence[Cause]]

PERMANENT = frozenset({CauseKind.AUTOSCALER, CauseKind.DISRUPTION_BUDGET})
"""Causes that hold while a service is well: they explain no problem of a dependent."""

SYMPTOMS = frozenset(
    {
        CauseKind.READINESS_PROBE,
        CauseKind.LIVENESS_PROBE,
        CauseKind.STARTUP_PROBE,
        CauseKind.CONTAINER_EXIT,
        CauseKind.INIT_CONTAINER,
        CauseKind.NOT_ANSWERING,
    }
)
"""The symptoms of a container whose upstream is down; a container that is broken itself shows the same."""

_OF_ANSWERS = frozenset(
    {
        CauseKind.SERVICE_ROUTING,
        CauseKind.NOT_ANSWERING,
        CauseKind.NAME_RESOLUTION,
        CauseKind.UPSTREAM,
        CauseKind.NETWORK_POLICY,
        CauseKind.STALE_CONFIGURATION,
        CauseKind.CERTIFICATE,
    }
)
"""Causes for which ready pods do not answer."""


def upstream(facts: WorkloadFacts, found: Found) -> Iterator[Cause]:
    """Find upstreams that do not serve, each with where its own chain ends: `found` are the causes of one, the likeliest first."""
    if not answering.has_problem(facts):
        return
    for each in facts.upstreams:
        causes = [
            cause for cause in found(each) if cause.kind not in PERMANENT and cause.kind is not CauseKind.OBSERVER
        ]
        first = next(iter(causes), None)
        if first is not None and _is_down(each, first):
            yield _end(facts, each, first)
        elif first is None and not answering.serves(each):
            yield _unexplained(facts, each)
        elif each.declared.serving is False and answering.serves(each):
            routing = next((cause for cause in causes if cause.kind is CauseKind.SERVICE_ROUTING), None)
            yield _end(facts, each, routing) if routing is not None else _unexplained(facts, each)


def without_shared(causes: Sequence[Cause]) -> Sequence[Cause]:
    """Leave out upstreams that are down for what is wrong here as well, as a node that carries both."""
    own = {(each.object, each.field) for each in causes if each.kind is not CauseKind.UPSTREAM}
    return [each for each in causes if each.kind is not CauseKind.UPSTREAM or (each.object, each.field) not in own]


def observer(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find our own sight in doubt: certain where nothing is read, likely where our name server or the path of the checks is suspected."""
    why = facts.declared.observer.stale or facts.declared.observer.doubt
    if why:
        yield Cause(
            kind=CauseKind.OBSERVER,
            object="",
            confidence=Confidence.CERTAIN if facts.declared.observer.stale else Confidence.LIKELY,
            text=f"the observed state is in doubt: {evidence_items.short(why, 300)}",
            evidence=(evidence_items.field("", "observer", why),),
        )


def _is_down(upstream: WorkloadFacts, first: Cause) -> bool:
    """Return whether an upstream does not serve: no pod of it, or what is wrong is how it is reached or answers."""
    return first.kind in _OF_ANSWERS or not answering.serves(upstream)


def _end(facts: WorkloadFacts, upstream: WorkloadFacts, first: Cause) -> Cause:
    """
    Return the end of the chain: the upstream's cause, its workload alone where only a symptom of that is known.

    An Event on the dependent tells the text to whoever may read that namespace: of another one it has the kind alone.
    """
    known = first.kind not in SYMPTOMS
    why = first.text if upstream.namespace == facts.namespace else f"{first.kind}, in namespace {upstream.namespace}"
    return Cause(
        kind=CauseKind.UPSTREAM,
        object=first.object if known else upstream.reference,
        field=first.field if known else "",
        confidence=first.confidence if known and not upstream.is_guessed else Confidence.LIKELY,
        text=f"{_dependency(upstream)}: {why}",
        evidence=first.evidence,
        namespace=first.namespace or _elsewhere(facts, upstream),
    )


def _unexplained(facts: WorkloadFacts, upstream: WorkloadFacts) -> Cause:
    """
    Return the cause that an upstream has no serving pod, or that its Service leads to none of them, for no known
    reason.
    """
    if ready := sum(predicates.serves(pod) for pod in upstream.pods):
        what, seen = "whose Service routes to no ready pod", f"{ready}, and no ready endpoint"
    else:
        what, seen = "which has no serving pod", f"0 of {upstream.desired}"
    return Cause(
        kind=CauseKind.UPSTREAM,
        object=upstream.reference,
        confidence=Confidence.LIKELY,
        text=f"{_dependency(upstream)}, {what}",
        evidence=(evidence_items.field(upstream.reference, "status.readyReplicas", seen),),
        namespace=_elsewhere(facts, upstream),
    )


def _elsewhere(facts: WorkloadFacts, upstream: WorkloadFacts) -> str:
    return upstream.namespace if upstream.namespace != facts.namespace else ""


def _dependency(upstream: WorkloadFacts) -> str:
    depends = "a variable names, and it likely depends on" if upstream.is_guessed else "it depends on"
    service = upstream.declared.service
    return f"{depends} {f'{service} ({upstream.reference})' if service else upstream.reference}"
