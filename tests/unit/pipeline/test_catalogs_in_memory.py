"""Of all catalogs that ever were in force some stay in memory; a run of an older one is carried all the same."""

from collections.abc import Mapping
from dataclasses import replace

from kintsugi.ledger import Ledger
from kintsugi.ledger.runs import CatalogRepository
from kintsugi.ledger.store import Store
from kintsugi.model.catalog import Catalog
from kintsugi.pipeline.active_catalog import MOST_KNOWN, ActiveCatalog
from tests.unit.factories import catalog, rule_text, runbook_text, service_text


class ReadCatalogs(CatalogRepository):
    """The ledger's catalogs, which note what was read."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.read: list[str] = []

    async def catalog_texts(self, digest: str) -> Mapping[str, str]:
        """Return the texts."""
        self.read.append(digest)
        return await super().catalog_texts(digest)


async def test_a_catalog_a_reload_does_not_fill_the_memory(ledger: Ledger) -> None:
    first = catalog(service_text(), rule_text(), runbook_text())

    def parse(texts: Mapping[str, str]) -> Catalog:
        return replace(first, digest=texts["digest"])

    keeper = ReadCatalogs(ledger._store)
    active_catalog = ActiveCatalog(first, keeper, parse)
    for number in range(100):
        await active_catalog.activate(replace(first, digest=f"d{number}", texts={"digest": f"d{number}"}))
    assert len(active_catalog._known) == MOST_KNOWN
    assert (await active_catalog.by_digest("d99")).digest == "d99"
    assert keeper.read == []
    for number in range(20):
        assert (await active_catalog.by_digest(f"d{number}")).digest == f"d{number}"
    assert len(active_catalog._known) == MOST_KNOWN
    assert (await active_catalog.by_digest("d99")).digest == "d99"
    assert "d99" not in keeper.read
