"""
The places of secrets, of any shape: in Kubernetes objects, in environments, in arguments of programs.

`redaction` asks here while it goes through a value.
"""

import re
from collections.abc import Mapping

_MANIFESTS = frozenset(
    {"kubectl.kubernetes.io/last-applied-configuration", "kapp.k14s.io/original", "objectset.rio.cattle.io/applied"}
)
"""The annotations in which `kubectl apply`, kapp and Rancher leave the whole object as it was written."""

_COMPRESSED = "H4sI"
"""The beginning of what is compressed by gzip, in base64."""

_DATA = ("data", "stringData")
_REFERENCES = frozenset(
    {
        "automountServiceAccountToken",
        "imagePullSecrets",
        "secretKeyRef",
        "secretName",
        "secretNamespace",
        "secretRef",
        "serviceAccountToken",
        "tokenExpirationSeconds",
        "tokenRequests",
    }
)
"""Fields of Kubernetes objects that say where a secret is, and hold none."""

_FLAG = re.compile(
    r"(?i)^--?(?:[a-z0-9]{1,20}[-_]){0,4}(?:passwo?r?d|passwd|passphrase|secret|token|api[-_]?key|(?:access|account)[-_]?key)$"
)


def is_manifest(annotation: str, value: object) -> bool:
    """Return whether an annotation holds the whole object as a tool has written it; another tool's is known by its content."""
    if annotation in _MANIFESTS or "/" not in annotation or not isinstance(value, str):
        return annotation in _MANIFESTS
    written = value.lstrip().startswith("{") and '"kind"' in value and '"apiVersion"' in value
    return written or value.startswith(_COMPRESSED)


def is_reference(key: str, item: object) -> bool:
    """Return whether a field only names a Secret: by its own name, or as a volume's `secret` and an account's `secrets`."""
    if key in _REFERENCES or key.endswith("SecretRef"):
        return True
    return key in ("secret", "secrets") and isinstance(item, Mapping | list)


def is_label_of_name(name: str) -> bool:
    """Return whether a label names a Secret: `secret`, `secret_name`, `secret_namespace`."""
    return name.lower().endswith(("secret", "name", "namespace")) and "secret" in name.lower()


def data_of_secret(holder: Mapping[object, object], key: str, item: object, mask: str) -> object:
    """Return the data of a Secret, or the items of a list of them, with every value masked; None for any other field."""
    if holder.get("kind") == "Secret" and key in _DATA:
        return dict.fromkeys(item, mask) if isinstance(item, Mapping) else mask
    if holder.get("kind") == "SecretList" and key == "items" and isinstance(item, list):
        return [{**each, "kind": "Secret"} if isinstance(each, Mapping) else each for each in item]
    return None


def environment(item: object, mask: str) -> object:
    """Return the environment of a container or a program with every value masked; what is taken from elsewhere stays."""
    if isinstance(item, Mapping):
        return {name: each if isinstance(each, Mapping | list) else mask for name, each in item.items()}
    if isinstance(item, list | tuple):
        return [_variable(each, mask) for each in item]
    return mask if item else item


def follows_flag(text: str) -> bool:
    """Return whether the argument after this one is a secret."""
    return _FLAG.match(text) is not None


def _variable(each: object, mask: str) -> object:
    if isinstance(each, Mapping):
        return {key: mask if key == "value" and value else value for key, value in each.items()}
    if isinstance(each, str) and "=" in each:
        return f"{each.partition('=')[0]}={mask}"
    return each
