"""Parses request paths: the resource of a path, and the API verb of its method."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from kubeobjects.resources import Resource
from kubesim.apiserver.rights import Access
from kubesim.storage.kinds import SERVED, SUBRESOURCES

_BY_PATH: Final = {(each.group, each.version, each.plural): each for each in SERVED}
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The target of a path: a collection, an object, or a subresource of an object."""

    resource: Resource
    namespace: str | None = None
    name: str = ""
    subresource: str = ""

    def verb(self, method: str, *, watching: bool) -> str:
        """Name the API verb of an HTTP method on this path, as RBAC does."""
        if method == "GET":
            if self.name:
                return "get"
            return "watch" if watching else "list"
        verb = _VERBS[method]
        return "deletecollection" if verb == "delete" and not self.name else verb

    def access(self, method: str, *, watching: bool) -> Access:
        """State the right that a request on this path needs."""
        return Access(
            verb=self.verb(method, watching=watching),
            resource=self.resource.plural,
            group=self.resource.group,
            namespace=self.namespace or "",
            name=self.name,
            subresource=self.subresource,
        )


def parse(path: str) -> Target | None:
    """Read a request path; None when no served resource is there."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    match parts:
        case ["api", version, *rest]:
            return _target("", version, rest)
        case ["apis", group, version, *rest]:
            return _target(group, version, rest)
        case _:
            return None


def _target(group: str, version: str, rest: list[str]) -> Target | None:
    namespace: str | None = None
    if len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3:
        return None
    resource = _BY_PATH.get((group, version, rest[0]))
    name, subresource = (*rest[1:], "", "")[:2]
    if resource is None or (resource.namespaced and name and namespace is None):
        return None
    if namespace is not None and not resource.namespaced:
        return None
    if subresource and resource not in SUBRESOURCES.get(subresource, ()):
        return None
    return Target(resource=resource, namespace=namespace, name=name, subresource=subresource)
