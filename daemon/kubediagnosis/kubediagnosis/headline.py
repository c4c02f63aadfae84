"""A diagnosis in one line: the first that a person reads of an incident."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from kubediagnosis.causes import Diagnosis, ObjectChange
from kubeobjects.lines import Line, line

LONGEST = 600
"""Characters of such a line."""

MOST_CHANGES = 3
"""The most changes in one line."""

MOST_UNKNOWN = 3
"""The most sentences about unknown facts in one line."""


def headline(found: Diagnosis) -> Line:
    """Return what is wrong with its kind, confidence, object and field; where no cause was found what is not known."""
    return _one_line(f"{cause_text(found)}: {found.summary}") if found.causes else sentence(found)


def cause_text(found: Diagnosis) -> Line:
    """Return the likeliest cause with its confidence, object and field; "" where no cause was found."""
    if not found.causes:
        return _one_line("")
    first = found.causes[0]
    where = " ".join(part for part in (first.object, first.field) if part)
    return _one_line(f"{first.kind} ({first.confidence}){f': {where}' if where else ''}")


def sentence(found: Diagnosis) -> Line:
    """Return what is wrong in a sentence; where no cause was found what is not known."""
    return _one_line(found.summary if found.causes else _without_cause(found))


def what_changed(found: Diagnosis) -> Line:
    """Return in one line what changed before, the latest first; "" where nothing did."""
    listed = [change_text(each) for each in reversed(found.changes[-MOST_CHANGES:])]
    more = len(found.changes) - len(listed)
    return _one_line("; ".join([*listed, *([f"and {more} more"] if more > 0 else [])]))


def change_text(change: ObjectChange) -> str:
    """Return one change as text: time, object, field, old and new value where they may be shown, and author."""
    at = f"{change.at:%Y-%m-%d %H:%M:%S} " if change.at is not None else ""
    values = f" {change.before or '-'} -> {change.after or '-'}" if change.shown else ""
    by = f" (by {change.by})" if change.by else ""
    return f"{at}{change.object} {change.field}{values}{by}"


def diagnosis_at(diagnoses: Sequence[Diagnosis], then: datetime) -> Diagnosis | None:
    """
    Return, of the diagnoses of one problem, oldest first, the one for a notice of `then`: the last that was made before.

    Without an earlier one, return the first: a question is put to a person before anything was read for it.
    """
    return latest([each for each in diagnoses if each.at <= then] or diagnoses[:1])


def latest(diagnoses: Sequence[Diagnosis]) -> Diagnosis | None:
    """
    Return, of the diagnoses of one problem, oldest first, the one that describes it; None without a diagnosis.

    Where the last one has found no cause, or could not be made in time, it is the last that has found one; its summary says
    when that was, and what the last one says.
    """
    if not diagnoses:
        return None
    last = diagnoses[-1]
    with_cause = [each for each in diagnoses if each.causes]
    if last.causes or not with_cause:
        return last
    earlier = with_cause[-1]
    since = f"as found at {earlier.at:%Y-%m-%d %H:%M:%S}; at {last.at:%H:%M:%S} {_without_cause(last)}"
    return replace(earlier, summary=f"{since}: {earlier.summary}", changes=last.changes or earlier.changes)


def _without_cause(found: Diagnosis) -> str:
    """Return what a diagnosis without a cause says, and what is not known."""
    if not found.unknown:
        return found.summary
    more = len(found.unknown) - MOST_UNKNOWN
    rest = (f"and {more} more",) if more > 0 else ()
    return f"{found.summary}; not known: {'; '.join((*found.unknown[:MOST_UNKNOWN], *rest))}"


def _one_line(text: str) -> Line:
    return line(" ".join(text.split()), LONGEST)
