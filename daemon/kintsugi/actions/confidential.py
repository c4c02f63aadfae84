"""
Whether a command holds a secret: by its place, by its shape, or as one that we know.

The ledger keeps commands as they are, since they are carried out again after a restart: what is masked could not be. So a
change is refused where its own command, or that of its undo, would write a secret down.
"""

from collections.abc import Iterator, Mapping, Sequence

import orjson

from kintsugi.actions.prepared import Prepared
from kintsugi.commands import decode, encode, render
from kintsugi.errors import Refused
from kintsugi.model.command import Command, Create, Curl, Mark, Patch
from kintsugi.telemetry import MASK, SECRETS


def holds_secret(command: Command, *, written: str = "") -> bool:
    """
    Return whether a command holds a secret, or one that was masked already.

    `written` is a text that is stored anyway, of the runbook or of another command: a value that stands there in quotes
    is none for its place alone.
    """
    return any(_is_secret(before, after, written) for before, after in _masked(_document(command)))


def check_undo(prepared: Prepared) -> None:
    """Raise Refused when the way back of a change, or what completes it, would write a secret into the ledger."""
    written = render(prepared.command)
    then = prepared.facts.get("then")
    completing = then if isinstance(then, list) else []
    for encoded in (*prepared.undo.commands, *completing):
        command = decode(encoded)
        if holds_secret(command, written=written):
            raise Refused(
                f"the way back ({type(command).__name__.lower()}) would write a secret into the ledger, and no revision"
                " of the object holds it: it is not changed"
            )


def _document(command: Command) -> object:
    """Return what of a command may hold secrets, as nested as it stands in the object that it is about."""
    match command:
        case Patch(patch=text, kind="json"):
            return [_placed(each) for each in _content(text)]
        case Patch(patch=text) | Create(manifest=text):
            return _content(text)
        case Mark(values=values):
            return {"annotations": dict(values)}
        case Curl():
            return encode(command)
        case _:
            return []  # names of objects, numbers, and where a Secret is


def _content(text: str) -> Sequence[object]:
    """Read a text of JSON; of one that is none, the text itself."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return [text]
    return content if isinstance(content, list) else [content]


def _placed(operation: object) -> object:
    """Write an operation of a JSON patch as the field that it is about, within what it stands in."""
    if not isinstance(operation, Mapping) or not isinstance(operation.get("path"), str):
        return operation
    value = operation.get("value")
    for token in reversed(operation["path"].split("/")[1:]):
        key = token.replace("~1", "/").replace("~0", "~")
        value = [value] if key.isdecimal() or key == "-" else {key: value}
    return value


def _masked(document: object) -> Iterator[tuple[object, object]]:
    """Yield what of a document is secret, and what is left of it."""
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
    """Return whether what was masked is more than a value in a secret's place that is stored anyway."""
    if before is None or before == "":
        return False
    known = isinstance(before, str) and (SECRETS.text(before) != before or MASK in before)
    return known or after != MASK or orjson.dumps(before).decode() not in written
