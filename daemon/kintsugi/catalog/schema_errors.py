"""Converts pydantic's errors about a document into problems for people, each with its place in the file."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kintsugi.catalog.problems import Problem, did_you_mean
from kintsugi.catalog.source import Document, Path

_ABSENT = object()
_FORMS = {
    r"^[a-z][a-z0-9_]*$": "an id: lower-case letters, digits and _, beginning with a letter",
    r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$": "a name: lower-case letters and digits, with - or . between them",
    r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$": "a namespace: lower-case letters and digits, with - between them",
}
_WORDS = {
    "string_type": "text: put it in quotes",
    "int_type": "a whole number",
    "list_type": "a list: write each item in a line of its own, after a dash",
    "dict_type": "a map of keys and values",
    "model_type": "a map of keys and values",
    "model_attributes_type": "a map of keys and values",
    "bool_type": "true or false",
}


def problems_of(error: ValidationError, document: Document, shape: type[BaseModel]) -> Iterator[Problem]:
    """Yield a problem for each thing that does not fit."""
    for details in error.errors(include_url=False):
        yield _problem(details, document, shape)


def path_of(details: ErrorDetails, value: object) -> Path:
    """Return where an error is in the document: pydantic's path without the names of its alternatives."""
    path: list[str | int] = []
    parts = details["loc"]
    for position, part in enumerate(parts):
        inner = _inside(value, part)
        if inner is not _ABSENT:
            value = inner
        elif position < len(parts) - 1 or details["type"] not in {"missing", "extra_forbidden"}:
            continue
        path.append(part)
    return tuple(path)


def _inside(value: object, part: str | int) -> object:
    match value, part:
        case dict(), str():
            return value.get(part, _ABSENT)
        case list(), int() if part < len(value):
            return value[part]
        case _:
            return _ABSENT


def _problem(details: ErrorDetails, document: Document, shape: type[BaseModel]) -> Problem:
    path = path_of(details, document.value)
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            known = _keys_at(shape, path[:-1])
            return document.problem(
                path, f"the key {path[-1]!r} is not known here", suggestion=_near(str(path[-1]), known), key=True
            )
        case "missing":
            return document.problem(path[:-1], f"`{path[-1]}` is missing", key=True)
        case "literal_error" | "enum":
            message = f"{details['input']!r} is not one of {context['expected']}"
            return document.problem(
                path, message, suggestion=_near(str(details["input"]), context["expected"].split("'"))
            )
        case "value_error":
            return document.problem(path, str(context["error"]))
        case "string_pattern_mismatch":
            form = _FORMS.get(context["pattern"], f"of the form {context['pattern']}")
            return document.problem(path, f"{details['input']!r} is not {form}")
        case kind if kind in _WORDS:
            return document.problem(path, f"{_shown(details['input'])} is not {_WORDS[kind]}")
        case _:
            return document.problem(path, details["msg"].removeprefix("Input "))


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a map"
        case list():
            return "a list"
        case _:
            return repr(value) if not isinstance(value, bool) else str(value).lower()


def _near(word: str, known: list[str]) -> str:
    return did_you_mean(word, [name for name in known if name])


def _keys_at(shape: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that are allowed at a path of a document."""
    model: Any = shape
    for part in path:
        if isinstance(part, int):
            continue
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = next((field for name, field in model.model_fields.items() if (field.alias or name) == part), None)
            model = _model_in(field.annotation) if field else None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    """Find the shape inside an annotation, as in `list[StepShape] | None`; maps of names to shapes are passed through."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is Mapping:
        return None
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)
