"""
The last good template of a workload as the ledger keeps it: made when a revision became good, and put together again.

Values that may be secrets are kept encrypted where there is a key, and left out otherwise. Left-out values are taken
from the template in force, and the fingerprint shows whether the whole is the good one: if not, the missing fields are
reported.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from kintsugi.actions import api_objects
from kintsugi.actions.encrypted import Encryption
from kintsugi.actions.withheld_values import with_values, withheld, without_values
from kintsugi.encryption import fingerprint, is_of
from kintsugi.errors import DecryptionFailed
from kintsugi.ledger.workloads import TemplateRepository
from kintsugi.model.command import ObjectName
from kintsugi.model.good_state import GoodTemplate
from kubediagnosis.ports import KeptManifest, KeptTemplate
from kubediagnosis.templates import template_digest, template_of
from kubediagnosis.workload_revisions import Revision
from kubeobjects import unstructured
from kubeobjects.metadata import REVISION, Metadata, Object
from kubeobjects.unstructured import Unstructured

_REMAINDER = "remainder "
"""Before the field of a withheld value that is not in the template."""

_ADDED = frozenset({REVISION, "kubectl.kubernetes.io/last-applied-configuration"})
"""Annotations that are no part of what a person writes; the second repeats all values in clear."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest(KeptManifest):
    """The `document` is the workload with its good template, as `kubectl apply` takes it: without its owners, who have other uids by then."""

    document: Unstructured


class GoodTemplates:
    """Keeps templates and finds them again; without a repository it has none."""

    def __init__(self, repository: TemplateRepository | None = None, encryption: Encryption | None = None) -> None:
        self._repository = repository
        self._encryption = encryption or Encryption()

    async def keep(
        self, asked: ObjectName, namespace: str, revision: Revision, *, workload: Unstructured, seen: datetime
    ) -> bool:
        """
        Keep the template of a good revision with the remainder of its workload; return whether it was small enough.

        Raises LedgerUnavailable, and DecryptionFailed where the file of keys cannot be used.
        """
        if self._repository is None:
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
        return await self._repository.keep(await self._encrypted(kept, every))

    async def is_kept(self, asked: ObjectName, namespace: str, template: str, *, workload: str) -> bool:
        """Return whether the template of a revision is kept, with its values where there is a key."""
        if self._repository is None:
            return True
        kept = await self._repository.last(asked.resource.singular, namespace, asked.name)
        if kept is None or (kept.workload, kept.template) != (workload, template):
            return False
        return bool(kept.withheld) or not self._encryption.is_possible or not withheld(orjson.loads(kept.document))

    async def find(self, kind: str, namespace: str, name: str, workload: Unstructured) -> KeptTemplate | None:
        """Return the last good template of a workload that is there, None where none is kept. Raises LedgerUnavailable."""
        kept = await self._repository.last(kind, namespace, name) if self._repository is not None else None
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
        kept = await self._repository.last(kind, namespace, name) if self._repository is not None else None
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
