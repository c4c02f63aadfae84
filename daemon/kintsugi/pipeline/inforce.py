"""
The catalog in force: replaced whole, and kept by digest for runs that began under an older one.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from kintsugi.matcher import Matcher
from kintsugi.model.documents import Catalog

MOST_KNOWN = 8
"""Catalogs kept in memory; an older one is read from the ledger again when a run of it asks."""

Parse = Callable[[Mapping[str, str]], Catalog]


class CatalogKeeper(Protocol):
    """Where the texts of catalogs are kept: the ledger."""

    async def keep_catalog(self, digest: str, texts: Mapping[str, str]) -> None: ...

    async def catalog_texts(self, digest: str) -> Mapping[str, str]: ...


class InForce:
    """
    The current catalog with its matcher, and older ones by digest.

    `take` keeps the texts before a run may name their digest, so that a restart can read what the run keeps to.
    """

    def __init__(self, catalog: Catalog, keeper: CatalogKeeper, parse: Parse) -> None:
        self.catalog = catalog
        self.matcher = Matcher(catalog)
        self._keeper = keeper
        self._parse = parse
        self._known = {catalog.digest: catalog}
        self._takers: list[Callable[[Catalog, Matcher], None]] = []

    def on_change(self, taker: Callable[[Catalog, Matcher], None]) -> None:
        """Tell `taker` of each catalog that comes into force, the current one at once."""
        self._takers.append(taker)
        taker(self.catalog, self.matcher)

    async def take(self, catalog: Catalog) -> None:
        """Keep a catalog's texts and put it into force."""
        await self._keeper.keep_catalog(catalog.digest, catalog.texts)
        self.catalog, self.matcher = catalog, Matcher(catalog)
        self._know(catalog.digest, catalog)
        for taker in self._takers:
            taker(self.catalog, self.matcher)

    async def by_digest(self, digest: str) -> Catalog:
        """Give the catalog that a run keeps to. Raises CatalogErrors when this version cannot read it any more."""
        known = self._known.get(digest)
        if known is None:
            known = self._parse(await self._keeper.catalog_texts(digest))
        self._know(digest, known)
        return known

    def _know(self, digest: str, catalog: Catalog) -> None:
        """Keep a catalog in memory instead of the one that was asked for least lately; the current one always."""
        self._known.pop(digest, None)
        self._known[digest] = catalog
        if len(self._known) > MOST_KNOWN:
            del self._known[next(each for each in self._known if each != self.catalog.digest)]
