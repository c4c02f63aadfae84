"""Results as the ledger keeps them: JSON from which times and durations can be read back."""

from collections.abc import Mapping

import orjson

from kintsugi.expressions import from_json, to_json

LARGEST = 512 * 1024
"""The largest result kept for later steps, in bytes of JSON; of a larger one only `ran` and `met` are known."""


def storable(own: Mapping[str, object]) -> Mapping[str, object] | None:
    """Give a result as JSON values from which times and durations can be read back; None when it is too large."""
    kept = to_json(own)
    if not isinstance(kept, dict) or len(orjson.dumps(kept)) > LARGEST:
        return None
    return kept


def recalled(kept: Mapping[str, object] | None) -> Mapping[str, object]:
    """Read back what `storable` gave."""
    own = from_json(kept) if kept is not None else {}
    return own if isinstance(own, dict) else {}
