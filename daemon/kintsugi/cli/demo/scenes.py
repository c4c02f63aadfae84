"""The scenes of the demonstration by name, in their order."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class SceneName(StrEnum):
    """The values of `kintsugi demo --scene`."""

    CRASH_LOOP = "crash-loop"
    TOO_FEW_READY = "too-few-ready"
    MISSING_IMAGE = "missing-image"
    BAD_ROLLOUT = "bad-rollout"
    DATA_LOSS = "data-loss"
    CAUSE_FIRST = "cause-first"
    FULL_STACK = "full-stack"


SHOWS: Final[Mapping[SceneName, str]] = {
    SceneName.CRASH_LOOP: "a pod of web-service crash-loops; Kintsugi deletes the pod, and a good one replaces it",
    SceneName.TOO_FEW_READY: "too few pods are ready; Kintsugi deletes the pod that hangs and scales the Deployment to the runbook's 5 replicas",
    SceneName.MISSING_IMAGE: "an image that does not exist is rolled out beside serving pods; Kintsugi names the cause and undoes the rollout at once",
    SceneName.BAD_ROLLOUT: "a bad version is rolled out; the runbook's steps do not help, so Kintsugi rolls the version back",
    SceneName.DATA_LOSS: "a database's data are damaged on disk; a person approves, and Kintsugi restores the backup",
    SceneName.CAUSE_FIRST: "the database fails, and its dependents with it; Kintsugi repairs the database first and holds the dependents",
    SceneName.FULL_STACK: "all five services break; one run repairs them level by level, in parallel where possible",
}
"""Each in a line."""


def listed() -> str:
    """Return a line for each scene."""
    width = max(len(name) for name in SceneName)
    return "\n".join(f"{name:{width}}  {SHOWS[name]}" for name in SceneName)
