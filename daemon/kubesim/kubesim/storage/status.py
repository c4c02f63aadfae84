"""
The refusals of the embedded API server, in the words and shapes of the real one.

Raised anywhere below the server, which turns them into a `Status` body.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kubeobjects.resources import Resource
from kubesim.errors import KubesimError
from kubesim.manifest import Json

STALE = "the object has been modified; please apply your changes to the latest version and try again"


class ApiRefusal(KubesimError):
    """A request that the API server refuses; `body` is the Status that it answers."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details
        self.metadata: Json = {}

    @property
    def body(self) -> Json:
        """Write the refusal as a Status."""
        body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        body["message"] = str(self)
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return {**body, "code": self.code}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One field that is wrong; `message` starts with the kind of wrong, as `Required value`."""

    reason: str
    field: str
    message: str


def details_of(resource: Resource, name: str = "", *, kind: str = "") -> Json:
    """Write the details of a refusal that is about an object."""
    details = {"name": name, "group": resource.group, "kind": kind or resource.plural}
    return {key: value for key, value in details.items() if value}


def not_found(resource: Resource, name: str) -> ApiRefusal:
    """Refuse: no such object."""
    return ApiRefusal(404, "NotFound", f'{resource.qualified} "{name}" not found', details_of(resource, name))


def unknown_path() -> ApiRefusal:
    """Refuse: no such resource."""
    return ApiRefusal(404, "NotFound", "the server could not find the requested resource", {})


def exists(resource: Resource, name: str) -> ApiRefusal:
    """Refuse to create what is there."""
    message = f'{resource.qualified} "{name}" already exists'
    return ApiRefusal(409, "AlreadyExists", message, details_of(resource, name))


def conflict(resource: Resource, name: str, why: str = STALE) -> ApiRefusal:
    """Refuse a change to an object that is not as the caller believed."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiRefusal(409, "Conflict", message, details_of(resource, name))


def precondition(resource: Resource, name: str, why: str) -> ApiRefusal:
    """Refuse a deletion whose precondition does not hold; these name the kind, not the plural."""
    target = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    message = f'Operation cannot be fulfilled on {target} "{name}": {why}'
    return ApiRefusal(409, "Conflict", message, details_of(resource, name, kind=resource.kind))


def bad_request(message: str) -> ApiRefusal:
    """Refuse what cannot be read."""
    return ApiRefusal(400, "BadRequest", message)


def unprocessable(message: str = "the server rejected our request due to an error in our request") -> ApiRefusal:
    """Refuse a patch that cannot be applied."""
    return ApiRefusal(422, "Invalid", message, {})


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiRefusal:
    """Refuse an object with wrong fields, all of them named."""
    target = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = details_of(resource, name, kind=resource.kind)
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return ApiRefusal(422, "Invalid", f'{target} "{name}" is invalid: {text}', details)


def unauthorized() -> ApiRefusal:
    """Refuse credentials."""
    return ApiRefusal(401, "Unauthorized", "Unauthorized")


def expired(message: str) -> ApiRefusal:
    """Refuse a version that is too old: list again."""
    return ApiRefusal(410, "Expired", message)


def too_many_requests(message: str, *, retry_after: int = 0, causes: Sequence[Json] = ()) -> ApiRefusal:
    """Refuse for now."""
    details: Json = {}
    if causes:
        details["causes"] = list(causes)
    if retry_after:
        details["retryAfterSeconds"] = retry_after
    return ApiRefusal(429, "TooManyRequests", message, details)


def unsupported_media() -> ApiRefusal:
    """Refuse a patch of a kind that is not understood."""
    return ApiRefusal(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def unsupported_patch() -> ApiRefusal:
    """Refuse a strategic merge patch of an object whose kind a CustomResourceDefinition has."""
    accepted = (f"application/{each}" for each in ("json-patch+json", "merge-patch+json", "apply-patch+yaml"))
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiRefusal(415, "UnsupportedMediaType", message)


def unsupported_body() -> ApiRefusal:
    """Refuse a body that is not JSON."""
    message = "the body of the request was in an unknown format - accepted media types include: application/json"
    return ApiRefusal(415, "UnsupportedMediaType", message)


def version_too_large(asked: int, current: int) -> ApiRefusal:
    """Refuse to read a version that has not come to be."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiRefusal(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def method_not_allowed() -> ApiRefusal:
    """Refuse a method that the path does not have."""
    message = "the server does not allow this method on the requested resource"
    return ApiRefusal(405, "MethodNotAllowed", message, {})


def success(resource: Resource, name: str, uid: str) -> Json:
    """Write the Status of a deletion that is complete."""
    details = {**details_of(resource, name), "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
