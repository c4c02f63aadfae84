"""
The last good template of a workload as the ledger keeps it: made when a revision became good, and put together again.

Values that may be secrets are kept encrypted where there is a key, and left out otherwise. Left-out values are taken
from the template in force, and the fingerprint shows whether the whole is the good one: if not, the missing fields are
reported.

Withheld are the literal values of variables, the fields that may hold a command or a header (`command`, `args`,
`lifecycle`, the handlers of probes), and values elsewhere that look like a credential. Null replaces them; nothing else
of a template is null.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import orjson

from kintsugi.actions import api_objects
from kintsugi.actions.command_secrets import Encryption
from kintsugi.encryption import fingerprint, is_of
from kintsugi.errors import DecryptionFailed
from kintsugi.model.command import ObjectName
from kintsugi.model.good_state import GoodTemplate
from kintsugi.telemetry import SECRETS
from kubediagnosis.ports import KeptManifest, KeptTemplate
from kubediagnosis.templates import template_digest, template_of
from kubediagnosis.workload_revisions import Revision
from kubeobjects import unstructured
from kubeobjects.metadata import REVISION, Metadata, Object
from kubeobjects.unstructured import Unstructured

WITHHELD = frozenset({"command", "args", "lifecycle", "exec", "httpHeaders"})
"""Fields whose values may always hold a secret."""

_ENV = "env"

_Rewrite = Callable[[str, object], object]

_REMAINDER = "remainder "
"""Before the field of a withheld value that is not in the template."""

_ADDED = frozenset({REVISION, "kubectl.kubernetes.io/last-applied-configuration"})
"""Annotations that are no part of what a person writes; the second repeats all values in clear."""


def without_values(template: Unstructured) -> tuple[dict[str, object], dict[str, object]]:
    """Return a template with null for what is withheld, and that by its field, written as in a diagnosis."""
    values: dict[str, object] = {}

    def withhold(field: str, value: object) -> None:
        values[field] = value

    return _rewritten(_without_nulls(template), "", withhold), values


def with_values(document: Unstructured, values: Mapping[str, object]) -> dict[str, object]:
    """Return a template with these values where they are withheld; where none is known null stays."""
    return _rewritten(document, "", lambda field, value: values.get(field) if value is None else value)


def withheld(document: Unstructured) -> tuple[str, ...]:
    """Return the fields of a template whose values are not in it."""
    found: list[str] = []

    def note(field: str, value: object) -> object:
        if value is None:
            found.append(field)
        return value

    _rewritten(document, "", note)
    return tuple(found)


def _rewritten(holder: Unstructured, field: str, rewrite: _Rewrite, *, of_variable: bool = False) -> dict[str, object]:
    """Copy a mapping with each withheld value as `rewrite` returns it, of the field and the value."""
    return {
        key: _value(holder, key, _below(field, key, of_variable=of_variable), rewrite, of_variable=of_variable)
        for key in holder
    }


def _value(holder: Unstructured, key: str, field: str, rewrite: _Rewrite, *, of_variable: bool) -> object:
    value = holder[key]
    if value is None or key in WITHHELD or (of_variable and key == "value") or _may_be_secret(holder, key):
        return rewrite(field, value)
    if isinstance(value, Mapping):
        return _rewritten(value, field, rewrite)
    if isinstance(value, list):
        names = list(_names(value))
        return [
            _rewritten(each, f"{field}[{name}]", rewrite, of_variable=key == _ENV)
            if isinstance(each, Mapping)
            else each
            for each, name in zip(value, names, strict=True)
        ]
    return value


def _below(field: str, key: str, *, of_variable: bool) -> str:
    """Return the path of a member; `spec` and `metadata` are left out, as is `value` of a variable."""
    if not field and key in ("spec", "metadata"):
        return ""
    if of_variable and key == "value":
        return field
    return f"{field}.{key}" if field else key


def _names(items: list[object]) -> Iterator[str]:
    """Yield by what each item of a list is known: its name, where all have one of their own, else its place."""
    names = [unstructured.nested_string(each, "name") for each in items]
    unique = all(names) and len(set(names)) == len(names)
    yield from names if unique else map(str, range(len(items)))


def _may_be_secret(holder: Unstructured, key: str) -> bool:
    """Return whether a text, or a list of texts, would be masked at its place."""
    value = holder[key]
    if isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(each, Mapping) for each in value)):
        return False
    beside = {other: each for other, each in holder.items() if isinstance(each, str)} | {key: value}
    masked = SECRETS.value(beside)
    return isinstance(masked, Mapping) and masked[key] != value


def _without_nulls(value: Unstructured) -> dict[str, object]:
    return {key: _bare(each) for key, each in value.items() if each is not None}


def _bare(value: object) -> object:
    if isinstance(value, Mapping):
        return _without_nulls(value)
    if isinstance(value, list):
        return [_bare(each) for each in value]
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest(KeptManifest):
    """The `document` is the workload with its good template, as `kubectl apply` takes it: without its owners, who have other uids by then."""

    document: Unstructured


class KeptGoodTemplates(Protocol):
    """The good templates of the ledger. Each method raises LedgerUnavailable."""

    async def keep_template(self, template: GoodTemplate) -> bool:
        """Keep a template in place of the workload's earlier one; return whether it was small enough."""
        ...

    async def good_template(self, kind: str, namespace: str, name: str) -> GoodTemplate | None:
        """Return a workload's good template, None where it is absent or cannot be read."""
        ...


class GoodTemplates:
    """Keeps templates and finds them again; without a ledger it has none."""

    def __init__(self, good_state: KeptGoodTemplates | None = None, encryption: Encryption | None = None) -> None:
        self._good_state = good_state
        self._encryption = encryption or Encryption()

    async def keep(
        self, asked: ObjectName, namespace: str, revision: Revision, *, workload: Unstructured, seen: datetime
    ) -> bool:
        """
        Keep the template of a good revision with the remainder of its workload; return whether it was small enough.

        Raises LedgerUnavailable, and DecryptionFailed where the file of keys cannot be used.
        """
        if self._good_state is None:
            return False
        document, values = without_values(revision.pods)
        remainder, beside = without_values(_without_template(workload))
        kept = GoodTemplate(
            kind=asked.resource.singular,
            namespace=namespace,
            name=asked.name,
            workload=unstructured.uid(workload),
            template=revision.template,
            number=revision.number,
            seen=seen,
            document=orjson.dumps(document).decode(),
            withheld="",
            fingerprint=await asyncio.to_thread(fingerprint, template_digest(revision.pods)),
            remainder=orjson.dumps(remainder).decode(),
        )
        every = values | {f"{_REMAINDER}{field}": value for field, value in beside.items()}
        return await self._good_state.keep_template(await self._encrypted(kept, every))

    async def is_kept(self, asked: ObjectName, namespace: str, template: str, *, workload: str) -> bool:
        """Return whether the template of a revision is kept, with its values where there is a key."""
        if self._good_state is None:
            return True
        kept = await self._good_state.good_template(asked.resource.singular, namespace, asked.name)
        if kept is None or (kept.workload, kept.template) != (workload, template):
            return False
        return bool(kept.withheld) or not self._encryption.is_possible or not withheld(orjson.loads(kept.document))

    async def find(self, kind: str, namespace: str, name: str, workload: Unstructured) -> KeptTemplate | None:
        """Return the last good template of a workload that is there, None where none is kept. Raises LedgerUnavailable."""
        kept = await self._good_state.good_template(kind, namespace, name) if self._good_state is not None else None
        if kept is None:
            return None
        document: Mapping[str, object] = orjson.loads(kept.document)
        values = await self._decrypted(kept)
        pods = with_values(document, without_values(template_of(workload))[1] if values is None else values)
        missing = withheld(pods)
        if not missing and not await asyncio.to_thread(is_of, kept.fingerprint, template_digest(pods)):
            missing = withheld(document)
        return KeptTemplate(number=kept.number, template=kept.template, seen=kept.seen, pods=pods, missing=missing)

    async def manifest(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return a workload as it was last good, None where it is not kept. Raises LedgerUnavailable."""
        kept = await self._good_state.good_template(kind, namespace, name) if self._good_state is not None else None
        if kept is None:
            return None
        values = await self._decrypted(kept) or {}
        beside = {
            field.removeprefix(_REMAINDER): value for field, value in values.items() if field.startswith(_REMAINDER)
        }
        whole, pods = (
            with_values(orjson.loads(kept.remainder), beside),
            with_values(orjson.loads(kept.document), values),
        )
        return Manifest(
            document=unstructured.without_field(
                unstructured.with_field(whole, "spec", "template", value=pods), "metadata", "ownerReferences"
            ),
            metadata=_metadata_of(whole),
            seen=kept.seen,
            missing=(*withheld(whole), *withheld(pods)),
        )

    async def _encrypted(self, kept: GoodTemplate, values: Mapping[str, object]) -> GoodTemplate:
        if not values or not self._encryption.is_possible:
            return kept
        text = await self._encryption.encrypted(orjson.dumps(values).decode(), _place(kept))
        return replace(kept, withheld=text)

    async def _decrypted(self, kept: GoodTemplate) -> Mapping[str, object] | None:
        """Return the values that are kept encrypted, None where they are not, or cannot be read."""
        if not kept.withheld:
            return None
        try:
            values: Mapping[str, object] = orjson.loads(await self._encryption.decrypted(kept.withheld, _place(kept)))
        except DecryptionFailed:
            return None
        return values


def _without_template(workload: Unstructured) -> Unstructured:
    """Return what a person would write of a workload, but its template: what servers and tools add is left out."""
    metadata, spec = unstructured.nested_map(workload, "metadata"), unstructured.nested_map(workload, "spec")
    annotations = unstructured.nested_map(metadata, "annotations")
    written = {key: metadata[key] for key in ("name", "namespace", "labels", "ownerReferences") if key in metadata}
    written["annotations"] = {key: each for key, each in annotations.items() if key not in _ADDED}
    described = {key: each for key, each in spec.items() if key != "template"}
    of_server = {"apiVersion": workload["apiVersion"], "kind": workload["kind"]}
    return {**of_server, "metadata": written, "spec": described}


def _metadata_of(manifest: Unstructured) -> Metadata:
    """Return the metadata of a manifest, with the annotations whose values are known."""
    annotations = unstructured.nested_map(manifest, "metadata", "annotations")
    known = {key: value for key, value in annotations.items() if value is not None}
    return api_objects.convert(
        unstructured.with_field(manifest, "metadata", "annotations", value=known), Object
    ).metadata


def _place(kept: GoodTemplate) -> str:
    """Return what the encrypted values are bound to: the workload and the revision."""
    return orjson.dumps([kept.kind, kept.namespace, kept.name, kept.workload, kept.template]).decode()
