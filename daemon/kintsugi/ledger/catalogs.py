"""The documents of runs, by the digest of their catalog."""

from collections.abc import Mapping

from sqlalchemy import delete, select

from kintsugi.ledger.store.tables import catalogs
from kintsugi.ledger.store.transactions import Aggregate


class Catalogs(Aggregate):
    """The documents of every catalog that a run keeps to."""

    async def keep(self, digest: str, texts: Mapping[str, str]) -> None:
        """
        Keep the documents of a digest, file by file, for runs that outlive a reload.

        It is called whenever a catalog is activated, also an earlier one again: the newest are never deleted.
        """
        rows = [{"digest": digest, "file": file, "text": text} for file, text in texts.items()]
        await self._replace("keep-catalog", delete(catalogs).where(catalogs.c.digest == digest), rows)

    async def texts(self, digest: str) -> Mapping[str, str]:
        """Return the documents of a digest by file; empty when they were never kept."""
        query = select(catalogs.c.file, catalogs.c.text).where(catalogs.c.digest == digest).order_by(catalogs.c.file)
        return {row.file: row.text for row in await self._select(query)}
