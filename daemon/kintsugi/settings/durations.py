"""Durations as people write them: Go's `90s`, `2m`, `1h30m`. The lowest place that reads any."""

import re
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+", re.ASCII)
_LONGEST = timedelta(days=366)


def read_duration(value: object) -> object:
    """Turn the text of a duration into a timedelta; anything else is left to the next reader. Raises ValueError."""
    if not isinstance(value, str):
        return value
    if value == "0":
        return timedelta(0)
    if not _WHOLE.fullmatch(value):
        raise ValueError(f"{value!r} is not a duration: write hours, minutes and seconds, as in 90s, 5m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"{value!r} is longer than a year")
    return timedelta(seconds=seconds)
