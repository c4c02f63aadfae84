"""The discovery documents of the API server: versions, groups and resources, as far as kubectl asks for them."""

from collections.abc import Iterable
from typing import Final

from kubeobjects.resources import Resource
from kubesim.manifest import Json
from kubesim.storage.kinds import CATEGORIES, SERVED, SUBRESOURCES

VERSION: Final[Json] = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.4",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERBS: Final = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
METRICS: Final = "metrics.k8s.io"
REVIEWS: Final = ("authorization.k8s.io/v1", "authentication.k8s.io/v1")


def document(path: str) -> Json | None:
    """Return the discovery document at a path; None for any other path."""
    path = path.rstrip("/")
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        groups = [_group(group, version) for group, version in _group_versions()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == "/api/v1":
        return _resource_list("v1", _members("", "v1"))
    return _group_document(path)


def aggregated(path: str) -> Json | None:
    """Return the aggregated discovery at a path: of the core group, or of all others; None for any other path."""
    path = path.rstrip("/")
    if path not in ("/api", "/apis"):
        return None
    versions = _group_versions() if path == "/apis" else [("", "v1")]
    items = [_aggregated_group(group, version) for group, version in versions]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_group(group: str, version: str) -> Json:
    listed = _resource_list(f"{group}/{version}" if group else version, _members(group, version))["resources"]
    entries = sorted(listed, key=lambda each: each["name"])
    resources = [_aggregated_resource(each, entries) for each in entries if "/" not in each["name"]]
    versions = [{"version": version, "resources": resources, "freshness": "Current"}]
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _aggregated_resource(entry: Json, entries: Iterable[Json]) -> Json:
    answer = {
        "resource": entry["name"],
        "responseKind": _response_kind(entry),
        "scope": "Namespaced" if entry["namespaced"] else "Cluster",
        "singularResource": entry["singularName"],
        "verbs": entry["verbs"],
        **{key: entry[key] for key in ("shortNames", "categories") if entry.get(key)},
    }
    parts = [
        {"subresource": part, "responseKind": _response_kind(each), "verbs": each["verbs"]}
        for each in entries
        for name, _, part in [each["name"].partition("/")]
        if part and name == entry["name"]
    ]
    return {**answer, "subresources": parts} if parts else answer


def _response_kind(entry: Json) -> Json:
    """Name a kind as the real server does: group and version are "" where they are those of the list."""
    return {"group": entry.get("group", ""), "version": entry.get("version", ""), "kind": entry["kind"]}


def _members(group: str, version: str) -> list[Resource]:
    return [each for each in SERVED if (each.group, each.version) == (group, version)]


def _group_document(path: str) -> Json | None:
    for group, version in _group_versions():
        if path == f"/apis/{group}":
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, version)}
        if path == f"/apis/{group}/{version}":
            return _resource_list(f"{group}/{version}", _members(group, version))
    return None


def _group_versions() -> list[tuple[str, str]]:
    served = {(each.group, each.version) for each in SERVED if each.group}
    reviews = {(group, version) for group, _, version in (each.partition("/") for each in REVIEWS)}
    return sorted(served | reviews)


def _group(group: str, version: str) -> Json:
    entry = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _resource_list(group_version: str, members: Iterable[Resource]) -> Json:
    entries = [entry for each in members for entry in _entries(each)]
    if group_version == REVIEWS[0]:
        entries = [_review(kind) for kind in ("SelfSubjectAccessReview", "SubjectAccessReview")]
    if group_version == REVIEWS[1]:
        entries = [_review("SelfSubjectReview")]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _review(kind: str) -> Json:
    plural = f"{kind.lower()}s"
    return {"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind, "verbs": ["create"]}


def _entries(resource: Resource) -> Iterable[Json]:
    verbs = ["get", "list"] if resource.group == METRICS else VERBS
    entry = {"name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced}
    entry |= {"kind": resource.kind, "verbs": verbs, "shortNames": list(resource.short)}
    category = next((name for name, members in CATEGORIES.items() if resource in members), "")
    yield {**entry, "categories": [category]} if category else entry
    parts = [name for name, owners in SUBRESOURCES.items() if resource in owners]
    for part in parts:
        yield {**_part(resource, part), "namespaced": resource.namespaced}


def _part(resource: Resource, part: str) -> Json:
    entry = {"name": f"{resource.plural}/{part}", "singularName": "", "kind": resource.kind}
    match part:
        case "scale":
            return {
                **entry,
                "group": "autoscaling",
                "version": "v1",
                "kind": "Scale",
                "verbs": ["get", "patch", "update"],
            }
        case "eviction":
            return {**entry, "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"]}
        case "exec":
            return {**entry, "kind": "PodExecOptions", "verbs": ["create", "get"]}
        case "log":
            return {**entry, "verbs": ["get"]}
        case _:
            return {**entry, "verbs": ["get", "patch", "update"]}
