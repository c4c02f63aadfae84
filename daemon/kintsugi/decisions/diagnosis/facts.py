"""
What was read about one workload: frozen values, without a clock and without the contents of Secrets and ConfigMaps.

`kintsugi.actions.diagnosis_reads` makes them; what is not known is None or stands in `WorkloadFacts.unknown`, and is never
read as an absence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from kintsugi.decisions.diagnosis.network_policies import PolicyFacts
from kintsugi.decisions.diagnosis.surroundings import (
    AutoscalerFacts,
    BudgetFacts,
    CheckFacts,
    ClaimFacts,
    HostReference,
    NameServerFacts,
    ObserverFacts,
    SharedService,
    UsageFacts,
)
from kintsugi.model.causes import ObjectChange
from kintsugi.objects.metadata import Condition, Kept, Object
from kintsugi.objects.pods import Container, ContainerPort, ContainerStatus, Pod, PodSpec, Volume
from kintsugi.objects.predicates import START_UP_ALLOWANCE


class KeyReference(Kept, frozen=True):
    """One key of a ConfigMap or Secret, in an environment."""

    name: str = ""
    key: str = ""
    optional: bool = False


class ValueSource(Kept, frozen=True):
    """Where the value of a variable is taken from."""

    config_map_key_ref: KeyReference | None = None
    secret_key_ref: KeyReference | None = None


class Variable(Kept, frozen=True):
    """A variable of a container's environment; its value is not kept."""

    name: str = ""
    value_from: ValueSource | None = None


class WholeReference(Kept, frozen=True):
    """A whole ConfigMap or Secret, in an environment."""

    name: str = ""
    optional: bool = False


class EnvironmentSource(Kept, frozen=True):
    """All keys of a ConfigMap or Secret as variables."""

    config_map_ref: WholeReference | None = None
    secret_ref: WholeReference | None = None


class HostPort(ContainerPort, frozen=True):
    """A port of a container with the node's port that it takes."""

    host_port: int = 0


class VolumeMount(Kept, frozen=True):
    """A volume in a container."""

    name: str = ""


class SpecifiedContainer(Container, frozen=True):
    """A container with where its environment comes from."""

    ports: tuple[HostPort, ...] = ()
    env: tuple[Variable, ...] = ()
    env_from: tuple[EnvironmentSource, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()


class VolumeItem(Kept, frozen=True):
    """A key of a ConfigMap or Secret that a volume shows as a file."""

    key: str = ""


class ConfigMapVolume(Kept, frozen=True):
    """A volume that is a ConfigMap."""

    name: str = ""
    optional: bool = False
    items: tuple[VolumeItem, ...] = ()


class SecretVolume(Kept, frozen=True):
    """A volume that is a Secret."""

    secret_name: str = ""
    optional: bool = False
    items: tuple[VolumeItem, ...] = ()


class ProjectedPart(Kept, frozen=True):
    """A ConfigMap or Secret that is a part of a projected volume."""

    name: str = ""
    optional: bool = False
    items: tuple[VolumeItem, ...] = ()


class ProjectedSource(Kept, frozen=True):
    """One source of a projected volume; a token or the downward API is none of both."""

    config_map: ProjectedPart | None = None
    secret: ProjectedPart | None = None


class ProjectedVolume(Kept, frozen=True):
    """A volume of several sources."""

    sources: tuple[ProjectedSource, ...] = ()


class SpecifiedVolume(Volume, frozen=True):
    """A volume with the ConfigMaps and Secrets that it shows."""

    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    projected: ProjectedVolume | None = None


class PullSecret(Kept, frozen=True):
    """A Secret with which images are pulled."""

    name: str = ""


class Toleration(Kept, frozen=True):
    """A taint that a pod bears; without a key, each."""

    key: str = ""


class SpecifiedPod(PodSpec, frozen=True):
    """A pod as it was asked for, with what a diagnosis needs beyond the kept fields."""

    containers: tuple[SpecifiedContainer, ...] = ()
    init_containers: tuple[SpecifiedContainer, ...] = ()
    volumes: tuple[SpecifiedVolume, ...] = ()
    image_pull_secrets: tuple[PullSecret, ...] = ()
    dns_policy: str = ""
    tolerations: tuple[Toleration, ...] = ()


class PodFacts(Pod, frozen=True):
    """A pod as it was read; `template_hash` is the label by which its workload's controller tells its template."""

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
        """Yield each container's status, and whether it is an init container that has to end; a sidecar is none."""
        for status in self.status.init_container_statuses:
            container = self.container(status.name)
            yield status, container is None or container.restart_policy != "Always"
        for status in self.status.container_statuses:
            yield status, False


class EventFacts(Object, frozen=True):
    """An Event: what a component said of an object, how often, and when last."""

    type: str = ""
    reason: str = ""
    message: str = ""
    object: str = ""
    field: str = ""
    """The path in the object that it is about: `spec.containers{web}`."""
    count: int = 1
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFacts:
    """The last telling line of a container's run that ended."""

    pod: str
    container: str
    line: str


class ConfigurationType(StrEnum):
    """What holds configuration, as kubectl writes it."""

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


class TargetPort(Kept, frozen=True):
    """A port of a Service, and where it leads: a number, or the name of a container's port."""

    name: str = ""
    port: int = 0
    protocol: str = "TCP"
    target_port: int | str = 0


class RoutingSpec(Kept, frozen=True):
    """What a Service leads to."""

    type: str = "ClusterIP"
    selector: dict[str, str] = msgspec.field(default_factory=dict)
    ports: tuple[TargetPort, ...] = ()


class ServiceFacts(Object, frozen=True):
    """A Service of the workload's namespace."""

    spec: RoutingSpec = RoutingSpec()


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """Who wrote a field last, and when, by the object's managed fields."""

    manager: str
    at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFacts:
    """
    A node: cordoned, the keys of its taints that keep pods away, and what its kubelet reports (none: not read).

    `others` counts pods of other workloads on it, `others_ready` those that are ready. `marked` is who wrote last that it is cordoned.
    """

    name: str
    cordoned: bool
    taints: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    others: int = 0
    others_ready: int = 0
    created: datetime | None = None
    marked: FieldChange | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookFacts:
    """A configuration of webhooks for admission, and the names of its webhooks."""

    reference: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadFacts:
    """
    All that was read about one Deployment, StatefulSet or DaemonSet.

    `reference` is TYPE/NAME; `revisions` are its templates, the one in force first. What could not be read is empty, and
    stands in `unknown`.
    """

    reference: str
    namespace: str
    now: datetime
    start_up: timedelta = START_UP_ALLOWANCE
    """What a pod may take to become ready."""
    created: datetime | None = None
    desired: int
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    """The labels by which the workload knows its pods: what asks for all of them leads to no other workload's."""
    template: SpecifiedPod
    revisions: tuple[TemplateRevision, ...]
    pods: tuple[PodFacts, ...]
    conditions: tuple[tuple[str, Condition], ...] = ()
    events: tuple[EventFacts, ...] = ()
    logs: tuple[LogFacts, ...] = ()
    running_logs: tuple[LogFacts, ...] = ()
    """The last telling lines of containers that run, read where something is wrong and no container has ended."""
    configurations: tuple[ConfigurationFacts, ...] = ()
    services: tuple[ServiceFacts, ...] = ()
    services_known: bool = True
    """Whether the Services could be read: without it none of them counts as gone."""
    selected: frozenset[str] = frozenset()
    """Names of Services whose selector some pod of the namespace, or the template of some workload, meets."""
    nodes: tuple[NodeFacts, ...] = ()
    webhooks: tuple[WebhookFacts, ...] = ()
    governing: str = ""
    """The Service by which a StatefulSet's pods have their names."""
    scaled: FieldChange | None = None
    deleted: datetime | None = None
    """When the workload itself was to be gone."""
    finalizers: tuple[str, ...] = ()
    claims: tuple[ClaimFacts, ...] = ()
    budgets: tuple[BudgetFacts, ...] = ()
    autoscalers: tuple[AutoscalerFacts, ...] = ()
    policies: tuple[PolicyFacts, ...] = ()
    """Those of its namespace and of its upstreams' namespaces."""
    namespace_labels: Mapping[str, str] | None = None
    usage: tuple[UsageFacts, ...] = ()
    hosts: tuple[HostReference, ...] = ()
    shared: tuple[SharedService, ...] = ()
    name_server: NameServerFacts | None = None
    service: str = ""
    """The name by which the catalog has it, "" where it is not there."""
    checks: tuple[CheckFacts, ...] = ()
    upstreams: tuple["WorkloadFacts", ...] = ()
    """What it depends on by the catalog, each with its own upstreams."""
    serving: bool | None = None
    """Whether anything of its service can answer, by its Service's endpoints, too; None where that is not watched."""
    observer: ObserverFacts = field(default_factory=ObserverFacts)
    templated: FieldChange | None = None
    """Who wrote the pod template last."""
    changed_around: tuple[ObjectChange, ...] = ()
    """What changed of its autoscalers, and which incidents its upstreams have had, whenever that was."""
    unknown: tuple[str, ...] = ()
