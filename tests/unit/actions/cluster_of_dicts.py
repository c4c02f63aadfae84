"""A cluster of plain objects that answers like KubeClient: what the actions see of one, and a count of the writes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta

from kintsugi.errors import Conflict, KubeError, NotFound
from kintsugi.kube.bodies import encode
from kintsugi.kube.client import Listing, PatchKind
from kintsugi.objects.resources import Resource
from kintsugi.objects.selectors import FieldSelector, Selector
from kintsugi.rehearsal.patches import json_patch, merge_patch, read_operations
from kintsugi.rehearsal.status import ApiRefusal

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class ClusterOfDicts:
    """Holds objects; `lost` is raised after the next write was applied, `broken` before every read, `refused` by creates."""

    def __init__(self, *objects: tuple[Resource, dict[str, object]]) -> None:
        self.objects: dict[tuple[Resource, str, str], dict[str, object]] = {}
        self.logs_of: dict[tuple[str, str, bool], bytes] = {}
        self.writes: list[tuple[str, str, object]] = []
        self.lost: KubeError | None = None
        self.broken: KubeError | None = None
        self.refused: dict[Resource, KubeError] = {}
        self.allowed: set[tuple[str, str]] = set()
        for resource, obj in objects:
            self.put(resource, obj)

    def put(self, resource: Resource, obj: dict[str, object]) -> None:
        """Create or replace an object."""
        metadata = obj["metadata"]
        self.objects[resource, metadata.get("namespace", ""), metadata["name"]] = obj

    def at(self, resource: Resource, name: str, namespace: str = "production") -> dict[str, object]:
        """Give an object as it is now."""
        return self.objects[resource, namespace if resource.namespaced else "", name]

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, object]:
        """Read one object."""
        if self.broken is not None:
            raise self.broken
        found = self.objects.get((resource, (namespace or "") if resource.namespaced else "", name))
        if found is None:
            raise NotFound(f'{resource.qualified} "{name}" not found', status=404, reason="NotFound")
        return deepcopy(found)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "", page: int = 500
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

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Mapping[str, object] | Sequence[Mapping[str, object]],
        *,
        kind: PatchKind,
        dry_run: bool = False,
    ) -> dict[str, object]:
        """Change an object; strategic patches are merged, which is the same for maps."""
        present = await self.get(resource, name, namespace)
        try:
            if kind is PatchKind.JSON:
                changed = json_patch(present, read_operations(encode(patch)))
            else:
                changed = merge_patch(present, patch)
        except ApiRefusal as refusal:
            raise Conflict(f"a tested field has changed ({refusal})", status=422) from refusal
        if not dry_run:
            self.writes.append(("patch", f"{resource.singular}/{name}", patch))
            self.put(resource, changed)
            self._lose()
        return deepcopy(changed)

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, object]) -> dict[str, object]:
        """Make an object with a uid of its own."""
        name = str(body["metadata"]["name"])
        if resource in self.refused:
            raise self.refused[resource]
        if (resource, namespace or "", name) in self.objects:
            raise Conflict(f'{resource.qualified} "{name}" already exists', status=409, reason="AlreadyExists")
        made = deepcopy(dict(body))
        made["metadata"] |= {"uid": f"uid-of-{resource.singular}-{len(self.writes)}"}
        self.writes.append(("create", f"{resource.singular}/{name}", body))
        self.put(resource, made)
        self._lose()
        return deepcopy(made)

    async def delete(
        self, resource: Resource, name: str, namespace: str | None, *, uid: str, grace: timedelta | None = None
    ) -> dict[str, object]:
        """Mark an object as terminating."""
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
        *,
        container: str,
        previous: bool = False,
        tail: int | None = None,
        **_: object,
    ) -> AsyncIterator[bytes]:
        """Yield the log of a container."""
        found = self.logs_of.get((name, container, previous))
        if found is None:
            raise NotFound(f'container "{container}" in pod "{name}" has no log', status=400)
        yield b"".join(found.splitlines(keepends=True)[-tail:]) if tail else found

    async def can_i(self, verb: str, resource: Resource, namespace: str | None, **_: str) -> bool:
        """Look up what is allowed."""
        return (verb, resource.plural) in self.allowed

    def _lose(self) -> None:
        if self.lost is not None:
            lost, self.lost = self.lost, None
            raise lost
