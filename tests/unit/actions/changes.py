"""A cluster on which commands are planned, made, found out and undone as the executor does it: the builder of these tests."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.command_secrets import Encryption, check_undo
from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.actions.probe import ANONYMOUS_PROBE, ProbeContext
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode, encode, parse
from kintsugi.errors import NotYet, OutcomeUnknown, Refused
from kintsugi.model.command import Command
from kintsugi.model.records import Phase
from kintsugi.settings import RestoreSettings
from kubeobjects.resources import Resource, find
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, change_context

Object = dict[str, Any]


def kind_of(obj: Object) -> Resource:
    """Return the kind of an object."""
    found = find(obj["kind"])
    assert found is not None
    return found


def stored(plan: EffectPlan) -> str:
    """Return all that an intent keeps of a change."""
    kept = [encode(plan.command), plan.facts, plan.undo.commands, plan.undo.texts, plan.undo.note]
    return orjson.dumps(kept).decode()


def follow(plan: EffectPlan) -> list[Command]:
    """Return the changes that complete a change."""
    then = plan.facts["then"]
    assert isinstance(then, list)
    return [decode(each) for each in then]


class Cluster(ClusterOfDicts):
    """
    Holds objects of any kind, and does commands on them.

    A command is a line of a runbook, or what it was parsed to; `about` is what the context of a change has besides.
    """

    def __init__(
        self,
        *objects: Object,
        settings: RestoreSettings | None = None,
        templates: GoodTemplates | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        super().__init__(*((kind_of(each), each) for each in objects))
        clients = Clients.restricted_to(AddressRule())
        self.actions = Actions(self, clients, settings, encryption=encryption, templates=templates)

    def add(self, obj: Object) -> Object:
        """Create or replace an object by its kind."""
        self.put(kind_of(obj), obj)
        return obj

    async def plan(self, command: Command | str, **about: Any) -> EffectPlan:
        """Judge a change."""
        asked = parse(command, namespace=NAMESPACE) if isinstance(command, str) else command
        return await self.actions.plan_effect(asked, change_context(**about))

    async def make(self, command: Command | str, **about: Any) -> EffectPlan:
        """Judge a change and make it."""
        plan = await self.plan(command, **about)
        check_undo(plan)
        await self.actions.apply(plan)
        return plan

    async def undo(self, plan: EffectPlan, **about: Any) -> list[EffectPlan]:
        """Make the undo of a change, as it is read from the ledger again."""
        commands = [decode(orjson.loads(orjson.dumps(each))) for each in plan.undo.commands]
        return [await self.make(each, **{"phase": Phase.UNDO, **about}) for each in commands]

    async def refusal(self, command: Command | str, **about: Any) -> str:
        """Return why a change is refused for good, "" where it may be made; nothing is written. Raises NotYet."""
        written = len(self.writes)
        try:
            await self.plan(command, **about)
        except NotYet:
            raise
        except Refused as refused:
            return str(refused)
        finally:
            assert len(self.writes) == written
        return ""

    async def lose(self, plan: EffectPlan) -> None:
        """Make a change whose answer is lost."""
        self.lost = OutcomeUnknown("504")
        with pytest.raises(OutcomeUnknown):
            await self.actions.apply(plan)

    async def read(
        self, line: str, deadline: timedelta = timedelta(seconds=60), probe_context: ProbeContext = ANONYMOUS_PROBE
    ) -> dict[str, Any]:
        """Do a line that looks; give its names, with `failed` and `summary`."""
        asked = parse(line, namespace=NAMESPACE)
        result = await self.actions.read(asked, deadline=deadline, probe_context=probe_context)
        return {**result.names, "failed": result.failed, "summary": result.summary}
