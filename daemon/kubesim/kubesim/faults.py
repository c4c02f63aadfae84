"""
Faults of workloads: each is bound to a pod's uid or to a template, and time does not end it.

Only a recreated pod, which has another uid, or a rollback to another template ends them. The scheduler and the kubelet
ask; a fault wakes them through `on_change`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from kubeobjects.quantities import quantity
from kubesim.manifest import Json, labels_of, uid_of


class PodFault(StrEnum):
    """A fault of a pod, or of every pod of a template."""

    CRASH_LOOP = "crash-loop"
    UNREADY = "unready"
    UNSCHEDULABLE = "unschedulable"
    IGNORES_SIGTERM = "ignores-sigterm"


TEMPLATE_LABELS = ("pod-template-hash", "controller-revision-hash")


def _ignore(_: str) -> None:
    """Ignore it: the cluster puts the kubelet here."""


@dataclass(kw_only=True, slots=True)
class Faults:
    """Keep what was broken, by pod uid and by template hash (the label that the workload's controller writes)."""

    on_change: Callable[[str], None] = _ignore
    _pods: set[tuple[str, PodFault]] = field(default_factory=set)
    _templates: set[tuple[str, PodFault]] = field(default_factory=set)
    _nodes_down: set[str] = field(default_factory=set)
    _memory: dict[str, Decimal] = field(default_factory=dict)

    def crash_loop(self, pod_uid: str) -> None:
        """Make this pod's containers exit soon after every start."""
        self.break_pod(pod_uid, PodFault.CRASH_LOOP)

    def make_unready(self, pod_uid: str) -> None:
        """Make this pod fail its readiness from now on."""
        self.break_pod(pod_uid, PodFault.UNREADY)

    def need_memory(self, pod_uid: str, amount: str) -> None:
        """Make this pod's containers need so much memory: what has a lower limit is ended for it, again and again."""
        self._memory[pod_uid] = quantity(amount)
        self.on_change(pod_uid)

    def memory_needed(self, pod_uid: str) -> Decimal:
        """Return the memory that a pod's containers need; 0 where none was set."""
        return self._memory.get(pod_uid, Decimal(0))

    def break_pod(self, pod_uid: str, fault: PodFault) -> None:
        """Bind a fault to a pod."""
        self._pods.add((pod_uid, fault))
        self.on_change(pod_uid)

    def break_template(self, template_hash: str, fault: PodFault) -> None:
        """Bind a fault to every pod of one template, now and later."""
        self._templates.add((template_hash, fault))
        self.on_change("")

    def node_down(self, node: str) -> None:
        """Silence a node's kubelet: its lease and its pods' status stay as they are."""
        self._nodes_down.add(node)
        self.on_change("")

    def is_down(self, node: str) -> bool:
        """Return whether a node's kubelet is silent."""
        return node in self._nodes_down

    def has(self, pod: Json, fault: PodFault) -> bool:
        """Return whether a pod suffers from something."""
        hashes = [labels_of(pod)[label] for label in TEMPLATE_LABELS if label in labels_of(pod)]
        return (uid_of(pod), fault) in self._pods or any((each, fault) in self._templates for each in hashes)
