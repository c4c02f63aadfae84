"""
The kept fields of the objects that create pods and limit them: Deployments, StatefulSets, Jobs, autoscalers, budgets.
"""

import msgspec

from kubeobjects.metadata import Condition, LabelSelector, Metadata, Moment, Object, PartialObject
from kubeobjects.pods import PodSpec


class PodTemplate(PartialObject, frozen=True):
    """The pods that a workload makes."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()


class DeploymentStrategy(PartialObject, frozen=True):
    """The strategy that replaces old pods: RollingUpdate or Recreate."""

    type: str = ""


class DeploymentSpec(PartialObject, frozen=True):
    """The desired state."""

    replicas: int = 1
    paused: bool = False
    min_ready_seconds: int = 0
    revision_history_limit: int = 10
    progress_deadline_seconds: int = 600
    selector: LabelSelector = LabelSelector()
    strategy: DeploymentStrategy = DeploymentStrategy()
    template: PodTemplate = PodTemplate()


class DeploymentStatus(PartialObject, frozen=True):
    """The state that the controller reports; valid once `observedGeneration` has reached `metadata.generation`."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    collision_count: int = 0
    conditions: tuple[Condition, ...] = ()


class Deployment(Object, frozen=True):
    """A Deployment."""

    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class ReplicaSetSpec(PartialObject, frozen=True):
    """The desired state."""

    replicas: int = 1
    min_ready_seconds: int = 0
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()


class ReplicaSetStatus(PartialObject, frozen=True):
    """The state that the controller reports."""

    observed_generation: int = 0
    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class ReplicaSet(Object, frozen=True):
    """A ReplicaSet: one revision of a Deployment."""

    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class ClaimRetention(PartialObject, frozen=True):
    """The policy for a StatefulSet's claims: Retain or Delete."""

    when_deleted: str = "Retain"
    when_scaled: str = "Retain"


class RollingUpdate(PartialObject, frozen=True):
    """The partition of a StatefulSet's update: pods below `partition` stay as they are."""

    partition: int = 0


class StatefulSetStrategy(PartialObject, frozen=True):
    """The update strategy of a StatefulSet: RollingUpdate or OnDelete."""

    type: str = ""
    rolling_update: RollingUpdate = RollingUpdate()


class StatefulSetSpec(PartialObject, frozen=True):
    """The desired state. Of `volumeClaimTemplates` the metadata are kept: names of claims come from them."""

    replicas: int = 1
    service_name: str = ""
    pod_management_policy: str = ""
    min_ready_seconds: int = 0
    revision_history_limit: int = 10
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()
    update_strategy: StatefulSetStrategy = StatefulSetStrategy()
    volume_claim_templates: tuple[Object, ...] = ()
    persistent_volume_claim_retention_policy: ClaimRetention = ClaimRetention()


class StatefulSetStatus(PartialObject, frozen=True):
    """The state that the controller reports."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    current_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    conditions: tuple[Condition, ...] = ()


class StatefulSet(Object, frozen=True):
    """A StatefulSet."""

    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class DaemonSetStrategy(PartialObject, frozen=True):
    """The update strategy of a DaemonSet: RollingUpdate or OnDelete."""

    type: str = ""


class DaemonSetSpec(PartialObject, frozen=True):
    """The desired state."""

    min_ready_seconds: int = 0
    revision_history_limit: int = 10
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()
    update_strategy: DaemonSetStrategy = DaemonSetStrategy()


class DaemonSetStatus(PartialObject, frozen=True):
    """The state that the controller reports."""

    observed_generation: int = 0
    desired_number_scheduled: int = 0
    current_number_scheduled: int = 0
    number_misscheduled: int = 0
    number_ready: int = 0
    number_available: int = 0
    number_unavailable: int = 0
    updated_number_scheduled: int = 0
    conditions: tuple[Condition, ...] = ()


class DaemonSet(Object, frozen=True):
    """A DaemonSet."""

    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class ControllerRevision(Object, frozen=True):
    """One revision of a StatefulSet or DaemonSet; its template is fetched when it is needed."""

    revision: int = 0


class JobSpec(PartialObject, frozen=True):
    """The desired state."""

    parallelism: int = 1
    completions: int | None = None
    backoff_limit: int = 6
    active_deadline_seconds: int | None = None
    suspend: bool = False
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()


class JobStatus(PartialObject, frozen=True):
    """The state that the controller reports; `conditions` has Complete or Failed at the end."""

    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    start_time: Moment | None = None
    completion_time: Moment | None = None
    conditions: tuple[Condition, ...] = ()


class Job(Object, frozen=True):
    """A Job."""

    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class CronJobSpec(PartialObject, frozen=True):
    """The desired state."""

    schedule: str = ""
    suspend: bool = False
    concurrency_policy: str = "Allow"


class CronJobStatus(PartialObject, frozen=True):
    """The state that the controller reports."""

    last_schedule_time: Moment | None = None
    last_successful_time: Moment | None = None


class CronJob(Object, frozen=True):
    """A CronJob."""

    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()


class ScaleTarget(PartialObject, frozen=True):
    """The workload that an autoscaler owns the replicas of."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class MetricTarget(PartialObject, frozen=True):
    """The target of a metric; `type` is Utilization, Value or AverageValue."""

    type: str = ""


class ResourceMetric(PartialObject, frozen=True):
    """A metric of what pods use of a resource."""

    name: str = ""
    target: MetricTarget = MetricTarget()


class Metric(PartialObject, frozen=True):
    """One metric of an autoscaler; only one of what pods use has `resource`."""

    type: str = ""
    resource: ResourceMetric | None = None


class AutoscalerSpec(PartialObject, frozen=True):
    """The desired state."""

    scale_target_ref: ScaleTarget = ScaleTarget()
    min_replicas: int = 1
    max_replicas: int = 0
    metrics: tuple[Metric, ...] = ()


class AutoscalerStatus(PartialObject, frozen=True):
    """The state that the controller reports."""

    observed_generation: int = 0
    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: Moment | None = None
    conditions: tuple[Condition, ...] = ()


class HorizontalPodAutoscaler(Object, frozen=True):
    """A HorizontalPodAutoscaler (autoscaling/v2)."""

    spec: AutoscalerSpec = AutoscalerSpec()
    status: AutoscalerStatus = AutoscalerStatus()


class DisruptionBudgetSpec(PartialObject, frozen=True):
    """The pods that the budget covers, and one of the bounds, a number or a percentage; the status says how many disruptions it allows."""

    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class DisruptionBudgetStatus(PartialObject, frozen=True):
    """The number of pods that may be disrupted now."""

    observed_generation: int = 0
    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0


class PodDisruptionBudget(Object, frozen=True):
    """A PodDisruptionBudget."""

    spec: DisruptionBudgetSpec = DisruptionBudgetSpec()
    status: DisruptionBudgetStatus = DisruptionBudgetStatus()


class ContainerMetrics(PartialObject, frozen=True):
    """The usage of one container, as quantities in text ("12m", "40960Ki")."""

    name: str = ""
    usage: dict[str, str] = msgspec.field(default_factory=dict)


class PodMetrics(Object, frozen=True):
    """The usage of a pod over `window` (metrics.k8s.io)."""

    timestamp: Moment | None = None
    window: str = ""
    containers: tuple[ContainerMetrics, ...] = ()


class ScaleSpec(PartialObject, frozen=True):
    """The desired replicas."""

    replicas: int = 0


class ScaleStatus(PartialObject, frozen=True):
    """The current replicas, and their selector as text."""

    replicas: int = 0
    selector: str = ""


class ScaleSubresource(Object, frozen=True):
    """The scale subresource of a workload."""

    spec: ScaleSpec = ScaleSpec()
    status: ScaleStatus = ScaleStatus()
