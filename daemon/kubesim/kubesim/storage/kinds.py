"""The differences of kinds in the API: their subresources, and the answers to their deletion."""

from collections.abc import Mapping
from typing import Final

from kubeobjects import resources
from kubeobjects.resources import RESOURCES, Resource

VALIDATING_WEBHOOKS: Final = Resource(
    kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    singular="validatingwebhookconfiguration",
    group="admissionregistration.k8s.io",
    namespaced=False,
)
CERTIFICATES: Final = Resource(
    kind="Certificate",
    plural="certificates",
    singular="certificate",
    short=("cert", "certs"),
    group="cert-manager.io",
)
ROLLOUTS: Final = Resource(
    kind="Rollout", plural="rollouts", singular="rollout", short=("ro",), group="argoproj.io", version="v1alpha1"
)
DEFINED: Final = (CERTIFICATES, ROLLOUTS)
"""Those of CustomResourceDefinitions, as cert-manager and Argo Rollouts have them: only the second has a `scale`."""

SERVED: Final = (*RESOURCES, VALIDATING_WEBHOOKS, *DEFINED)
"""The kinds that are served: the built-in ones, and those that clients learn from discovery."""

WITH_STATUS: Final = frozenset({
    resources.PODS,
    resources.DEPLOYMENTS,
    resources.REPLICASETS,
    resources.STATEFULSETS,
    resources.DAEMONSETS,
    resources.JOBS,
    resources.CRONJOBS,
    resources.SERVICES,
    resources.PVCS,
    resources.PVS,
    resources.NAMESPACES,
    resources.NODES,
    resources.HPAS,
    resources.PDBS,
    resources.INGRESSES,
})  # fmt: skip
"""Kinds whose status is changed only through the `status` subresource."""

WITH_GENERATION: Final = frozenset({
    resources.PODS,
    resources.DEPLOYMENTS,
    resources.REPLICASETS,
    resources.STATEFULSETS,
    resources.DAEMONSETS,
    resources.JOBS,
    resources.CRONJOBS,
    resources.PDBS,
    resources.INGRESSES,
    resources.NETWORKPOLICIES,
})  # fmt: skip
"""Kinds whose specification is counted in `metadata.generation`."""

SUBRESOURCES: Final[Mapping[str, frozenset[Resource]]] = {
    "status": WITH_STATUS,
    "scale": frozenset({resources.DEPLOYMENTS, resources.REPLICASETS, resources.STATEFULSETS, ROLLOUTS}),
    "log": frozenset({resources.PODS}),
    "exec": frozenset({resources.PODS}),
    "eviction": frozenset({resources.PODS}),
    "resize": frozenset({resources.PODS}),
}
"""Subresources, and who has them."""

RETURNED_WHEN_DELETED: Final = frozenset({
    resources.PODS,
    resources.SERVICES,
    resources.PVCS,
    resources.PVS,
    resources.SERVICEACCOUNTS,
    resources.RESOURCEQUOTAS,
    resources.STORAGECLASSES,
})  # fmt: skip
"""Kinds whose deletion is answered with the object; the others are answered with a Status."""

IN_ALL: Final = frozenset({
    resources.PODS,
    resources.SERVICES,
    resources.DEPLOYMENTS,
    resources.REPLICASETS,
    resources.STATEFULSETS,
    resources.DAEMONSETS,
    resources.JOBS,
    resources.CRONJOBS,
    resources.HPAS,
})  # fmt: skip
"""Kinds that `kubectl get all` shows."""

CATEGORIES: Final[Mapping[str, frozenset[Resource]]] = {
    "all": IN_ALL,
    "api-extensions": frozenset({VALIDATING_WEBHOOKS}),
}
"""Words of kubectl for several kinds."""
