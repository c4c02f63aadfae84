"""
The schedule of drills: cron expressions in UTC; a drill is due after the last scheduled time that was handled.

cronsim reads them as cron does (0 and 7 are Sunday).
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

_MOST_MISSED = 1000
"""The number of missed moments that are looked through; of more the last of these is due."""


def read_schedule(text: str) -> str:
    """Return an expression back, its blanks made one. Raises ValueError with what would be right."""
    words = text.split()
    if len(words) != 5:
        raise ValueError(
            f"{text!r} is not a schedule: write minute, hour, day of the month, month and day of the week, in UTC, "
            "as in 0 4 * * 0 for Sundays at four"
        )
    try:
        next(_after(" ".join(words), datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"{text!r} is not a schedule: {str(error).lower()} (as in 0 4 * * 0)") from error
    except StopIteration as error:
        raise ValueError(f"{text!r} is a schedule without an occurrence: this day does not exist") from error
    return " ".join(words)


def due(schedule: str, slot: datetime, now: datetime) -> datetime | None:
    """Return the last moment of a schedule after `slot` that has come; None when none has."""
    last = None
    for count, moment in enumerate(_after(schedule, slot)):
        if moment > now or count > _MOST_MISSED:
            break
        last = moment
    return last


def _after(schedule: str, moment: datetime) -> Iterator[datetime]:
    found: Iterator[datetime] = CronSim(schedule, moment.astimezone(UTC))
    return found
