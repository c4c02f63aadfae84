"""
Write tests/data/wire_names.json: the names that outlive a process, or that others read.

`python -m tests.unit.project.wire_names` adds the new ones. What the API answers stands in docs/openapi.json.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any

from kintsugi.commands.registry import command_types
from kintsugi.ledger.store.tables import metadata
from kintsugi.model import command, records, remedies, restores
from kintsugi.telemetry import Metrics
from kintsugi_restore import commands as worker_commands
from kintsugi_restore import worker_results
from kintsugi_restore.worker_log import _Line
from kubediagnosis import causes
from tests.unit.project.tree import PACKAGE, RESTORE, ROOT

FILE = ROOT / "tests" / "data" / "wire_names.json"
_MARK = re.compile(r'"(kintsugi\.dev/[a-z0-9-]+)"')

Table = Mapping[str, Sequence[str]]


def wire_names() -> Mapping[str, Table]:
    """Return each name with what belongs to it, in one table for each kind."""
    return {
        "commands and their fields": {name: _fields(kind) for name, kind in command_types().items()},
        "lines of a worker's log": dict.fromkeys(_fields(_Line), ()),
        "values within commands": {**_dataclasses(command), **_dataclasses(worker_commands)},
        "values of a diagnosis": {**_dataclasses(causes), "KeptDiagnosis": _fields(records.KeptDiagnosis)},
        "results of a worker": {**_dataclasses(worker_results), **_dataclasses(restores)},
        "columns of the ledger": {name: sorted(table.columns.keys()) for name, table in metadata.tables.items()},
        "words of the ledger": {
            kind.__name__: sorted(kind)
            for module in (records, causes, remedies, worker_results)
            for kind in _enums(module)
        },
        "annotations and labels": dict.fromkeys(sorted(_marks()), ()),
        "metrics and their labels": dict(_metrics()),
    }


def main() -> None:
    """Write them down."""
    FILE.write_text(json.dumps(wire_names(), indent=1, sort_keys=True) + "\n")


def _fields(kind: Any) -> Sequence[str]:
    return sorted(each.name for each in fields(kind))


def _dataclasses(module: object) -> Table:
    own = (
        each for each in vars(module).values() if isinstance(each, type) and each.__module__ == vars(module)["__name__"]
    )
    return {each.__name__: _fields(each) for each in own if is_dataclass(each)}


def _enums(module: object) -> Iterable[type[StrEnum]]:
    for each in vars(module).values():
        if isinstance(each, type) and issubclass(each, StrEnum) and each.__module__ == vars(module)["__name__"]:
            yield each


def _marks() -> set[str]:
    sources = (file.read_text() for folder in (PACKAGE, RESTORE) for file in folder.rglob("*.py"))
    return {name for text in sources for name in _MARK.findall(text)}


def _metrics() -> Iterable[tuple[str, Sequence[str]]]:
    for name, metric in vars(Metrics()).items():
        labels = getattr(metric, "_labelnames", None)
        if labels is not None and not name.startswith("_"):
            yield next(iter(metric.describe())).name, sorted(labels)


if __name__ == "__main__":
    main()
