"""
`kubectl rollout restart | undo | pause | resume` of one workload.

Every change of a workload leaves a digest of its pod template on it, so that a later undo or rollback can tell whether
somebody has changed the template since, and then leaves it alone (E17).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kintsugi.actions import live, refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.difference import pointer, test
from kintsugi.actions.judged import Judged, judge
from kintsugi.actions.live import Live
from kintsugi.actions.pods import made_by
from kintsugi.actions.prepared import MARK, TEMPLATE, Prepared
from kintsugi.actions.revisions import (
    NUMBER,
    Revision,
    alike,
    current_of,
    find_revisions,
    referred,
    target_of,
)
from kintsugi.actions.survivors import good_pods, how_it_rolls, survivors
from kintsugi.actions.templates import RESTARTED, template_digest, unstamped_digest
from kintsugi.actions.undo import not_undone, undone_by
from kintsugi.errors import Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Rollout, TemplateReference, Verb
from kintsugi.model.records import Phase, UndoRecord
from kintsugi.objects import facts
from kintsugi.objects.kept import Pod
from kintsugi.objects.resources import DEPLOYMENTS, STATEFULSETS
from kintsugi.objects.starting import start_failure

# Which annotations a Deployment keeps when it goes back; the others come from the ReplicaSet (kubectl's own list).
_KEPT_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    NUMBER,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)


async def prepare(kube: KubeClient, command: Rollout, circumstances: Circumstances) -> Prepared:
    """Judge a rollout command that changes its workload."""
    judged = await judge(kube, command.object, command.namespace, circumstances)
    bound = replace(command, object=judged.asked)
    match command.verb:
        case Verb.ROLLOUT_RESTART:
            return await _restart(kube, bound, judged)
        case Verb.ROLLOUT_UNDO if bound.template is not None:
            return await _put_back(kube, bound, judged, bound.template)
        case Verb.ROLLOUT_UNDO:
            return await _go_back(kube, bound, judged)
        case _:
            return _hold(bound, judged, pause=command.verb is Verb.ROLLOUT_PAUSE)


async def _restart(kube: KubeClient, command: Rollout, judged: Judged) -> Prepared:
    """
    Judge a restart; of the managers only operators mind it, GitOps tools leave the stamp alone.

    It makes the same pods once more. Where one of them fails to start, so will all; and whatever it is to cure, it never
    ends the last pod that serves.
    """
    refusals.check(
        refusals.paused(judged.asked, judged.obj, "restart it"),
        refusals.operated(judged.asked, judged.obj, judged.circumstances),
    )
    revisions = await find_revisions(kube, judged.asked, judged.obj, judged.circumstances.good)
    pods = await made_by(kube, judged.asked, judged.obj)
    resource = judged.asked.resource
    refusals.check(
        refusals.cannot_start(judged.asked, failures_of(judged, revisions, pods), "restart it"),
        refusals.last_good_pod(
            judged.asked,
            len(good_pods(pods)),
            survivors(resource, judged.obj, pods),
            how_it_rolls(resource, judged.obj),
        ),
    )
    stamp = judged.circumstances.now.isoformat(timespec="seconds").replace("+00:00", "Z")
    template = live.put(_template(judged.obj), "metadata", "annotations", RESTARTED, value=stamp)
    facts = {**_facts(judged, revisions), "restarted_at": stamp}
    return judged.patch(
        command,
        live.put(judged.obj, "spec", "template", value=template),
        facts,
        _back_to(command, current_of(revisions)),
        test(pointer("spec", "template"), _template(judged.obj)),
    )


def failures_of(judged: Judged, revisions: Sequence[Revision], pods: Sequence[Pod]) -> list[str]:
    """List how pods of the template that the workload asks for now fail to be made or started."""
    same, circumstances = alike(revisions), judged.circumstances
    ill = [
        f"pod/{pod.metadata.name}: {why}"
        for pod in sorted(pods, key=lambda pod: pod.metadata.name)
        if any(revision.makes(pod) for revision in same)
        and (why := start_failure(pod, circumstances.now, circumstances.startup))
    ]
    unmade = [f"{judged.asked}: {why}" for why in (*(each.failure for each in same), missing(judged, pods)) if why]
    return [*unmade, *ill]


def missing(judged: Judged, pods: Sequence[Pod]) -> str:
    """
    Say that a StatefulSet or DaemonSet has fewer pods than it should, though nothing keeps it from making them.

    Its controller reports in Events only that it could not make one (a quota, a webhook). While a pod is on its way out, or
    one before it is not ready yet, it has a reason to wait.
    """
    workload = judged.obj
    if judged.asked.resource == DEPLOYMENTS or not _is_observed(workload):
        return ""
    ordered = live.text(workload, "spec", "podManagementPolicy") != "Parallel"
    stateful = judged.asked.resource == STATEFULSETS
    if any(facts.terminating(pod) or (stateful and ordered and not facts.ready(pod)) for pod in pods):
        return ""
    wanted = live.replicas(workload) if stateful else live.number(workload, "status", "desiredNumberScheduled")
    return f"only {len(pods)} of its {wanted} pods have been made" if len(pods) < wanted else ""


def _is_observed(workload: Live) -> bool:
    return live.number(workload, "status", "observedGeneration") >= live.number(workload, "metadata", "generation")


async def _go_back(kube: KubeClient, command: Rollout, judged: Judged) -> Prepared:
    refusals.check(
        refusals.paused(judged.asked, judged.obj, "go back"),
        refusals.managed(judged.asked, judged.obj, judged.circumstances),
        edited_since(judged),
    )
    revisions = await find_revisions(kube, judged.asked, judged.obj, judged.circumstances.good)
    target = target_of(judged.asked, revisions, command.revision, judged.circumstances.phase)
    after = live.put(_annotated(command, judged.obj, target), "spec", "template", value=target.pods)
    former = current_of(revisions)
    undo = _back_to(command, former) if former is not None and former.good else _never_back(former)
    return judged.patch(
        replace(command, revision=target.number),
        after,
        {**_facts(judged, revisions), "to": target.number, "to_template": target.template},
        undo,
        test(pointer("spec", "template"), _template(judged.obj)),
        test(pointer("metadata", "annotations", NUMBER), _annotations(judged.obj).get(NUMBER)),
    )


async def _put_back(kube: KubeClient, command: Rollout, judged: Judged, reference: TemplateReference) -> Prepared:
    """Put a former template back from the revision that holds it, unless somebody has changed the present one (E17)."""
    refusals.check(
        refusals.paused(judged.asked, judged.obj, "go back"),
        refusals.managed(judged.asked, judged.obj, judged.circumstances),
        "" if unstamped_digest(_template(judged.obj)) == reference.over else _edited(judged),
    )
    revisions = await find_revisions(kube, judged.asked, judged.obj, judged.circumstances.good)
    target = referred(judged.asked, revisions, reference)
    return judged.patch(
        replace(command, revision=target.number),
        live.put(judged.obj, "spec", "template", value=target.pods),
        {**_facts(judged, revisions), "to": target.number, "to_template": target.template},
        not_undone("it is itself the undo of a change"),
        test(pointer("spec", "template"), _template(judged.obj)),
    )


def edited_since(judged: Judged) -> str:
    """Refuse to undo over a template that is not as this very run left it (E17)."""
    annotations = _annotations(judged.obj)
    ours = str(annotations.get(MARK, "")).startswith(f"{judged.circumstances.run}/")
    left = annotations.get(TEMPLATE)
    if judged.circumstances.phase is Phase.FORWARD or not ours or left is None:
        return ""
    return _edited(judged) if left != template_digest(_template(judged.obj)) else ""


def _edited(judged: Judged) -> str:
    return f"{judged.asked} has been changed by somebody else since this run changed it: it is left as it is"


def _hold(command: Rollout, judged: Judged, *, pause: bool) -> Prepared:
    if judged.asked.resource != DEPLOYMENTS:
        raise Refused(f"{judged.asked}: only Deployments can be paused and resumed")
    refusals.check(refusals.managed(judged.asked, judged.obj, judged.circumstances))
    present = live.at(judged.obj, "spec", "paused") is True
    facts = {"paused": present}
    if present is pause:
        return judged.already(command, facts)
    after = live.put(judged.obj, "spec", "paused", value=True) if pause else live.without(judged.obj, "spec", "paused")
    back = replace(command, verb=Verb.ROLLOUT_RESUME if pause else Verb.ROLLOUT_PAUSE)
    return judged.patch(command, after, facts, undone_by(back))


def _facts(judged: Judged, revisions: tuple[Revision, ...]) -> dict[str, object]:
    current = current_of(revisions)
    return {
        "template": template_digest(_template(judged.obj)),
        "revision": current.number if current else 0,
        "revision_template": current.template if current else "",
    }


def _back_to(command: Rollout, former: Revision | None) -> UndoRecord:
    if former is None:
        return not_undone("the revision before this change has no name yet: it cannot be gone back to")
    return undone_by(replace(command, verb=Verb.ROLLOUT_UNDO, revision=former.number, timeout=None))


def _never_back(former: Revision | None) -> UndoRecord:
    which = f"revision {former.number}" if former else "the revision before"
    return not_undone(f"{which} was never seen good: it is not gone back to")


def _template(obj: Live) -> Live:
    return live.mapping(obj, "spec", "template")


def _annotations(obj: Live) -> Mapping[str, object]:
    return live.mapping(obj, "metadata", "annotations")


def _annotated(command: Rollout, obj: Live, target: Revision) -> Live:
    """Give a Deployment the annotations of the revision that it goes back to, as kubectl does."""
    if command.object.resource != DEPLOYMENTS:
        return obj
    present = _annotations(obj)
    kept = {key: present[key] for key in _KEPT_ANNOTATIONS if key in present}
    theirs = {key: value for key, value in target.annotations.items() if key not in _KEPT_ANNOTATIONS}
    return live.put(obj, "metadata", "annotations", value={**theirs, **kept})
