"""
The table of verbs: each is defined by one module, which is found by its name; a third party's is found by its entry
point.

The modules are above the grammar, since they also make the changes; the grammar knows them as `VerbDefinition`.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module

from kintsugi.commands.command_spec import CommandSpec
from kintsugi.commands.verb_definition import VerbDefinition
from kintsugi.model.command import Command

BUILT_IN = (
    *("get", "describe", "logs", "exec", "top", "list_events", "wait", "can_i", "diagnose", "check"),
    *("delete", "scale"),
    *("rollout_history", "rollout_status", "rollout_undo", "rollout_restart", "rollout_pause"),
    *("cordon", "drain", "evict"),
    *("patch", "set_image", "set_env", "set_resources", "set_metadata", "create", "create_job"),
    *("curl", "nslookup", "nc", "psql", "instant_query", "backup_fetch", "pg_restore"),
)
"""The modules of `kintsugi.verbs`, each with its `VERBS`; their rows are in this order."""


_added: list[VerbDefinition[Command]] = []


@cache
def built_in() -> tuple[VerbDefinition[Command], ...]:
    """Return our own verbs."""
    modules = [import_module(f"kintsugi.verbs.{name}") for name in BUILT_IN]
    return tuple(verb for module in modules for verb in module.VERBS)


@cache
def definitions() -> tuple[VerbDefinition[Command], ...]:
    """Return every verb."""
    return (*built_in(), *_added)


def add(verbs: Iterable[VerbDefinition[Command]]) -> None:
    """Add the verbs of other distributions, in the place of those that were added before; see `third_party`."""
    _added[:] = verbs
    for cached in (definitions, command_types, by_verb, definitions_by_verb, _by_type):
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
