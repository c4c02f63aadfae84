"""
Fields of an object as it was just read.

Whole objects stay JSON here, because what is written back must not lose a field that Kintsugi does not know; where
kept fields suffice, `kept` gives the struct.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from kintsugi.errors import KubeError
from kintsugi.model.command import ObjectName
from kintsugi.objects.resources import Resource

Live = Mapping[str, object]
Kept = TypeVar("Kept", bound=msgspec.Struct)


def at(obj: object, *path: str) -> object:
    """Give what stands at a path of keys, None when there is nothing."""
    for key in path:
        obj = obj.get(key) if isinstance(obj, Mapping) else None
    return obj


def text(obj: object, *path: str) -> str:
    """Give a text, "" when there is none."""
    value = at(obj, *path)
    return value if isinstance(value, str) else ""


def number(obj: object, *path: str, default: int = 0) -> int:
    """Give a whole number; the default (Kubernetes leaves zeros out) when there is none."""
    value = at(obj, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def mapping(obj: object, *path: str) -> Live:
    """Give an object, empty when there is none."""
    value = at(obj, *path)
    return value if isinstance(value, Mapping) else {}


def entries(obj: object, *path: str) -> tuple[Live, ...]:
    """Give a list of objects, empty when there is none."""
    value = at(obj, *path)
    return tuple(each for each in value if isinstance(each, Mapping)) if isinstance(value, list | tuple) else ()


def labels(obj: Live) -> dict[str, str]:
    """Give the labels."""
    return {key: value for key, value in mapping(obj, "metadata", "labels").items() if isinstance(value, str)}


def name(obj: Live) -> str:
    """Give the object's name."""
    return text(obj, "metadata", "name")


def uid(obj: Live) -> str:
    """Give the object's uid."""
    return text(obj, "metadata", "uid")


def replicas(obj: Live) -> int:
    """Give the replicas that are asked for; the API's default is 1."""
    return number(obj, "spec", "replicas", default=1)


def kept(obj: Live, struct: type[Kept]) -> Kept:
    """Read the kept fields. Raises KubeError for an object that is not as the API describes it."""
    try:
        return msgspec.convert(obj, struct)
    except msgspec.ValidationError as error:
        raise KubeError(f"{text(obj, 'kind') or 'object'} {name(obj)} cannot be read: {error}") from error


def without(obj: Live, *path: str) -> dict[str, object]:
    """Copy an object without the field at a path."""
    key, *rest = path
    if key not in obj:
        return dict(obj)
    if not rest:
        return {other: value for other, value in obj.items() if other != key}
    return {**obj, key: without(mapping(obj, key), *rest)}


def put(obj: Live, *path: str, value: object) -> dict[str, object]:
    """Copy an object with another value at a path; what is missing on the way is made."""
    key, *rest = path
    return {**obj, key: put(mapping(obj, key), *rest, value=value) if rest else value}


def shown(obj: Live) -> dict[str, object]:
    """Give an object as `kubectl -o json` shows it: without the book-keeping of field managers."""
    return without(obj, "metadata", "managedFields")


def named(resource: Resource, obj: Live) -> ObjectName:
    """Give the name that stands for this very object: with its uid."""
    return ObjectName(resource=resource, name=name(obj), uid=uid(obj))
