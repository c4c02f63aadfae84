"""Of all catalogs that ever were in force some stay in memory; a run of an older one is carried all the same."""

from collections.abc import Mapping
from dataclasses import replace

from kintsugi.model.documents import Catalog
from kintsugi.pipeline.inforce import MOST_KNOWN, InForce
from tests.unit.factories import catalog, rule_text, runbook_text, service_text


class Texts:
    """Keeps the texts of every catalog, and counts how often they are read."""

    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, str]] = {}
        self.read: list[str] = []

    async def keep_catalog(self, digest: str, texts: Mapping[str, str]) -> None:
        """Keep them."""
        self.kept[digest] = texts

    async def catalog_texts(self, digest: str) -> Mapping[str, str]:
        """Return them."""
        self.read.append(digest)
        return {"digest": digest}


async def test_a_catalog_a_reload_does_not_fill_the_memory() -> None:
    first = catalog(service_text(), rule_text(), runbook_text())

    def parse(texts: Mapping[str, str]) -> Catalog:
        return replace(first, digest=texts["digest"])

    keeper = Texts()
    in_force = InForce(first, keeper, parse)
    for number in range(100):
        await in_force.take(replace(first, digest=f"d{number}"))
    assert len(in_force._known) == MOST_KNOWN
    assert (await in_force.by_digest("d99")).digest == "d99"
    assert keeper.read == []
    for number in range(20):
        assert (await in_force.by_digest(f"d{number}")).digest == f"d{number}"
    assert len(in_force._known) == MOST_KNOWN
    assert (await in_force.by_digest("d99")).digest == "d99"
    assert "d99" not in keeper.read
