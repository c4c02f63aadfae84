"""Names that a ledger, a worker's log, an object or a dashboard has from an earlier version stay as they are."""

import json

import pytest

from tests.unit.project.wire_names import FILE, wire_names

KEPT = json.loads(FILE.read_text())


@pytest.mark.parametrize("kind", KEPT)
def test_a_name_that_is_stored_or_read_elsewhere_stays_or_is_migrated(kind: str) -> None:
    """Renaming one needs a migration, or a reader of the earlier name; then it is taken out of the file by hand."""
    found, kept = wire_names()[kind], KEPT[kind]
    gone = [
        *(name for name in kept if name not in found),
        *(f"{name}.{part}" for name in kept if name in found for part in kept[name] if part not in found[name]),
    ]
    assert gone == [], f"{kind}: what has been stored or is read under these names?"


def test_a_new_name_is_written_down() -> None:
    """By `python -m tests.unit.project.wire_names`: from then on it stays."""
    assert json.loads(json.dumps(wire_names())) == KEPT
