"""NameResolution: a name does not resolve, this pod's resolver is wrong, or the cluster's DNS is down."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kubediagnosis import answering, containers, evidence_items, last_change, services, words
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem
from kubediagnosis.facts import DNS_NAMESPACE, HostReference, WorkloadFacts
from kubeobjects.network import KubeService

_OF_CLUSTER = ("svc", "svc.cluster.local")


def cluster_dns(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find the cluster's DNS away: it has no endpoint that is ready, or pods with the cluster's resolver get no answer from it."""
    server = facts.name_server
    if server is None:
        return
    silent = [
        seen
        for text, seen in answering.unmet_checks(facts)
        if words.resolver_silent(text) and not _is_elsewhere(facts, words.refused_name(text))
    ]
    if server.ready == 0 and answering.has_problem(facts):
        text = f"the cluster's DNS ({server.service}) has no ready endpoint"
        proof = evidence_items.field(f"service/{server.service}", "endpoints", "0 ready")
        yield _cause(facts, f"service/{server.service}", "", text, (proof, *silent), DNS_NAMESPACE)
    elif silent and not _own_resolver(facts):
        heard = evidence_items.short(silent[0].text, 200)
        text = f"pods get no answer from the cluster's DNS ({server.service}): {heard}"
        yield _cause(facts, f"service/{server.service}", "", text, tuple(silent), DNS_NAMESPACE)


def alias(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find Services of type ExternalName of whose target a pod or a check says that it does not resolve."""
    said = [(words.unresolved(text) or words.refused_name(text), seen) for text, seen in answering.unmet_checks(facts)]
    for name, target in _aliases(facts).items():
        proof = tuple(seen for host, seen in said if host and (host == target or _named(facts, host) == name))
        if proof:
            reference = f"service/{name}"
            text = f"Service {name} is an alias of {target}, which does not resolve"
            alias_of = evidence_items.field(reference, "spec.externalName", target)
            yield _cause(facts, reference, "spec.externalName", text, (alias_of, *proof))


def resolver(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find a template that has its pods ask another name server, where a name server gives no answer or the template is new."""
    own = _own_resolver(facts)
    if not own:
        return
    silent = [
        seen for text, seen in answering.unmet_checks(facts) if words.resolver_silent(text) or words.unresolved(text)
    ]
    if silent or last_change.covering(last_change.changes(facts), own):
        proof = evidence_items.field(facts.reference, f"spec.template.spec.{own}", facts.template.dns_policy or "set")
        yield _cause(facts, facts.reference, own, f"the pods use their own name server ({own})", (proof, *silent))


def host_name(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find Services that the template names and that are not there, or not at this port: a new template's own mistake, else the Service's.

    What resolves by another way (a node's search domain, a hosts file) is not known: that makes it likely only, unless an init
    container of a new template waits for it. While the service is well, only what the last change of the template came to name
    is found: older variables may be used by nothing.
    """
    if not facts.services_known:
        return
    there = {each.metadata.name: each for each in facts.services}
    said = [(words.unresolved(text), seen) for text, seen in answering.unmet_checks(facts)]
    changes, is_well = last_change.changes(facts), answering.is_well(facts)
    for each in facts.hosts:
        name, waits = _service_name(each, facts.namespace), _waiting(facts, each.field)
        is_new = last_change.covering(changes, each.field)
        if not name or ((is_well or not _is_variable(each)) and not is_new and not waits):
            continue
        if name in there:
            yield from _port(facts, each, there[name])
            continue
        proof = tuple(seen for host, seen in said if host and _named(facts, host) == name)
        if not is_new:
            yield services.missing_host(facts, name, each.field)
            continue
        seen = evidence_items.field(facts.reference, each.field, f"names {each.host}")
        text = f"{each.field} names {each.host}, but the Service {name} does not exist"
        found = _cause(facts, facts.reference, each.field, text, (seen, *waits, *proof))
        yield replace(found, confidence=Confidence.CERTAIN) if waits else found


def _is_variable(named: HostReference) -> bool:
    return named.field.endswith("]")


def _waiting(facts: WorkloadFacts, field: str) -> tuple[EvidenceItem, ...]:
    """Return the init containers that this field is of, and that have not ended long after their start."""
    found = (
        containers.hanging(facts, pod, status)
        for pod, status, has_to_end in last_change.containers(facts)
        if has_to_end and field.startswith(f"initContainers[{status.name}].")
    )
    return tuple(each for each in found if each is not None)


def _port(facts: WorkloadFacts, named: HostReference, service: KubeService) -> Iterator[Cause]:
    """Find a port that a Service does not have; one without an address leads to all ports of its pods."""
    spec = service.spec
    ports = sorted({each.port for each in spec.ports})
    if not named.port or not ports or named.port in ports or spec.cluster_ip == "None" or spec.type == "ExternalName":
        return
    has, reference = ", ".join(map(str, ports)), f"service/{service.metadata.name}"
    proof = (
        evidence_items.field(facts.reference, named.field, f"names {named.host}:{named.port}"),
        evidence_items.field(reference, "spec.ports[*].port", has),
    )
    text = f"{named.field} names port {named.port} of {named.host}, but Service {service.metadata.name} has {has}"
    yield _cause(facts, facts.reference, named.field, text, proof)


def _own_resolver(facts: WorkloadFacts) -> str:
    """Return the field by which the template has a resolver of its own, "" where it has the cluster's."""
    if facts.template.dns_policy in ("None", "Default"):
        return "dnsPolicy"
    fields = facts.revisions[0].fields if facts.revisions else {}
    return "dnsConfig" if any(each.startswith("dnsConfig.nameservers") for each in fields) else ""


def _aliases(facts: WorkloadFacts) -> Mapping[str, str]:
    """Return the names that Services of type ExternalName are aliases of, by the Services."""
    found = (each for each in facts.services if each.spec.type == "ExternalName")
    return {each.metadata.name: each.spec.external_name.rstrip(".") for each in found}


def _is_elsewhere(facts: WorkloadFacts, host: str) -> bool:
    """Return whether a name is resolved by another name server than the cluster's: it is an alias, or no name of the cluster."""
    name = _named(facts, host) if host else ""
    return name in _aliases(facts) or (not name and host.count(".") > 0 and "svc" not in host.split("."))


def _named(facts: WorkloadFacts, host: str) -> str:
    return _service_name(HostReference(field="", host=host), facts.namespace)


def _service_name(each: HostReference, namespace: str) -> str:
    """Return the Service of this namespace that a host may be, "" for any other host."""
    name, _, rest = each.host.partition(".")
    place, _, domain = rest.partition(".")
    if not rest:
        return "" if name == "localhost" else name
    return name if place == namespace and domain.rstrip(".") in ("", *_OF_CLUSTER) else ""


def _cause(
    facts: WorkloadFacts, holder: str, field: str, text: str, proof: tuple[EvidenceItem, ...], namespace: str = ""
) -> Cause:
    return Cause(
        kind=CauseKind.NAME_RESOLUTION,
        object=holder,
        field=field,
        confidence=Confidence.LIKELY,
        text=text,
        evidence=proof,
        is_warning=answering.is_well(facts),
        namespace=namespace,
    )
