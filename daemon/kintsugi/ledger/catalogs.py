"""The documents of runs, by the digest of their catalog."""

from collections.abc import Mapping

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.repository import Repository
from kintsugi.ledger.tables import catalogs


class CatalogRepository(Repository):
    """The texts of catalogs."""

    async def keep_catalog(self, digest: str, texts: Mapping[str, str]) -> None:
        """
        Keep the documents of a digest, file by file, for runs that outlive a reload.

        It is called whenever a catalog is activated, also an earlier one again: the newest are never deleted.
        """
        rows = [{"digest": digest, "file": file, "text": text} for file, text in texts.items()]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(catalogs).where(catalogs.c.digest == digest))
            if rows:
                await connection.execute(insert(catalogs), rows)

        await self._store.write("keep-catalog", work)

    async def catalog_texts(self, digest: str) -> Mapping[str, str]:
        """Return the documents of a digest by file; empty when they were never kept."""
        query = select(catalogs.c.file, catalogs.c.text).where(catalogs.c.digest == digest).order_by(catalogs.c.file)
        return {row.file: row.text for row in await self._select(query)}
