"""A cluster of plain objects that answers like KubeClient: what the actions see of one, and a count of the writes."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Unpack

from kintsugi.actions import api_objects
from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.errors import Conflict, KubeError, NotFound
from kintsugi.kube.client import DeleteOptions, KubeClient, Listing, LogOptions, Patch, PatchKind, WriteOptions, encode
from kubeobjects.resources import Resource
from kubeobjects.selectors import FieldSelector, Selector
from kubeobjects.unstructured import Kept
from kubesim.apiserver.patches import json_patch, merge_patch, read_operations
from kubesim.storage.status import ApiRefusal

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def answers(options: Mapping[str, object], *known: str) -> None:
    """Raise NotImplementedError for what a request says and this cluster would not heed."""
    if ignored := [name for name, value in options.items() if value and name not in known]:
        raise NotImplementedError(f"a cluster of dicts does not heed {ignored}")


class ClusterOfDicts(KubeClient):
    """Holds objects; `lost` is raised after the next write was applied, `broken` before every read, `refused` by creates."""

    def __init__(self, *objects: tuple[Resource, dict[str, Any]]) -> None:
        self.objects: dict[tuple[Resource, str, str], dict[str, Any]] = {}
        self.logs_of: dict[tuple[str, str, bool], bytes] = {}
        self.writes: list[tuple[str, str, object]] = []
        self.subresources: list[str] = []
        self.lost: KubeError | None = None
        self.broken: KubeError | None = None
        self.refused: dict[Resource, KubeError] = {}
        self.allowed: set[tuple[str, str]] = set()
        for resource, obj in objects:
            self.put(resource, obj)

    def put(self, resource: Resource, obj: dict[str, Any]) -> None:
        """Create or replace an object."""
        metadata = obj["metadata"]
        self.objects[resource, metadata.get("namespace", ""), metadata["name"]] = obj

    def at(self, resource: Resource, name: str, namespace: str = "production") -> dict[str, Any]:
        """Return an object as it is now."""
        return self.objects[resource, namespace if resource.namespaced else "", name]

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Read one object."""
        if self.broken is not None:
            raise self.broken
        found = self.objects.get((resource, (namespace or "") if resource.namespaced else "", name))
        if found is None:
            raise NotFound(f'{resource.qualified} "{name}" not found', status=404, reason="NotFound")
        return deepcopy(found)

    async def get_metadata(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Read the metadata of one object."""
        return {"metadata": (await self.get(resource, name, namespace))["metadata"]}

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Listing:
        """List objects in the order of their names."""
        if self.broken is not None:
            raise self.broken
        items = [
            deepcopy(obj)
            for (kind, place, _), obj in sorted(self.objects.items(), key=lambda each: each[0][1:])
            if kind == resource
            and (not namespace or place == namespace)
            and (not labels or Selector.parse(labels).matches(obj["metadata"].get("labels", {})))
            and (not fields or FieldSelector.parse(fields).matches(obj))
        ]
        return Listing(items=items, resource_version="1")

    async def iter_objects(
        self, resource: Resource, kept: type[Kept], namespace: str | None = None, *, labels: str = ""
    ) -> AsyncIterator[Kept]:
        """Yield the kept fields of what `list` shows."""
        for item in (await self.list(resource, namespace, labels=labels)).items:
            yield api_objects.convert(item, kept)

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Patch,
        *,
        kind: PatchKind,
        **options: Unpack[WriteOptions],
    ) -> dict[str, Any]:
        """Change an object; strategic patches are merged, which is the same for maps."""
        answers(options, "dry_run", "subresource")
        present = await self.get(resource, name, namespace)
        try:
            if kind is PatchKind.JSON:
                changed = json_patch(present, read_operations(encode(patch)))
            else:
                changed = merge_patch(present, patch)
        except ApiRefusal as refusal:
            raise Conflict(f"a field is not as it was judged ({refusal})", status=422) from refusal
        if not options.get("dry_run"):
            self.writes.append(("patch", f"{resource.singular}/{name}", patch))
            if subresource := options.get("subresource"):
                self.subresources.append(subresource)
            self.put(resource, changed)
            self._lose()
        return deepcopy(changed)

    async def create(
        self,
        resource: Resource,
        namespace: str | None,
        body: Mapping[str, Any],
        *,
        name: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> dict[str, Any]:
        """Make an object with a uid of its own, or evict a pod."""
        if options.pop("subresource", "") == "eviction" and name is not None:
            if resource in self.refused:
                raise self.refused[resource]
            return await self.delete(resource, name, namespace, uid=body["deleteOptions"]["preconditions"]["uid"])
        answers(options | {"name": name})
        metadata = body["metadata"]
        name = str(metadata["name"] if "name" in metadata else f"{metadata['generateName']}{len(self.writes)}")
        if resource in self.refused:
            raise self.refused[resource]
        if (resource, namespace or "", name) in self.objects:
            raise Conflict(f'{resource.qualified} "{name}" already exists', status=409, reason="AlreadyExists")
        made = deepcopy(dict(body))
        made["metadata"] |= {"name": name, "uid": f"uid-of-{resource.singular}-{len(self.writes)}"}
        self.writes.append(("create", f"{resource.singular}/{name}", body))
        self.put(resource, made)
        self._lose()
        return deepcopy(made)

    async def delete(
        self, resource: Resource, name: str, namespace: str | None, *, uid: str, **options: Unpack[DeleteOptions]
    ) -> dict[str, Any]:
        """Mark an object as terminating."""
        answers(options, "grace")
        present = await self.get(resource, name, namespace)
        if present["metadata"]["uid"] != uid:
            raise Conflict("the UID in the precondition does not match", status=409)
        self.writes.append(("delete", f"{resource.singular}/{name}", uid))
        present["metadata"]["deletionTimestamp"] = NOW.isoformat()
        self.put(resource, present)
        self._lose()
        return present

    async def logs(
        self,
        name: str,
        namespace: str,
        **options: Unpack[LogOptions],
    ) -> AsyncGenerator[bytes, None]:
        """Yield the log of a container."""
        container, tail = options.get("container") or "", options.get("tail")
        found = self.logs_of.get((name, container, options.get("previous", False)))
        if found is None:
            raise NotFound(f'container "{container}" in pod "{name}" has no log', status=400)
        yield b"".join(found.splitlines(keepends=True)[-tail:]) if tail else found

    async def can_i(
        self, verb: str, resource: Resource, namespace: str | None, *, subresource: str = "", name: str = ""
    ) -> bool:
        """Look up what is allowed."""
        return (verb, resource.plural) in self.allowed

    def _lose(self) -> None:
        if self.lost is not None:
            lost, self.lost = self.lost, None
            raise lost


def actions_on(cluster: KubeClient | None = None, rule: AddressRule | None = None) -> Actions:
    """Return the actions on a cluster, or on an empty one; this machine may be asked, unless a rule says otherwise."""
    return Actions(cluster or ClusterOfDicts(), Clients.restricted_to(rule or AddressRule(allow_loopback=True)))
