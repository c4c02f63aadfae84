"""ServiceRouting: a Service that leads to no pod that is ready."""

from collections.abc import Iterator

from kubediagnosis import answering, evidence_items, last_change, service_ports
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import WorkloadFacts
from kubeobjects import predicates
from kubeobjects.network import KubeService, ServicePort


def service_routing(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find Services that have no endpoints though pods are ready: a port's name that no container has, or a selector that none meets."""
    if not any(predicates.serves(pod) for pod in facts.pods):
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
    is_well, is_own = answering.is_well(facts), service_ports.is_own(facts, service)
    for port in service.spec.ports:
        if isinstance(port.target_port, str) and port.target_port not in named and (is_own or not is_well):
            holder, field = _renamed(facts, service, port)
            has = ", ".join(sorted(named)) or "none"
            proof = (
                evidence_items.field(
                    service_ports.reference(service),
                    f"spec.ports[{port.name or port.port}].targetPort",
                    port.target_port,
                ),
                evidence_items.field(facts.reference, "containers[*].ports[*].name", has),
            )
            text = f"Service {service.metadata.name} routes to the port {port.target_port}, but no container has a port with this name ({has})"
            yield Cause(
                kind=CauseKind.SERVICE_ROUTING,
                object=holder,
                field=field,
                confidence=Confidence.CERTAIN if is_own else Confidence.LIKELY,
                text=text,
                evidence=proof,
                is_warning=is_well,
            )


def _renamed(facts: WorkloadFacts, service: KubeService, port: ServicePort) -> tuple[str, str]:
    """Return the template's field where the revision before had a port of this name, else the Service's."""
    own = service_ports.reference(service), f"spec.ports[{port.name or port.port}].targetPort"
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
    has = facts.labels.get(key)
    proof = (
        evidence_items.field(service_ports.reference(service), f"spec.selector[{key}]", wanted),
        evidence_items.field(
            facts.reference, f"spec.template.metadata.labels[{key}]", has if has is not None else "missing"
        ),
    )
    text = (
        f"Service {service.metadata.name} selects {key}={wanted}, but no pod has this label; the pods have {key}={has}"
    )
    return Cause(
        kind=CauseKind.SERVICE_ROUTING,
        object=service_ports.reference(service),
        field=f"spec.selector[{key}]",
        confidence=Confidence.LIKELY,
        text=text
        if has is not None
        else f"Service {service.metadata.name} selects the label {key}, which the pods do not have",
        evidence=proof,
    )
