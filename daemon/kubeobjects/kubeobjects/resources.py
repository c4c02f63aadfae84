"""
The kinds of Kubernetes objects, with their places in the REST API.

One table serves clients (request paths), servers (the resource of a path) and grammars (`kubectl get WORD`). Words are
those of kubectl: plural, singular, short name, kind, and the forms `deployments.apps` and `deployments.v1.apps`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from kubeobjects.spelling import nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """One kind of object. `group` is "" for the core group; `singular` is kubectl's word for one of them."""

    kind: str
    plural: str
    singular: str
    short: tuple[str, ...] = ()
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return the `apiVersion` of a manifest: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path_prefix(self) -> str:
        """Return the group's root in the REST API: "/api/v1", "/apis/apps/v1"."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def qualified(self) -> str:
        """Return the plural with its group, as RBAC and error messages write it: "deployments.apps", "pods"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """
        Return the request path of one object, or of a collection when `name` is None.

        A namespaced kind without a namespace is the collection over all namespaces; a namespace is ignored for a
        kind that has none. Raises ValueError for one object of a namespaced kind without its namespace, and for a
        subresource of a collection.
        """
        if self.namespaced and name is not None and not namespace:
            raise ValueError(f"{self.singular} {name!r} needs a namespace")
        if subresource is not None and name is None:
            raise ValueError(f"{self.plural}/{subresource} needs the name of one {self.singular}")
        scope = ["namespaces", namespace] if self.namespaced and namespace else []
        segments = [*scope, self.plural, *(part for part in (name, subresource) if part is not None)]
        return "/".join([self.path_prefix, *(quote(segment, safe="") for segment in segments)])

    def words(self) -> Iterator[str]:
        """Yield every plain word for this kind, lower case."""
        yield self.plural
        yield self.singular
        yield self.kind.lower()
        yield from self.short


PODS = Resource(kind="Pod", plural="pods", singular="pod", short=("po",))
PVCS = Resource(
    kind="PersistentVolumeClaim", plural="persistentvolumeclaims", singular="persistentvolumeclaim", short=("pvc",)
)
PVS = Resource(
    kind="PersistentVolume", plural="persistentvolumes", singular="persistentvolume", short=("pv",), namespaced=False
)
SERVICES = Resource(kind="Service", plural="services", singular="service", short=("svc",))
NODES = Resource(kind="Node", plural="nodes", singular="node", short=("no",), namespaced=False)
EVENTS = Resource(kind="Event", plural="events", singular="event", short=("ev",))
NAMESPACES = Resource(kind="Namespace", plural="namespaces", singular="namespace", short=("ns",), namespaced=False)
CONFIGMAPS = Resource(kind="ConfigMap", plural="configmaps", singular="configmap", short=("cm",))
SECRETS = Resource(kind="Secret", plural="secrets", singular="secret")
SERVICEACCOUNTS = Resource(kind="ServiceAccount", plural="serviceaccounts", singular="serviceaccount", short=("sa",))
ENDPOINTS = Resource(kind="Endpoints", plural="endpoints", singular="endpoints", short=("ep",))
RESOURCEQUOTAS = Resource(kind="ResourceQuota", plural="resourcequotas", singular="resourcequota", short=("quota",))
LIMITRANGES = Resource(kind="LimitRange", plural="limitranges", singular="limitrange", short=("limits",))
REPLICATIONCONTROLLERS = Resource(
    kind="ReplicationController", plural="replicationcontrollers", singular="replicationcontroller", short=("rc",)
)
DEPLOYMENTS = Resource(kind="Deployment", plural="deployments", singular="deployment", short=("deploy",), group="apps")
REPLICASETS = Resource(kind="ReplicaSet", plural="replicasets", singular="replicaset", short=("rs",), group="apps")
STATEFULSETS = Resource(kind="StatefulSet", plural="statefulsets", singular="statefulset", short=("sts",), group="apps")
DAEMONSETS = Resource(kind="DaemonSet", plural="daemonsets", singular="daemonset", short=("ds",), group="apps")
CONTROLLERREVISIONS = Resource(
    kind="ControllerRevision", plural="controllerrevisions", singular="controllerrevision", group="apps"
)
JOBS = Resource(kind="Job", plural="jobs", singular="job", group="batch")
CRONJOBS = Resource(kind="CronJob", plural="cronjobs", singular="cronjob", short=("cj",), group="batch")
HPAS = Resource(
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    singular="horizontalpodautoscaler",
    short=("hpa",),
    group="autoscaling",
    version="v2",
)
PDBS = Resource(
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    singular="poddisruptionbudget",
    short=("pdb",),
    group="policy",
)
INGRESSES = Resource(kind="Ingress", plural="ingresses", singular="ingress", short=("ing",), group="networking.k8s.io")
INGRESSCLASSES = Resource(
    kind="IngressClass", plural="ingressclasses", singular="ingressclass", group="networking.k8s.io", namespaced=False
)
NETWORKPOLICIES = Resource(
    kind="NetworkPolicy",
    plural="networkpolicies",
    singular="networkpolicy",
    short=("netpol",),
    group="networking.k8s.io",
)
ENDPOINTSLICES = Resource(
    kind="EndpointSlice", plural="endpointslices", singular="endpointslice", group="discovery.k8s.io"
)
STORAGECLASSES = Resource(
    kind="StorageClass",
    plural="storageclasses",
    singular="storageclass",
    short=("sc",),
    group="storage.k8s.io",
    namespaced=False,
)
VOLUMEATTACHMENTS = Resource(
    kind="VolumeAttachment",
    plural="volumeattachments",
    singular="volumeattachment",
    group="storage.k8s.io",
    namespaced=False,
)
PRIORITYCLASSES = Resource(
    kind="PriorityClass",
    plural="priorityclasses",
    singular="priorityclass",
    short=("pc",),
    group="scheduling.k8s.io",
    namespaced=False,
)
LEASES = Resource(kind="Lease", plural="leases", singular="lease", group="coordination.k8s.io")
ROLES = Resource(kind="Role", plural="roles", singular="role", group="rbac.authorization.k8s.io")
ROLEBINDINGS = Resource(
    kind="RoleBinding", plural="rolebindings", singular="rolebinding", group="rbac.authorization.k8s.io"
)
CLUSTERROLES = Resource(
    kind="ClusterRole",
    plural="clusterroles",
    singular="clusterrole",
    group="rbac.authorization.k8s.io",
    namespaced=False,
)
CLUSTERROLEBINDINGS = Resource(
    kind="ClusterRoleBinding",
    plural="clusterrolebindings",
    singular="clusterrolebinding",
    group="rbac.authorization.k8s.io",
    namespaced=False,
)
POD_METRICS = Resource(
    kind="PodMetrics", plural="pods", singular="podmetrics", group="metrics.k8s.io", version="v1beta1"
)
NODE_METRICS = Resource(
    kind="NodeMetrics",
    plural="nodes",
    singular="nodemetrics",
    group="metrics.k8s.io",
    version="v1beta1",
    namespaced=False,
)

WORKLOADS = (DEPLOYMENTS, STATEFULSETS, DAEMONSETS)
"""The kinds of workloads that have a pod template with revisions, and are rolled out."""

# Where two kinds share a word (pods), the first one in this order owns it; the other is asked for with its group.
RESOURCES: tuple[Resource, ...] = (
    PODS,
    PVCS,
    PVS,
    SERVICES,
    NODES,
    EVENTS,
    NAMESPACES,
    CONFIGMAPS,
    SECRETS,
    SERVICEACCOUNTS,
    ENDPOINTS,
    RESOURCEQUOTAS,
    LIMITRANGES,
    REPLICATIONCONTROLLERS,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    DAEMONSETS,
    CONTROLLERREVISIONS,
    JOBS,
    CRONJOBS,
    HPAS,
    PDBS,
    INGRESSES,
    INGRESSCLASSES,
    NETWORKPOLICIES,
    ENDPOINTSLICES,
    STORAGECLASSES,
    VOLUMEATTACHMENTS,
    PRIORITYCLASSES,
    LEASES,
    ROLES,
    ROLEBINDINGS,
    CLUSTERROLES,
    CLUSTERROLEBINDINGS,
    POD_METRICS,
    NODE_METRICS,
)


def by_word(resources: Iterable[Resource]) -> dict[str, Resource]:
    """Return kinds by their words, also with their group, and with their version and group; the first one owns a word."""
    found: dict[str, Resource] = {}
    for resource in resources:
        for word in resource.words():
            found.setdefault(word, resource)
            if resource.group:
                found.setdefault(f"{word}.{resource.group}", resource)
                found.setdefault(f"{word}.{resource.version}.{resource.group}", resource)
            else:
                found.setdefault(f"{word}.{resource.version}", resource)
    return found


BUILT_IN: Mapping[str, Resource] = by_word(RESOURCES)
"""The built-in kinds by their words."""


def find(word: str) -> Resource | None:
    """Find the built-in kind that kubectl would understand by `word` (case does not matter), or None."""
    return BUILT_IN.get(word.lower())


def suggest(word: str) -> str | None:
    """Return the known word that is nearest to a misspelt one, or None when nothing is near."""
    return nearest(word, BUILT_IN) or None
