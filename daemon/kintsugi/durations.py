"""Durations as people write them in kubectl, in settings and in our files: Go's `90s`, `2m`, `1h30m`."""

import re
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+", re.ASCII)
_LONGEST = timedelta(days=366)


def parse_duration(text: str) -> timedelta:
    """Read a Go duration of up to a year. Raises ValueError with what would be right."""
    if text == "0":
        return timedelta(0)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration: write hours, minutes and seconds, as in 90s, 5m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than a year")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration so that `parse_duration` gives the same back, to the millisecond. Raises ValueError below nothing."""
    milliseconds = round(duration.total_seconds() * 1000)
    if milliseconds < 0:
        raise ValueError(f"{duration} is negative")
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, rest = divmod(rest, 1000)
    parts = [(hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def format_seconds(duration: timedelta) -> str:
    """Write a duration rounded to whole seconds, for people. Raises ValueError below nothing."""
    return format_duration(timedelta(seconds=round(duration.total_seconds())))
