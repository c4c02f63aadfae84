"""The tables of signals with their verdicts, and of dead letters, for people."""

from collections.abc import Iterable

from kintsugi.cli.output import moment, plain, table
from kintsugi.cli.story import what
from kintsugi.cli.summary_tables import first_line
from kintsugi.server.operations import DeadLetterSummary, EvaluatedSignal

_EXCERPT = 60
"""Characters of a dead letter that fit into its line; JSON has all that is shown."""


def show_signals(signals: Iterable[EvaluatedSignal]) -> None:
    """Show signals in the order in which they come, each with what became of it."""
    table(
        ("ID", "RECEIVED (UTC)", "SIGNAL", "FIRES", "VERDICT", "REASON", "WHY"),
        (
            (
                plain(each.signal.id),
                plain(moment(each.signal.received)),
                plain(what(each.signal)),
                plain(_fires(each)),
                plain(each.verdict.kind if each.verdict else "-"),
                plain(each.verdict.reason if each.verdict else "-"),
                plain(first_line(each.verdict.text) if each.verdict else "no verdict yet"),
            )
            for each in signals
        ),
    )


def show_dead_letters(letters: Iterable[DeadLetterSummary]) -> None:
    """Show what could not be understood, and whether it can be sent in again."""
    table(
        ("ID", "RECEIVED (UTC)", "FROM", "RESEND", "REASON", "EXCERPT"),
        (
            (
                plain(each.id),
                plain(moment(each.received)),
                plain(each.source),
                plain("yes" if each.resendable else "no"),
                plain(each.reason),
                plain(each.excerpt[:_EXCERPT]),
            )
            for each in letters
        ),
    )


def _fires(evaluated: EvaluatedSignal) -> str:
    """Return whether a signal fires."""
    if evaluated.signal.ended is None:
        return "again" if evaluated.continues else "yes"
    return "no" if evaluated.refired is None else f"perhaps firing again since {evaluated.refired:%H:%M:%S}"
