"""
The documents in `rules/` and `runbooks/`: read, checked as a whole, and frozen.

`load` returns a Catalog or raises CatalogErrors with every problem of every file; `CatalogFiles` notices changes and
keeps the last good version; `schemas` describes the format for editors.
"""

from kintsugi.catalog.library import CatalogPaths, Source, catalog_paths, shipped_paths
from kintsugi.catalog.load import files_in, load, load_sources, read_sources
from kintsugi.catalog.problems import CatalogErrors, Problem
from kintsugi.catalog.schema import schema, schemas
from kintsugi.catalog.watch import CatalogFiles

__all__ = [
    "CatalogErrors",
    "CatalogFiles",
    "CatalogPaths",
    "Problem",
    "Source",
    "catalog_paths",
    "files_in",
    "load",
    "load_sources",
    "read_sources",
    "schema",
    "schemas",
    "shipped_paths",
]
