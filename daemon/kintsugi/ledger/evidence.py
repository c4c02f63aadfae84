"""Evidence: the description, Events and logs of an object, kept before a step changes it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns
from kintsugi.ledger.tables import evidence
from kintsugi.ledger.texts import clean
from kintsugi.offload import searched
from kintsugi.telemetry import SECRETS

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


class EvidenceRepository(Repository):
    """The evidence of runs."""

    async def keep(self, run: str, path: str, kind: str, text: str, now: datetime) -> None:
        """Keep a piece of evidence, with secrets masked; of more than 256 Ki characters the middle is left out."""
        text = await searched(len(text), lambda: _bounded(clean(SECRETS.text(text))))
        digest = hashlib.sha256(text.encode()).hexdigest()
        row = {"run": run, "path": clean(path), "kind": clean(kind), "digest": digest}

        async def work(connection: AsyncConnection) -> None:
            same = select(evidence.c.number).where(*(evidence.c[name] == value for name, value in row.items()))
            if (await connection.execute(same)).first() is None:
                await connection.execute(insert(evidence).values(**row, text=text, taken=now))

        await self._store.write(f"keep-evidence {path}", work, fenced=True)

    async def of_run(self, run: str) -> tuple[EvidenceRecord, ...]:
        """Return the evidence of a run, in order."""
        query = select(*columns(EvidenceRecord, evidence)).where(evidence.c.run == run).order_by(evidence.c.number)

        return await self._shown(EvidenceRecord, query)


def _bounded(text: str) -> str:
    if len(text) <= MOST_EVIDENCE:
        return text
    head, tail = MOST_EVIDENCE // 4, MOST_EVIDENCE * 3 // 4
    return f"{text[:head]}\n… {len(text) - head - tail} characters left out …\n{text[-tail:]}"
