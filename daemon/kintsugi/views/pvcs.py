"""Finds the PersistentVolumeClaims that belong to a service, by their names. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kintsugi.model.views import Workload
from kubeobjects.kept import Pod, StatefulSet

_ORDINAL = re.compile(r"0|[1-9][0-9]{0,9}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PvcNames:
    """
    The claims that pods mount, and those that a StatefulSet makes for its ordinals: TEMPLATE-NAME-ORDINAL.

    The latter are recognised by prefix and ordinal and not listed: a StatefulSet may have 2,000,000 replicas, and the
    API accepts 2^31.
    """

    mounted: frozenset[str]
    prefixes: frozenset[str] = frozenset()
    replicas: int = 0

    @classmethod
    def of(cls, pods: Iterable[Pod], workload: Workload | None, *, from_zero: int | None = None) -> "PvcNames":
        """
        Know the claims of these pods, and those that pods of the workload would mount when none is there.

        While a StatefulSet is scaled to none, they are those of the replicas that it is started with again (`from_zero`), at
        least of its first.
        """
        specs = [pod.spec for pod in pods] + ([workload.spec.template.spec] if workload is not None else [])
        mounted = frozenset(
            volume.persistent_volume_claim.claim_name
            for spec in specs
            for volume in spec.volumes
            if volume.persistent_volume_claim is not None
        )
        if not isinstance(workload, StatefulSet):
            return cls(mounted=mounted)
        templates = workload.spec.volume_claim_templates
        prefixes = frozenset(f"{each.metadata.name}-{workload.metadata.name}" for each in templates)
        return cls(mounted=mounted, prefixes=prefixes, replicas=workload.spec.replicas or from_zero or 1)

    def __contains__(self, name: str) -> bool:
        """Return whether a claim of this name is one of them."""
        if name in self.mounted:
            return True
        prefix, _, ordinal = name.rpartition("-")
        return prefix in self.prefixes and _ORDINAL.fullmatch(ordinal) is not None and int(ordinal) < self.replicas
