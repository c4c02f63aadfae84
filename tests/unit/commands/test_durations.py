"""Durations are Go's: what kubectl takes, and nothing that would be read in another way."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("26h", 93_600), ("1.5h", 5400), ("250ms", 0.25)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "2d", "-1m", "m", "1h 30m", "five minutes", "9999999h", "1m\n"])
def test_a_text_that_is_not_a_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"1h30m|longer than a year"):
        parse_duration(text)


@given(st.integers(0, 30_000_000_000))
def test_a_duration_that_is_written_is_read_again(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration
