"""JSON Schemas of the documents, for editors and for `kintsugi schema`."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from kintsugi.catalog.schema_models import SHAPES, AnyShape
from kintsugi.commands import rows

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> Mapping[str, dict[str, object]]:
    """Return the schema of each kind of document, by kind."""
    return {
        kind: {"$schema": _DIALECT, **_with_commands(shape.model_json_schema(by_alias=True))}
        for kind, shape in SHAPES.items()
    }


def schema() -> dict[str, object]:
    """Return one schema for a document of any kind."""
    any_kind: TypeAdapter[AnyShape] = TypeAdapter(Annotated[AnyShape, Field(discriminator="kind")])
    written = _with_commands(any_kind.json_schema(by_alias=True))
    return {"$schema": _DIALECT, "title": "A document of Kintsugi's catalog", **written}


def _with_commands(schema: dict[str, Any]) -> dict[str, Any]:
    """Add the example of every verb to the `run` of a step."""
    step = schema.get("$defs", {}).get("StepShape")
    if step is not None:
        step["properties"]["run"]["examples"] = [spec.example for spec in rows()]
    return schema
