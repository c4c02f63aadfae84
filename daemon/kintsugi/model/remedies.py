"""
The remedy for a cause: the word that a runbook's steps test, and the reason for a person.

`kintsugi.decisions.remedies` decides it, and `kintsugi diagnose` in a runbook returns it.
"""

from dataclasses import dataclass
from enum import StrEnum

from kintsugi.model.services import NOTHING_ALLOWED, MaxAllowed


class RemedyKind(StrEnum):
    """
    The kinds of remedies.

    `wait`: Kubernetes or somebody else is repairing it; the watchdog judges at the run's deadline. `restart`: one unhealthy pod is
    recreated, and the others only once its successor is ready. `roll-back`: to the last good revision, at once; `roll-back-asked`: the same once a person agrees. `restart-canary`:
    one ready pod is restarted, and the others only if its successor answers; `rollout-restart`: the only pod, whose successor is
    ready before it ends. `scale-back-asked`: from 0 to the replicas that it had, once a person agrees. `move-pods`: its node is
    cordoned, and its pods there evicted. `raise-memory`: the memory limit of its pods is raised in place. `grow-claim-asked`: a full
    claim gets a larger volume, once a person agrees. `hand-over`: no action of ours can help.
    """

    WAIT = "wait"
    RESTART = "restart"
    ROLL_BACK = "roll-back"
    ROLL_BACK_ASKED = "roll-back-asked"
    RESTART_CANARY = "restart-canary"
    ROLLOUT_RESTART = "rollout-restart"
    SCALE_BACK_ASKED = "scale-back-asked"
    MOVE_PODS = "move-pods"
    RAISE_MEMORY = "raise-memory"
    GROW_CLAIM_ASKED = "grow-claim-asked"
    HAND_OVER = "hand-over"

    def because(self, reason: str, *, name: str = "") -> "Remedy":
        """Return this remedy with its reason, and the pod or node that it is about."""
        return Remedy(kind=self, reason=reason, name=name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """
    A remedy, with its reason in one sentence.

    `name` is the pod to restart first, the node to leave, the container whose limit is raised, or the claim that grows; "" for others.
    `amount` is the new limit or size, `request` the container's new request, `pods` the names of the pods that get it, or that
    are restarted if the first one's successor answers.
    """

    kind: RemedyKind
    reason: str
    name: str = ""
    amount: str = ""
    request: str = ""
    pods: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerMemory:
    """
    The memory of one pod's container: `limit` and `request` as quantities, "" for none.

    `pending` is the reason for which the kubelet has not applied an earlier change, "" where no change waits.
    """

    pod: str
    container: str
    limit: str
    request: str
    pending: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimSize:
    """The size that a claim asks for, and the one that it has, as quantities; `grows`: its class allows it to grow, None where that is not known."""

    name: str
    requested: str
    capacity: str
    grows: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadState:
    """
    The state of a workload, besides its revisions.

    `serving` are the names of the pods that are ready, in the order in which they are restarted, `failing` those of the unhealthy ones,
    in the order in which they are recreated. `replicas` is the number that it is started with from 0, None where that is not known; `rests` is the autoscaler that may let it rest
    there, "" for none. `tried` are the remedies that were tried for this problem before, and did not help. `memory` is
    the memory of its pods' containers, `claims` those of pods that are not ready, `max_allowed` how far either may be
    raised.
    """

    serving: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    replicas: int | None = None
    rests: str = ""
    tried: frozenset[RemedyKind] = frozenset()
    memory: tuple[ContainerMemory, ...] = ()
    claims: tuple[ClaimSize, ...] = ()
    max_allowed: MaxAllowed = NOTHING_ALLOWED


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptTemplateFacts:
    """
    The last good template of a workload as the ledger has it, where Kubernetes has no good revision any more.

    `difference` says in words what it has instead of the template in force; `missing` are the fields of which it has no values: with
    any of them it is not gone back to.
    """

    difference: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionFacts:
    """
    The facts about a workload's revisions and its managers.

    `revision` is the number of the one in force, 0 where its controller has not made it, and `template` its name; `known_good`
    whether it, or one that makes the same pods, was seen good. `good` is the number of the last good one besides it, 0 for none,
    `adopted` whether that one was adopted, `none_good` why no revision is good, "" where one is or that is not known,
    and `kept` the template of the ledger where there is none; `changed` are the fields of the template in force that differ from
    the good one; `pods` (pod/NAME) are made of the template in force. `upstream` is an unhealthy upstream, "" for none; `managers`
    would revert a change; `release` is the Helm release of the workload, "" for none; `paused`: its rollout is.
    """

    revision: int = 0
    template: str = ""
    known_good: bool = False
    good: int = 0
    adopted: bool = False
    none_good: str = ""
    kept: KeptTemplateFacts | None = None
    changed: tuple[str, ...] = ()
    pods: frozenset[str] = frozenset()
    upstream: str = ""
    managers: tuple[str, ...] = ()
    release: str = ""
    paused: bool = False

    @property
    def to_kept(self) -> str:
        """
        Return the difference that a rollback to the kept template would make, "" for no difference or where it is not
        possible.
        """
        return self.kept.difference if self.kept is not None and not self.kept.missing else ""
