"""
The selection of objects by a request or a controller: label selectors, field selectors, `matchLabels`.

The language of label selectors is that of `kubeobjects.selectors`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from kubeobjects import resources, unstructured
from kubeobjects.metadata import LabelSelector
from kubeobjects.resources import Resource
from kubeobjects.selectors import Selector, SelectorError, selects
from kubesim.manifest import Json, dig, labels_of
from kubesim.storage.status import bad_request

Matcher = Callable[[Json], bool]

FIELDS: Final[Mapping[Resource, frozenset[str]]] = {
    resources.PODS: frozenset({
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    }),
    resources.EVENTS: frozenset({
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    }),
    resources.NAMESPACES: frozenset({"status.phase"}),
    resources.NODES: frozenset({"spec.unschedulable"}),
    resources.SECRETS: frozenset({"type"}),
    resources.REPLICASETS: frozenset({"status.replicas"}),
    resources.JOBS: frozenset({"status.successful"}),
    resources.SERVICES: frozenset({"spec.clusterIP", "spec.type"}),
}  # fmt: skip
"""The fields that the API server selects by, besides `metadata.name` and `metadata.namespace`."""

ALWAYS: Final = frozenset({"metadata.name", "metadata.namespace"})


def query_matcher(resource: Resource, labels: str, fields: str) -> Matcher:
    """Compile the two selectors of a request; raise ApiRefusal 400 when one cannot be read."""
    by_label = _label_matcher(labels)
    by_field = _field_matcher(resource, fields)
    return lambda obj: by_label(obj) and by_field(obj)


def matches(selector: Json | None, labels: Mapping[str, str]) -> bool:
    """Return whether labels meet a `LabelSelector`; a missing or empty one meets nothing here."""
    if not selector:
        return False
    return selects(unstructured.convert(selector, LabelSelector), labels)


def _label_matcher(text: str) -> Matcher:
    if not text.strip():
        return lambda _: True
    try:
        selector = Selector.parse(text)
    except SelectorError as problem:
        raise bad_request(f"unable to parse requirement: {problem}") from problem
    return lambda obj: selector.matches(labels_of(obj))


def _field_matcher(resource: Resource, fields: str) -> Matcher:
    terms = [_term(part) for part in fields.split(",") if part]
    for path, _, _ in terms:
        if path not in ALWAYS | FIELDS.get(resource, frozenset()):
            raise bad_request(_unsupported(resource, path))
    return lambda obj: all((_field(obj, path) == value) is wanted for path, value, wanted in terms)


def _unsupported(resource: Resource, path: str) -> str:
    if resource in FIELDS:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def _term(text: str) -> tuple[str, str, bool]:
    for operator, wanted in (("!=", False), ("==", True), ("=", True)):
        path, found, value = text.partition(operator)
        if found:
            return path, value, wanted
    raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")


def _field(obj: Json, path: str) -> str:
    if path == "source":
        return str(dig(obj, "source", "component", default=""))
    if path == "status.successful":
        return str(dig(obj, "status", "succeeded", default=0))
    value = dig(obj, *path.split("."), default="")
    return str(value).lower() if isinstance(value, bool) else str(value)
