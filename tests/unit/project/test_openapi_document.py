"""The document of the HTTP API says what the server does: all routes, closed answers, and it is the one in docs."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from kintsugi.server.authentication import Authenticator, TokenFiles
from kintsugi.server.ports import application
from kintsugi.server.routes import AuthMiddleware
from kintsugi.telemetry import Metrics
from tests.unit.project import openapi

Json = dict[str, Any]

FREE = {
    "RunRecord.parameters",
    "StepRecord.command",
    "StepRecord.facts",
    "StepRecord.result",
    "UndoRecord.commands",
}
"""Fields that hold whatever a program, a service or an object said; all other maps are of text to text."""


async def test_the_document_in_docs_is_the_one_that_is_made() -> None:
    """A field that is added to an answer changes it: `make docs` writes it anew, and whoever reviews that sees the field."""
    assert msgspec.json.decode(openapi.FILE.read_bytes()) == await openapi.made(), "run `make docs`"


async def test_every_route_that_the_server_registers_is_in_the_document() -> None:
    server, health = await openapi.routes()
    app = application(AuthMiddleware(Authenticator(TokenFiles([]), TokenFiles([], named=True)), Metrics()), server)
    registered = {
        (route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None
    }
    assert registered == {(route.method, route.path) for route in server}
    told = {
        (method.upper(), path)
        for path, item in (await openapi.made())["paths"].items()
        for method in item.keys() - {"servers"}
    }
    assert told == registered | {(route.method, route.path) for route in health}


async def test_every_answer_is_closed() -> None:
    """No field that stands in no type is told; a map is one by design, and of text unless it is named above."""
    made = await openapi.made()
    schemas: Json = made["components"]["schemas"]
    open_ones, maps = set(), set()
    for name, schema in answered(made).items():
        if "properties" not in schema:
            continue
        if schema["additionalProperties"] is not False or set(schema["required"]) != set(schema["properties"]):
            open_ones.add(name)
        for field, below in schema["properties"].items():
            maps |= {f"{name}.{field}" for each in nested(below) if is_free(each)}
    assert open_ones == set()
    assert maps == FREE
    assert len(schemas) > 30


def answered(made: Json) -> Json:
    """Return the schemas that answers are made of."""
    schemas: Json = made["components"]["schemas"]
    waiting = [
        each["$ref"].rsplit("/", 1)[1]
        for where in (made["paths"], made["components"]["responses"])
        for response in responses(where)
        for media in response.get("content", {}).values()
        for each in [media["schema"]]
        if "$ref" in each
    ]
    found: Json = {}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = schemas[name]
            waiting += [each["$ref"].rsplit("/", 1)[1] for each in nested(schemas[name]) if "$ref" in each]
    return found


def responses(where: Json) -> Iterator[Json]:
    """Go through all responses of the paths, or of the components."""
    for item in where.values():
        operations = [each for each in item.values() if isinstance(each, dict) and "responses" in each]
        for each in operations:
            yield from each["responses"].values()
        if not operations and "content" in item:
            yield item


def nested(schema: object) -> Iterator[Mapping[str, Any]]:
    """Go through a schema and all that it holds."""
    if isinstance(schema, Mapping):
        yield schema
        for each in schema.values():
            yield from nested(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from nested(each)


def is_free(schema: Mapping[str, Any]) -> bool:
    """Return whether a map may hold anything."""
    return schema.get("type") == "object" and schema.get("additionalProperties") != {"type": "string"}


async def test_the_document_says_which_token_each_operation_needs() -> None:
    made = await openapi.made()
    schemes = made["components"]["securitySchemes"]
    assert {role: each["scheme"] for role, each in schemes.items()} == {"webhook": "bearer", "operator": "bearer"}
    operations = [(path, each) for path, item in made["paths"].items() for each in item.values()]
    open_to_all = {path for path, each in operations if isinstance(each, dict) and each["security"] == []}
    assert open_to_all == {"/openapi.json", "/healthz", "/readyz", "/metrics"}
