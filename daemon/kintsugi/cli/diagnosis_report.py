"""A diagnosis as a person reads it: the likeliest cause, its evidence, the others, and what is not known."""

from collections.abc import Iterator

from rich.text import Text

from kintsugi.cli.output import moment, plain, print_lines
from kubediagnosis.causes import Cause, Diagnosis, EvidenceItem
from kubediagnosis.headline import change_text


def show_diagnosis(found: Diagnosis) -> None:
    """Write it."""
    print_lines(diagnosis_lines(found))


def diagnosis_lines(found: Diagnosis) -> Iterator[Text]:
    """Yield its lines, the likeliest cause first."""
    yield plain(found.summary, "bold")
    for number, cause in enumerate(found.causes):
        if number:
            yield plain(f"and {cause.text}")
        yield plain(f"  {_named(cause)}")
        for each in cause.evidence:
            yield plain(f"    {_seen(each)}")
    for change in reversed(found.changes):
        yield plain(f"earlier change: {change_text(change)}")
    for what in found.unknown:
        yield plain(f"not known: {what}")


def _named(cause: Cause) -> str:
    where = " ".join(part for part in (cause.object or "-", cause.field) if part)
    return f"{cause.kind} ({cause.confidence}): {where}"


def _seen(item: EvidenceItem) -> str:
    at = f"{moment(item.at)}  " if item.at is not None else ""
    where = f"{item.object} {item.field}".rstrip()
    return f"{at}{item.source} {where}: {item.text}"
