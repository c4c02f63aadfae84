"""
The next step of a person who gets a problem that Kintsugi does not repair: a sentence, commands to paste, where to look.

Pure. The step follows from the likeliest cause: from the type of its object and from its field, and from who keeps the workload:
a command that another manager would undo is not offered, nor one that was just tried in vain. A sentence without a command says
why there is none.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubediagnosis.causes import Cause, CauseKind, Diagnosis, EvidenceSource, Keeping
from kubediagnosis.last_change import covering

CLUSTER_SCOPED = frozenset(
    {
        "mutatingwebhookconfiguration",
        "namespace",
        "node",
        "persistentvolume",
        "storageclass",
        "validatingwebhookconfiguration",
    }
)
"""The types of causes' objects that have no namespace."""

NO_CAUSE = "No cause is known, and no command for it."

_WORKLOAD = "deployment|statefulset|daemonset"
_WEBHOOK = "validatingwebhookconfiguration|mutatingwebhookconfiguration"
_EDIT = "kubectl edit {object}{n}"
_RESTART = "kubectl rollout restart {workload}{own}"
_LOGS = "kubectl logs {pod}{n} -c {container}"
_DESCRIBE = "kubectl describe {object}{n}"
_AT_MANAGER = "Correct {object} where {manager} has it, and not in the cluster: it would undo the change."


@dataclass(frozen=True, kw_only=True, slots=True)
class NextStep:
    """
    What a person does next: `text` is a sentence, `commands` may be pasted as they are, `probe` is one that only reads.

    `undoes`: they undo the last rollout.
    """

    text: str
    commands: tuple[str, ...] = ()
    probe: str = ""
    undoes: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """
    The step for objects of some types where a field matches; the whole pattern has to.

    Texts and commands are templates: `{object}`, `{name}` and `{field}` of the cause; the last `[…]` of the field as its `{key}`,
    the first as its `{container}`; a `{pod}` that shows it; the diagnosed `{workload}`; the namespaces of the object and of the
    workload with their option, `{n}` and `{own}`. `restarts`: it is in vain where a restart was.
    """

    types: str
    field: str = ""
    kinds: frozenset[CauseKind] = frozenset(CauseKind)
    text: str
    commands: tuple[str, ...] = ()
    probe: str = _DESCRIBE
    restarts: bool = False


_MISSING = _Row(
    types=".*",
    text="Apply the manifest of {object} again: nothing of it is left in the cluster, so no command can bring it back.",
    probe="kubectl get events{n}",
)

_ROWS: Sequence[_Row] = (
    _Row(
        types="serviceaccount",
        text="Create the service account again.",
        commands=("kubectl create serviceaccount {name}{n}",),
        probe="kubectl get events{n}",
    ),
    _Row(
        types="node",
        field=r"spec\.unschedulable",
        text="Allow new pods on the node again.",
        commands=("kubectl uncordon {name}",),
    ),
    _Row(
        types="node",
        field=r"spec\.taints\[.*\]",
        text="Remove the taint, if it is not meant for these pods.",
        commands=("kubectl taint node {name} {key}-",),
    ),
    _Row(
        types="node",
        field=r"status\.conditions\[Ready\]",
        text="Repair the kubelet or the machine itself: no command of kubectl reaches it.",
    ),
    _Row(
        types="node",
        field=r"status\.conditions\[.*\]",
        text="Free the node's resource on the machine itself: no command of kubectl does it.",
    ),
    _Row(
        types="node",
        field=r"status\.allocatable\[.*\]",
        text="Add a node, or scale down what can wait: Kintsugi does not know what that is, so there is no command.",
    ),
    _Row(
        types="node",
        text="Move the pods to other nodes.",
        commands=("kubectl cordon {name}", "kubectl drain {name} --ignore-daemonsets"),
    ),
    _Row(
        types=".*",
        field=r"metadata\.finalizers\[.*\]",
        text="Remove the finalizer {key} only if its controller is gone for good: if not, that one removes it.",
        commands=(_EDIT,),
    ),
    _Row(
        types="pod",
        field=r"metadata\.deletionGracePeriodSeconds",
        text="End the pod without more time.",
        commands=("kubectl delete {object}{n} --grace-period=1 --wait=false",),
    ),
    _Row(
        types=_WORKLOAD,
        field=r"spec\.paused",
        text="Resume the rollout.",
        commands=("kubectl rollout resume {object}{n}",),
    ),
    _Row(
        types=_WORKLOAD,
        field=r"spec\.replicas",
        text="Scale it up again: to one replica, or to as many as it had.",
        commands=("kubectl scale {object}{n} --replicas=1",),
    ),
    _Row(
        types=".*",
        field=".*",
        kinds=frozenset({CauseKind.CERTIFICATE}),
        text="Renew the certificate of {object} with its issuer: nothing in the cluster has a newer one.",
    ),
    _Row(
        types=".*",
        field=r"metadata\.deletionTimestamp",
        text="A deletion cannot be taken back: set persistentVolumeReclaimPolicy of its volume to Retain, then make {object} again.",
    ),
    # What follows may speak of the workload's own pods: those of an upstream are not known here.
    _Row(
        types=".+",
        field=".+",
        kinds=frozenset({CauseKind.UPSTREAM}),
        text="Correct {field} of {object}: this service is well as soon as its upstream is.",
        commands=(_EDIT,),
    ),
    _Row(
        types=".+",
        kinds=frozenset({CauseKind.UPSTREAM}),
        text="Repair {object}: this service is well as soon as that one is.",
    ),
    _Row(
        types="resourcequota",
        field=".*",
        text="Raise the quota, remove what uses it up, or change what the template of {workload} requests.",
        commands=(_EDIT, "kubectl edit {workload}{own}"),
    ),
    _Row(
        types=_WEBHOOK,
        field=".*",
        text="Repair the webhook's server. Until then, failurePolicy: Ignore lets pods in without it.",
        commands=(_EDIT,),
    ),
    _Row(
        types="namespace",
        field=".*",
        text="Meet the pod security level in the template of {workload}, or lower the level of the namespace.",
        commands=("kubectl edit {workload}{own}", _EDIT),
    ),
    _Row(
        types="persistentvolumeclaim",
        field=r"status\.phase",
        text="Give the claim a volume, from a backup if it had one: Kintsugi does not know which, so there is no command.",
    ),
    _Row(
        types="persistentvolumeclaim",
        field=r"spec\.storageClassName",
        text="Create the storage class, or a claim of another class: the class of a claim cannot be changed.",
        probe="kubectl get storageclasses",
    ),
    _Row(
        types="persistentvolumeclaim",
        field=r"status\.capacity\[.*\]",
        text="Remove files, or raise spec.resources.requests.storage, if the class of the claim allows it.",
        commands=(_EDIT,),
    ),
    _Row(
        types="persistentvolumeclaim",
        text="End what holds the volume on the other node: no command releases it before.",
        probe="kubectl get volumeattachments",
    ),
    _Row(
        types="persistentvolume",
        field=".*",
        text="Restore the path on its node, from a backup if data was lost: no command of kubectl does it.",
    ),
    _Row(
        types="configmap|secret",
        field=".*",
        kinds=frozenset({CauseKind.STALE_CONFIGURATION}),
        text="Restart the pods: they read {object} when they start.",
        commands=(_RESTART,),
        restarts=True,
    ),
    _Row(
        types="configmap|secret",
        field=".*",
        text="Correct {object}, then restart the pods.",
        commands=(_EDIT, _RESTART),
    ),
    _Row(
        types="networkpolicy",
        field=".*",
        text="Allow the traffic, or remove the policy.",
        commands=(_EDIT,),
    ),
    _Row(
        types="horizontalpodautoscaler",
        field=r"status\..*",
        text="Repair the metrics that the autoscaler reads: nothing of the autoscaler itself is wrong.",
        probe="kubectl get apiservices v1beta1.metrics.k8s.io",
    ),
    _Row(
        types="service",
        kinds=frozenset({CauseKind.NAME_RESOLUTION}),
        text="Repair the pods of the cluster's DNS: their workload differs between clusters, so there is no command.",
        probe="kubectl get pods{n} -l k8s-app={name}",
    ),
    _Row(
        types="pod",
        field=".*",
        text="Replace the pod: others of the same template are well.",
        commands=("kubectl delete {object}{n}",),
        restarts=True,
    ),
    _Row(
        types="pod",
        field=".*",
        text="A new pod fails as well: no field is known to be wrong, and the log says more.",
        probe="kubectl logs {object}{n} --all-containers",
    ),
    _Row(
        types="deployment",
        field=r"spec\.template",
        kinds=frozenset({CauseKind.NOT_ANSWERING}),
        text="Take the pods of {object} away until they answer: those of {workload} do. Who else scales {object} was not read.",
        commands=("kubectl scale {object}{n} --replicas=0",),
    ),
    _Row(
        types="service",
        kinds=frozenset({CauseKind.NOT_ANSWERING}),
        text="Each pod answers by itself, so no command is known: find which of the requests fail, and what is in their way.",
        probe="kubectl get endpointslices{n} -l kubernetes.io/service-name={name}",
    ),
    _Row(
        types=_WORKLOAD,
        kinds=frozenset({CauseKind.NOT_ANSWERING}),
        text="No object is known to be wrong. A restart of all pods may help.",
        commands=(_RESTART,),
        restarts=True,
    ),
    _Row(
        types=_WORKLOAD,
        field=r".*\.image",
        kinds=frozenset({CauseKind.IMAGE_PULL}),
        text="Push the image again, or name one that the registry has.",
        commands=(_EDIT,),
    ),
    _Row(
        types=_WORKLOAD,
        field=".*",
        kinds=frozenset({CauseKind.OUT_OF_MEMORY}),
        text="Give the container more memory, or repair what needs so much.",
        commands=(_EDIT,),
        probe=_LOGS,
    ),
    _Row(
        types=_WORKLOAD,
        field=r"\w+\[[^\]]*\]",
        kinds=frozenset({CauseKind.CONTAINER_EXIT, CauseKind.INIT_CONTAINER}),
        text="The program ends or hangs by itself: no field is known to be wrong, and its log says more.",
        probe=_LOGS,
    ),
    _Row(
        types=_WORKLOAD,
        field=r".*\.resources\.limits\.cpu",
        text="Raise the CPU limit of {container}, or let its probe wait longer: at its limit a container answers late.",
        commands=(_EDIT,),
        probe="kubectl top pods{own} --containers",
    ),
    _Row(
        types=_WORKLOAD,
        field=r".*\.(?:liveness|readiness|startup)Probe",
        text="Correct the probe, or what answers it.",
        commands=(_EDIT,),
    ),
    _Row(
        types=_WORKLOAD,
        field=r"readinessGates\[.*\]",
        text="Repair the controller that sets the condition {key}: Kubernetes never does, and no command of kubectl may.",
    ),
    _Row(types=".+", field=".+", text="Correct {field}.", commands=(_EDIT,)),
    _Row(
        types=".*",
        text="Repair Kintsugi's own view: nothing of the service is known to be wrong.",
        probe="kubectl get events{own}",
        kinds=frozenset({CauseKind.OBSERVER}),
    ),
    _Row(types=".+", text="No field of {object} is known to be wrong, so there is no command."),
)


def next_step(found: Diagnosis, *, restarted: bool = False) -> NextStep:
    """Return the next step against the likeliest cause, where a restart was in vain, or none was made; without a cause, where to look."""
    if not found.causes:
        return NextStep(text=NO_CAUSE, probe=f"kubectl describe {found.object} -n {found.namespace}")
    first, keeping = found.causes[0], found.keeping or Keeping()
    is_own, probe = first.object == found.object, _text(_DESCRIBE, found, first)
    if is_own and keeping.managers:
        return NextStep(text=_text(_AT_MANAGER, found, first, manager=", ".join(keeping.managers)), probe=probe)
    if is_own and (commands := tuple(_undone(found, first, keeping))):
        waiting = ", and delete the pods that wait with its template" if len(commands) > 1 else ""
        return NextStep(text=f"Undo the last rollout{waiting}.", commands=commands, probe=probe, undoes=True)
    fitting = (each for each in _ROWS if _fits(each, first) and not (restarted and each.restarts))
    row = _MISSING if _is_missing(first) else next(fitting)
    commands = tuple(_text(each, found, first) for each in row.commands)
    text = _text(row.text, found, first)
    if is_own and keeping.release and _EDIT in row.commands:
        text = (
            f"{text} Do the same in the values of the Helm release {keeping.release}: its next upgrade undoes an edit."
        )
    return NextStep(text=text, commands=commands, probe=_text(row.probe, found, first))


def _undone(found: Diagnosis, first: Cause, keeping: Keeping) -> Iterator[str]:
    """Yield the commands that undo the last rollout, where the cause lies in a field that it changed, and a revision is left to go to."""
    fields = [each.field for each in found.changes if each.object == first.object and each.field != "spec.replicas"]
    if not first.field or not covering(fields, first.field) or not keeping.previous:
        return
    if keeping.release:
        yield f"helm rollback {keeping.release} -n {found.namespace}"
    else:
        yield f"kubectl rollout undo {first.object} --to-revision={keeping.previous} -n {found.namespace}"
    if first.object.startswith("statefulset/"):
        # A StatefulSet never replaces a pod that has not become ready (kubernetes.io, StatefulSets, Forced rollback).
        yield from (f"kubectl delete {pod} -n {found.namespace}" for pod in _pods(first))


def _is_missing(cause: Cause) -> bool:
    """Return whether the object was looked for as a whole and is not there; a missing service account can be made anew."""
    if cause.field or cause.object.startswith("serviceaccount/"):
        return False
    looked_for = (
        each.source is EvidenceSource.FIELD and not each.field for each in cause.evidence if each.object == cause.object
    )
    return cause.kind in (CauseKind.MISSING_WORKLOAD, CauseKind.MISSING_CONFIGURATION) or any(looked_for)


def _fits(row: _Row, cause: Cause) -> bool:
    type_ = cause.object.partition("/")[0]
    fits = re.fullmatch(row.types, type_) and re.fullmatch(row.field, cause.field)
    return bool(fits) and cause.kind in row.kinds


def _text(template: str, found: Diagnosis, cause: Cause, manager: str = "") -> str:
    type_, _, name = cause.object.partition("/")
    keys = re.findall(r"\[([^\]]*)\]", cause.field)
    return template.format(
        object=cause.object,
        name=name,
        field=cause.field,
        key=shlex.quote(keys[-1]) if keys else cause.field,
        container=shlex.quote(keys[0]) if keys else cause.field,
        pod=next(iter(_pods(cause)), cause.object),
        workload=found.object,
        manager=manager,
        n="" if type_ in CLUSTER_SCOPED else f" -n {cause.namespace or found.namespace}",
        own=f" -n {found.namespace}",
    )


def _pods(cause: Cause) -> Sequence[str]:
    """Return the pods that show a cause."""
    return tuple(dict.fromkeys(each.object for each in cause.evidence if each.object.startswith("pod/")))
