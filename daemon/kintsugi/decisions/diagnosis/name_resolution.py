"""NameResolution: a name does not resolve, this pod's resolver is wrong, or the cluster's DNS is down."""

from collections.abc import Iterator

from kintsugi.decisions.diagnosis import answering, evidence_items, last_change, services, words
from kintsugi.decisions.diagnosis.facts import WorkloadFacts
from kintsugi.decisions.diagnosis.related_objects import HostReference, NameServerFacts
from kintsugi.model.causes import Cause, CauseKind, Confidence, EvidenceItem

_RESOLVER = ("dnsPolicy", "dnsConfig")
_OF_CLUSTER = ("svc", "svc.cluster.local")


def cluster_dns(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find the cluster's DNS away: it has no endpoint that is ready, or pods with the cluster's resolver get no answer from it."""
    server = facts.name_server
    if server is None or not answering.has_problem(facts):
        return
    silent = [seen for text, seen in answering.unmet_checks(facts) if words.resolver_silent(text)]
    if server.ready == 0:
        text = f"the cluster's DNS ({server.service}) has no ready endpoint"
        proof = evidence_items.field(f"service/{server.service}", "endpoints", "0 ready")
        yield _cause(f"service/{server.service}", "", text, (proof, *silent))
    elif silent and not _own_resolver(facts):
        yield _no_answer(server, silent)


def resolver(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find a template that has its pods ask another name server, where a name server gives no answer or the template is new."""
    own = _own_resolver(facts)
    if not own or not answering.has_problem(facts):
        return
    silent = [
        seen for text, seen in answering.unmet_checks(facts) if words.resolver_silent(text) or words.unresolved(text)
    ]
    new = last_change.covering(last_change.changes(facts), own)
    if silent or (new and (answering.unmet(facts) or answering.lacks_pods(facts))):
        proof = evidence_items.field(facts.reference, f"spec.template.spec.{own}", facts.template.dns_policy or "set")
        yield _cause(facts.reference, own, f"the pods use their own name server ({own})", (proof, *silent))


def host_name(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find names of Services in the environment that are not there: a new template's own, else the Service's that went away.

    What resolves by another way (a node's search domain, a hosts file) is not known: that makes it likely only.
    """
    if not answering.has_problem(facts) or not facts.services_known:
        return
    there = {each.metadata.name for each in facts.services}
    said = [(words.unresolved(text), seen) for text, seen in answering.unmet_checks(facts)]
    for each in facts.hosts:
        name = _service_name(each, facts.namespace)
        if not name or name in there:
            continue
        proof = tuple(
            seen
            for host, seen in said
            if host and _service_name(HostReference(field="", host=host), facts.namespace) == name
        )
        went = services.missing_host(facts, name, each.field)
        if went is not None:
            yield went
            continue
        seen = evidence_items.field(facts.reference, each.field, f"names {each.host}")
        text = f"{each.field} names {each.host}, but the Service {name} does not exist"
        yield _cause(facts.reference, each.field, text, (seen, *proof))


def _own_resolver(facts: WorkloadFacts) -> str:
    """Return the field by which the template has a resolver of its own, "" where it has the cluster's."""
    if facts.template.dns_policy in ("None", "Default"):
        return "dnsPolicy"
    fields = facts.revisions[0].fields if facts.revisions else {}
    return "dnsConfig" if any(each.startswith("dnsConfig.nameservers") for each in fields) else ""


def _service_name(each: HostReference, namespace: str) -> str:
    """Return the Service of this namespace that a host may be, "" for any other host."""
    name, _, rest = each.host.partition(".")
    place, _, domain = rest.partition(".")
    if not rest:
        return "" if name == "localhost" else name
    return name if place == namespace and domain.rstrip(".") in ("", *_OF_CLUSTER) else ""


def _no_answer(server: NameServerFacts, silent: list[EvidenceItem]) -> Cause:
    text = f"pods get no answer from the cluster's DNS ({server.service}): {evidence_items.short(silent[0].text, 200)}"
    return _cause(f"service/{server.service}", "", text, tuple(silent))


def _cause(holder: str, field: str, text: str, proof: tuple[EvidenceItem, ...]) -> Cause:
    return Cause(
        kind=CauseKind.NAME_RESOLUTION,
        object=holder,
        field=field,
        confidence=Confidence.LIKELY,
        text=text,
        evidence=proof,
    )
