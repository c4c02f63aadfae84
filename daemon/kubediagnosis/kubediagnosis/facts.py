"""
The facts about one workload: frozen values, without a clock and without the contents of Secrets and ConfigMaps.

`WorkloadReader` makes them. An unknown fact is None or listed in `WorkloadFacts.unknown`, and is never read as an absence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from kubediagnosis.causes import Keeping, ObjectChange
from kubeobjects.cluster import Event, Node
from kubeobjects.metadata import Condition
from kubeobjects.network import KubeService, NetworkPolicy
from kubeobjects.pods import ContainerStatus, Pod
from kubeobjects.predicates import START_UP_ALLOWANCE, template_hash
from kubeobjects.specified import PodMetadata, SpecifiedContainer, SpecifiedPod
from kubeobjects.storage import PersistentVolumeClaim
from kubeobjects.workloads import HorizontalPodAutoscaler, PodDisruptionBudget, PodMetrics

_REPELS = frozenset({"NoSchedule", "NoExecute"})


class ClaimFacts(PersistentVolumeClaim, frozen=True):
    """
    A PersistentVolumeClaim that a pod names; `exists` is None where it could not be read.

    `class_exists` is about the StorageClass that it names, None where it names none or it could not be read, and `grows`
    whether that allows expansion, None likewise. `volume_field` is the path of the volume's source in the PersistentVolume
    (`spec.hostPath.path`), "" where it is not known.
    """

    exists: bool | None = True
    volume_field: str = ""
    class_exists: bool | None = None
    grows: bool | None = None

    @property
    def reference(self) -> str:
        """Return it as kubectl writes it."""
        return f"persistentvolumeclaim/{self.metadata.name}"

    @property
    def capacity(self) -> str:
        """Return the size that it has, "" where that is not known."""
        return self.status.capacity.get("storage", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class HostReference:
    """
    A host that a variable or an init container's command of the template names as a literal: nothing else of the value is kept.

    `port` is 0 where the value names neither a port nor a scheme that has one.
    """

    field: str
    host: str
    port: int = 0

    def host_in(self, namespace: str) -> str:
        """Return the host with the namespace that a name without one is looked up in."""
        return self.host if "." in self.host else f"{self.host}.{namespace}"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendAnswer:
    """What a pod behind the Service answered to a check by itself: `workload` is TYPE/NAME of what makes the pod, `answer` why it is not met."""

    pod: str
    workload: str
    met: bool
    answer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckFacts:
    """
    A check of the service, as it was answered last: `answer` is why it is not met, "" where it is.

    `since` is when it came to be so, None where that is not known. `through` is the Kubernetes Service by which a derived check
    asks what the kubelets ask the pods, "" for a check that the document has. `backends` are the answers of pods that were asked
    by themselves, because not all answers of late were good, or the pods are not all of one template.
    """

    name: str
    met: bool
    answer: str = ""
    since: datetime | None = None
    through: str = ""
    backends: tuple[BackendAnswer, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedService:
    """
    A Service that leads to pods of other workloads, too.

    `pods` names some of them; `own` are other Services that lead to those and to no pod of this workload.
    """

    name: str
    pods: tuple[str, ...]
    own: tuple[str, ...]


DNS_NAMESPACE, DNS_SERVICE = "kube-system", "kube-dns"
"""The Service of the cluster's DNS, for every DNS program (github.com/kubernetes/dns, specification)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NameServerFacts:
    """The cluster's DNS: its Service, and how many of its endpoints are ready; None where it could not be read."""

    service: str
    ready: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ObserverFacts:
    """
    The reasons to doubt the observed state; "" for no reason.

    `stale`: nothing is read, so nothing is known. `doubt`: our own name server or the path of our checks is suspected.
    """

    stale: str = ""
    doubt: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingFacts:
    """
    What is known of a workload that a service names and that does not exist.

    `last_good` is when its manifest was kept, None where it was not. `similar` is a workload of the namespace with a similar name.
    `owner` is the operator or object that owned it, `command` that of the tool that made it, and `lacks` are the fields of the kept
    manifest whose values are not known.
    """

    last_good: datetime | None = None
    similar: str = ""
    owner: str = ""
    command: str = ""
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredFacts:
    """
    Facts of a workload that no object has, and that its observer knows: its service, its checks' answers, the observer's
    health.

    `serving`: anything of the service can answer by what is watched, its Service and that one's endpoints; None where that is not
    known. `lost_service` is the Service that was seen to lead to its pods and is gone, `missing_since` when the workload was seen
    to go; `recreate` is the command that makes it again from its kept manifest. `start_up` is the time that a pod may take to become
    ready.
    """

    service: str = ""
    checks: tuple[CheckFacts, ...] = ()
    observer: ObserverFacts = field(default_factory=ObserverFacts)
    serving: bool | None = None
    lost_service: str = ""
    missing_since: datetime | None = None
    recreate: str = ""
    start_up: timedelta = START_UP_ALLOWANCE


class PodFacts(Pod, frozen=True):
    """A pod as it was read; `template_hash` is the label by which its workload's controller identifies its template."""

    metadata: PodMetadata = PodMetadata()
    spec: SpecifiedPod = SpecifiedPod()

    @property
    def template_hash(self) -> str:
        """Return which template it was made of, "" where no label says so."""
        return template_hash(self)

    @property
    def reference(self) -> str:
        """Return the pod as kubectl writes it."""
        return f"pod/{self.metadata.name}"

    @property
    def has_begun(self) -> bool:
        """Return whether a container of it has ever run."""
        found = (status for status, _ in self.statuses())
        return any(each.state.running or each.state.terminated or each.last_state.terminated for each in found)

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

    `changed` is when its data were last written, `changed_by` by which manager, `changed_keys` which of them, as far as its managed
    fields say that. `created` is when it was made.
    """

    type: ConfigurationType
    name: str
    exists: bool | None
    keys: frozenset[str] = frozenset()
    changed: datetime | None = None
    changed_by: str = ""
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
    declared: DeclaredFacts = field(default_factory=DeclaredFacts)
    """What its observer knows of its service: the checks, and whether anything of it can answer."""
    upstreams: tuple["WorkloadFacts", ...] = ()
    """The workloads that it depends on by the catalog, or that its variables name, each with its own upstreams."""
    is_guessed: bool = False
    """True of an upstream that the catalog does not declare: a variable names its Service."""
    keeping: Keeping | None = None
    missing: MissingFacts | None = None
    """Set of a workload that does not exist; then nothing else is known of it."""
    paused_before_start: FieldChange | None = None
    """Who paused its rollout, so that no pod is of the template in force; None where neither is so."""
    templated: FieldChange | None = None
    """The last writer of the pod template."""
    changed_around: tuple[ObjectChange, ...] = ()
    """The changes of its autoscalers and the incidents of its upstreams, of any age."""
    unknown: tuple[str, ...] = ()
