"""
The table of verbs: each is defined by one module, which is found by its name; that of another distribution is found by its
entry point.

The modules are above the grammar, since they also make the changes; the grammar knows them as `VerbDefinition`.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from kintsugi.commands.command_spec import CommandSpec
from kintsugi.commands.verb_definition import VerbDefinition
from kintsugi.errors import UsageError
from kintsugi.model.command import Command
from kubeobjects.spelling import nearest

BUILT_IN = (
    *("get", "get_raw", "describe", "logs", "exec", "top", "list_events", "wait", "can_i", "diagnose", "check"),
    *("delete", "scale"),
    *("rollout_status", "rollout_undo", "rollout_restart", "rollout"),
    *("drain", "evict"),
    *("patch", "set_image", "set_env", "set_resources", "set_metadata", "create", "create_job"),
    *("curl", "nslookup", "nc", "psql", "instant_query"),
)
"""The modules of `kintsugi.verbs`, each with its `VERBS`; their rows are in this order."""

GROUP = "kintsugi.verbs"
"""The group of the entry points; each leads to a module's `VERBS`."""

EXTRAS: Mapping[str, tuple[str, ...]] = {"restore": ("kintsugi backup fetch", "pg_restore")}
"""
Our other distributions with verbs, by the names of their extras, which are those of their entry points, too. Their verbs are
enabled wherever they are installed.
"""


_added: list[VerbDefinition[Command]] = []


@cache
def own() -> tuple[VerbDefinition[Command], ...]:
    """Return our own verbs, with those of our other distributions as far as they are installed."""
    modules = [import_module(f"kintsugi.verbs.{name}") for name in BUILT_IN]
    verbs = tuple(verb for module in modules for verb in module.VERBS)
    for each in entry_points(group=GROUP):
        if each.name in EXTRAS:
            verbs = (*verbs, *load(each, verbs))
    return verbs


@cache
def definitions() -> tuple[VerbDefinition[Command], ...]:
    """Return every verb."""
    return (*own(), *_added)


def missing_extras() -> Mapping[str, tuple[str, ...]]:
    """Return the extras that are not installed, each with its verbs."""
    return {extra: verbs for extra, verbs in EXTRAS.items() if not by_verb().keys() & set(verbs)}


def load(entry_point: EntryPoint, others: Sequence[VerbDefinition[Command]]) -> Sequence[VerbDefinition[Command]]:
    """Load the verbs of a distribution. Raises UsageError for what cannot be loaded, is no verb or has the words of another."""
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
            verbs += load(found[name], (*own(), *verbs))
    _added[:] = verbs
    for cached in (own, definitions, command_types, by_verb, definitions_by_verb, _by_type):
        cached.cache_clear()


def rows() -> tuple[CommandSpec, ...]:
    """Return the rows of the grammar, in the order of the guide's table."""
    return tuple(verb.spec for verb in definitions() if verb.spec is not None)


@cache
def command_types() -> Mapping[str, type[Command]]:
    """Return the types of commands by the names that the ledger has them under."""
    return {verb.command.__name__: verb.command for verb in definitions()}


def definition_of(command: Command) -> VerbDefinition[Command]:
    """Return the verb of a command."""
    return next(verb for verb in _by_type()[type(command)] if verb.is_of(command))


def makes_new_pods(command: Command) -> bool:
    """Return whether a command ends pods so that their controller makes new ones of the same template: a delete, an eviction, a restart."""
    verb = definition_of(command)
    return verb.restarts or bool(verb.removed_pod(command))


@cache
def by_verb() -> Mapping[str, CommandSpec]:
    """Return the rows by the words that start their commands."""
    return {spec.verb: spec for spec in rows()}


@cache
def definitions_by_verb() -> Mapping[str, VerbDefinition[Command]]:
    """Return the verbs by the words that start their commands; one that no line means is left out."""
    return {verb.spec.verb: verb for verb in definitions() if verb.spec is not None}


@cache
def _by_type() -> Mapping[type[Command], tuple[VerbDefinition[Command], ...]]:
    types = {verb.command for verb in definitions()}
    return {each: tuple(verb for verb in definitions() if verb.command is each) for each in types}
