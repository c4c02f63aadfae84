"""Rules, as people write them in `rules/`: an observation, the runbook that it starts, and the mode."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from kintsugi.expressions import Expression
from kintsugi.model.questions import ANYBODY, Approvers
from kintsugi.model.source_position import SourcePosition

CANARY = "KintsugiCanary"
"""The name of the alert; no alert of this name starts anything, from any sender."""


class MatchOperator(StrEnum):
    """Alertmanager's four ways to compare a label."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCH = "=~"
    NOT_MATCH = "!~"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelMatcher:
    """One comparison of Alertmanager's matcher language; an absent label is the empty string, a regex is anchored."""

    label: str
    operator: MatchOperator
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{quoted(self.value)}"


def quoted(value: str) -> str:
    """Write a label's value as in Alertmanager's matcher language."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def is_canary(labels: Mapping[str, str]) -> bool:
    """Return whether these are the labels of a canary."""
    return labels.get("alertname") == CANARY


class Mode(StrEnum):
    """How far a rule may go: only report, ask first, or act."""

    OBSERVE = "observe"
    APPROVE = "approve"
    AUTO = "auto"

    def at_most(self, other: "Mode") -> "Mode":
        """Return the more careful of the two."""
        order = list(Mode)
        return order[min(order.index(self), order.index(other))]


class RuleSource(StrEnum):
    """The kind of observation that a rule is about."""

    POD = "pod"
    PVC = "pvc"
    NODE = "node"
    EVENT = "event"
    ALERT = "alert"
    SERVICES = "services"
    CHECK = "check"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """
    A rule: when an observation starts a runbook, and how far that may go.

    `service` is empty where a rule is about all of them (on services or alerts). `for_duration` is `for` in the file;
    `matchers` are for alerts. `check` names the service's list of checks that a rule on a check runs, at the interval `every`.
    `any_namespace`: alerts without a namespace are its service's, too. `approvers` answer
    the question before a run, ANYBODY: those of the runbook. `digest` changes with any change of the rule.
    """

    name: str
    on: RuleSource
    service: str
    runbook: str
    when: Expression | None = None
    matchers: tuple[LabelMatcher, ...] = ()
    any_namespace: bool = False
    for_duration: timedelta = timedelta(0)
    check: str = ""
    every: timedelta = timedelta(seconds=30)
    mode: Mode = Mode.OBSERVE
    approvers: Approvers = ANYBODY
    cooldown: timedelta = timedelta(minutes=10)
    digest: str
    place: SourcePosition
