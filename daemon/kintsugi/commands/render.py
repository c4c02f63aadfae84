"""
Writes bound commands: as text that a person can paste into a terminal, and as JSON for the ledger, without loss.

A step's intent keeps the command as JSON, uids included, and a restarted daemon goes on with exactly that command.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta

import msgspec

from kintsugi.commands.registry import command_types, definition_of
from kintsugi.errors import CommandError
from kintsugi.model.command import Command
from kubeobjects.resources import Resource, find

Json = dict[str, object]


def render(command: Command) -> str:
    """Write a command as text for a terminal, quoted, with its namespace; `parse` gives the same command back, without uids."""
    return definition_of(command).text(command)


def verb_of(command: Command) -> str:
    """Return the words that start a command, "" for one that no line means."""
    spec = definition_of(command).spec
    return str(spec.verb) if spec is not None else ""


def argv(command: Command) -> list[str]:
    """Return a command's words; the manifest of what is created is its input, not one of them."""
    return definition_of(command).argv(command)


def encode(command: Command) -> Json:
    """Return a command as plain JSON values; fields that have their default are left out."""
    return {"command": type(command).__name__, **_fields(command)}


def decode(document: Mapping[str, object]) -> Command:
    """Return the command that `encode` wrote. Raises CommandError for any other document."""
    word = document.get("command")
    kinds = command_types()
    if not isinstance(word, str) or (kind := kinds.get(word)) is None:
        raise CommandError(f"{word!r} is not a kind of command: one of {', '.join(kinds)}")
    rest = {key: _resources_in(key, value) for key, value in document.items() if key != "command"}
    try:
        command: Command = msgspec.convert(rest, kind)
    except msgspec.ValidationError as error:
        raise CommandError(f"a journalled {word} cannot be read: {error}") from error
    return command


def _fields(value: object) -> Json:
    assert is_dataclass(value), "commands are made of dataclasses"
    present = ((field, getattr(value, field.name)) for field in fields(value))
    return {field.name: _plain(held) for field, held in present if held != field.default}


def _plain(value: object) -> object:
    match value:
        case Resource():
            return value.qualified if find(value.qualified) == value else _fields(value)
        case tuple():
            return [_plain(item) for item in value]
        case timedelta() | Mapping():
            return msgspec.to_builtins(value)
        case None | str() | int():
            return value
        case _:
            return _fields(value)


def _resources_in(key: str, value: object) -> object:
    """Replace the words for kinds of objects, at any place, by the values that `Resource` is read from."""
    if key == "resource" and isinstance(value, str):
        return _resource(value)
    if key == "resources" and isinstance(value, list):
        return [_resources_in("resource", word) for word in value]
    if (key == "object" and isinstance(value, dict)) or (key == "about" and isinstance(value, dict)):
        return {inner: _resources_in(inner, item) for inner, item in value.items()}
    if key == "objects" and isinstance(value, list):
        return [_resources_in("object", item) for item in value]
    return value


def _resource(word: str) -> Json:
    if (resource := find(word)) is None:
        raise CommandError(f"{word!r} is not a known type of object")
    return _fields(resource)
