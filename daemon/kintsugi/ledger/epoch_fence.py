"""Taking the lead: each leader has an epoch of its own, and every change of a run is made under the newest one (P4)."""

from datetime import datetime

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import StaleEpoch
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.tables import commit_counts, leadership


async def check_epoch(connection: AsyncConnection, epoch: int | None) -> None:
    """Raise `StaleEpoch` unless the ledger is led under this epoch."""
    found = await connection.scalar(select(leadership.c.epoch))
    if found != epoch:
        raise StaleEpoch(f"the ledger is led under epoch {found}, this process holds {epoch}: it must stop")


class EpochFence(Repository):
    """The epoch, and whether the database answers."""

    async def lead(self, now: datetime) -> int:
        """
        Take the lead: raise the epoch by one and write under it from now on; return the new epoch.

        After this commit every write of an earlier leader is refused. Raises `StaleEpoch` when the database is behind what
        this process has seen of it: it was restored, or failed over to a lagging replica (D3), and changes that it does not
        contain may have been made.
        """
        known = self._store.epoch or 0

        async def work(connection: AsyncConnection) -> int:
            epoch = await connection.scalar(select(leadership.c.epoch).with_for_update())
            if epoch is None:
                await connection.execute(insert(leadership).values(id=1, epoch=0, holder=self._store.holder))
                epoch = 0
            if epoch < known:
                raise StaleEpoch(f"the ledger is back at epoch {epoch} although {known} was taken: it has lost commits")
            taken = update(leadership).values(epoch=epoch + 1, holder=self._store.holder, since=now)
            await connection.execute(taken)
            await connection.execute(delete(commit_counts).where(commit_counts.c.epoch <= epoch))
            return int(epoch) + 1

        self._store.epoch = await self._store.write("lead", work)
        return self._store.epoch

    async def ping(self) -> None:
        """Ask the database for an answer; raises `LedgerUnavailable`."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text("SELECT 1"))

        await self._store.read(work)
