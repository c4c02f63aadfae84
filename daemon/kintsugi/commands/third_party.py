"""Verbs of other distributions: found by their entry points, and loaded only where they are named."""

from collections.abc import Iterable
from importlib.metadata import entry_points

from kintsugi.commands import registry
from kintsugi.commands.command_problem import nearest
from kintsugi.commands.line import forget
from kintsugi.commands.registry import EXTRAS, GROUP
from kintsugi.commands.verb_definition import VerbDefinition
from kintsugi.errors import UsageError
from kintsugi.model.command import Command


def enable(names: Iterable[str]) -> None:
    """
    Load the verbs of other distributions that are named, in the place of those that were enabled before.

    For the start of a process, before anything is parsed. Raises UsageError for one that is not installed, cannot be loaded
    or has the words or the commands of another.
    """
    found = {each.name: each for each in entry_points(group=GROUP)}
    verbs: list[VerbDefinition[Command]] = []
    for name in sorted(names):
        if name not in found:
            near = nearest(name, list(found))
            hint = f"; did you mean {near}?" if near else ""
            raise UsageError(f"catalog.verbs: no installed package has the entry point {name!r} in {GROUP}{hint}")
        if name not in EXTRAS:
            verbs += registry.load(found[name], (*registry.own(), *verbs))
    registry.add(verbs)
    forget()
