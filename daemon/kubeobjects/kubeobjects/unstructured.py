"""
Reads and writes fields of unstructured objects.

Whole objects stay JSON here, because an object that is written back must not lose a field that nobody here knows;
where kept fields suffice, `convert` returns the struct.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from kubeobjects.errors import ReadError

Unstructured = Mapping[str, object]
Kept = TypeVar("Kept", bound=msgspec.Struct)


def nested_field(obj: object, *path: str) -> object:
    """Return the value at a path of keys, None when it is absent."""
    for key in path:
        obj = obj.get(key) if isinstance(obj, Mapping) else None
    return obj


def nested_string(obj: object, *path: str) -> str:
    """Return a text, "" when it is absent."""
    value = nested_field(obj, *path)
    return value if isinstance(value, str) else ""


def nested_int(obj: object, *path: str, default: int = 0) -> int:
    """Return a whole number; the default (Kubernetes leaves zeros out) when it is absent."""
    value = nested_field(obj, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def nested_map(obj: object, *path: str) -> Unstructured:
    """Return an object, empty when it is absent."""
    value = nested_field(obj, *path)
    return value if isinstance(value, Mapping) else {}


def nested_maps(obj: object, *path: str) -> tuple[Unstructured, ...]:
    """Return a list of objects, empty when it is absent."""
    value = nested_field(obj, *path)
    return tuple(each for each in value if isinstance(each, Mapping)) if isinstance(value, list | tuple) else ()


def labels(obj: Unstructured) -> dict[str, str]:
    """Return the labels."""
    return {key: value for key, value in nested_map(obj, "metadata", "labels").items() if isinstance(value, str)}


def name(obj: Unstructured) -> str:
    """Return the object's name."""
    return nested_string(obj, "metadata", "name")


def uid(obj: Unstructured) -> str:
    """Return the object's uid."""
    return nested_string(obj, "metadata", "uid")


def replicas(obj: Unstructured) -> int:
    """Return the desired replicas; the API's default is 1."""
    return nested_int(obj, "spec", "replicas", default=1)


def convert(obj: Unstructured, struct: type[Kept]) -> Kept:
    """Decode the kept fields. Raises ReadError for an object that does not match the API."""
    try:
        return msgspec.convert(obj, struct)
    except msgspec.ValidationError as error:
        raise ReadError(f"{nested_string(obj, 'kind') or 'object'} {name(obj)} cannot be read: {error}") from error


def without_field(obj: Unstructured, *path: str) -> dict[str, object]:
    """Copy an object without the field at a path."""
    key, *rest = path
    if key not in obj:
        return dict(obj)
    if not rest:
        return {other: value for other, value in obj.items() if other != key}
    return {**obj, key: without_field(nested_map(obj, key), *rest)}


def with_field(obj: Unstructured, *path: str, value: object) -> dict[str, object]:
    """Copy an object with another value at a path; missing maps on the way are added."""
    key, *rest = path
    return {**obj, key: with_field(nested_map(obj, key), *rest, value=value) if rest else value}


def without_managed_fields(obj: Unstructured) -> dict[str, object]:
    """Return an object as `kubectl -o json` shows it: without the book-keeping of field managers."""
    return without_field(obj, "metadata", "managedFields")
