"""The result of a command: the names that expressions see, and a line for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """
    The result of a probe or a change.

    `names` are the result columns of the command's row in the grammar. `summary` is one line. `failed` is the message of the tool
    when it ends with a failure (`rollout status` that timed out, a closed port, `curl -f` on a 503): a step without an
    expectation is then not met. Empty: it succeeded.
    """

    names: Mapping[str, object]
    summary: str
    failed: str = ""


def of_objects(items: Sequence[Mapping[str, object]], *, named: int, summary: str, failed: str = "") -> Result:
    """Return the result of a command on objects: `items`, and `item` when one was named and exists."""
    names: dict[str, object] = {"items": list(items)}
    if named == 1 and items:
        names["item"] = items[0]
    return Result(names=names, summary=summary, failed=failed)
