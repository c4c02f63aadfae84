"""
The table of all kept kinds: the struct that a resource is decoded into.

These are exactly the fields that Kintsugi's expressions may read: the CEL types are generated from `KEPT`. To keep one
more, add it to its struct.
"""

from collections.abc import Mapping

from kubeobjects import resources
from kubeobjects.cluster import Event, Lease, Namespace, Node, NodeMetrics
from kubeobjects.metadata import (
    Condition,
    LabelRequirement,
    LabelSelector,
    Metadata,
    Object,
    ObjectReference,
    OwnerReference,
    PartialObject,
)
from kubeobjects.network import EndpointSlice, Ingress, KubeService
from kubeobjects.pods import Container, ContainerState, ContainerStatus, Pod, Probe
from kubeobjects.resources import Resource
from kubeobjects.storage import PersistentVolume, PersistentVolumeClaim, StorageClass
from kubeobjects.workloads import (
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
    "PartialObject",
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
