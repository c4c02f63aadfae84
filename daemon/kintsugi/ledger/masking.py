"""
Masks the secrets of a step on its way into the ledger; the running process keeps the raw values.

Commands stay as they are, also those of an undo and those that complete a change: they are executed again after a restart.
A change whose commands hold a secret is refused beforehand (`actions.confidential`).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from kintsugi.model.records import StepRecord, UndoRecord
from kintsugi.telemetry import SECRETS

LARGE = 64 * 1024
"""Characters of a result from which on it is masked in a thread, so that the event loop goes on."""

_READ_AGAIN = frozenset(
    {"claim", "digest", "job", "mark", "name", "namespace", "run", "step", "template", "then", "uid", "volume"}
)
"""Facts that name an object, or hold commands (`then`): they are gone by after a restart, even where a password is a name."""


async def without_secrets(step: StepRecord) -> StepRecord:
    """Return a step in the form that is stored: texts, facts and result masked by place, shape and known values."""
    if weight(step.result, LARGE) + weight(step.facts, LARGE) > LARGE:
        return await asyncio.to_thread(_masked, step)
    return _masked(step)


def weight(value: object, enough: int) -> int:
    """Count the characters of all texts in a value, up to `enough`."""
    if isinstance(value, str):
        return len(value)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    total = 0
    for each in inner:
        total += weight(each, enough - total)
        if total > enough:
            break
    return total


def _masked(step: StepRecord) -> StepRecord:
    return replace(
        step,
        name=SECRETS.text(step.name),
        text=SECRETS.text(step.text),
        why=SECRETS.text(step.why),
        error=SECRETS.text(step.error),
        facts={**_masked_map(step.facts), **{key: step.facts[key] for key in _READ_AGAIN & step.facts.keys()}},
        result=None if step.result is None else _masked_map(step.result),
        undo=None if step.undo is None else _masked_undo(step.undo),
    )


def _masked_map(value: Mapping[str, object]) -> Mapping[str, object]:
    masked = SECRETS.value(value)
    assert isinstance(masked, dict), masked
    return masked


def _masked_undo(undo: UndoRecord) -> UndoRecord:
    return replace(undo, texts=tuple(SECRETS.text(text) for text in undo.texts), note=SECRETS.text(undo.note))
