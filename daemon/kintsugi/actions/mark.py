"""`kubectl label` and `annotate`: set or remove marks of one object."""

from dataclasses import replace

from kintsugi.actions import live, refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.judged import judge
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import MARK, TEMPLATE, Prepared
from kintsugi.actions.undo import put_back, undone_by
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Mark, Verb


async def prepare(kube: KubeClient, command: Mark, circumstances: Circumstances) -> Prepared:
    """Judge marks. Their undo puts the former values back where ours still stand."""
    judged = await judge(kube, command.objects[0], command.namespace, circumstances)
    bound = replace(command, objects=(judged.asked,))
    kind = "labels" if command.verb is Verb.LABEL else "annotations"
    present = live.mapping(judged.obj, "metadata", kind)
    refusals.check(_reserved(command), _taken(bound, present))
    after = live.put(judged.obj, "metadata", kind, value=_marked(command, present))
    facts = {"former": {key: present.get(key) for key in command.values}}
    undo = undone_by(put_back(judged.asked, command.namespace, judged.obj, after))
    return judged.patch(bound, after, facts, undo)


def _marked(command: Mark, present: Live) -> dict[str, object]:
    kept = {key: value for key, value in present.items() if key not in command.values}
    return {**kept, **{key: value for key, value in command.values.items() if value is not None}}


def _reserved(command: Mark) -> str:
    ours = sorted({MARK, TEMPLATE} & set(command.values))
    return f"{ours[0]} is Kintsugi's own: it says which run changed an object last" if ours else ""


def _taken(command: Mark, present: Live) -> str:
    """Refuse to overwrite without --overwrite, in kubectl's words."""
    for key, value in command.values.items():
        if value is not None and not command.overwrite and present.get(key, value) != value:
            return f"{command.objects[0]}: {key!r} already has a value ({present[key]}), and --overwrite is false"
    return ""
