"""
Secrets in commands: found by place, by shape, or as known values; then refused, or encrypted with a key from a file.

The ledger keeps commands as they are, since they are executed again after a restart; a masked one could not be. So a change is
refused where its command, or one of its undo, would write a secret into the ledger that no revision holds. With a key, a command
is encrypted when its intent is made, and decrypted in memory when it is judged and written; the text is not stored or shown
elsewhere. The file is read each time, so that keys are rotated without a restart: the first encrypts, all of them decrypt.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
from msgspec import structs

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import CreateWrite, EffectPlan, PatchWrite, Write, undone_by
from kintsugi.commands import decode, encode, render
from kintsugi.commands.registry import definition_of
from kintsugi.commands.verb_definition import Content
from kintsugi.encryption import EncryptionKey, decrypt, encrypt, read_keys
from kintsugi.errors import DecryptionFailed, KintsugiError, Refused
from kintsugi.mask import MASK
from kintsugi.model.command import Command
from kintsugi.telemetry import SECRETS
from kintsugi.telemetry.redaction import Redactor

WITH_A_KEY = "with a key in ledger.encryptionKeyFile it would be kept encrypted"

_LAST_PART = re.compile(r"[~+]\d+(?:r\d+)?$")
"""The end of the path of an effect that undoes another one (`~0`) or completes it (`+0`), with its tries (`r1`)."""


class Encryption:
    """Encrypts commands for the ledger with the keys of a file; without a file it encrypts nothing."""

    def __init__(self, key_file: Path | None = None) -> None:
        self._file = key_file

    @property
    def is_possible(self) -> bool:
        """Return whether a file of keys is named."""
        return self._file is not None

    async def keep(self, plan: EffectPlan, context: ChangeContext) -> EffectPlan:
        """
        Encrypt the commands with a secret that undo or complete a change; the others stay.

        Without a file of keys all stay. Raises Refused when the file cannot be used now.
        """
        if self._file is None:
            return plan
        written = render(plan.command)
        back, following = ([decode(each) for each in every] for every in (plan.undo.commands, plan.then))
        if not any(holds_secret(each, written=written) for each in (*back, *following)):
            return plan
        try:
            key = (await self._keys(self._file))[0]
        except DecryptionFailed as error:
            raise Refused(f"the undo would write back a secret, and {error}: the object is not changed") from error

        def kept(commands: Sequence[Command]) -> list[Command]:
            return [
                _encrypted(each, key, context) if holds_secret(each, written=written) else each for each in commands
            ]

        then = tuple(encode(each) for each in kept(following))
        intent = structs.replace(plan.intent, then=then) if following else plan.intent
        return replace(plan, intent=intent, undo=undone_by(*kept(back), note=plan.undo.note) if back else plan.undo)

    async def read(self, command: Command, context: ChangeContext) -> Command:
        """
        Return a command in the form that is executed: an encrypted one is decrypted, others stay.

        Raises DecryptionFailed when its key is gone, or when it was encrypted for another step.
        """
        verb = definition_of(command)
        content = verb.content(command)
        if content is None or not content.encrypted:
            return command
        why = f"the undo of {_LAST_PART.sub('', context.path)} is kept encrypted"
        if self._file is None:
            raise DecryptionFailed(f"{why}, and there is no key: set ledger.encryptionKeyFile to the file that has it")
        origin = replace(context, path=_LAST_PART.sub("", context.path))
        try:
            text = decrypt(content.text, await self._keys(self._file), _place(command, content, origin))
        except DecryptionFailed as error:
            raise DecryptionFailed(f"{why}, and {error} ({self._file})") from error
        return verb.with_content(command, replace(content, text=text, encrypted=False))

    async def encrypted(self, text: str, bound_to: str) -> str:
        """Encrypt a text of the ledger's own. Raises DecryptionFailed where there is no file of keys, or it cannot be used."""
        return encrypt(text, (await self._own_keys())[0], bound_to)

    async def decrypted(self, text: str, bound_to: str) -> str:
        """Decrypt what `encrypted` made. Raises DecryptionFailed where its key is gone."""
        return decrypt(text, await self._own_keys(), bound_to)

    async def _own_keys(self) -> tuple[EncryptionKey, ...]:
        if self._file is None:
            raise DecryptionFailed("there is no key: set ledger.encryptionKeyFile to the file that has it")
        return await self._keys(self._file)

    async def _keys(self, file: Path) -> tuple[EncryptionKey, ...]:
        """Read the keys as they are now. Raises DecryptionFailed, with what is wrong with the file."""
        try:
            read = read_keys(await asyncio.to_thread(file.read_bytes))
        except OSError as error:
            raise DecryptionFailed(f"the key file {file} cannot be read: {error.strerror or error}") from error
        if read.problems:
            raise DecryptionFailed(f"the key file {file} cannot be used: {'; '.join(read.problems)}")
        for key in read.keys:
            for text in key.base64_forms:
                SECRETS.register(text)
        return read.keys


def as_kept(plan: EffectPlan, asked: Command) -> EffectPlan:
    """Return a change with its command in the ledger's form: encrypted, if `asked` was."""
    verb = definition_of(asked)
    content = verb.content(asked)
    if content is None or not content.encrypted:
        return plan
    return replace(plan, command=verb.with_content(plan.command, content))


def _encrypted(command: Command, key: EncryptionKey, context: ChangeContext) -> Command:
    """Encrypt the content that a command would write; a command without content is unchanged, and is refused later."""
    verb = definition_of(command)
    content = verb.content(command)
    if content is None:
        return command
    text = encrypt(content.text, key, _place(command, content, context))
    return verb.with_content(command, replace(content, text=text, encrypted=True))


def _place(command: Command, content: Content, context: ChangeContext) -> str:
    """Return the context that an encrypted text is bound to: the run, the step, and the object that it is written into."""
    verb = definition_of(command)
    (asked,) = verb.objects(command)
    place = [
        context.run,
        context.path,
        content.kind,
        asked.resource.qualified,
        verb.namespace(command),
        asked.name,
        asked.uid,
    ]
    return orjson.dumps(place).decode()


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


def hide(error: KintsugiError, asked: Command | Write | None) -> None:
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


def _document(asked: Command | Write | None) -> object:
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
