"""The scenes of the demonstration by name, in their order."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class SceneName(StrEnum):
    """What `kintsugi demo --scene` takes."""

    CRASH_LOOP = "crash-loop"
    TOO_FEW_READY = "too-few-ready"
    MISSING_IMAGE = "missing-image"
    BAD_ROLLOUT = "bad-rollout"
    DATA_LOSS = "data-loss"
    CAUSE_FIRST = "cause-first"
    FULL_STACK = "full-stack"


SHOWS: Final[Mapping[SceneName, str]] = {
    SceneName.CRASH_LOOP: "a pod of web-service crash-loops: it is deleted, and a good one comes",
    SceneName.TOO_FEW_READY: "too few pods are ready: the one that hangs is deleted, the Deployment scaled",
    SceneName.MISSING_IMAGE: "an image that does not exist is rolled out beside pods that serve: its cause is named, it is taken back at once",
    SceneName.BAD_ROLLOUT: "a bad version is rolled out: what was tried does not help, so it is rolled back",
    SceneName.DATA_LOSS: "a database's data are damaged on disk: a person agrees, the backup is restored",
    SceneName.CAUSE_FIRST: "the database goes and takes its dependents with it: it is mended first, they are held",
    SceneName.FULL_STACK: "all five services break: one run mends them level by level, as parallel as it can be",
}
"""Each in a line."""


def listed() -> str:
    """Return a line for each scene."""
    width = max(len(name) for name in SceneName)
    return "\n".join(f"{name:{width}}  {SHOWS[name]}" for name in SceneName)
