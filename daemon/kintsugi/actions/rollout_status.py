"""`kubectl rollout status`: how far a rollout is, in kubectl's words (polymorphichelpers/rollout_status.go)."""

from dataclasses import dataclass

from kintsugi.actions import live
from kintsugi.actions.live import Live
from kintsugi.actions.revisions import NUMBER
from kintsugi.objects.facts import condition_of
from kintsugi.objects.kept import DaemonSet, Deployment, StatefulSet

_ROLLING = "RollingUpdate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """One look at a rollout. `error`: it will not come to an end by itself."""

    message: str
    done: bool = False
    error: bool = False


def status_of(workload: Live, revision: int = 0) -> Status:
    """Say how far a Deployment, StatefulSet or DaemonSet is; of a `revision`, when one is named."""
    match live.text(workload, "kind"):
        case "StatefulSet":
            return _of_stateful_set(live.kept(workload, StatefulSet), workload)
        case "DaemonSet":
            return _of_daemon_set(live.kept(workload, DaemonSet))
        case _:
            return _of_deployment(live.kept(workload, Deployment), workload, revision)


def _of_deployment(kept: Deployment, workload: Live, revision: int) -> Status:
    name, status = kept.metadata.name, kept.status
    running = kept.metadata.annotations.get(NUMBER, "0")
    if revision and str(revision) != running:
        return _error(f"desired revision ({revision}) is different from the running revision ({running})")
    if kept.metadata.generation > status.observed_generation:
        return _waiting("Waiting for deployment spec update to be observed...")
    progressing = condition_of(status.conditions, "Progressing")
    if progressing is not None and progressing.reason == "ProgressDeadlineExceeded":
        return _error(f'deployment "{name}" exceeded its progress deadline')
    wanted = live.replicas(workload)
    rollout = f'Waiting for deployment "{name}" rollout to finish'
    if status.updated_replicas < wanted:
        return _waiting(f"{rollout}: {status.updated_replicas} out of {wanted} new replicas have been updated...")
    if status.replicas > status.updated_replicas:
        old = status.replicas - status.updated_replicas
        return _waiting(f"{rollout}: {old} old replicas are pending termination...")
    if status.available_replicas < status.updated_replicas:
        return _waiting(
            f"{rollout}: {status.available_replicas} of {status.updated_replicas} updated replicas are available..."
        )
    return _done(f'deployment "{name}" successfully rolled out')


def _of_daemon_set(kept: DaemonSet) -> Status:
    name, status = kept.metadata.name, kept.status
    if kept.spec.update_strategy.type != _ROLLING:
        return _error(f"rollout status is only available for {_ROLLING} strategy type")
    if kept.metadata.generation > status.observed_generation:
        return _waiting("Waiting for daemon set spec update to be observed...")
    desired = status.desired_number_scheduled
    rollout = f'Waiting for daemon set "{name}" rollout to finish'
    if status.updated_number_scheduled < desired:
        return _waiting(f"{rollout}: {status.updated_number_scheduled} out of {desired} new pods have been updated...")
    if status.number_available < desired:
        return _waiting(f"{rollout}: {status.number_available} of {desired} updated pods are available...")
    return _done(f'daemon set "{name}" successfully rolled out')


def _of_stateful_set(kept: StatefulSet, workload: Live) -> Status:
    status = kept.status
    if kept.spec.update_strategy.type != _ROLLING:
        return _error(f"rollout status is only available for {_ROLLING} strategy type")
    if status.observed_generation == 0 or kept.metadata.generation > status.observed_generation:
        return _waiting("Waiting for statefulset spec update to be observed...")
    wanted = live.replicas(workload)
    if status.ready_replicas < wanted:
        return _waiting(f"Waiting for {wanted - status.ready_replicas} pods to be ready...")
    if live.at(workload, "spec", "updateStrategy", "rollingUpdate") is not None:
        return _partitioned(kept, workload, wanted)
    if status.update_revision != status.current_revision:
        return _waiting(
            f"waiting for statefulset rolling update to complete {status.updated_replicas} pods "
            f"at revision {status.update_revision}..."
        )
    return _done(
        f"statefulset rolling update complete {status.current_replicas} pods at revision {status.current_revision}..."
    )


def _partitioned(kept: StatefulSet, workload: Live, wanted: int) -> Status:
    partition = live.at(workload, "spec", "updateStrategy", "rollingUpdate", "partition")
    updated = kept.status.updated_replicas
    if isinstance(partition, int) and updated < wanted - partition:
        return _waiting(
            f"Waiting for partitioned roll out to finish: {updated} out of {wanted - partition} new pods have been updated..."
        )
    return _done(f"partitioned roll out complete: {updated} new pods have been updated...")


def _waiting(message: str) -> Status:
    return Status(message=message)


def _done(message: str) -> Status:
    return Status(message=message, done=True)


def _error(message: str) -> Status:
    return Status(message=message, error=True)
