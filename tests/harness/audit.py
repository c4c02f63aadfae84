"""The API server's audit log: the witness of who read and wrote what."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEvent:
    """One request as the API server saw it. `raw` is the whole audit.k8s.io/v1 Event."""

    id: str
    at: datetime
    verb: str
    user: str
    resource: str
    subresource: str
    namespace: str
    name: str
    uid: str
    code: int
    uri: str
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "AuditEvent":
        """Read one decoded line of the log."""
        target = raw.get("objectRef", {})
        answered = raw.get("responseObject", {}).get("metadata", {})
        return cls(
            id=raw["auditID"],
            at=datetime.fromisoformat(raw["requestReceivedTimestamp"]),
            verb=raw["verb"],
            user=raw.get("user", {}).get("username", ""),  # who did not say who they are has none
            resource=target.get("resource", ""),
            subresource=target.get("subresource", ""),
            namespace=target.get("namespace", ""),
            name=target.get("name") or answered.get("name", ""),
            uid=target.get("uid") or _precondition(raw) or answered.get("uid", ""),
            code=raw.get("responseStatus", {}).get("code", 0),
            uri=raw["requestURI"],
            raw=raw,
        )


class AuditLog(list[AuditEvent]):
    """Audit events in the order of their answers, one a request."""

    def where(
        self,
        *,
        verb: str | tuple[str, ...] = (),
        resource: str | None = None,
        subresource: str | None = None,
        namespace: str | None = None,
        name: str | None = None,
        uid: str | None = None,
        user: str | None = None,
        code: int | None = None,
    ) -> "AuditLog":
        """Return the events that agree with all that is given.

        `verb` may be several. `user` is the end of the user's name: `kintsugi` takes
        `system:serviceaccount:ns:kintsugi`. `subresource=""` takes requests to the object itself only.
        """
        verbs = (verb,) if isinstance(verb, str) else verb
        wanted = {"resource": resource, "subresource": subresource, "namespace": namespace, "name": name, "uid": uid}
        exact = {key: value for key, value in {**wanted, "code": code}.items() if value is not None}
        return AuditLog(
            event
            for event in self
            if (not verbs or event.verb in verbs)
            and (user is None or event.user == user or event.user.endswith(f":{user}"))
            and all(getattr(event, key) == value for key, value in exact.items())
        )

    def writes(self) -> "AuditLog":
        """Return the events that ask for a change."""
        return self.where(verb=("create", "update", "patch", "delete", "deletecollection"))


class AuditFile:
    """The log's file, of which each look reads only what is new: stories look often, and it grows to megabytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._events: dict[str, AuditEvent] = {}
        self._seen = 0

    def read(self) -> AuditLog:
        """Return the log as it is now; a line that is still being written is left out."""
        if self._path.exists():
            with self._path.open("rb") as log:
                log.seek(self._seen)
                whole, newline, _ = log.read().rpartition(b"\n")
            self._seen += len(whole) + len(newline)
            # A watch or an exec is logged when it starts and again when it ends: the later line takes the place.
            self._events.update({raw["auditID"]: AuditEvent.of(raw) for raw in map(json.loads, whole.splitlines())})
        return AuditLog(self._events.values())


def _precondition(raw: Mapping[str, Any]) -> str:
    asked = raw.get("requestObject")
    if not isinstance(asked, dict):  # a JSON patch is a list
        return ""
    found: str = (asked.get("preconditions") or {}).get("uid", "") or (asked.get("metadata") or {}).get("uid", "")
    return found
