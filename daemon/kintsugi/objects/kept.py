"""
The table of all kept kinds: the struct that a resource is decoded into.

These are exactly the fields that expressions may read: the CEL types are generated from `KEPT`. A field that is not
here is not known to Kintsugi; to keep one more, add it to its struct.
"""

from collections.abc import Mapping

from kintsugi.objects.cluster import Event, Lease, Namespace, Node, NodeMetrics
from kintsugi.objects.metadata import (
    Condition,
    Kept,
    LabelRequirement,
    LabelSelector,
    Metadata,
    Object,
    ObjectReference,
    OwnerReference,
)
from kintsugi.objects.network import EndpointSlice, Ingress, KubeService
from kintsugi.objects.pods import Container, ContainerState, ContainerStatus, Pod, Probe
from kintsugi.objects.storage import PersistentVolume, PersistentVolumeClaim, StorageClass
from kintsugi.objects.workloads import (
    ControllerRevision,
    CronJob,
    DaemonSet,
    Deployment,
    HorizontalPodAutoscaler,
    Job,
    PodDisruptionBudget,
    PodMetrics,
    PodTemplate,
    ReplicaSet,
    ScaleSubresource,
    StatefulSet,
)
from kubeobjects import resources
from kubeobjects.resources import Resource

__all__ = [
    "KEPT",
    "Condition",
    "Container",
    "ContainerState",
    "ContainerStatus",
    "ControllerRevision",
    "CronJob",
    "DaemonSet",
    "Deployment",
    "EndpointSlice",
    "Event",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "Kept",
    "KubeService",
    "LabelRequirement",
    "LabelSelector",
    "Lease",
    "Metadata",
    "Namespace",
    "Node",
    "NodeMetrics",
    "Object",
    "ObjectReference",
    "OwnerReference",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "PodMetrics",
    "PodTemplate",
    "Probe",
    "ReplicaSet",
    "ScaleSubresource",
    "StatefulSet",
    "StorageClass",
]

KEPT: Mapping[Resource, type[Object]] = {
    resources.PODS: Pod,
    resources.PVCS: PersistentVolumeClaim,
    resources.PVS: PersistentVolume,
    resources.SERVICES: KubeService,
    resources.NODES: Node,
    resources.EVENTS: Event,
    resources.NAMESPACES: Namespace,
    resources.DEPLOYMENTS: Deployment,
    resources.REPLICASETS: ReplicaSet,
    resources.STATEFULSETS: StatefulSet,
    resources.DAEMONSETS: DaemonSet,
    resources.CONTROLLERREVISIONS: ControllerRevision,
    resources.JOBS: Job,
    resources.CRONJOBS: CronJob,
    resources.HPAS: HorizontalPodAutoscaler,
    resources.PDBS: PodDisruptionBudget,
    resources.INGRESSES: Ingress,
    resources.ENDPOINTSLICES: EndpointSlice,
    resources.STORAGECLASSES: StorageClass,
    resources.LEASES: Lease,
    resources.POD_METRICS: PodMetrics,
    resources.NODE_METRICS: NodeMetrics,
}
