"""
Lists in pages: `limit` and `continue`, every page from one moment.

The rest of a list is kept until it is asked for; a token whose rest is gone is answered with 410.
"""

import base64
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import orjson

from kubeobjects.resources import Resource
from kubesim.manifest import Json
from kubesim.storage.status import ApiRefusal, bad_request, expired

KEPT: Final = 1000
"""Unfinished lists that are kept."""

TOO_OLD: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """
    The rest of a list, and the version of its moment. `counted` when clients may see the number of remaining items.
    """

    items: tuple[Json, ...]
    version: str
    counted: bool


class Pages:
    """Cut lists into pages."""

    def __init__(self) -> None:
        self._rests: OrderedDict[str, Rest] = OrderedDict()

    def first(self, resource: Resource, rest: Rest, limit: int) -> Json:
        """Write the first page of a list; `limit` 0 is all of it."""
        if limit <= 0 or len(rest.items) <= limit:
            return listing(resource, rest.items, {"resourceVersion": rest.version})
        remaining = Rest(items=rest.items[limit:], version=rest.version, counted=rest.counted)
        metadata: Json = {"resourceVersion": rest.version, "continue": self._keep(remaining)}
        if rest.counted:
            metadata["remainingItemCount"] = len(remaining.items)
        return listing(resource, rest.items[:limit], metadata)

    def next(self, resource: Resource, token: str, limit: int) -> Json:
        """Write the next page; raise ApiRefusal 410 when its moment is gone, 400 for an invalid token."""
        rest = self._rests.pop(_key_of(token), None)
        if rest is None:
            raise self.too_old()
        return self.first(resource, rest, limit)

    def forget(self) -> None:
        """Let every unfinished list expire."""
        self._rests.clear()

    def too_old(self) -> ApiRefusal:
        """Refuse a token that has expired."""
        refusal = expired(TOO_OLD)
        refusal.metadata = {"continue": _token("expired")}
        return refusal

    def _keep(self, rest: Rest) -> str:
        key = secrets.token_hex(8)
        self._rests[key] = rest
        while len(self._rests) > KEPT:
            self._rests.popitem(last=False)
        return _token(key)


def listing(resource: Resource, items: tuple[Json, ...] | list[Json], metadata: Json) -> Json:
    """Return a list; its items have neither kind nor version, as from the real server."""
    bare = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items]
    kind = f"{resource.kind}List" if not resource.kind.endswith("List") else resource.kind
    return {"kind": kind, "apiVersion": resource.api_version, "metadata": metadata, "items": bare}


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"v": "meta.k8s.io/v1", "start": key})).decode().rstrip("=")


def _key_of(token: str) -> str:
    try:
        padded = token + "=" * (-len(token) % 4)
        return str(orjson.loads(base64.urlsafe_b64decode(padded))["start"])
    except (ValueError, KeyError, TypeError) as problem:
        raise bad_request("continue key is not valid: " + str(problem)) from problem
