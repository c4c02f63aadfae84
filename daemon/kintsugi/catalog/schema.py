"""JSON Schemas of the documents, for editors and for `kintsugi schema`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, TypeAdapter

from kintsugi.catalog.shapes import SHAPES, AnyShape

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> Mapping[str, dict[str, object]]:
    """Give the schema of each kind of document, by kind."""
    return {kind: {"$schema": _DIALECT, **shape.model_json_schema(by_alias=True)} for kind, shape in SHAPES.items()}


def schema() -> dict[str, object]:
    """Give one schema for a document of any kind."""
    any_kind: TypeAdapter[AnyShape] = TypeAdapter(Annotated[AnyShape, Field(discriminator="kind")])
    return {"$schema": _DIALECT, "title": "A document of Kintsugi's catalog", **any_kind.json_schema(by_alias=True)}
