"""`kubectl scale`: set the replicas of one workload; a recovery never lowers them, fights no autoscaler and asks for room."""

from dataclasses import replace

from kintsugi.actions import live, refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.judged import Judged, judge
from kintsugi.actions.prepared import Prepared
from kintsugi.actions.undo import undone_by
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Scale
from kintsugi.model.records import Phase
from kintsugi.objects.kept import HorizontalPodAutoscaler, LabelSelector, Pod
from kintsugi.objects.resources import HPAS, PODS
from kintsugi.objects.selectors import Selector


async def prepare(kube: KubeClient, command: Scale, circumstances: Circumstances) -> Prepared:
    """Judge a scale. Its undo scales back, unless somebody else has scaled meanwhile."""
    judged = await judge(kube, command.objects[0], command.namespace, circumstances)
    present = live.replicas(judged.obj)
    facts: dict[str, object] = {"replicas": present, "wanted": command.replicas}
    bound = replace(command, objects=(judged.asked,))
    refusals.check(refusals.not_as_expected(judged.asked, present, command.current))
    if command.replicas == present:
        return judged.already(bound, facts)
    refusals.check(refusals.managed(judged.asked, judged.obj, circumstances))
    facts |= await check_replicas(kube, judged, present, command.replicas)
    back = replace(bound, replicas=present, current=command.replicas)
    after = live.put(judged.obj, "spec", "replicas", value=command.replicas)
    return judged.patch(bound, after, facts, undone_by(back))


async def check_replicas(kube: KubeClient, judged: Judged, present: int, wanted: int) -> dict[str, object]:
    """
    Raise Refused when this workload's replicas may not be changed so.

    Gives what is to be remembered: the autoscalers that sleep while it stands at zero, and their bounds.
    """
    asked, circumstances = judged.asked, judged.circumstances
    refusals.check(refusals.lowered(asked, present, wanted, circumstances, judged.namespace))
    listing = await kube.list(HPAS, judged.namespace)
    scalers = refusals.scalers_of(asked, [live.kept(each, HorizontalPodAutoscaler) for each in listing.items])
    may_rest = circumstances.stops(asked, judged.namespace) or circumstances.phase is not Phase.FORWARD
    refusals.check(refusals.autoscaled(asked, scalers, circumstances, asleep=may_rest and 0 in (present, wanted)))
    if wanted > present and circumstances.phase is Phase.FORWARD:
        refusals.check(refusals.without_room(asked, await _pods(kube, judged)))
    remembered = [
        {"name": each.metadata.name, "min": each.spec.min_replicas, "max": each.spec.max_replicas} for each in scalers
    ]
    return {"autoscalers": remembered} if remembered else {}


async def _pods(kube: KubeClient, judged: Judged) -> list[Pod]:
    """Read the pods that the workload has now."""
    selector = Selector.of(live.kept(live.mapping(judged.obj, "spec", "selector"), LabelSelector))
    listing = await kube.list(PODS, judged.namespace, labels=str(selector))
    return [live.kept(each, Pod) for each in listing.items]
