"""Schedules are cron's, in UTC; a moment that was missed is made up once."""

from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.decisions.drills import due, read_schedule

SUNDAYS = "0 4 * * 0"
SUNDAY = datetime(2026, 5, 3, 4, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_a_drill_is_due_at_its_moment_and_not_before() -> None:
    """0 is Sunday, as cron has it."""
    assert due(SUNDAYS, SUNDAY, SUNDAY + WEEK - timedelta(seconds=1)) is None
    assert due(SUNDAYS, SUNDAY, SUNDAY + WEEK) == SUNDAY + WEEK


def test_a_drill_that_was_dealt_with_is_not_due_again() -> None:
    """P2: not twice."""
    assert due(SUNDAYS, SUNDAY, SUNDAY) is None


def test_several_missed_moments_are_one() -> None:
    """C1: not lost, and not done over and over."""
    assert due(SUNDAYS, SUNDAY, SUNDAY + 3 * WEEK + timedelta(days=1)) == SUNDAY + 3 * WEEK


def test_a_schedule_is_read_with_its_blanks_made_one() -> None:
    """So that the same schedule is the same text."""
    assert read_schedule("  0 4\t*  * 0 ") == SUNDAYS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write minute, hour"),
        ("4am", "write minute, hour"),
        ("@daily", "write minute, hour"),
        ("0 0 4 * * 0", "write minute, hour"),
        ("61 4 * * 0", "bad minute"),
        ("0 25 * * 0", "bad hour"),
        ("0 4 * * 8", "bad day-of-week"),
        ("0 4 30 2 *", "no such day|bad"),
    ],
)
def test_a_text_that_is_no_schedule_is_told_with_what_would_be_one(text: str, says: str) -> None:
    """Found when the file is loaded, not on the Sunday."""
    with pytest.raises(ValueError, match=rf"(?s)is (not a schedule|a schedule without).*({says})"):
        read_schedule(text)
