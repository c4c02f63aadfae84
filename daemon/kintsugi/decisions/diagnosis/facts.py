"""
The facts about one workload: frozen values, without a clock and without the contents of Secrets and ConfigMaps.

`kintsugi.actions.diagnosis_reads` makes them. An unknown fact is None or listed in `WorkloadFacts.unknown`, and is
never read as an absence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from kintsugi.decisions.diagnosis.related_objects import (
    CheckFacts,
    ClaimFacts,
    HostReference,
    MissingFacts,
    NameServerFacts,
    ObserverFacts,
    SharedService,
)
from kintsugi.model.causes import ObjectChange
from kintsugi.objects.cluster import Event, Node
from kintsugi.objects.metadata import Condition, Kept, Metadata
from kintsugi.objects.network import KubeService, NetworkPolicy
from kintsugi.objects.pods import Container, ContainerPort, ContainerStatus, Pod, PodSpec, Volume
from kintsugi.objects.predicates import START_UP_ALLOWANCE
from kintsugi.objects.workloads import HorizontalPodAutoscaler, PodDisruptionBudget, PodMetrics

_REPELS = frozenset({"NoSchedule", "NoExecute"})


class Name(Kept, frozen=True):
    """The name of another object, or of a volume."""

    name: str = ""


class KeyReference(Name, frozen=True):
    """One key of a ConfigMap or Secret, in an environment."""

    key: str = ""


class ValueSource(Kept, frozen=True):
    """The source of a variable's value: a key of a ConfigMap or Secret."""

    config_map_key_ref: KeyReference | None = None
    secret_key_ref: KeyReference | None = None


class Variable(Kept, frozen=True):
    """A variable of a container's environment; its value is not kept."""

    name: str = ""
    value_from: ValueSource | None = None


class EnvironmentSource(Kept, frozen=True):
    """All keys of a ConfigMap or Secret as variables."""

    config_map_ref: Name | None = None
    secret_ref: Name | None = None


class HostPort(ContainerPort, frozen=True):
    """A port of a container with the node's port that it takes."""

    host_port: int = 0


class SpecifiedContainer(Container, frozen=True):
    """A container with where its environment comes from."""

    ports: tuple[HostPort, ...] = ()
    env: tuple[Variable, ...] = ()
    env_from: tuple[EnvironmentSource, ...] = ()
    volume_mounts: tuple[Name, ...] = ()


class VolumeItem(Kept, frozen=True):
    """A key of a ConfigMap or Secret that a volume shows as a file."""

    key: str = ""


class ConfigurationVolume(Name, frozen=True):
    """A ConfigMap that is a volume, or a ConfigMap or Secret that is a part of a projected one."""

    items: tuple[VolumeItem, ...] = ()


class SecretVolume(Kept, frozen=True):
    """A volume that is a Secret."""

    secret_name: str = ""
    items: tuple[VolumeItem, ...] = ()


class ProjectedSource(Kept, frozen=True):
    """One source of a projected volume; a token or the downward API has neither."""

    config_map: ConfigurationVolume | None = None
    secret: ConfigurationVolume | None = None


class ProjectedVolume(Kept, frozen=True):
    """A volume of several sources."""

    sources: tuple[ProjectedSource, ...] = ()


class SpecifiedVolume(Volume, frozen=True):
    """A volume with the ConfigMaps and Secrets that it shows."""

    config_map: ConfigurationVolume | None = None
    secret: SecretVolume | None = None
    projected: ProjectedVolume | None = None


class Toleration(Kept, frozen=True):
    """A taint that a pod bears; without a key, each."""

    key: str = ""


class SpecifiedPod(PodSpec, frozen=True):
    """A pod as it was asked for, with what a diagnosis needs beyond the kept fields."""

    containers: tuple[SpecifiedContainer, ...] = ()
    init_containers: tuple[SpecifiedContainer, ...] = ()
    volumes: tuple[SpecifiedVolume, ...] = ()
    image_pull_secrets: tuple[Name, ...] = ()
    dns_policy: str = ""
    tolerations: tuple[Toleration, ...] = ()


class PodMetadata(Metadata, frozen=True):
    """The metadata of a pod, with the seconds that it got to end: its `deletionTimestamp` is when they are over."""

    deletion_grace_period_seconds: int = 0


class PodFacts(Pod, frozen=True):
    """A pod as it was read; `template_hash` is the label by which its workload's controller identifies its template."""

    metadata: PodMetadata = PodMetadata()
    spec: SpecifiedPod = SpecifiedPod()

    @property
    def template_hash(self) -> str:
        """Return which template it was made of, "" where no label says so."""
        labels = self.metadata.labels
        return labels.get("pod-template-hash") or labels.get("controller-revision-hash", "")

    @property
    def reference(self) -> str:
        """Return the pod as kubectl writes it."""
        return f"pod/{self.metadata.name}"

    def container(self, name: str) -> SpecifiedContainer | None:
        """Return a container as it was asked for."""
        every = (*self.spec.init_containers, *self.spec.containers)
        return next((each for each in every if each.name == name), None)

    def is_init(self, name: str) -> bool:
        """Return whether a container is among the init containers, as a sidecar may be."""
        return any(each.name == name for each in self.spec.init_containers)

    def field_of(self, name: str) -> str:
        """Return a container's path in the template."""
        return f"{'initContainers' if self.is_init(name) else 'containers'}[{name}]"

    def statuses(self) -> Iterator[tuple[ContainerStatus, bool]]:
        """Yield each container's status, and whether it is an init container that has to end; a sidecar is not one."""
        for status in self.status.init_container_statuses:
            container = self.container(status.name)
            yield status, container is None or container.restart_policy != "Always"
        for status in self.status.container_statuses:
            yield status, False


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFacts:
    """The last telling line of a container's run that ended."""

    pod: str
    container: str
    line: str


class ConfigurationType(StrEnum):
    """The kind of a configuration object, as kubectl writes it."""

    CONFIG_MAP = "configmap"
    SECRET = "secret"  # noqa: S105  the word for the kind


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigurationFacts:
    """
    A ConfigMap or Secret that the workload names: whether it is there (None: not known), and the names of its keys.

    `changed` is when its data were last written, `changed_keys` which of them, as far as its managed fields say that. `created` is
    when it was made.
    """

    type: ConfigurationType
    name: str
    exists: bool | None
    keys: frozenset[str] = frozenset()
    changed: datetime | None = None
    changed_keys: tuple[str, ...] = ()
    created: datetime | None = None

    @property
    def reference(self) -> str:
        """Return it as kubectl writes it."""
        return f"{self.type}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateRevision:
    """
    A pod template that the workload has or had: its fields by path, values of variables as digests.

    `returned`: it is known to have been in force before, and came back.
    """

    number: int
    hash: str
    created: datetime | None
    fields: Mapping[str, str]
    returned: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """The last writer of a field and the time, by the object's managed fields."""

    manager: str
    at: datetime | None


class NodeFacts(Node, frozen=True):
    """
    A node as it was read.

    `others` counts pods of other workloads on it, `others_ready` those that are ready. `marked` is who wrote last that it is cordoned.
    """

    others: int = 0
    others_ready: int = 0
    marked: FieldChange | None = None

    @property
    def reference(self) -> str:
        """Return the node as kubectl writes it."""
        return f"node/{self.metadata.name}"

    @property
    def repelling(self) -> tuple[str, ...]:
        """Return the keys of its taints that keep pods away."""
        return tuple(each.key for each in self.spec.taints if each.effect in _REPELS)


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookFacts:
    """A configuration of webhooks for admission, and the names of its webhooks."""

    reference: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadFacts:
    """
    All that was read about one Deployment, StatefulSet or DaemonSet.

    `reference` is TYPE/NAME; `revisions` are its templates, the one in force first. Facts that could not be read are
    empty, and listed in `unknown`.
    """

    reference: str
    namespace: str
    now: datetime
    start_up: timedelta = START_UP_ALLOWANCE
    """The time that a pod may take to become ready."""
    created: datetime | None = None
    desired: int
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    """The labels by which the workload knows its pods: what asks for all of them leads to no other workload's."""
    template: SpecifiedPod
    revisions: tuple[TemplateRevision, ...]
    pods: tuple[PodFacts, ...]
    conditions: tuple[tuple[str, Condition], ...] = ()
    events: tuple[Event, ...] = ()
    logs: tuple[LogFacts, ...] = ()
    running_logs: tuple[LogFacts, ...] = ()
    """The last telling lines of containers that run, read where something is wrong and no container has ended."""
    configurations: tuple[ConfigurationFacts, ...] = ()
    services: tuple[KubeService, ...] = ()
    services_known: bool = True
    """True if the Services could be read; if not, none of them counts as gone."""
    selected: frozenset[str] = frozenset()
    """Names of Services whose selector some pod of the namespace, or the template of some workload, meets."""
    nodes: tuple[NodeFacts, ...] = ()
    webhooks: tuple[WebhookFacts, ...] = ()
    governing: str = ""
    """The Service by which a StatefulSet's pods have their names."""
    scaled: FieldChange | None = None
    deleted: datetime | None = None
    """The workload's `deletionTimestamp`; None where it is not being deleted."""
    finalizers: tuple[str, ...] = ()
    claims: tuple[ClaimFacts, ...] = ()
    budgets: tuple[PodDisruptionBudget, ...] = ()
    autoscalers: tuple[HorizontalPodAutoscaler, ...] = ()
    policies: tuple[NetworkPolicy, ...] = ()
    """Those of its namespace and of its upstreams' namespaces."""
    namespace_labels: Mapping[str, str] | None = None
    usage: tuple[PodMetrics, ...] = ()
    """What its pods used last, by the metrics API."""
    hosts: tuple[HostReference, ...] = ()
    shared: tuple[SharedService, ...] = ()
    name_server: NameServerFacts | None = None
    service: str = ""
    """The name by which the catalog has it, "" where it is not there."""
    checks: tuple[CheckFacts, ...] = ()
    upstreams: tuple["WorkloadFacts", ...] = ()
    """The workloads that it depends on by the catalog, or that its variables name, each with its own upstreams."""
    is_guessed: bool = False
    """True of an upstream that the catalog does not declare: a variable names its Service."""
    serving: bool | None = None
    """True if anything of its service can answer, also by its Service's endpoints; None where that is not watched."""
    lost_service: str = ""
    """The Service that was seen to lead to its pods and is gone, "" for none."""
    observer: ObserverFacts = field(default_factory=ObserverFacts)
    missing: MissingFacts | None = None
    """Set of a workload that does not exist; then nothing else is known of it."""
    paused_before_start: FieldChange | None = None
    """Who paused its rollout, so that no pod is of the template in force; None where neither is so."""
    templated: FieldChange | None = None
    """The last writer of the pod template."""
    changed_around: tuple[ObjectChange, ...] = ()
    """The changes of its autoscalers and the incidents of its upstreams, of any age."""
    unknown: tuple[str, ...] = ()
