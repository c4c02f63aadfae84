"""What a change touched, read afresh; and whether a change whose answer was lost has happened."""

from kintsugi.actions import live
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import MARK, Happened, Prepared
from kintsugi.errors import NotFound, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command, Cordon, Create, Delete, Mark, ObjectName, Patch, Rollout, Scale

Change = Cordon | Create | Delete | Mark | Patch | Rollout | Scale


def object_of(command: Command) -> ObjectName:
    """Give the single object of a change. Raises Refused for a command over several: `split` comes first."""
    match command:
        case Rollout() | Patch() | Create():
            return command.object
        case Cordon() | Delete() | Mark() | Scale() if len(command.objects) == 1:
            return command.objects[0]
        case Cordon() | Delete() | Mark() | Scale():
            raise Refused(f"a change is made object by object, not of {len(command.objects)} at once")
        case _:
            raise Refused(f"{type(command).__name__} only looks: there is nothing to change")


def namespace_of(command: Command) -> str | None:
    """Give the namespace of a change's object, None for an object that lives in none."""
    if isinstance(command, Create | Delete | Mark | Patch | Rollout | Scale) and object_of(command).resource.namespaced:
        return command.namespace
    return None


async def read_again(kube: KubeClient, prepared: Prepared) -> Live | None:
    """Read the object that a change was about; None when it is gone, or another one has its name."""
    asked = object_of(prepared.command)
    try:
        obj = await kube.get(asked.resource, asked.name, namespace_of(prepared.command))
    except NotFound:
        return None
    if isinstance(prepared.command, Create) and not prepared.already:
        return live.shown(obj) if is_marked(obj, prepared) else None
    return live.shown(obj) if live.uid(obj) == prepared.facts.get("uid") else None


async def probe(kube: KubeClient, prepared: Prepared) -> Happened:
    """
    Tell whether a change was made: by the uid that is gone, or by the mark that was written together with it.

    UNKNOWN when an object that was to be changed is gone; raises KubeError when the cluster cannot be asked. NOT_DONE
    is true of now: a request that is still on its way may yet arrive.
    """
    if prepared.already:
        return Happened.DONE
    obj = await read_again(kube, prepared)
    if isinstance(prepared.command, Delete):
        going = obj is None or bool(live.text(obj, "metadata", "deletionTimestamp"))
        return Happened.DONE if going else Happened.NOT_DONE
    if isinstance(prepared.command, Create):
        return Happened.NOT_DONE if obj is None else Happened.DONE
    if obj is None:
        return Happened.UNKNOWN
    return Happened.DONE if is_marked(obj, prepared) else Happened.NOT_DONE


def is_marked(obj: Live, prepared: Prepared) -> bool:
    """Tell whether an object carries the mark of this very change."""
    return live.text(obj, "metadata", "annotations", MARK) == prepared.facts.get("mark")
