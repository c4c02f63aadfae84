"""Manual starts: the request of a person, and the record in the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

MANUAL = "manual"
"""The name of the rule of manual runs; a pause may name it, and no rule may have it."""


class Override(StrEnum):
    """The refusals that a person may overrule by name; no others."""

    COOLDOWN = "cooldown"
    FAILURES = "failures"
    HANDED_OVER = "handed-over"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoverRequest:
    """
    A runbook that a person wants to start: on `service`, "" where the runbook names it.

    `parameters` are texts as typed. `digest` is that of the shown plan, "" to be shown it first. `key` identifies the request:
    two requests with the same key start one run.
    """

    runbook: str
    service: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    why: str
    overrides: frozenset[Override] = frozenset()
    digest: str = ""
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ManualStart:
    """
    The person who starts a run by hand, and the reason: committed and kept with the run.

    It approves the plan `plan`, which was shown as `question`; `expires` is when an answer to a question would.
    """

    who: str
    why: str
    overrides: tuple[Override, ...] = ()
    plan: str
    question: str
    expires: datetime
    key: str = ""

    @property
    def reason(self) -> str:
        """Return the person and the reason as text, for the incident and for every change."""
        overruled = f", overruling {' and '.join(self.overrides)}" if self.overrides else ""
        return f"started by {self.who}{overruled}: {self.why}"
