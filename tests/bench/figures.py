"""Figures: a measured value beside a baseline of the same run and beside what the design aims at."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True, kw_only=True)
class Round:
    """One measuring of one figure, and of its baseline right before or after it."""

    value: float
    baseline: float | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """
    What was measured in some rounds; all that is told of it are medians.

    `designed` is what the design aims at, in the same unit; `falls` tells that less is better.
    """

    name: str
    unit: str
    rounds: Sequence[Round]
    designed: float | None = None
    falls: bool = False

    @property
    def value(self) -> float:
        """Return the median of the rounds."""
        return median(each.value for each in self.rounds)

    @property
    def baseline(self) -> float | None:
        """Return the median of the baselines, None where there is none."""
        known = [each.baseline for each in self.rounds if each.baseline is not None]
        return median(known) if known else None

    @property
    def ratio(self) -> float | None:
        """Return the median of value to baseline, round by round: what disturbed the machine disturbed both."""
        known = [each.value / each.baseline for each in self.rounds if each.baseline]
        return median(known) if known else None

    @property
    def reached(self) -> float | None:
        """Return the share of the design's figure that was reached: 1 and above is as designed."""
        if self.designed is None:
            return None
        return self.designed / self.value if self.falls else self.value / self.designed


def table(figures: Iterable[Figure]) -> Iterator[str]:
    """Write figures as lines of a table."""
    yield f"{'figure':46}{'measured':>12}{'baseline':>12}{'ratio':>8}{'designed':>10}{'reached':>9}"
    for each in figures:
        yield (
            f"{each.name + ', ' + each.unit:46}{_number(each.value):>12}{_number(each.baseline):>12}"
            f"{_number(each.ratio):>8}{_number(each.designed):>10}{_share(each.reached):>9}"
        )


@contextmanager
def part(name: str) -> Iterator[None]:
    """Print when a part begins and ends, and how busy the machine was with all that runs on it."""
    began = perf_counter()
    print(f"{name}: {load()} at the start", flush=True)
    yield
    print(f"{name}: {load()} at the end, {perf_counter() - began:.0f} s", flush=True)


def load() -> str:
    """Return the machine's load average of the last minute."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def rounds(count: int, measure: Callable[[], Round]) -> list[Round]:
    """Measure so many times."""
    return [measure() for _ in range(count)]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
