"""
The demonstration, `kintsugi demo`, and its scenes by name, in their order.

The command line finds the module `command` by the entry point `demo` in `kintsugi.commands`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class SceneName(StrEnum):
    """The values of `kintsugi demo --scene`."""

    CRASH_LOOP = "crash-loop"
    MISSING_IMAGE = "missing-image"
    BAD_ROLLOUT = "bad-rollout"
    REJECTED = "rejected"
    DATA_LOSS = "data-loss"
    FULL_STACK = "full-stack"


SHOWS: Final[Mapping[SceneName, str]] = {
    SceneName.CRASH_LOOP: "a pod of web-service crash-loops; Kintsugi deletes the pod, and a good one replaces it",
    SceneName.MISSING_IMAGE: "an image that does not exist is rolled out beside serving pods; Kintsugi names the cause and undoes the rollout at once",
    SceneName.BAD_ROLLOUT: "a bad version is rolled out; the runbook's steps do not help, so Kintsugi rolls the version back",
    SceneName.REJECTED: "web-service is scaled to 0; a person rejects the start, and Kintsugi changes nothing",
    SceneName.DATA_LOSS: "a database's data are damaged on disk; a person approves, and Kintsugi restores the backup",
    SceneName.FULL_STACK: "all five services break; one run repairs them level by level, in parallel where possible",
}
"""Each in a line."""
