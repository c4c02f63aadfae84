"""
What is known of the surroundings of a workload: its claims, hosts and checks, name servers, and the facts that are declared.

Frozen values like those of `facts`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kubeobjects.predicates import START_UP_ALLOWANCE
from kubeobjects.storage import PersistentVolumeClaim


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
    A host that a variable of the template names as a literal: nothing else of its value is kept.

    `port` is 0 where the value names neither a port nor a scheme that has one.
    """

    field: str
    host: str
    port: int = 0

    def host_in(self, namespace: str) -> str:
        """Return the host with the namespace that a name without one is looked up in."""
        return self.host if "." in self.host else f"{self.host}.{namespace}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckFacts:
    """
    A check of the service, as it was answered last: `answer` is why it is not met, "" where it is.

    `since` is when it came to be so, None where that is not known. `through` is the Kubernetes Service by which a derived check
    asks what the kubelets ask the pods, "" for a check that the document has.
    """

    name: str
    met: bool
    answer: str = ""
    since: datetime | None = None
    through: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedService:
    """
    A Service that leads to pods of other workloads, too.

    `pods` names some of them; `own` are other Services that lead to those and to no pod of this workload.
    """

    name: str
    pods: tuple[str, ...]
    own: tuple[str, ...]


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
