"""Hooks of schemathesis for the one thing that its document cannot say: whose name belongs to the token that is sent."""

from typing import Any

import schemathesis

HOLDER = "tester"


@schemathesis.hook
def map_body(_context: object, body: Any) -> Any:
    """Let whoever says a name say the one that the token belongs to: any other is refused."""
    if isinstance(body, dict) and isinstance(body.get("who"), str):
        return {**body, "who": HOLDER}
    return body
