"""
What the person on call is told when Kintsugi stops: what was done, what was not, and the commands that take it back.
"""

from collections.abc import Iterable

from kintsugi.model.records import Phase, StepRecord, StepState


def hand_over(reason: str, steps: Iterable[StepRecord]) -> str:
    """Write the message: the reason, what was done in order, what is open, and how to undo it, newest first."""
    ordered = [step for step in steps if step.text]
    changes = [step for step in ordered if step.changes]
    parts = [
        reason,
        section("Done", [f"{step.text}" for step in changes if step.state is StepState.DONE]),
        section("Uncertain", [f"{step.text} ({step.error})" for step in changes if is_uncertain(step)]),
        section("Not done", [f"{step.text} ({step.error})" for step in ordered if is_undone(step)]),
        section("To take it back, newest first", undo_texts(changes)),
    ]
    return "\n".join(part for part in parts if part)


def section(title: str, lines: list[str]) -> str:
    """Write one part, or nothing when there is nothing in it."""
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)]) if lines else ""


def is_uncertain(step: StepRecord) -> bool:
    """Tell whether nobody knows if a change was made."""
    return step.state in (StepState.INTENT, StepState.UNKNOWN, StepState.NEEDS_OPERATOR)


def is_undone(step: StepRecord) -> bool:
    """Tell whether a step was refused, overtaken or failed."""
    return step.state in (StepState.FAILED, StepState.SKIPPED) and bool(step.error)


def undo_texts(changes: list[StepRecord]) -> list[str]:
    """List the exact commands that take the changes back; a change that needs none says why."""
    lines: list[str] = []
    for step in reversed(changes):
        if step.phase is not Phase.FORWARD or step.undo is None or step.state in (StepState.FAILED, StepState.SKIPPED):
            continue
        lines.extend(step.undo.texts or (f"# {step.text}: {step.undo.note}",))
    return lines
