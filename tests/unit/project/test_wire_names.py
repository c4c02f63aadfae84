"""Names that a ledger, a worker's log, an object or a dashboard has from an earlier version stay as they are."""

import json

from tests.unit.project.wire_names import FILE, wire_names


def test_the_names_that_are_stored_or_read_elsewhere_are_those_that_are_written_down() -> None:
    """A new one is by `make docs`, and stays. Renaming one needs a migration, or a reader of the earlier name."""
    assert json.loads(json.dumps(wire_names())) == json.loads(FILE.read_text())
