"""The contract of a route, as in the document of the API: parameters, body, a type for each status."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

from kintsugi.server.authentication import Action

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Schema = Mapping[str, object]
"""A JSON Schema."""

JSON = "application/json"


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryParameter:
    """A parameter of the query; none is required where there is a default, or where leaving it out means all."""

    name: str
    about: str
    schema: Schema
    required: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestBody:
    """
    A body in JSON, read into `kind`; `rules` is a JSON Schema with further constraints.

    Without a `kind` the rules are the whole contract: another layer reads such a body.
    """

    kind: type | None = None
    rules: Schema = field(default_factory=dict)
    required: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainText:
    """An answer that is text of this type, not JSON."""

    content_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """
    One route's part of the document.

    `answers` has the type of the value for each status that is no error; an error is always a `ErrorResponse`, and `errors` are
    the statuses that a caller has to reckon with, beside 401 and 403 of the gate.
    """

    summary: str
    answers: Mapping[int, type | PlainText]
    errors: tuple[int, ...] = ()
    query: tuple[QueryParameter, ...] = ()
    body: RequestBody | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A method and path, its right, its handler, and its contract."""

    method: str
    path: str
    action: Action
    handler: Handler
    contract: Contract


def text(name: str, about: str, *, pattern: str = "", required: bool = False) -> QueryParameter:
    """Make a parameter that is text."""
    schema: Schema = {"type": "string", "pattern": pattern} if pattern else {"type": "string"}
    return QueryParameter(name=name, about=about, schema=schema, required=required)


def number(name: str, about: str, *, least: int, most: int, default: int) -> QueryParameter:
    """Make a parameter that is a whole number."""
    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return QueryParameter(name=name, about=about, schema=schema)


def word(name: str, about: str, members: type[StrEnum]) -> QueryParameter:
    """Make a parameter that is one of some words."""
    return QueryParameter(name=name, about=about, schema={"type": "string", "enum": sorted(members)})


def flag(name: str, about: str) -> QueryParameter:
    """Make a parameter that is true or false."""
    return QueryParameter(name=name, about=about, schema={"type": "boolean", "default": False})
