"""
The verbs of the Kubernetes API on the registry: a request in, a status code and a body out.

Watches are the server's; everything else about objects is here.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kubeobjects import resources
from kubesim.apiserver.metrics import Metrics
from kubesim.apiserver.paging import Pages, Rest, listing
from kubesim.apiserver.patches import json_patch, merge_patch, read_operations, strategic_patch
from kubesim.apiserver.paths import Target
from kubesim.apiserver.rights import MAGIC
from kubesim.controllers.disruptions import evict
from kubesim.manifest import Json, copy, dig, name_of, namespace_of, uid_of
from kubesim.runtime.logs import PodLogs
from kubesim.storage.kinds import DEFINED, RETURNED_WHEN_DELETED
from kubesim.storage.registry import DeleteOptions, Registry, Write
from kubesim.storage.selectors import query_matcher
from kubesim.storage.status import (
    bad_request,
    conflict,
    method_not_allowed,
    not_found,
    success,
    unsupported_body,
    unsupported_media,
    unsupported_patch,
    version_too_large,
)

PATCHES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "application/json-patch+json": json_patch,
    "application/merge-patch+json": merge_patch,
    "application/strategic-merge-patch+json": strategic_patch,
}


def scale_of(workload: Json) -> Json:
    """Show a workload as an `autoscaling/v1` Scale."""
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Json = {"replicas": dig(workload, "status", "replicas", default=0)}
    selector = dig(workload, "status", "selector", default="") or _selector_text(workload["spec"].get("selector") or {})
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: workload["metadata"][key] for key in keys},
        "spec": {"replicas": workload["spec"]["replicas"]} if workload["spec"]["replicas"] else {},
        "status": status,
    }


def with_scale(workload: Json, scale: Json) -> Json:
    """Take a workload's replicas, and the version that was expected, from a Scale."""
    version = dig(scale, "metadata", "resourceVersion", default="")
    workload["metadata"]["resourceVersion"] = version
    workload["spec"]["replicas"] = dig(scale, "spec", "replicas", default=0)
    return workload


def _selector_text(selector: Json) -> str:
    labels = selector.get("matchLabels") or {}
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels))


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request that has been let in."""

    target: Target
    query: Mapping[str, str]
    body: bytes = b""
    content_type: str = "application/json"
    agent: str = "unknown"

    @property
    def write(self) -> Write:
        """Read how the change is to be made."""
        manager = self.query.get("fieldManager") or self.agent.partition("/")[0]
        return Write(
            subresource=self.target.subresource if self.target.subresource in ("status", "resize") else "",
            manager=manager,
            dry_run=self.query.get("dryRun") == "All",
        )

    def json(self) -> Any:
        """Decode the body; raise ApiRefusal: 400, or 415 for protobuf."""
        if self.body.startswith(MAGIC):
            raise unsupported_body()
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as problem:
            raise bad_request(
                f"the object provided is unrecognized (must be of type {self.target.resource.kind}): {problem}"
            ) from problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer: a JSON body, or text when `text` is set."""

    body: Json
    status: int = 200
    text: str | None = None


class Operations:
    """Answer calls."""

    def __init__(self, registry: Registry, metrics: Metrics, logs: PodLogs, pages: Pages) -> None:
        self._registry = registry
        self._metrics = metrics
        self._logs = logs
        self._pages = pages

    def perform(self, verb: str, call: Call) -> Reply:
        """Do what a call asks; raise ApiRefusal."""
        if call.target.resource in (resources.POD_METRICS, resources.NODE_METRICS):
            return self._measured(verb, call)
        perform = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }[verb]
        return perform(call)

    def follow(self, call: Call) -> AsyncIterator[str]:
        """Yield a pod's log as it is written; raise ApiRefusal when it has none."""
        target = call.target
        return self._logs.follow(self._registry.get(target.resource, target.namespace, target.name), call.query)

    def _get(self, call: Call) -> Reply:
        target = call.target
        found = self._registry.get(target.resource, target.namespace, target.name)
        if target.subresource == "scale":
            return Reply(body=scale_of(found))
        if target.subresource == "log":
            return Reply(body={}, text=self._logs.read(found, call.query))
        return Reply(body=found)

    def _list(self, call: Call) -> Reply:
        target, limit = call.target, int(call.query.get("limit") or 0)
        token = call.query.get("continue")
        if token:
            return Reply(body=self._pages.next(target.resource, token, limit))
        labels, fields = call.query.get("labelSelector", ""), call.query.get("fieldSelector", "")
        matcher = query_matcher(target.resource, labels, fields)
        self._check_version(call.query.get("resourceVersion") or "0")
        kept = self._registry.store.list(target.resource, target.namespace)
        rest = Rest(
            items=tuple(obj for obj in kept if matcher(obj)),
            version=str(self._registry.store.version),
            counted=not (labels or fields),
        )
        return Reply(body=self._pages.first(target.resource, rest, limit))

    def _check_version(self, asked: str) -> None:
        if not asked.isdigit():
            message = f'resourceVersion: Invalid value: "{asked}": strconv.ParseUint: parsing "{asked}": invalid syntax'
            raise bad_request(f"invalid resource version: {message}")
        if int(asked) > self._registry.store.version:
            raise version_too_large(int(asked), self._registry.store.version)

    def _create(self, call: Call) -> Reply:
        target = call.target
        if target.subresource == "eviction":
            return Reply(body=evict(self._registry, target.namespace, target.name, call.json()), status=201)
        if target.name:
            raise method_not_allowed()
        body = self._object(call)
        return Reply(body=self._registry.create(target.resource, target.namespace, body, call.write), status=201)

    def _update(self, call: Call) -> Reply:
        if not call.target.name:
            raise method_not_allowed()
        body = self._object(call)
        if call.target.subresource == "scale":
            return self._rescaled(call, lambda _: body)
        self._check_uid(call.target, body)
        return self._changed(call, lambda _: body)

    def _check_uid(self, target: Target, body: Json) -> None:
        """Take the uid of an object that is sent whole as a precondition."""
        current = self._registry.get(target.resource, target.namespace, target.name)
        uid = (body.get("metadata") or {}).get("uid")
        if uid and uid != uid_of(current):
            key = "/".join(part for part in (target.resource.plural, target.namespace, target.name) if part)
            why = (
                f"StorageError: invalid object, Code: 4, Key: /registry/{key}, ResourceVersion: 0, AdditionalErrorMsg: "
            )
            why += f"Precondition failed: UID in precondition: {uid}, UID in object meta: {uid_of(current)}"
            raise conflict(target.resource, target.name, why)

    def _patch(self, call: Call) -> Reply:
        if not call.target.name:
            raise method_not_allowed()
        apply = PATCHES.get(call.content_type)
        if apply is None:
            raise unsupported_media()
        if apply is strategic_patch and call.target.resource in DEFINED:
            raise unsupported_patch()
        patch = call.json()
        if apply is json_patch:
            patch = read_operations(call.body)
        if call.target.subresource == "scale":
            return self._rescaled(call, lambda scale: apply(scale, patch))
        return self._changed(call, lambda current: apply(current, patch))

    def _changed(self, call: Call, change: Callable[[Json], Json]) -> Reply:
        target = call.target
        return Reply(
            body=self._registry.update(target.resource, target.namespace, target.name, change, call.write),
        )

    def _rescaled(self, call: Call, change: Callable[[Json], Json]) -> Reply:
        reply = self._changed(call, lambda workload: with_scale(workload, change(copy(scale_of(workload)))))
        return Reply(body=scale_of(reply.body))

    def _delete(self, call: Call) -> Reply:
        target = call.target
        found = self._registry.get(target.resource, target.namespace, target.name)
        deletion = self._registry.delete(target.resource, target.namespace, target.name, _delete_options(call))
        if deletion.gone and target.resource not in RETURNED_WHEN_DELETED:
            return Reply(body=success(target.resource, target.name, uid_of(found)))
        return Reply(body=deletion.object)

    def _delete_collection(self, call: Call) -> Reply:
        listed = self._list(call).body["items"]
        options, target = _delete_options(call), call.target
        for obj in listed:
            self._registry.delete(target.resource, namespace_of(obj), name_of(obj), options)
        return Reply(body=listing(target.resource, listed, {"resourceVersion": str(self._registry.store.version)}))

    def _measured(self, verb: str, call: Call) -> Reply:
        if verb not in ("get", "list"):
            raise method_not_allowed()
        target = call.target
        matcher = query_matcher(target.resource, call.query.get("labelSelector", ""), "")
        items = [each for each in self._metrics.measure(target.resource, target.namespace) if matcher(each)]
        if verb == "list":
            return Reply(body={**listing(target.resource, [], {}), "items": items})
        found = next((each for each in items if name_of(each) == target.name), None)
        if found is None:
            raise not_found(target.resource, target.name)
        return Reply(body=found)

    def _object(self, call: Call) -> Json:
        body = call.json()
        kind = "Scale" if call.target.subresource == "scale" else call.target.resource.kind
        if not isinstance(body, dict) or body.get("kind", kind) != kind:
            sent = body.get("kind") if isinstance(body, dict) else None
            raise bad_request(f"{sent} in version {call.target.resource.version} cannot be handled as a {kind}")
        return body


def _delete_options(call: Call) -> DeleteOptions:
    return DeleteOptions.read(call.json() if call.body else {}, call.query)
