"""The base of verbs that only read."""

from abc import abstractmethod
from datetime import timedelta

from kintsugi.actions.probe_context import ProbeContext
from kintsugi.actions.result import Result
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.commands.verb_definition import C, VerbDefinition


class ProbeVerb(VerbDefinition[C]):
    """A verb whose commands change nothing. `lasts`: until its deadline, when it ends by itself with what it has seen."""

    lasts = False

    @abstractmethod
    async def read(
        self, clients: VerbClients, command: C, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Ask; see `Actions.read` for what it raises."""
