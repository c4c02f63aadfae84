"""An object that a change is about, as it was just read, and the change of it that follows from the judgement."""

from collections.abc import Mapping
from dataclasses import dataclass

from kintsugi.actions import live, refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.difference import Operation, difference, pointer, test
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import MARK, TEMPLATE, PatchWrite, Prepared
from kintsugi.actions.templates import template_digest
from kintsugi.actions.undo import NOTHING_CHANGED
from kintsugi.errors import NotFound, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command, ObjectName
from kintsugi.model.records import UndoRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """An object read for a change. `asked` names it with the uid that it has."""

    asked: ObjectName
    namespace: str
    obj: Live
    circumstances: Circumstances

    @property
    def identity(self) -> dict[str, object]:
        """Give the facts that every intent holds."""
        return {
            "uid": live.uid(self.obj),
            "resource_version": live.text(self.obj, "metadata", "resourceVersion"),
            "generation": live.number(self.obj, "metadata", "generation"),
        }

    def already(self, command: Command, facts: Mapping[str, object]) -> Prepared:
        """Prepare to write nothing: the object is as asked for."""
        return Prepared(command=command, facts={**self.identity, **facts, "already": True}, undo=NOTHING_CHANGED)

    def patch(
        self, command: Command, after: Live, facts: Mapping[str, object], undo: UndoRecord, *tests: Operation
    ) -> Prepared:
        """
        Prepare the patch that makes the object so, with our mark on it and the digest of the template that we leave.

        It tests the uid, every field that it writes, and `tests`. Nothing is written when nothing would change.
        """
        if not difference(self.obj, after):
            return self.already(command, facts)
        mark = self.circumstances.mark
        marked = live.put(after, "metadata", "annotations", MARK, value=mark)
        if template := live.mapping(after, "spec", "template"):
            marked = live.put(marked, "metadata", "annotations", TEMPLATE, value=template_digest(template))
        identity = test(pointer("metadata", "uid"), live.uid(self.obj))
        return Prepared(
            command=command,
            facts={**self.identity, **facts, "mark": mark},
            undo=undo,
            write=PatchWrite(operations=(identity, *tests, *difference(self.obj, marked))),
        )


async def judge(kube: KubeClient, asked: ObjectName, namespace: str, circumstances: Circumstances) -> Judged:
    """
    Read the object of a change from the API (B14) and refuse what no change may touch.

    Raises Refused, also for an object that is gone but was meant by its uid; NotFound for a name that nobody has.
    """
    refusals.check(refusals.protected(namespace if asked.resource.namespaced else "", circumstances))
    try:
        obj = await kube.get(asked.resource, asked.name, namespace or None)
    except NotFound as error:
        if asked.uid:
            raise Refused(f"{asked} (uid {asked.uid}) is gone already") from error
        raise
    return judge_as_read(asked, obj, namespace, circumstances)


def judge_as_read(asked: ObjectName, obj: Live, namespace: str, circumstances: Circumstances) -> Judged:
    """Refuse an object that was just read when it is another one, or going. Raises Refused."""
    refusals.check(
        refusals.another(asked, obj),
        refusals.terminating(asked, obj),
        refusals.essential_part(asked, obj, namespace, circumstances),
    )
    return Judged(asked=live.named(asked.resource, obj), namespace=namespace, obj=obj, circumstances=circumstances)
