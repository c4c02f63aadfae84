"""What came of a command: the names that expressions see, and a line for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """
    The answer to a look or a change.

    `names` are the result columns of the command's row in the grammar. `summary` is one line. `failed` is what the
    tool itself would complain about when it ends with a failure (`rollout status` that timed out, a closed port, `curl
    -f` on a 503): a step without an expectation of its own is then not met. Empty: it ended well.
    """

    names: Mapping[str, object]
    summary: str
    failed: str = ""


def of_objects(items: Sequence[Mapping[str, object]], *, named: int, summary: str, failed: str = "") -> Result:
    """Make the result of a command on objects: `items`, and `item` when one was named and is there."""
    names: dict[str, object] = {"items": list(items)}
    if named == 1 and items:
        names["item"] = items[0]
    return Result(names=names, summary=summary, failed=failed)
