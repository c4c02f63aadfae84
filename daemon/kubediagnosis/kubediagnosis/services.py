"""
ServiceRouting: a Service that leads to no pod that is ready, a port on which no container listens, a missing Service, or a
selector that is too wide.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from kubediagnosis import answering, evidence_items, last_change
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import WorkloadFacts
from kubeobjects.network import KubeService, ServicePort
from kubeobjects.specified import SpecifiedPod

_cause = partial(Cause, kind=CauseKind.SERVICE_ROUTING, confidence=Confidence.LIKELY)


def leading(facts: WorkloadFacts) -> Iterator[KubeService]:
    """Yield the Services that select the workload's pods."""
    for service in facts.services:
        selector = service.spec.selector
        if selector and service.spec.type != "ExternalName" and selector.items() <= facts.labels.items():
            yield service


def elsewhere(facts: WorkloadFacts) -> Iterator[KubeService]:
    """Yield the Services that select pods, and not the workload's."""
    for service in facts.services:
        if service.spec.selector and not service.spec.selector.items() <= facts.labels.items():
            yield service


def as_labels(selector: Mapping[str, str]) -> str:
    """Return a Service's selector as a label selector."""
    return ",".join(f"{key}={value}" for key, value in selector.items())


def reference(service: KubeService) -> str:
    """Return a Service as kubectl writes it."""
    return f"service/{service.metadata.name}"


def is_own(facts: WorkloadFacts, service: KubeService) -> bool:
    """Return whether a Service leads to this workload alone: another one's pods might have the port."""
    return bool(facts.selector) and facts.selector.items() <= service.spec.selector.items()


def numbers(template: SpecifiedPod) -> frozenset[int]:
    """Return the numbers of all ports that containers say they listen on."""
    containers = (*template.init_containers, *template.containers)
    return frozenset(port.container_port for each in containers for port in each.ports)


def unlisted_target_port(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find ports of Services that lead to a number that no container says it listens on, while something is wrong.

    Containers may listen on more than they say: that makes it likely only, and nothing is said of containers that say nothing.
    """
    listed = numbers(facts.template)
    if not listed or not answering.serves(facts) or not answering.has_problem(facts):
        return
    for service in leading(facts):
        for port in service.spec.ports:
            if isinstance(port.target_port, str) or port.number_in(facts.template) in listed:
                continue
            name, number = service.metadata.name, port.number_in(facts.template)
            field, listens = _target_port(port), ", ".join(map(str, sorted(listed)))
            text = f"Service {name} routes to port {number}, but the containers listen on {listens}"
            proof = (
                evidence_items.field(reference(service), field, str(number)),
                evidence_items.field(facts.reference, "containers[*].ports[*].containerPort", listens),
            )
            evidence = (*proof, *answering.answers(facts))
            yield _cause(object=reference(service), field=field, text=text, evidence=evidence)


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
        and answering.serves(facts)
    ):
        text = f"Service {facts.declared.lost_service}, which led to the pods, does not exist any more"
        holder = f"service/{facts.declared.lost_service}"
        proof = (evidence_items.field(holder, "", "not found"), *answering.answers(facts))
        yield _cause(object=holder, confidence=Confidence.CERTAIN, text=text, evidence=proof)
        return
    if not facts.services_known or not facts.governing or facts.governing in there:
        return
    if not answering.serves(facts) or not answering.has_problem(facts) or any(True for _ in leading(facts)):
        return
    text = f"Service {facts.governing}, which governs the names of the pods, does not exist"
    proof = (
        evidence_items.field(facts.reference, "spec.serviceName", facts.governing),
        evidence_items.field(f"service/{facts.governing}", "", "not found"),
    )
    yield _cause(object=f"service/{facts.governing}", text=text, evidence=(*proof, *answering.answers(facts)))


def too_wide(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find the Service of this workload that leads to pods which have a Service of their own, too.

    Pods without one may be a second version of the same service. A Service beside the workload's own leads to all on purpose.
    """
    own = {each.metadata.name: each for each in leading(facts)}
    if any(is_own(facts, each) for each in own.values()):
        return
    for shared in facts.shared:
        service = own.get(shared.name)
        if service is None or not shared.own:
            continue
        selector = as_labels(service.spec.selector)
        others = ", ".join(shared.pods)
        text = (
            f"Service {shared.name} selects {selector}, and therefore also routes to pods of other Services: {others}"
        )
        only = f"routes to some of these pods, and to no pod of {facts.reference}"
        proof = (
            evidence_items.field(reference(service), "spec.selector", selector),
            *(evidence_items.field(f"service/{each}", "spec.selector", only) for each in shared.own),
        )
        is_well = answering.is_well(facts)
        yield _cause(object=reference(service), field="spec.selector", text=text, evidence=proof, is_warning=is_well)


def missing_host(facts: WorkloadFacts, host: str, field: str) -> Cause:
    """Return the Service that a variable has long named, and that is not there."""
    text = f"Service {host}, which {field} names, does not exist"
    proof = (
        evidence_items.field(facts.reference, field, f"names {host}"),
        evidence_items.field(f"service/{host}", "", "not found"),
    )
    return _cause(object=f"service/{host}", text=text, evidence=proof)


def service_routing(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find Services that have no endpoints though pods are ready: a port's name that no container has, or a selector that none meets."""
    if not answering.serves(facts):
        return
    for service in facts.services:
        selector = service.spec.selector
        if not selector or service.spec.type == "ExternalName":
            continue
        if selector.items() <= facts.labels.items():
            yield from _ports(facts, service)
        elif service.metadata.name not in facts.selected and _is_near(facts, service):
            yield _selector(facts, service)


def _ports(facts: WorkloadFacts, service: KubeService) -> Iterator[Cause]:
    current = [pod for pod in last_change.living(facts) if not last_change.is_replaced(facts, pod)]
    made = (container for pod in current for container in pod.spec.containers)
    containers = (*facts.template.init_containers, *facts.template.containers, *made)
    named = {port.name for container in containers for port in container.ports if port.name}
    is_well, leads_here_alone = answering.is_well(facts), is_own(facts, service)
    for port in service.spec.ports:
        if isinstance(port.target_port, str) and port.target_port not in named and (leads_here_alone or not is_well):
            holder, field = _renamed(facts, service, port)
            has = ", ".join(sorted(named)) or "none"
            proof = (
                evidence_items.field(reference(service), _target_port(port), port.target_port),
                evidence_items.field(facts.reference, "containers[*].ports[*].name", has),
            )
            text = f"Service {service.metadata.name} routes to the port {port.target_port}, but no container has a port with this name ({has})"
            sure = Confidence.CERTAIN if leads_here_alone else Confidence.LIKELY
            yield _cause(object=holder, field=field, confidence=sure, text=text, evidence=proof, is_warning=is_well)


def _target_port(port: ServicePort) -> str:
    return f"spec.ports[{port.name or port.port}].targetPort"


def _renamed(facts: WorkloadFacts, service: KubeService, port: ServicePort) -> tuple[str, str]:
    """Return the template's field where the revision before had a port of this name, else the Service's."""
    own = reference(service), _target_port(port)
    if len(facts.revisions) < 2:
        return own
    before = facts.revisions[1].fields
    if not any(
        ".ports[" in each and each.endswith(".name") and name == port.target_port for each, name in before.items()
    ):
        return own
    new = [each for each in last_change.changes(facts) if ".ports[" in each and each.endswith(".name")]
    now = facts.revisions[0].fields
    return facts.reference, next((each for each in new if each in now), new[0] if new else "")


def _is_near(facts: WorkloadFacts, service: KubeService) -> bool:
    """Return whether a Service that nothing meets seems meant for this workload: by its name, its labels, or those it asks for."""
    name = facts.reference.partition("/")[2]
    selector = service.spec.selector
    meets = any(facts.labels.get(key) == value for key, value in selector.items())
    labelled = bool(facts.selector) and facts.selector.items() <= service.metadata.labels.items()
    asks = meets and selector.keys() <= facts.labels.keys()
    return labelled or asks or service.metadata.name in (name, facts.governing)


def _selector(facts: WorkloadFacts, service: KubeService) -> Cause:
    key, wanted = next(item for item in service.spec.selector.items() if facts.labels.get(item[0]) != item[1])
    if (has := facts.labels.get(key)) is not None:
        selects = f"{key}={wanted}, but no pod has this label; the pods have {key}={has}"
    else:
        selects, has = f"the label {key}, which the pods do not have", "missing"
    holder, field = reference(service), f"spec.selector[{key}]"
    proof = (
        evidence_items.field(holder, field, wanted),
        evidence_items.field(facts.reference, f"spec.template.metadata.labels[{key}]", has),
    )
    text = f"Service {service.metadata.name} selects {selects}"
    return _cause(object=holder, field=field, text=text, evidence=proof)
