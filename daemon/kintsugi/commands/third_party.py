"""Verbs of other distributions: found by their entry points, and loaded only where they are named."""

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points

from kintsugi.commands import registry
from kintsugi.commands.command_problem import nearest
from kintsugi.commands.line import forget
from kintsugi.commands.verb_definition import VerbDefinition
from kintsugi.errors import UsageError
from kintsugi.model.command import Command

GROUP = "kintsugi.verbs"
"""The group of the entry points; each leads to a module's `VERBS`."""


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
        verbs += _loaded(found[name], (*registry.built_in(), *verbs))
    registry.add(verbs)
    forget()


def _loaded(entry_point: EntryPoint, others: Sequence[VerbDefinition[Command]]) -> Sequence[VerbDefinition[Command]]:
    where = f"catalog.verbs: {entry_point.name} ({entry_point.value})"
    try:
        verbs = tuple(entry_point.load())
    # Contained: what a stranger's module raises when it is loaded; the daemon does not start with half of its verbs.
    except Exception as error:
        raise UsageError(f"{where} cannot be loaded: {error!r}") from error
    for verb in verbs:
        if not isinstance(verb, VerbDefinition):
            raise UsageError(f"{where}: {verb!r} is not a verb")
        for other in others:
            same = verb.spec is not None and other.spec is not None and verb.spec.verb == other.spec.verb
            if same or verb.command.__name__ == other.command.__name__:
                raise UsageError(
                    f"{where}: there is a {verb.spec.verb if same and verb.spec else verb.command.__name__} already"
                )
    return verbs
