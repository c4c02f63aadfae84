"""Results of actions, taken apart by tests that know what a command answers."""

from typing import Any

from kintsugi.actions.probe import Result


def named(result: Result) -> dict[str, Any]:
    """Return the names of a result; which shape each has is the command's, and no type's."""
    return dict(result.names)
