"""
Checks the shape of a document, and mends what is wrong: all else in the document is checked beside it, in one round.

A mended part is marked as unclear, so that no problem is told which only follows from another.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kintsugi.catalog.problems import Problem, did_you_mean
from kintsugi.catalog.schema import ACTIONS, SEVERAL_ACTIONS, DocumentShape
from kintsugi.catalog.source import Document, Path, Plain
from kubeobjects.spelling import nearest

ShapeT = TypeVar("ShapeT", bound=DocumentShape)

_ABSENT = object()
_FORMS = {
    r"^[a-z][a-z0-9_]*$": "an id: lower-case letters, digits and _, beginning with a letter",
    r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$": "a name: lower-case letters and digits, with - or . between them",
    r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$": "a namespace: lower-case letters and digits, with - between them",
    r"^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$": "the name of a type: lower-case letters and digits, with - between them",
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
_STEPS = frozenset({"steps", "parallel", "undo"})
"""The keys that hold lists of steps; `checks` holds them by names."""

_OF_RESULT = frozenset({"id", "forEach", "keep", "scan", *ACTIONS})
"""The keys of a step that decide which names its result has."""

_STAND_INS: Mapping[str, Plain] = {
    "metadata": {},
    "steps": [{"id": "unclear", "expect": "true"}],
    "title": "-",
    "text": "-",
    "question": "-",
    "namespace": "unknown",
    "workload": "deployment/unknown",
    "apiVersion": "kintsugi.dev/v1alpha1",
}
_MOST_ROUNDS = 8
_NUMBERS = count()


@dataclass(kw_only=True, slots=True)
class Shaped(Generic[ShapeT]):
    """
    A document with its shape, None where it could not be mended, and the problems of it.

    `unclear` are the names of expressions of which nothing is known: `steps.look`, `params.pod`, `each`, or `steps` and
    `params` for all of them.
    """

    document: Document
    shape: ShapeT | None = None
    problems: list[Problem] = field(default_factory=list)
    unclear: set[str] = field(default_factory=set)


def shape_of(document: Document, shape: type[ShapeT], noted: Collection[Problem] = ()) -> Shaped[ShapeT]:
    """
    Check a document's shape as often as it takes to mend it. `noted` are problems that are told already.

    What is wrong after a part was mended is told, too, unless it is about the mended part itself.
    """
    shaped: Shaped[ShapeT] = Shaped(document=document)
    value = document.value
    places = {each.place for each in noted}
    mended = {path for path, span in document.values.items() if path and span.place in places}
    meant: set[Path] = set()
    for _ in range(_MOST_ROUNDS):
        try:
            shaped.shape = shape.model_validate(value)
            break
        except ValidationError as error:
            found = [(each, path_of(each, value)) for each in error.errors(include_url=False)]
        meant |= {other for details, path in found if (other := _meant(details, path, value, shape))}
        for details, path in found:
            about = path[:-1] if details["type"] == "missing" else path
            told = path in meant or any(other[: len(about)] == about for other in mended)
            if details["type"] == SEVERAL_ACTIONS or not told:
                shaped.problems.append(problem_of(details, path, document, shape))
        for details, path in sorted(found, key=lambda each: (len(each[1]), each[0]["type"] != "missing"), reverse=True):
            shaped.unclear.update(_unclear(details, path, value))
            value = _mended(details, path, value, _meant(details, path, value, shape))
        mended |= {path for _, path in found}
    return shaped


def _unclear(details: ErrorDetails, path: Path, value: Plain) -> Iterator[str]:
    """Yield the names of expressions of which nothing is known any more."""
    if path[:2] == ("spec", "parameters"):
        yield ".".join(("params", *(str(part) for part in path[2:3] if path[3:])))
    at = next((length for length in range(len(path), 0, -1) if _is_step(path[:length])), 0)
    if not at:
        if path[-1:] == ("steps",) or path[-2:-1] == ("checks",):
            yield "steps"
        return
    step, below = _at(value, path[:at]), path[at:]
    if details["type"] == "extra_forbidden":
        yield "each"
    known = isinstance(step, dict) and isinstance(step.get("id"), str) and below[:1] != ("id",)
    if isinstance(step, dict) and known and (not below or below[0] in _OF_RESULT):
        yield f"steps.{step['id']}"
    elif not known:
        yield "steps"


def _is_step(path: Path) -> bool:
    return isinstance(path[-1], int) and (path[-2] in _STEPS or path[-3:-2] == ("checks",))


def _meant(details: ErrorDetails, path: Path, value: Plain, shape: type[BaseModel]) -> Path:
    """Return the path with the key that a misspelt one means, () where there is none or where it is given, too."""
    if details["type"] != "extra_forbidden":
        return ()
    near = nearest(str(path[-1]), keys_at(shape, path[:-1]))
    owner = _at(value, path[:-1])
    return (*path[:-1], near) if near and isinstance(owner, dict) and near not in owner else ()


def _mended(details: ErrorDetails, path: Path, value: Plain, meant: Path) -> Plain:
    """Return a document in which one mistake is mended: what was meant, a stand-in, or without the wrong part."""
    *above, last = path or ("",)
    owner = _at(value, tuple(above))
    match details["type"], owner:
        case "missing", dict():
            if last in owner:
                return value
            dash = "-" if last == "name" else "_"
            return _with(value, path, _STAND_INS.get(str(last), f"unclear{dash}{next(_NUMBERS)}"))
        case "extra_forbidden", dict():
            renamed = {str(meant[-1]) if key == last else key: inner for key, inner in owner.items()} if meant else {}
            return _with(value, tuple(above), renamed or _less(owner, last))
        case _ if isinstance(inner := _at(value, path), dict) and _is_step(path):
            given = [action for action in ACTIONS if action in inner]
            kept = {key: each for key, each in inner.items() if key not in given[1:]}
            return _with(value, path, {"expect": "true", **kept})
        case _, list() if _is_step(path):
            return _with(value, path, {"id": f"unclear_{next(_NUMBERS)}", "expect": "true"})
        case _, list():
            return _with(value, tuple(above[:-1]), _less(_at(value, tuple(above[:-1])), above[-1]))
        case _, dict():
            return _with(value, tuple(above), _less(owner, last))
        case _:
            return value


def _less(owner: Plain, key: str | int) -> Plain:
    return {each: value for each, value in owner.items() if each != key} if isinstance(owner, dict) else owner


def _at(value: Plain, path: Path) -> Plain:
    for part in path:
        match value, part:
            case dict(), str():
                value = value.get(part)
            case list(), int():
                value = value[part]
            case _:
                return None
    return value


def _with(value: Plain, path: Path, part: Plain) -> Plain:
    """Return a document with another part at a path."""
    if not path:
        return part
    first, *rest = path
    match value:
        case dict():
            return {**value, str(first): _with(value.get(str(first)), tuple(rest), part)}
        case list():
            return [_with(each, tuple(rest), part) if at == first else each for at, each in enumerate(value)]
        case _:
            return value


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


def problem_of(details: ErrorDetails, path: Path, document: Document, shape: type[BaseModel]) -> Problem:
    """Return an error of pydantic as a problem for people."""
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            keys = keys_at(shape, path[:-1])
            hint = did_you_mean(str(path[-1]), keys) or (f"known are {', '.join(sorted(keys))}" if keys else "")
            return document.problem(path, f"the key {path[-1]!r} is not known here", suggestion=hint, key=True)
        case "missing":
            return document.problem(path[:-1], f"`{path[-1]}` is missing", key=True)
        case "literal_error" | "enum":
            message = f"{details['input']!r} is not one of {context['expected']}"
            near = did_you_mean(str(details["input"]), filter(None, context["expected"].split("'")))
            return document.problem(path, message, suggestion=near)
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


def keys_at(shape: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that are allowed at a path of a document."""
    model: Any = shape
    is_name = False
    for part in path:
        if isinstance(part, int) or is_name:
            is_name = False
            continue
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = next((field for name, field in model.model_fields.items() if (field.alias or name) == part), None)
            model = _model_in(field.annotation) if field else None
            is_name = field is not None and get_origin(field.annotation) is dict
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
