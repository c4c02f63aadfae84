"""Diagnoses of workloads, kept with their incidents, and evidence of objects, kept with their runs: bounded, without secrets."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from kintsugi.ledger.store.rows import columns, values
from kintsugi.ledger.store.tables import diagnoses, evidence
from kintsugi.ledger.store.texts import clean
from kintsugi.ledger.store.transactions import LedgerWrite, Repository
from kintsugi.model.records import KeptDiagnosis, Occasion
from kintsugi.offload import searched
from kintsugi.telemetry import SECRETS
from kubediagnosis.causes import Cause, Diagnosis

_DIAGNOSIS = columns(KeptDiagnosis, diagnoses)

LONGEST = 2000
"""Characters kept of one text of a diagnosis."""

MOST_UNKNOWN = 50
"""Sentences about what is not known that are kept of one diagnosis."""


class DiagnosisRepository(Repository):
    """The diagnoses of incidents."""

    async def keep(self, kept: KeptDiagnosis) -> None:
        """
        Keep a diagnosis, without secrets and bounded; of the occasion `opened` only the first is kept.

        Raises `StaleEpoch`, `LedgerUnavailable`.
        """
        diagnosis = await searched(len(repr(kept.diagnosis)), lambda: _to_be_stored(kept.diagnosis))
        row = values(replace(kept, diagnosis=diagnosis)) | {"at": kept.diagnosis.at}
        same = select(diagnoses.c.number).where(
            diagnoses.c.incident == kept.incident, diagnoses.c.occasion == kept.occasion
        )
        if kept.occasion is not Occasion.OPENED:
            same = same.where(diagnoses.c.at == kept.diagnosis.at)

        def work(connection: Connection) -> None:
            if connection.execute(same.limit(1)).first() is None:
                connection.execute(insert(diagnoses).values(row))

        await self._store.write(f"keep-diagnosis {kept.occasion}", work, fenced=True)

    async def of_incident(self, incident: str) -> tuple[KeptDiagnosis, ...]:
        """Return an incident's diagnoses, oldest first."""
        return await self.of_incidents([incident])

    async def of_incidents(self, of: Collection[str]) -> tuple[KeptDiagnosis, ...]:
        """Return the diagnoses of several incidents, oldest first."""
        query = select(*_DIAGNOSIS).where(diagnoses.c.incident.in_(of)).order_by(diagnoses.c.number)
        return await self._whole(KeptDiagnosis, query) if of else ()


def _to_be_stored(found: Diagnosis) -> Diagnosis:
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


MOST_EVIDENCE = 256 * 1024
"""Characters kept of one piece of evidence: the end of a log matters most, its beginning next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceRecord:
    """A piece of evidence of an object, from before a step changed it (description, Events, logs)."""

    run: str
    path: str
    kind: str
    text: str
    taken: datetime


_SAME_EVIDENCE = select(evidence.c.number).where(
    *(evidence.c[name] == bindparam(name) for name in ("run", "path", "kind", "digest"))
)
_PUT_EVIDENCE = insert(evidence)


class EvidenceRepository(Repository):
    """The evidence of runs."""

    async def keep(self, run: str, path: str, kind: str, text: str, now: datetime) -> None:
        """Keep a piece of evidence, with secrets masked; of more than 256 Ki characters the middle is left out."""
        await self._store.write_all([await self.evidence_write(run, path, kind, text, now)], fenced=True)

    async def evidence_write(self, run: str, path: str, kind: str, text: str, now: datetime) -> LedgerWrite[None]:
        """Return what `keep` writes."""
        text = await searched(len(text), lambda: _bounded(clean(SECRETS.text(text))))
        digest = hashlib.sha256(text.encode()).hexdigest()
        row = {"run": run, "path": clean(path), "kind": clean(kind), "digest": digest}

        def work(connection: Connection) -> None:
            if connection.execute(_SAME_EVIDENCE, row).first() is None:
                connection.execute(_PUT_EVIDENCE, {**row, "text": text, "taken": now})

        return LedgerWrite(name=f"keep-evidence {path}", work=work)

    async def of_run(self, run: str) -> tuple[EvidenceRecord, ...]:
        """Return the evidence of a run, in order."""
        query = select(*columns(EvidenceRecord, evidence)).where(evidence.c.run == run).order_by(evidence.c.number)

        return await self._shown(EvidenceRecord, query)


def _bounded(text: str) -> str:
    if len(text) <= MOST_EVIDENCE:
        return text
    head, tail = MOST_EVIDENCE // 4, MOST_EVIDENCE * 3 // 4
    return f"{text[:head]}\n… {len(text) - head - tail} characters left out …\n{text[-tail:]}"
