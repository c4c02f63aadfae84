"""
Masks the secrets of a step on its way into the ledger; the running process keeps the raw values.

Commands stay as they are, also those of an undo and those that complete a change: they are executed again after a restart.
A change whose commands hold a secret is refused beforehand (`actions.secret_checks`).
"""

from collections.abc import Mapping
from dataclasses import replace

from kintsugi.ledger.texts import for_people
from kintsugi.model.records import StepRecord, UndoRecord
from kintsugi.offload import searched
from kintsugi.telemetry import SECRETS

_READ_AGAIN = frozenset(
    {"claim", "digest", "job", "mark", "name", "namespace", "run", "step", "template", "then", "uid", "volume"}
)
"""Facts that name an object, or hold commands (`then`): they are gone by after a restart, even where a password is a name."""


async def without_secrets(step: StepRecord) -> StepRecord:
    """Return a step in the form that is stored: texts, facts and result masked by place, shape and known values."""
    return await searched(len(repr(step)), lambda: _masked(step))


def _masked(step: StepRecord) -> StepRecord:
    return replace(
        step,
        name=SECRETS.text(step.name),
        text=SECRETS.text(step.text),
        why=for_people(step.why),
        error=for_people(step.error),
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
