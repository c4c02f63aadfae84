"""`kubectl cordon` and `uncordon`: keep new pods off a node, or let them on again."""

from dataclasses import replace

from kintsugi.actions import live, refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.judged import judge
from kintsugi.actions.prepared import Prepared
from kintsugi.actions.undo import undone_by
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Cordon
from kintsugi.objects.kept import Node
from kintsugi.objects.resources import NODES


async def prepare(kube: KubeClient, command: Cordon, circumstances: Circumstances) -> Prepared:
    """Judge a cordon. Its undo is the other one, if the node was not so before."""
    judged = await judge(kube, command.objects[0], "", circumstances)
    bound = replace(command, objects=(judged.asked,))
    present = live.at(judged.obj, "spec", "unschedulable") is True
    facts = {"unschedulable": present}
    if present is command.on:
        return judged.already(bound, facts)
    if command.on:
        nodes = [live.kept(each, Node) for each in (await kube.list(NODES)).items]
        refusals.check(refusals.last_node(judged.asked, nodes))
        after = live.put(judged.obj, "spec", "unschedulable", value=True)
    else:
        after = live.without(judged.obj, "spec", "unschedulable")
    return judged.patch(bound, after, facts, undone_by(replace(bound, on=not command.on)))
