"""
The registry of the API server: creates, changes and deletes objects, with preconditions and generated fields.

The server calls it for clients, the controllers and the kubelet call it for themselves. Everything is
synchronous, so that each call is one transaction.
"""

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.manifest import Json, copy, deleting, dig, name_of, namespace_of, timestamp, uid_of
from kubesim.storage.addresses import Addresses
from kubesim.storage.defaults import set_defaults, set_initial_status
from kubesim.storage.kinds import WITH_GENERATION, WITH_STATUS
from kubesim.storage.status import (
    ApiRefusal,
    bad_request,
    conflict,
    details_of,
    exists,
    invalid,
    not_found,
    precondition,
)
from kubesim.storage.store import Store
from kubesim.storage.validation import check_expansion, immutable, problems_of, resize_problems, resized

NAME_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


class Propagation(StrEnum):
    """The policy for the dependents of a deleted object; the words of `propagationPolicy`."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


FINALIZERS: Final = {Propagation.FOREGROUND: "foregroundDeletion", Propagation.ORPHAN: "orphan"}


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteOptions:
    """The options of a deletion; `grace` in seconds, None for the object's own."""

    grace: int | None = None
    uid: str = ""
    resource_version: str = ""
    propagation: Propagation = Propagation.BACKGROUND
    dry_run: bool = False

    @classmethod
    def read(cls, body: Json, query: Mapping[str, str]) -> "DeleteOptions":
        """Read the options of a request: the body's, else those of its query."""
        conditions = body.get("preconditions") or {}
        grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        policy = body.get("propagationPolicy") or query.get("propagationPolicy") or Propagation.BACKGROUND
        return cls(
            grace=None if grace is None else int(grace),
            uid=conditions.get("uid") or "",
            resource_version=conditions.get("resourceVersion") or "",
            propagation=Propagation(policy),
            dry_run=query.get("dryRun") == "All" or body.get("dryRun") == ["All"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Deletion:
    """The result of a deletion: `gone` when the object has left the store."""

    object: Json
    gone: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """The options of a change: its subresource, its manager, and whether it is a dry run."""

    subresource: str = ""
    manager: str = "kubesim"
    dry_run: bool = False


INTERNAL: Final = Write()
STATUS: Final = Write(subresource="status")


class Registry:
    """Create, change and delete objects as the API server does."""

    def __init__(self, store: Store, addresses: Addresses, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self.store = store
        self.now = now
        self._addresses = addresses

    def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """Find an object; raise ApiRefusal 404."""
        found = self.store.get(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def create(self, resource: Resource, namespace: str | None, body: Json, write: Write = INTERNAL) -> Json:
        """Store a new object; raise ApiRefusal when it exists, is invalid or has no namespace to live in."""
        obj = copy(body)
        self._identify(resource, namespace, obj)
        if self.store.get(resource, namespace, name_of(obj)) is not None:
            raise exists(resource, name_of(obj))
        set_defaults(resource, obj)
        if resource in WITH_STATUS:
            set_initial_status(resource, obj)
        self._check(resource, obj, None)
        self._addresses.assign(resource, obj)
        obj["metadata"]["managedFields"] = [self._managed(resource, write, _written(resource, {}, obj))]
        if write.dry_run:
            return obj
        return self.store.put(resource, obj)

    def update(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        change: Callable[[Json], Json],
        write: Write = INTERNAL,
    ) -> Json:
        """
        Change an object and answer with its new state.

        `change` gets a copy and may alter it in place. An unchanged object keeps its version. Raises
        ApiRefusal: 404, 409 (another uid or a stale version), 422.
        """
        current = self.get(resource, namespace, name)
        wanted = change(copy(current))
        self._check_identity(resource, current, wanted)
        new = self._merged(resource, current, wanted, write.subresource)
        if write.subresource != "status":
            set_defaults(resource, new)
            self._check(resource, new, current, write.subresource)
            if resource == resources.PVCS:
                check_expansion(self.store, new, current)
            self._addresses.assign(resource, new)
        if new == current:
            return current
        if resource in WITH_GENERATION and new.get("spec") != current.get("spec"):
            new["metadata"]["generation"] = current["metadata"].get("generation", 0) + 1
        new["metadata"]["managedFields"] = [self._managed(resource, write, _written(resource, current, new))]
        return new if write.dry_run else self._stored(resource, new)

    def set_status(self, resource: Resource, obj: Json, status: Json) -> Json:
        """Give an object another status, and answer with its new state; raise ApiRefusal as `update` does."""
        return self.update(resource, namespace_of(obj), name_of(obj), lambda now: {**now, "status": status}, STATUS)

    def drop_finalizer(self, resource: Resource, obj: Json, finalizer: str) -> None:
        """Take a finalizer off an object."""

        def change(current: Json) -> Json:
            left = [each for each in current["metadata"].get("finalizers", ()) if each != finalizer]
            current["metadata"]["finalizers"] = left
            return current

        self.update(resource, namespace_of(obj), name_of(obj), change)

    def delete(self, resource: Resource, namespace: str | None, name: str, options: DeleteOptions) -> Deletion:
        """Delete an object, or start to: with a grace period (pods) or finalizers it stays for a while."""
        current = self.get(resource, namespace, name)
        _check_preconditions(resource, current, options)
        grace = _grace(resource, current, options)
        going = copy(current)
        metadata = going["metadata"]
        finalizer = FINALIZERS.get(options.propagation)
        if finalizer and finalizer not in metadata.get("finalizers", ()):
            metadata["finalizers"] = [*metadata.get("finalizers", ()), finalizer]
        if resource == resources.NAMESPACES:
            going["status"] = {**going["status"], "phase": "Terminating"}
        if not metadata.get("finalizers") and grace == 0 and resource != resources.NAMESPACES:
            if resource == resources.PODS:
                self._mark(going, 0)
            return Deletion(object=going if options.dry_run else self.store.remove(resource, going), gone=True)
        self._mark(going, grace)
        if going == current or options.dry_run:
            return Deletion(object=going, gone=False)
        return Deletion(object=self.store.put(resource, going), gone=False)

    def delete_now(self, resource: Resource, obj: Json) -> None:
        """Delete this very object without grace, if it is still there."""
        current = self.store.get(resource, namespace_of(obj), name_of(obj))
        if current is not None and uid_of(current) == uid_of(obj):
            self.delete(resource, namespace_of(obj), name_of(obj), DeleteOptions(grace=0))

    def _identify(self, resource: Resource, namespace: str | None, obj: Json) -> None:
        metadata = obj.setdefault("metadata", {})
        if metadata.get("namespace") not in (None, namespace):
            raise bad_request(
                f"the namespace of the provided object does not match the namespace sent on the request"
                f"{'' if namespace else ' (none was sent)'}"
            )
        if namespace:
            metadata["namespace"] = namespace
            self._check_namespace(resource, namespace, metadata.get("name", ""))
        obj.update({"apiVersion": resource.api_version, "kind": resource.kind})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(NAME_LETTERS) for _ in range(5))
        for generated in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(generated, None)
        metadata.update({"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(self.now())})
        if resource in WITH_GENERATION:
            metadata["generation"] = 1

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self.store.get(resources.NAMESPACES, None, namespace)
        if found is None:
            raise not_found(resources.NAMESPACES, namespace)
        if deleting(found):
            message = (
                f'{resource.qualified} "{name}" is forbidden: unable to create new content in namespace {namespace} '
                "because it is being terminated"
            )
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
            causes = [{**cause, "field": "metadata.namespace"}]
            raise ApiRefusal(403, "Forbidden", message, {**details_of(resource, name), "causes": causes})

    def _check(self, resource: Resource, obj: Json, previous: Json | None, subresource: str = "") -> None:
        if subresource == "resize" and previous is not None:
            causes = resize_problems(obj, previous)
        else:
            causes = problems_of(resource, obj, previous)
        if causes:
            raise invalid(resource, name_of(obj), causes)

    def _check_identity(self, resource: Resource, current: Json, wanted: Json) -> None:
        metadata = wanted.get("metadata") or {}
        name = name_of(current)
        if metadata.get("name") != name:
            raise bad_request(
                f"the name of the object ({metadata.get('name')}) does not match the name on the URL ({name})"
            )
        uid = metadata.get("uid")
        if uid and uid != uid_of(current):
            # the real server's validation names this one twice
            raise invalid(resource, name, [immutable("metadata.uid", uid)] * 2)
        version = metadata.get("resourceVersion")
        if version and version != current["metadata"]["resourceVersion"]:
            raise conflict(resource, name)

    def _merged(self, resource: Resource, current: Json, wanted: Json, subresource: str) -> Json:
        """Take from the wanted object what the request may change, and the rest from the current one."""
        if subresource == "status":
            return {**current, "metadata": _kept_metadata(current, wanted), "status": wanted.get("status") or {}}
        if subresource == "resize":
            return resized(current, wanted)
        new = {**wanted, "apiVersion": resource.api_version, "kind": resource.kind}
        new["metadata"] = _kept_metadata(current, wanted)
        if resource in WITH_STATUS and "status" in current:
            new["status"] = current["status"]
        return new

    def _mark(self, going: Json, grace: int) -> None:
        """Mark an object as being deleted; a second deletion can only shorten the first one's grace."""
        metadata = going["metadata"]
        if deleting(going) and grace >= metadata.get("deletionGracePeriodSeconds", 0):
            return
        metadata["deletionTimestamp"] = timestamp(self.now() + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
        if metadata.get("generation"):
            metadata["generation"] += 1

    def _stored(self, resource: Resource, new: Json) -> Json:
        metadata = new["metadata"]
        if deleting(new) and not metadata.get("finalizers") and not metadata.get("deletionGracePeriodSeconds"):
            return self.store.remove(resource, new)
        return self.store.put(resource, new)

    def _managed(self, resource: Resource, write: Write, fields: Json) -> Json:
        entry = {
            "manager": write.manager,
            "operation": "Update",
            "apiVersion": resource.api_version,
            "time": timestamp(self.now()),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        return {**entry, "subresource": write.subresource} if write.subresource else entry


def _written(resource: Resource, before: Json, after: Json) -> Json:
    """Return which keys of a ConfigMap or Secret a write has changed, as its managed fields have them; of all else nothing is noted."""
    if resource not in (resources.CONFIGMAPS, resources.SECRETS):
        return {}
    had, has = before.get("data") or {}, after.get("data") or {}
    keys: Json = {f"f:{key}": {} for key, value in has.items() if had.get(key) != value}
    return {"f:data": keys} if keys else {}


def _kept_metadata(current: Json, wanted: Json) -> Json:
    """Take over the metadata that a client may write; the generated fields stay."""
    written = {
        key: wanted["metadata"][key]
        for key in ("labels", "annotations", "finalizers", "ownerReferences")
        if wanted["metadata"].get(key)
    }
    generated = {
        key: value
        for key, value in current["metadata"].items()
        if key not in ("labels", "annotations", "finalizers", "ownerReferences")
    }
    return {**generated, **written}


def _grace(resource: Resource, current: Json, options: DeleteOptions) -> int:
    if resource != resources.PODS:
        return 0
    finished = dig(current, "status", "phase") in ("Succeeded", "Failed")
    if finished or not dig(current, "spec", "nodeName"):
        return 0
    own: int = dig(current, "spec", "terminationGracePeriodSeconds", default=30)
    return own if options.grace is None else options.grace


def _check_preconditions(resource: Resource, current: Json, options: DeleteOptions) -> None:
    name, uid, version = name_of(current), uid_of(current), current["metadata"]["resourceVersion"]
    if options.uid and options.uid != uid:
        raise precondition(
            resource,
            name,
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid}). "
            "The object might have been deleted and then recreated",
        )
    if options.resource_version and options.resource_version != version:
        raise precondition(
            resource,
            name,
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion "
            f"in record ({version}). The object might have been modified",
        )
