"""
What people wrote in `rules/` and `runbooks/`: read, checked as a whole, and frozen.

`load` gives a Catalog or raises CatalogErrors with every problem of every file; `CatalogFiles` notices changes and keeps
the last good version; `schemas` describes the format for editors.
"""

from kintsugi.catalog.load import Source, files_in, load, load_sources, read_sources
from kintsugi.catalog.problems import CatalogErrors, Problem

__all__ = [
    "CatalogErrors",
    "Problem",
    "Source",
    "files_in",
    "load",
    "load_sources",
    "read_sources",
]
