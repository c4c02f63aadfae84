"""Diagnoses of workloads, kept with their incidents, and evidence of objects, kept with their runs: bounded, without secrets."""

from dataclasses import dataclass, replace
from datetime import datetime

from kintsugi.ledger.store.texts import clean
from kintsugi.telemetry import SECRETS
from kubediagnosis.causes import Cause, Diagnosis

LONGEST = 2000
"""Characters kept of one text of a diagnosis."""

MOST_UNKNOWN = 50
"""Sentences about what is not known that are kept of one diagnosis."""


MOST_EVIDENCE = 256 * 1024
"""Characters kept of one piece of evidence: the end of a log matters most, its beginning next."""


def stored_diagnosis(found: Diagnosis) -> Diagnosis:
    """Return a diagnosis in the form that is stored: bounded, without secrets."""
    return replace(
        found,
        summary=_text(found.summary),
        causes=tuple(_cause(each) for each in found.causes),
        unknown=tuple(_text(each) for each in found.unknown[:MOST_UNKNOWN]),
        changes=tuple(replace(each, before=_text(each.before), after=_text(each.after)) for each in found.changes),
    )


def _cause(cause: Cause) -> Cause:
    evidence = tuple(replace(each, text=_text(each.text)) for each in cause.evidence)
    return replace(cause, text=_text(cause.text), evidence=evidence)


def _text(text: str) -> str:
    masked = SECRETS.text(text)
    return masked if len(masked) <= LONGEST else f"{masked[:LONGEST]}…"


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceRecord:
    """A piece of evidence of an object, from before a step changed it (description, Events, logs)."""

    run: str
    path: str
    kind: str
    text: str
    taken: datetime


def stored_evidence(text: str) -> str:
    """Return a text of evidence in the form that is stored: without secrets, of a long one the beginning and the end."""
    text = clean(SECRETS.text(text))
    if len(text) <= MOST_EVIDENCE:
        return text
    head, tail = MOST_EVIDENCE // 4, MOST_EVIDENCE * 3 // 4
    return f"{text[:head]}\n… {len(text) - head - tail} characters left out …\n{text[-tail:]}"
