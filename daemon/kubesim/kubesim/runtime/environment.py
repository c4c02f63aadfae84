"""The environment of a container: values, and those from Secrets, ConfigMaps and the pod itself."""

import re
from collections.abc import Mapping
from typing import Final

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.manifest import Json, annotations_of, dig, labels_of, name_of, namespace_of, uid_of
from kubesim.runtime.mounts import contents
from kubesim.storage.store import Store

_REFERENCE: Final = re.compile(r"\$(\$|\(([^()]*)\))")
_KEYED: Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(LookupError):
    """A container's environment cannot be made; the message is that of its waiting state."""


def environment(store: Store, pod: Json, container: Json, *, address: str) -> dict[str, str]:
    """Resolve `envFrom` and `env`, in the order in which the kubelet does; raise ConfigError."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for kind, resource in (("secretRef", resources.SECRETS), ("configMapRef", resources.CONFIGMAPS)):
            if kind in source:
                values = _values(store, resource, pod, source[kind])
                found |= {f"{prefix}{key}": value for key, value in values.items()}
    for entry in container.get("env") or ():
        value = _value(store, pod, entry, found, address)
        if value is not None:
            found[entry["name"]] = value
    return found


def expand(text: str, values: Mapping[str, str]) -> str:
    """Put in `$(NAME)` as Kubernetes does: `$$` is a dollar, a name that is not known stays as it is written."""

    def put(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else values.get(match[2], match[0])

    return _REFERENCE.sub(put, text)


def _value(store: Store, pod: Json, entry: Json, known: Mapping[str, str], address: str) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(str(entry.get("value", "")), known)
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"], address)
    for kind, resource in (("secretKeyRef", resources.SECRETS), ("configMapKeyRef", resources.CONFIGMAPS)):
        if kind in source:
            return _key(store, resource, pod, source[kind])
    raise ConfigError(f"the embedded cluster knows no {next(iter(source))} in the environment of a container")


def _key(store: Store, resource: Resource, pod: Json, reference: Json) -> str | None:
    values = _values(store, resource, pod, reference)
    if reference["key"] not in values and not reference.get("optional"):
        name = f"{namespace_of(pod)}/{reference['name']}"
        raise ConfigError(f"couldn't find key {reference['key']} in {resource.kind} {name}")
    return values.get(reference["key"])


def _values(store: Store, resource: Resource, pod: Json, reference: Json) -> dict[str, str]:
    found = store.get(resource, namespace_of(pod), reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{resource.kind.lower()} "{reference["name"]}" not found')
    return {key: value.decode(errors="replace") for key, value in contents(found).items()}


def _field(pod: Json, path: str, address: str) -> str:
    keyed = _KEYED.fullmatch(path)
    if keyed:
        return (labels_of(pod) if keyed[1] == "labels" else annotations_of(pod)).get(keyed[2], "")
    known = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod) or "",
        "metadata.uid": uid_of(pod),
        "spec.nodeName": dig(pod, "spec", "nodeName", default=""),
        "spec.serviceAccountName": dig(pod, "spec", "serviceAccountName", default=""),
        "status.podIP": address,
        "status.hostIP": dig(pod, "status", "hostIP", default=""),
    }
    if path not in known:
        raise ConfigError(f"the embedded cluster knows no field {path} of a pod; it knows {', '.join(known)}")
    return str(known[path])
