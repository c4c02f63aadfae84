"""
Finds secrets in commands: by place, by shape, or as known values.

The ledger keeps commands as they are, since they are executed again after a restart; a masked one could not be. So a change is
refused where its command, or one of its undo, would write a secret into the ledger. One that `encrypted` has encrypted does not.
"""

from collections.abc import Iterator, Mapping, Sequence

import orjson

from kintsugi.actions.effect_plan import CreateWrite, EffectPlan, PatchWrite, Write
from kintsugi.commands import decode, render
from kintsugi.commands.registry import definition_of
from kintsugi.errors import KintsugiError, Refused
from kintsugi.mask import MASK
from kintsugi.model.command import Command
from kintsugi.telemetry import SECRETS
from kintsugi.telemetry.redaction import Redactor

WITH_A_KEY = "with a key in ledger.encryptionKeyFile it would be kept encrypted"


def holds_secret(command: Command, *, written: str = "") -> bool:
    """
    Return whether a command holds a secret, or one that was masked already.

    `written` is a text that is stored anyway, of the runbook or of another command: a quoted value in it is no secret for its
    place alone.
    """
    return any(_is_secret(before, after, written) for before, after in _masked(_document(command)))


def check_undo(plan: EffectPlan) -> None:
    """Raise Refused when the undo of a change, or a change that completes it, would write a secret into the ledger."""
    written = render(plan.command)
    for encoded in (*plan.undo.commands, *plan.then):
        command = decode(encoded)
        if holds_secret(command, written=written):
            raise Refused(
                f"the undo ({type(command).__name__.lower()}) would write a secret into the ledger, and no revision"
                f" of the object holds it: it is not changed; {WITH_A_KEY}"
            )


def hide(error: KintsugiError, asked: Command | Write) -> None:
    """
    Mask the secrets of a command in an error's text: a server may quote the value that it refuses.

    A variable may have the value of an object's name, which says what was refused: the names of the catalog stay.
    """
    own = Redactor()
    own.spare(SECRETS.spared)
    for before, _ in _masked(_document(asked)):
        text = before if isinstance(before, str) else orjson.dumps(before).decode()
        own.register(text)
        own.register(orjson.dumps(text).decode()[1:-1])
    error.args = (own.text(str(error)), *error.args[1:])


def _document(asked: Command | Write) -> object:
    """Return the content of a command or a write that may hold secrets, nested as in its object."""
    match asked:
        case PatchWrite(operations=operations):
            return [placed(each) for each in operations]
        case CreateWrite(manifest=manifest):
            return manifest
        case Command():
            return definition_of(asked).payload(asked)
        case _:
            return []


def json_content(text: str) -> Sequence[object]:
    """Return the parsed JSON of a text, the text itself where it is not JSON."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return [text]
    return content if isinstance(content, list) else [content]


def placed(operation: object) -> object:
    """Return an operation of a JSON patch as its field, nested in the objects around it."""
    if not isinstance(operation, Mapping) or not isinstance(operation.get("path"), str):
        return operation
    value = operation.get("value")
    for token in reversed(operation["path"].split("/")[1:]):
        key = token.replace("~1", "/").replace("~0", "~")
        value = [value] if key.isdecimal() or key == "-" else {key: value}
    return value


def _masked(document: object) -> Iterator[tuple[object, object]]:
    """Yield the secrets of a document, each with its masked form."""
    yield from _differences(document, SECRETS.value(document))


def _differences(before: object, after: object) -> Iterator[tuple[object, object]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, inner in before.items():
            yield from _differences(inner, after[key])
    elif isinstance(before, list) and isinstance(after, list):
        for one, other in zip(before, after, strict=True):
            yield from _differences(one, other)
    elif before != after or (isinstance(before, str) and MASK in before):
        yield before, after


def _is_secret(before: object, after: object, written: str) -> bool:
    """Return whether a masked value is a secret, and not just a stored value in a secret's place."""
    if before is None or before == "":
        return False
    known = isinstance(before, str) and (SECRETS.text(before) != before or MASK in before)
    return known or after != MASK or orjson.dumps(before).decode() not in written
