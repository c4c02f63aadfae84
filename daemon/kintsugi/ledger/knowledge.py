"""What is worth knowing for long: revisions that were seen healthy, and the documents that runs keep to."""

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.rows import columns, moment, values
from kintsugi.ledger.tables import catalogs, good_revisions
from kintsugi.model.records import GoodRevision


class Knowledge(Chapter):
    """Good revisions and catalogs."""

    async def note_good(self, revisions: Sequence[GoodRevision]) -> None:
        """Note revisions seen healthy: `first_good` stays as first noted, `last_good` only moves on."""

        async def work(connection: AsyncConnection) -> None:
            for revision in revisions:
                await _note(connection, revision)

        if revisions:
            await self._store.write("note-good", work)

    async def good_revisions(self, workload: str) -> tuple[GoodRevision, ...]:
        """Give the revisions of a workload (by uid) that were seen healthy, the one seen last first."""
        query = select(*columns(GoodRevision, good_revisions)).where(good_revisions.c.workload == workload)
        query = query.order_by(good_revisions.c.last_good.desc(), good_revisions.c.number.desc())

        return await self._whole(GoodRevision, query)

    async def keep_catalog(self, digest: str, texts: Mapping[str, str]) -> None:
        """
        Keep the documents of a digest, file by file, for runs that outlive a reload.

        Called whenever a catalog comes into use, also an earlier one again: the newest are never forgotten.
        """
        rows = [{"digest": digest, "file": file, "text": text} for file, text in texts.items()]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(catalogs).where(catalogs.c.digest == digest))
            if rows:
                await connection.execute(insert(catalogs), rows)

        await self._store.write("keep-catalog", work)

    async def catalog_texts(self, digest: str) -> Mapping[str, str]:
        """Give the documents of a digest by file; empty when they were never kept."""
        query = select(catalogs.c.file, catalogs.c.text).where(catalogs.c.digest == digest).order_by(catalogs.c.file)

        async def work(connection: AsyncConnection) -> Mapping[str, str]:
            return {row.file: row.text for row in await connection.execute(query)}

        return await self._store.look(work)


async def _note(connection: AsyncConnection, revision: GoodRevision) -> None:
    same = (good_revisions.c.workload == revision.workload, good_revisions.c.template == revision.template)
    last_good = moment(await connection.scalar(select(good_revisions.c.last_good).where(*same)))
    if last_good is None:
        await connection.execute(insert(good_revisions).values(values(revision)))
    elif last_good < revision.last_good:
        moved = update(good_revisions).where(*same)
        await connection.execute(moved.values(last_good=revision.last_good, number=revision.number))
