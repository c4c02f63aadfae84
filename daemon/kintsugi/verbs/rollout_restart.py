"""`kubectl rollout restart`: make the pods of a workload anew."""

import re
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs
from typing_extensions import override

from kintsugi.actions import api_objects, preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.actions.loaded_target import LoadedTarget, load_target
from kintsugi.actions.pods import made_by
from kintsugi.actions.verb_bases import VerbClients
from kintsugi.actions.workload_reads import find_revisions
from kintsugi.model.command import ObjectName, Verb
from kintsugi.verbs.rollout import Rollout, RolloutVerb, back_to, changing, intent_of, same_template
from kubediagnosis.templates import RESTARTED, template_of
from kubediagnosis.workload_revisions import Revision, alike, current_of
from kubeobjects import predicates, unstructured
from kubeobjects.kept import Object, Pod
from kubeobjects.resources import DAEMONSETS, DEPLOYMENTS, STATEFULSETS, Resource
from kubeobjects.starting import start_failure
from kubeobjects.unstructured import Unstructured

_NUMBER = re.compile(r"[0-9]{1,10}")


class RolloutRestartVerb(RolloutVerb):
    """It makes the same pods once more; its undo goes back to the revision that was there."""

    verb = Verb.ROLLOUT_RESTART
    spec = changing(Verb.ROLLOUT_RESTART)
    writes_template = True
    restarts = True

    def to_good_revision(self, command: Rollout) -> Rollout:
        """Return the undo without a number: what stood before a restart is what the restart did not help."""
        return replace(command, verb=Verb.ROLLOUT_UNDO, revision=0, timeout=None)

    async def plan_effect(self, clients: VerbClients, command: Rollout, context: ChangeContext) -> EffectPlan:
        """
        Judge a restart; of the managers only operators mind it, GitOps tools leave the stamp alone.

        Where one of the pods fails to start, so will all; and whatever it is to cure, it never ends the last pod that serves.
        """
        loaded = await load_target(clients.kube, command.object, command.namespace, context)
        bound = replace(command, object=loaded.asked)
        preconditions.check(
            preconditions.paused(loaded.asked, loaded.obj, "restart it"),
            operated(loaded.asked, loaded.obj, loaded.context),
        )
        revisions = await find_revisions(clients.kube, loaded.asked, loaded.obj, loaded.context.good)
        pods = await made_by(clients.kube, loaded.asked, loaded.obj)
        resource = loaded.asked.resource
        preconditions.check(
            refuse_failing_template(loaded.asked, failures_of(loaded, revisions, pods), "restart it"),
            last_good_pod(
                loaded.asked,
                len(good_pods(pods)),
                survivors(resource, loaded.obj, pods),
                how_it_rolls(resource, loaded.obj),
            ),
        )
        stamp = loaded.context.now.isoformat(timespec="seconds").replace("+00:00", "Z")
        template = unstructured.with_field(template_of(loaded.obj), "metadata", "annotations", RESTARTED, value=stamp)
        intent = structs.replace(intent_of(loaded, revisions), restarted_at=stamp)
        return loaded.patch(
            bound,
            unstructured.with_field(loaded.obj, "spec", "template", value=template),
            intent,
            back_to(bound, current_of(revisions)),
            same_template(loaded),
        )

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} restarted"


VERBS = (RolloutRestartVerb(),)


def failures_of(loaded: LoadedTarget, revisions: Sequence[Revision], pods: Sequence[Pod]) -> list[str]:
    """List how pods of the template that the workload asks for now fail to be made or started."""
    same, context = alike(revisions), loaded.context
    ill = [
        f"pod/{pod.metadata.name}: {why}"
        for pod in sorted(pods, key=lambda pod: pod.metadata.name)
        if any(revision.makes(pod) for revision in same) and (why := start_failure(pod, context.now, context.startup))
    ]
    unmade = [f"{loaded.asked}: {why}" for why in (*(each.failure for each in same), missing(loaded, pods)) if why]
    return [*unmade, *ill]


def missing(loaded: LoadedTarget, pods: Sequence[Pod]) -> str:
    """
    Return whether a StatefulSet or DaemonSet has fewer pods than it should, though nothing keeps it from making them.

    Its controller reports in Events only that it could not make one (a quota, a webhook). While a pod is on its way out, or
    one before it is not ready yet, it has a reason to wait.
    """
    workload = loaded.obj
    observed = unstructured.nested_int(workload, "status", "observedGeneration")
    if loaded.asked.resource == DEPLOYMENTS or observed < unstructured.nested_int(workload, "metadata", "generation"):
        return ""
    ordered = unstructured.nested_string(workload, "spec", "podManagementPolicy") != "Parallel"
    stateful = loaded.asked.resource == STATEFULSETS
    if any(predicates.terminating(pod) or (stateful and ordered and not predicates.ready(pod)) for pod in pods):
        return ""
    wanted = (
        unstructured.replicas(workload)
        if stateful
        else unstructured.nested_int(workload, "status", "desiredNumberScheduled")
    )
    return f"only {len(pods)} of its {wanted} pods have been made" if len(pods) < wanted else ""


def operated(asked: ObjectName, obj: Unstructured, context: ChangeContext) -> str:
    """Refuse what an operator owns; GitOps tools do not mind what a restart writes."""
    owner = predicates.controller_of(api_objects.convert(obj, Object))
    if owner is not None and not context.allow_managed:
        return f"{asked} belongs to operator {owner.kind}/{owner.name}: a change of ours would be reverted"
    return ""


def refuse_failing_template(asked: ObjectName, failures: Sequence[str], what: str) -> str:
    """Refuse to make all pods anew while one of the very template fails to be made or started: they would fail alike."""
    if failures:
        more = f" (and {len(failures) - 1} more like it)" if len(failures) > 1 else ""
        return f"{failures[0]}{more}: to {what} would make more of the same template, which would not start either"
    return ""


def last_good_pod(asked: ObjectName, good: int, left: int, strategy: str) -> str:
    """Refuse a rollout that would end the last pod that is ready before a new one is."""
    if good and not left:
        pods = "its only ready pod" if good == 1 else f"all of its {good} ready pods"
        return f"a restart of {asked} ({strategy}) would end {pods} before a new one is ready"
    return ""


def good_pods(pods: Sequence[Pod]) -> list[Pod]:
    """Return the pods that are ready and not terminating."""
    return [pod for pod in pods if predicates.ready(pod) and not predicates.terminating(pod)]


def survivors(resource: Resource, workload: Unstructured, pods: Sequence[Pod]) -> int:
    """Count the good pods of a Deployment, StatefulSet or DaemonSet that its rollout would not end before a new one is ready."""
    good = good_pods(pods)
    if resource == DEPLOYMENTS:
        return _of_deployment(workload, len(good))
    if unstructured.nested_string(workload, "spec", "updateStrategy", "type") == "OnDelete":
        return len(good)
    return _of_daemon_set(workload, len(good)) if resource == DAEMONSETS else _of_stateful_set(workload, pods)


def how_it_rolls(resource: Resource, workload: Unstructured) -> str:
    """Name the strategy by which the workload's pods are replaced, for people."""
    field = "strategy" if resource == DEPLOYMENTS else "updateStrategy"
    unavailable = unstructured.nested_field(workload, "spec", field, "rollingUpdate", "maxUnavailable")
    kind = unstructured.nested_string(workload, "spec", field, "type") or "RollingUpdate"
    return kind if unavailable is None or kind != "RollingUpdate" else f"{kind}, maxUnavailable {unavailable}"


def _of_deployment(workload: Unstructured, good: int) -> int:
    """Recreate keeps none; a rolling update lowers what is available no further than `replicas` less `maxUnavailable`."""
    strategy = unstructured.nested_map(workload, "spec", "strategy")
    if strategy.get("type") == "Recreate":
        return 0
    replicas, rolling = unstructured.replicas(workload), unstructured.nested_map(strategy, "rollingUpdate")
    surge = _share(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return min(good, max(replicas - unavailable, 0))


def _of_stateful_set(workload: Unstructured, pods: Sequence[Pod]) -> int:
    """Each pod from `partition` on goes, the last ordinal first; the next one waits until it is ready again."""
    rolling = unstructured.nested_map(workload, "spec", "updateStrategy", "rollingUpdate")
    partition = unstructured.nested_int(rolling, "partition") + unstructured.nested_int(
        workload, "spec", "ordinals", "start"
    )
    at_once = max(_share(rolling.get("maxUnavailable", 1), unstructured.replicas(workload), up=True), 1)
    updated = sorted((pod for pod in pods if _ordinal(pod) >= partition), key=_ordinal, reverse=True)
    first = {pod.metadata.uid for pod in updated[:at_once]}
    return sum(pod.metadata.uid not in first for pod in good_pods(pods))


def _of_daemon_set(workload: Unstructured, good: int) -> int:
    """Without a surge, pods go as long as no more than `maxUnavailable` are unavailable."""
    rolling = unstructured.nested_map(workload, "spec", "updateStrategy", "rollingUpdate")
    desired = unstructured.nested_int(workload, "status", "desiredNumberScheduled")
    if _share(rolling.get("maxSurge", 0), desired, up=True) > 0:
        return good
    at_once = max(_share(rolling.get("maxUnavailable", 1), desired, up=True), 1)
    return good - min(good, max(at_once - max(desired - good, 0), 0))


def _share(value: object, whole: int, *, up: bool) -> int:
    """Resolve a number or a percentage (IntOrString); what is neither counts as none."""
    if isinstance(value, int):
        return value
    text = str(value).removesuffix("%")
    if not _NUMBER.fullmatch(text):
        return 0
    share = int(text) * whole
    return -(-share // 100) if up else share // 100


def _ordinal(pod: Pod) -> int:
    _, _, number = pod.metadata.name.rpartition("-")
    return int(number) if _NUMBER.fullmatch(number) else -1
