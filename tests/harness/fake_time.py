"""A process whose wall clock is wrong, by libfaketime: the steady clock is left alone, and the fault may come in mid-run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

RIGHT = timedelta(0)
_LIBRARIES = ("/usr/lib", "*/faketime/libfaketimeMT.so.1")


def library() -> Path | None:
    """Return the library that is loaded into the process; None where it is not installed."""
    folder, pattern = _LIBRARIES
    return next(iter(sorted(Path(folder).glob(pattern))), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class FakeTime:
    """The wrong clock of the processes that are started with `environment`; right until it is set."""

    file: Path

    @classmethod
    def made(cls, folder: Path) -> "FakeTime":
        """Make a clock that is right. The test is skipped where libfaketime is missing; with CI set it fails."""
        if library() is None:
            missing = pytest.fail if os.environ.get("CI") else pytest.skip
            missing("libfaketime is not installed: run tests/harness/setup")
        made = cls(file=folder / "clock")
        made.set(RIGHT)
        return made

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a process must be started with."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, ahead: timedelta) -> None:
        """Set the clock of the processes to so much ahead of the real one, below zero behind it; they see it within a second."""
        written = self.file.with_suffix(".new")
        written.write_text(f"{ahead.total_seconds():+.0f}\n")
        written.replace(self.file)
