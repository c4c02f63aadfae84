"""Objects as a server showed them, one of each kept kind and more, and the shipped rules that are about them."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from kintsugi.catalog import Source, load_sources
from kintsugi.catalog.shipped import shipped_paths
from kintsugi.model.catalog import Catalog
from kubeobjects.kept import KEPT
from kubeobjects.resources import Resource

FILE = Path(__file__).parents[2] / "data" / "objects.jsonl"
"""An object a line, as a real Kubernetes showed it, less managedFields (`tests/cluster/record_objects.py`)."""

Json = dict[str, Any]


@cache
def seen() -> Mapping[Resource, Sequence[Json]]:
    """Return the objects of each kind."""
    by_name: dict[str, list[Json]] = defaultdict(list)
    for line in FILE.read_text().splitlines():
        found = json.loads(line)
        by_name[found["resource"]].append(found["object"])
    return {resource: tuple(by_name[resource.qualified]) for resource in KEPT}


@cache
def shipped() -> Catalog:
    """Return the catalog of the shipped files."""
    files = [file for folder in shipped_paths() for file in sorted(folder.rglob("*.yaml"))]
    return load_sources([Source(name=file.name, content=file.read_bytes()) for file in files])
