"""
Encrypts commands that write back a secret which no revision holds, with a key from a file.

A command is encrypted when its intent is made, and decrypted in memory when it is judged and written; the text is not stored or
shown elsewhere. The file is read each time, so that keys are rotated without a restart: the first encrypts, all of them decrypt.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
from msgspec import structs

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan, undone_by
from kintsugi.actions.secret_checks import holds_secret
from kintsugi.commands import decode, encode, render
from kintsugi.commands.registry import definition_of
from kintsugi.commands.verb_definition import Content
from kintsugi.encryption import EncryptionKey, decrypt, encrypt, read_keys
from kintsugi.errors import DecryptionFailed, Refused
from kintsugi.model.command import Command
from kintsugi.telemetry import SECRETS

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
        back, following = list(plan.undo.commands), plan.then
        if not any(holds_secret(decode(each), written=written) for each in (*back, *following)):
            return plan
        try:
            key = (await self._keys(self._file))[0]
        except DecryptionFailed as error:
            raise Refused(f"the undo would write back a secret, and {error}: the object is not changed") from error

        def kept(encoded: Sequence[object]) -> list[Command]:
            commands = [decode(each) for each in encoded if isinstance(each, dict)]
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
