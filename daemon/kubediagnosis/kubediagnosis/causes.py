"""
The causes of a workload's problem, by the words of docs/faults.md, each with its evidence and confidence.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CauseKind(StrEnum):
    """The kinds of causes that Kintsugi searches for (docs/faults.md)."""

    MISSING_WORKLOAD = "MissingWorkload"
    IMAGE_PULL = "ImagePull"
    MISSING_CONFIGURATION = "MissingConfiguration"
    CONTAINER_START = "ContainerStart"
    CONTAINER_EXIT = "ContainerExit"
    OUT_OF_MEMORY = "OutOfMemory"
    LIVENESS_PROBE = "LivenessProbe"
    READINESS_PROBE = "ReadinessProbe"
    READINESS_GATE = "ReadinessGate"
    STARTUP_PROBE = "StartupProbe"
    INIT_CONTAINER = "InitContainer"
    UNSCHEDULABLE = "Unschedulable"
    POD_CREATION = "PodCreation"
    VOLUME = "Volume"
    NODE = "Node"
    SCALED_TO_ZERO = "ScaledToZero"
    SERVICE_ROUTING = "ServiceRouting"
    CERTIFICATE = "Certificate"
    FINALIZER = "Finalizer"
    POD_TERMINATION = "PodTermination"
    PAUSED_ROLLOUT = "PausedRollout"
    NAME_RESOLUTION = "NameResolution"
    UPSTREAM = "Upstream"
    NOT_ANSWERING = "NotAnswering"
    STALE_CONFIGURATION = "StaleConfiguration"
    NETWORK_POLICY = "NetworkPolicy"
    AUTOSCALER = "Autoscaler"
    DISRUPTION_BUDGET = "DisruptionBudget"
    OBSERVER = "Observer"


class Confidence(StrEnum):
    """
    The confidence in a cause.

    Certain: Kubernetes itself reports the cause, or a value and its opposite were both read. All other causes are likely.
    """

    CERTAIN = "certain"
    LIKELY = "likely"


class EvidenceSource(StrEnum):
    """The source of a piece of evidence."""

    FIELD = "field"
    EVENT = "event"
    LOG = "log"


class RegistryAnswer(StrEnum):
    """Why an image cannot be pulled, by the answer of the registry or the runtime."""

    NOT_FOUND = "not-found"
    DENIED = "denied"
    UNAUTHORIZED = "unauthorized"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    INVALID_NAME = "invalid-name"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceItem:
    """
    A piece of evidence: `object` is TYPE/NAME, `field` the path in it (or the Event's reason), `text` its content.

    `at` is its time, None where that is unknown.
    """

    source: EvidenceSource
    object: str
    field: str
    text: str
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """
    A cause: `object` is TYPE/NAME and `field` the path in it, "" for the object as a whole.

    `object` is "" where the observer is at fault. A field that begins with `containers`, `initContainers`, `volumes`,
    `nodeSelector` and the like is in the pod template. `text` is one sentence for a person. `registry` is set for ImagePull alone.
    `is_warning`: objects contradict each other while the service is well, which is never a reason to change anything.
    `namespace` is that of the object where it is another one than the diagnosed workload's, else "".
    """

    kind: CauseKind
    object: str
    field: str = ""
    confidence: Confidence
    text: str
    evidence: tuple[EvidenceItem, ...] = ()
    registry: RegistryAnswer | None = None
    is_warning: bool = False
    namespace: str = ""

    def __post_init__(self) -> None:
        if self.confidence is Confidence.CERTAIN and not self.evidence:
            raise ValueError(f"{self.kind} of {self.object} is called certain without evidence")


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectChange:
    """
    A change before the problem: a field of an object, as in a Cause, with its time and manager by the managed fields.

    `before` and `after` are "" if the field did not exist or its values are not shown. `shown` is False for values of an
    environment or a command, and for the contents of a Secret or ConfigMap.
    """

    object: str
    field: str
    at: datetime | None = None
    by: str = ""
    before: str = ""
    after: str = ""
    shown: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """
    Who keeps a workload as it is, and what can be gone back to.

    `managers` are GitOps tools and operators in words: they undo a change that somebody else makes. `release` is its Helm release, ""
    for none. `previous` is the number of the revision before the one in force, 0 for none.
    """

    managers: tuple[str, ...] = ()
    release: str = ""
    previous: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """
    The problem of a workload as it was read at `at`: causes, the likeliest first; empty if no cause is known.

    `summary` is one sentence for a person. `unknown` lists the facts that could not be read, with reasons. `changes` lists
    the changes before the problem, the latest last. `keeping` is None where that was not read.
    """

    object: str
    namespace: str
    at: datetime
    summary: str
    causes: tuple[Cause, ...] = ()
    unknown: tuple[str, ...] = ()
    changes: tuple[ObjectChange, ...] = ()
    keeping: Keeping | None = None
