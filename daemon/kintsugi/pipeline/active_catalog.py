"""The catalog in force: replaced whole, and kept by digest for runs that began under an older one."""

from collections.abc import Callable, Mapping

from kintsugi.decisions.matcher import Matcher
from kintsugi.ledger import Catalogs
from kintsugi.model.catalog import Catalog

MOST_KNOWN = 8
"""Catalogs kept in memory; an older one is read from the ledger again when a run of it asks."""


class ActiveCatalog:
    """
    The current catalog with its matcher, and older ones by digest.

    `activate` keeps the texts before a run may name their digest, so that a restart can read the run's documents.
    """

    def __init__(self, catalog: Catalog, keeper: Catalogs, parse: Callable[[Mapping[str, str]], Catalog]) -> None:
        self.catalog = catalog
        self.matcher = Matcher(catalog)
        self._keeper = keeper
        self._parse = parse
        self._known = {catalog.digest: catalog}
        self._listeners: list[Callable[[Catalog, Matcher], None]] = []

    def on_change(self, listener: Callable[[Catalog, Matcher], None]) -> None:
        """Call `listener` with each catalog that comes into force, the current one at once."""
        self._listeners.append(listener)
        listener(self.catalog, self.matcher)

    async def activate(self, catalog: Catalog) -> None:
        """Keep a catalog's texts and put it into force."""
        await self._keeper.keep(catalog.digest, catalog.texts)
        self.catalog, self.matcher = catalog, Matcher(catalog)
        self._know(catalog.digest, catalog)
        for listener in self._listeners:
            listener(self.catalog, self.matcher)

    async def keep(self, catalog: Catalog) -> None:
        """Keep a catalog that a run names and that does not come into force. Of those in the ledger the current one stays the newest."""
        await self._keeper.keep(catalog.digest, catalog.texts)
        await self._keeper.keep(self.catalog.digest, self.catalog.texts)
        self._know(catalog.digest, catalog)

    async def by_digest(self, digest: str) -> Catalog:
        """Return the catalog of a digest. Raises CatalogErrors when this version can no longer read it."""
        known = self._known.get(digest)
        if known is None:
            known = self._parse(await self._keeper.texts(digest))
        self._know(digest, known)
        return known

    def _know(self, digest: str, catalog: Catalog) -> None:
        """Keep a catalog in memory in place of the least recently used one; the current one always stays."""
        self._known.pop(digest, None)
        self._known[digest] = catalog
        if len(self._known) > MOST_KNOWN:
            del self._known[next(each for each in self._known if each != self.catalog.digest)]
