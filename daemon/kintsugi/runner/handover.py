"""
What the person on call is told when Kintsugi stops: what was done, what was not, and the commands that take it back.
"""

import re
from collections.abc import Iterable

from kintsugi.model.records import Phase, StepRecord, StepState

_TRY = re.compile(r"r\d+$")


def hand_over(reason: str, steps: Iterable[StepRecord], way_back: str = "") -> str:
    """
    Write the message: the reason, what was done in order, what is open, and how to undo it, newest first.

    `way_back` is the command that goes back to the last good revision, when the service fails and one is known.
    """
    ordered = [step for step in steps if step.text]
    changes = [step for step in ordered if step.changes]
    failed = {(step.phase, step.path) for step in ordered if step.state is StepState.FAILED}

    def has_failed(change: StepRecord) -> bool:
        """Tell of a change that was made whether what it was made for has failed: a worker's Job."""
        return (change.phase, change.path.partition("#")[0]) in failed

    parts = [
        reason,
        section("Done", [f"{step.text}" for step in changes if step.state is StepState.DONE and not has_failed(step)]),
        section("Uncertain", [f"{step.text} ({step.error})" for step in changes if is_uncertain(step)]),
        section("Not done", [f"{step.text} ({step.error})" for step in ordered if is_undone(step)]),
        section("To take it back, newest first", undo_texts(changes)),
        section("To go back to the last revision that was seen healthy", [way_back] if way_back else []),
    ]
    return "\n".join(part for part in parts if part)


def section(title: str, lines: list[str]) -> str:
    """Write one part, or nothing when there is nothing in it."""
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)]) if lines else ""


def is_uncertain(step: StepRecord) -> bool:
    """Tell whether nobody knows if a change was made."""
    return step.state in (StepState.INTENT, StepState.UNKNOWN, StepState.NEEDS_OPERATOR)


def is_undone(step: StepRecord) -> bool:
    """Return whether a step was refused, overtaken, failed or not made; one that was not wanted is nothing to tell of."""
    wanted = step.facts.get("left_out") is not True
    return wanted and step.state in (StepState.PLANNED, StepState.FAILED, StepState.SKIPPED) and bool(step.error)


def undo_texts(changes: list[StepRecord]) -> list[str]:
    """List the exact commands that take the changes back and were not done yet; a change that needs none says why."""
    undone = [step.path for step in changes if step.phase is Phase.UNDO and step.state is StepState.DONE]
    done = {_TRY.sub("", path) for path in undone}
    lines: list[str] = []
    for step in reversed(changes):
        if step.phase is not Phase.FORWARD or step.undo is None or step.state in (StepState.FAILED, StepState.SKIPPED):
            continue
        left = [text for index, text in enumerate(step.undo.texts) if f"{step.path}~{index}" not in done]
        lines.extend(left if step.undo.texts else (f"# {step.text}: {step.undo.note}",))
    return lines
