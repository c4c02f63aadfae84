"""
ServiceRouting other than unmatched selectors: a port on which no container listens, a missing Service, a selector that
is too wide.
"""

from collections.abc import Iterator
from dataclasses import replace

from kubediagnosis import answering, evidence_items, service_ports
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem
from kubediagnosis.facts import WorkloadFacts
from kubeobjects import predicates


def unlisted_target_port(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find ports of Services that lead to a number that no container says it listens on, while something is wrong.

    Containers may listen on more than they say: that makes it likely only, and nothing is said of containers that say nothing.
    """
    numbers = service_ports.numbers(facts.template)
    if not numbers or not _serves(facts) or not answering.has_problem(facts):
        return
    for service in service_ports.leading(facts):
        for port in service.spec.ports:
            if isinstance(port.target_port, str) or service_ports.number_of(port, facts.template) in numbers:
                continue
            name, number = service.metadata.name, service_ports.number_of(port, facts.template)
            field, listens = f"spec.ports[{port.name or port.port}].targetPort", ", ".join(map(str, sorted(numbers)))
            text = f"Service {name} routes to port {number}, but the containers listen on {listens}"
            proof = (
                evidence_items.field(service_ports.reference(service), field, str(number)),
                evidence_items.field(facts.reference, "containers[*].ports[*].containerPort", listens),
            )
            yield _cause(service_ports.reference(service), field, text, (*proof, *_answers(facts)))


def gone(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find Services that are not there: the one that was seen to lead to the pods, and the one by which a StatefulSet's pods have
    their names, while something is wrong.
    """
    there = {each.metadata.name for each in facts.services}
    if (
        facts.services_known
        and facts.declared.lost_service
        and facts.declared.lost_service not in there
        and _serves(facts)
    ):
        text = f"Service {facts.declared.lost_service}, which led to the pods, does not exist any more"
        proof = (evidence_items.field(f"service/{facts.declared.lost_service}", "", "not found"), *_answers(facts))
        yield replace(_cause(f"service/{facts.declared.lost_service}", "", text, proof), confidence=Confidence.CERTAIN)
        return
    if not facts.services_known or not facts.governing or facts.governing in there:
        return
    if not _serves(facts) or not answering.has_problem(facts) or any(True for _ in service_ports.leading(facts)):
        return
    text = f"Service {facts.governing}, which governs the names of the pods, does not exist"
    proof = (
        evidence_items.field(facts.reference, "spec.serviceName", facts.governing),
        evidence_items.field(f"service/{facts.governing}", "", "not found"),
    )
    yield _cause(f"service/{facts.governing}", "", text, (*proof, *_answers(facts)))


def too_wide(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find the Service of this workload that leads to pods which have a Service of their own, too.

    Pods without one may be a second version of the same service. A Service beside the workload's own leads to all on purpose.
    """
    leading = {each.metadata.name: each for each in service_ports.leading(facts)}
    if any(service_ports.is_own(facts, each) for each in leading.values()):
        return
    for shared in facts.shared:
        service = leading.get(shared.name)
        if service is None or not shared.own:
            continue
        selector = ",".join(f"{key}={value}" for key, value in service.spec.selector.items())
        others = ", ".join(shared.pods)
        text = (
            f"Service {shared.name} selects {selector}, and therefore also routes to pods of other Services: {others}"
        )
        only = f"routes to some of these pods, and to no pod of {facts.reference}"
        proof = (
            evidence_items.field(service_ports.reference(service), "spec.selector", selector),
            *(evidence_items.field(f"service/{each}", "spec.selector", only) for each in shared.own),
        )
        cause = _cause(service_ports.reference(service), "spec.selector", text, proof)
        yield replace(cause, is_warning=answering.is_well(facts))


def missing_host(facts: WorkloadFacts, host: str, field: str) -> Cause:
    """Return the Service that a variable has long named, and that is not there."""
    text = f"Service {host}, which {field} names, does not exist"
    proof = (
        evidence_items.field(facts.reference, field, f"names {host}"),
        evidence_items.field(f"service/{host}", "", "not found"),
    )
    return _cause(f"service/{host}", "", text, proof)


def _serves(facts: WorkloadFacts) -> bool:
    return any(predicates.serves(pod) for pod in facts.pods)


def _answers(facts: WorkloadFacts) -> Iterator[EvidenceItem]:
    return (answering.seen(each, facts) for each in answering.unmet(facts))


def _cause(holder: str, field: str, text: str, proof: tuple[EvidenceItem, ...]) -> Cause:
    return Cause(
        kind=CauseKind.SERVICE_ROUTING,
        object=holder,
        field=field,
        confidence=Confidence.LIKELY,
        text=text,
        evidence=proof,
    )
