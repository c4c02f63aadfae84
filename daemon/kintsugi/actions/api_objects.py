"""Objects of the API: read by name or as a list, in the daemon's own types, with its own errors."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from kintsugi.actions.secret_rows import read_secrets
from kintsugi.commands.kinds import is_built_in
from kintsugi.errors import Forbidden, KintsugiError, KubeError, NotFound
from kintsugi.json_limits import MOST_IN_ANSWER, entries_of
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kubeobjects import predicates, unstructured
from kubeobjects.errors import ReadError
from kubeobjects.kept import Pod
from kubeobjects.resources import PODS, SECRETS, Resource
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


@contextmanager
def naming_the_right(resource: Resource, *, changes: bool = False) -> Iterator[None]:
    """Name in the error of a forbidden read what grants the right; before a change (`changes`) only of kinds that are not built in."""
    try:
        yield
    except Forbidden as error:
        if changes and is_built_in(resource):
            raise
        if changes:
            how = f"changeKinds: [{resource.qualified}] grants it in the namespaces of its value namespaces"
        elif resource == SECRETS:
            how = "readSecrets: [NAMESPACE] grants it"
        else:
            how = f"readKinds: [{resource.qualified}] grants it"
        raise Forbidden(f"{error}; the chart's value rbac.{how}", status=error.status, reason=error.reason) from error


async def by_name(
    kube: KubeClient, objects: Sequence[ObjectName], namespace: str | None, *, missing_ok: bool = False
) -> list[Unstructured]:
    """
    Read named objects, of Secrets only their rows (`secret_rows`).

    Raises NotFound naming all that are missing, unless that is no matter.
    """
    found: list[Unstructured] = []
    missing: list[str] = []
    for asked in objects:
        try:
            with naming_the_right(asked.resource):
                if asked.resource == SECRETS:
                    found += await read_secrets(kube, namespace, name=asked.name)
                else:
                    obj = await kube.get(asked.resource, asked.name, namespace)
                    found.append(unstructured.without_managed_fields(obj))
        except NotFound as error:
            missing.append(str(error))
        check_entries(found)
    if missing and not missing_ok:
        raise NotFound("; ".join(missing), status=404, reason="NotFound")
    return found


async def found(kube: KubeClient, resource: Resource, name: str, namespace: str | None = None) -> Unstructured | None:
    """Read an object, None where it does not exist."""
    try:
        return await kube.get(resource, name, namespace)
    except NotFound:
        return None


def check_entries(found: Sequence[object]) -> None:
    """Raise KubeError where objects that were read one after another have too many entries together."""
    if len(found) > 1 and entries_of(found, MOST_IN_ANSWER) > MOST_IN_ANSWER:
        raise KubeError(f"the objects have more than {MOST_IN_ANSWER:,} entries together: ask for fewer at once")


async def listed(
    kube: KubeClient, resource: Resource, namespace: str | None, *, labels: str, fields: str = ""
) -> list[Unstructured]:
    """List objects of one kind, of Secrets only their rows (`secret_rows`)."""
    with naming_the_right(resource):
        if resource == SECRETS:
            return await read_secrets(kube, namespace, labels=labels, fields=fields)
        listing = await kube.list(resource, namespace if resource.namespaced else None, labels=labels, fields=fields)
    return [unstructured.without_managed_fields(item) for item in listing.items]


def summary(items: Sequence[Unstructured]) -> str:
    """Return what was read in a line: kinds by number, pods by their status where it is not Running."""
    if not items:
        return "No resources found"
    kinds = Counter(unstructured.nested_string(item, "kind") or "object" for item in items)
    counted = [f"{number} {kind if number == 1 else f'{kind}s'}" for kind, number in kinds.items()]
    states = Counter(
        predicates.status_of(convert(item, Pod))
        for item in items
        if unstructured.nested_string(item, "kind") == PODS.kind
    )
    unusual = [f"{number} {state}" for state, number in states.items() if state != "Running"]
    return ", ".join([*counted, *unusual])
