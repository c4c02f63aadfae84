"""A cluster's discovery, short: a few kinds that are not built in."""

from collections.abc import Sequence
from typing import Any

from kubeobjects.discovery import kinds_in
from kubeobjects.resources import Resource

Json = dict[str, Any]


def kind(
    name: str, plural: str, *short: str, scope: str = "Namespaced", verbs: Sequence[str] = ("get", "list", "watch")
) -> Json:
    """Write a resource as a version lists it."""
    singular, of = name.lower(), {"group": "", "version": "", "kind": name}
    entry = {"resource": plural, "responseKind": of, "scope": scope, "singularResource": singular, "verbs": list(verbs)}
    return {**entry, "shortNames": list(short)} if short else entry


def group(name: str, **versions: Sequence[Json]) -> Json:
    """Write an API group, its preferred version first."""
    listed = [{"version": each, "resources": list(found)} for each, found in versions.items()]
    return {"metadata": {"name": name}, "versions": listed}


def document(*groups: Json) -> Json:
    """Write what /apis answers."""
    return {"apiVersion": "apidiscovery.k8s.io/v2", "kind": "APIGroupDiscoveryList", "items": list(groups)}


CERTIFICATE = kind("Certificate", "certificates", "cert", "certs")
GROUPS = (
    group("cert-manager.io", v1=[CERTIFICATE], v1alpha2=[CERTIFICATE]),
    group("serving.knative.dev", v1=[kind("Service", "services", "ksvc")]),
)


def kinds(*groups: Json) -> tuple[Resource, ...]:
    """Return the kinds of some groups."""
    return kinds_in([document(*groups)])
