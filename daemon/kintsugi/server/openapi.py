"""
The contracts of routes, and the document of the HTTP API (OpenAPI 3.1) that is made from them.

The document is served at `/openapi.json` and kept in docs/openapi.json; tests compare both, and every answer of a running daemon,
with this document. Answers are closed: a field that is in no type is never sent.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from kintsugi.server.answers import Handler
from kintsugi.server.authentication import RIGHTS, Action, ApiRole
from kintsugi.server.responses import ErrorResponse

Json = dict[str, Any]

_VERSION = "1"
_REFS = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_ANY = {"description": "Any JSON value, such as the output of a program or an object of the cluster."}
_ABOUT = """\
Alertmanager delivers to `/alertmanager` with the webhook's token. People use their own tokens for everything under
`/api/v1`. Health and metrics are on another port, without a token. The API follows the daemon's version. New fields may be
added, and clients should ignore fields that they do not know."""

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
class OtherContent:
    """An answer that is no record of the API: text, or an object whose fields are not listed, by its `schema`."""

    content_type: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """
    One route's part of the document.

    `answers` has the type of the value for each status that is no error; an error is always a `ErrorResponse`, and `errors` are
    the statuses that a caller has to reckon with, beside 401 and 403 of the gate.
    """

    summary: str
    answers: Mapping[int, type | OtherContent]
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


def document(server: Sequence[Route], health: Sequence[Route]) -> Json:
    """Make the document of the routes of both ports."""
    schemas = _Schemas([each.contract for each in (*server, *health)])
    paths: Json = {}
    for each in server:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    for each in health:
        item = paths.setdefault(each.path, {"servers": [_HEALTH]})
        item[each.method.lower()] = _operation(each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kintsugi",
            "version": _VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {
                str(status): {"description": description, "content": {JSON: {"schema": schemas.ref(ErrorResponse)}}}
                for status, description in _ERRORS.items()
            },
            "securitySchemes": _SECURITY,
        },
    }


_DONE = {
    200: "OK.",
    201: "Created.",
    202: "Started; its incident shows the progress.",
    503: "Unhealthy.",
}
_ERRORS = {
    400: "Invalid request; the error names the valid form.",
    401: "The token is missing or unknown.",
    403: "The token does not allow this.",
    404: "Not found.",
    409: "The request conflicts with the current state.",
    413: "The body is too large.",
    415: "The content type is not JSON, or the body is compressed.",
    422: "The request does not fit the current catalog; the error names valid values.",
    502: "The cluster, or the program in the cluster, does not answer.",
    503: "The ledger is unavailable, or too many requests are in progress; retry later.",
}

_HEALTH = {"url": "http://{host}:8081", "variables": {"host": {"default": "kintsugi.kintsugi.svc"}}}

_SECURITY = {
    str(role): {"type": "http", "scheme": "bearer", "description": about}
    for role, about in {
        ApiRole.WEBHOOK: "A token of `alertmanager.tokenFiles`.",
        ApiRole.OPERATOR: "A person's token of `server.operatorTokenFiles`.",
    }.items()
}


class _Schemas:
    """The schemas of everything that is taken and answered, by type."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        answer_types = {
            each for contract in contracts for each in contract.answers.values() if not isinstance(each, OtherContent)
        }
        taken = {contract.body.kind for contract in contracts if contract.body is not None and contract.body.kind}
        answers, bodies = _components({*answer_types, ErrorResponse}), _components(taken)
        for schema in answers.values():
            _close(schema)
        self.components: Json = dict(sorted({**bodies, **answers}.items()))

    @staticmethod
    def ref(kind: type) -> Json:
        """Refer to the schema of a type."""
        return {"$ref": _REFS.format(name=kind.__name__)}


def _components(kinds: Iterable[type]) -> Json:
    """Make the schemas of these types, and of all that they hold, by name."""
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REFS, schema_hook=lambda _: dict(_ANY))
    return components


def _close(schema: Json) -> None:
    """Require of a record that is answered that it has every field, and no other; and read its text as a paragraph."""
    if "description" in schema:
        schema["description"] = " ".join(str(schema["description"]).split())
    if "properties" in schema:
        schema["required"] = list(schema["properties"])
        schema["additionalProperties"] = False
        for each in schema["properties"].values():
            each.pop("default", None)


def _operation(route: Route, schemas: _Schemas) -> Json:
    contract = route.contract
    parameters = [_in_path(name) for name in _PARAMETER.findall(route.path)] + [_in_query(e) for e in contract.query]
    described: Json = {
        "operationId": _operation_id(route),
        "summary": contract.summary,
        "security": [{str(role): []} for role in _roles(route.action)],
        "responses": _responses(route, schemas),
    }
    if parameters:
        described["parameters"] = parameters
    if contract.body is not None:
        described["requestBody"] = _body(contract.body, schemas)
    return described


def _roles(action: Action) -> list[ApiRole]:
    """Return the roles that need a token for an action; empty where no token is needed."""
    return [] if action in RIGHTS[ApiRole.NOBODY] else [role for role, rights in RIGHTS.items() if action in rights]


def _operation_id(route: Route) -> str:
    words = [route.method.lower(), *re.findall(r"[a-z0-9]+", route.path.replace("{", "by-"))]
    return "-".join(words)


def _responses(route: Route, schemas: _Schemas) -> Json:
    found: Json = {}
    for status, kind in route.contract.answers.items():
        if isinstance(kind, OtherContent):
            content: Mapping[str, Any] = {kind.content_type: {"schema": dict(kind.schema)}}
        else:
            content = {JSON: {"schema": schemas.ref(kind)}}
        found[str(status)] = {"description": _DONE[status], "content": content}
    gate = (401, 403) if _roles(route.action) else ()
    for status in (*gate, *route.contract.errors):
        found[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return dict(sorted(found.items()))


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(parameter: QueryParameter) -> Json:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.about,
        "schema": dict(parameter.schema),
    }


def _body(body: RequestBody, schemas: _Schemas) -> Json:
    parts = [schemas.ref(body.kind)] if body.kind is not None else []
    parts += [dict(body.rules)] if body.rules else []
    schema: Json = parts[0] if len(parts) == 1 else {"allOf": parts}
    return {"required": body.required, "content": {JSON: {"schema": schema}}}
