"""Good templates: the last healthy pod template of each workload, kept by the workload's name."""

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.known_tables import good_templates
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns, values
from kintsugi.model.known import GoodTemplate

LARGEST = 256 * 1024
"""
The most characters of a template that is kept, with its encrypted part and the remainder of its workload; a larger one is not kept, nor is a substitute.
"""


class TemplateRepository(Repository):
    """Good templates; they are deleted with their good revisions."""

    async def keep(self, template: GoodTemplate) -> bool:
        """
        Keep a template in place of the workload's earlier one; return whether it was small enough.

        When it is too large the earlier one is deleted all the same: it is no longer the last good one.
        """
        fits = len(template.document) + len(template.withheld) + len(template.remainder) <= LARGEST

        async def work(connection: AsyncConnection) -> None:
            same = _named(template.kind, template.namespace, template.name)
            await connection.execute(delete(good_templates).where(*same))
            if fits:
                await connection.execute(insert(good_templates).values(values(template)))

        await self._store.write("keep-template", work)
        return fits

    async def last(self, kind: str, namespace: str, name: str) -> GoodTemplate | None:
        """Return a workload's good template, None where it is absent or cannot be read."""
        query = select(*columns(GoodTemplate, good_templates)).where(*_named(kind, namespace, name))
        return next(iter(await self._whole(GoodTemplate, query)), None)


def _named(kind: str, namespace: str, name: str) -> tuple[ColumnElement[bool], ...]:
    return good_templates.c.kind == kind, good_templates.c.namespace == namespace, good_templates.c.name == name
