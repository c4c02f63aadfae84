"""Results as the ledger keeps them: JSON from which times and durations can be read back."""

from collections.abc import Mapping

from kintsugi.expressions import from_json, to_json
from kintsugi.ledger.texts import dump

LARGEST = 512 * 1024
"""The largest result kept for later steps, in bytes of JSON; of a larger one only `ran` and `met` are known."""


def storable(own: Mapping[str, object]) -> Mapping[str, object] | None:
    """
    Give a result as JSON values from which times and durations can be read back.

    None when it is too large, or nested deeper than the ledger keeps.
    """
    try:
        kept = to_json(own)
        size = len(dump(kept).encode())
    except (TypeError, RecursionError):
        return None
    return kept if isinstance(kept, dict) and size <= LARGEST else None


def recalled(kept: Mapping[str, object] | None) -> Mapping[str, object]:
    """Read back what `storable` gave."""
    own = from_json(kept) if kept is not None else {}
    return own if isinstance(own, dict) else {}
