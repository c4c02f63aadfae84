"""The matchers of a rule on alerts: comparisons of labels in Alertmanager's matcher language."""

from dataclasses import dataclass
from enum import StrEnum


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
