"""Objects as the API has sent them, in the daemon's own types, with its own errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from kintsugi.errors import KintsugiError, KubeError
from kintsugi.model.command import ObjectName
from kubeobjects import unstructured
from kubeobjects.errors import ReadError
from kubeobjects.resources import Resource
from kubeobjects.selectors import SelectorError
from kubeobjects.unstructured import Unstructured

Kept = TypeVar("Kept", bound=msgspec.Struct)


def named(resource: Resource, obj: Unstructured) -> ObjectName:
    """Return the ObjectName of an object, with its uid."""
    return ObjectName(resource=resource, name=unstructured.name(obj), uid=unstructured.uid(obj))


def convert(obj: Unstructured, struct: type[Kept]) -> Kept:
    """Decode the kept fields. Raises KubeError for an object that does not match the API."""
    with as_kube_errors():
        return unstructured.convert(obj, struct)


@contextmanager
def as_kube_errors() -> Iterator[None]:
    """Raise KubeError where an object that the API has sent cannot be read."""
    try:
        yield
    except KintsugiError:
        raise
    except (ReadError, SelectorError) as error:
        raise KubeError(str(error)) from error
