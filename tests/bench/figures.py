"""Figures: values of some rounds, each beside a baseline of the same round."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import NamedTuple


class Round(NamedTuple):
    """One measuring of one figure, and of its baseline right before or after it."""

    value: float
    baseline: float | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What was measured in some rounds; the name ends with the unit."""

    name: str
    rounds: Sequence[Round]

    @property
    def values(self) -> Sequence[float]:
        """Return the values of all rounds."""
        return [each.value for each in self.rounds]

    @property
    def baselines(self) -> Sequence[float]:
        """Return the baselines of the rounds that have one."""
        return [each.baseline for each in self.rounds if each.baseline is not None]

    @property
    def ratio(self) -> float | None:
        """Return the median of value to baseline, round by round: what disturbed the machine disturbed both."""
        known = [each.value / each.baseline for each in self.rounds if each.baseline]
        return median(known) if known else None


def table(figures: Iterable[Figure]) -> Iterator[str]:
    """Write figures as lines of a table: minimum and median of the values and of the baselines, and the ratio."""
    yield f"{'figure':64}{'minimum':>12}{'median':>12}{'baseline: min':>14}{'median':>12}{'ratio':>8}"
    for each in figures:
        yield f"{each.name:64}{_least_and_middle(each.values)}  {_least_and_middle(each.baselines)}{_number(each.ratio):>8}"


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


def _least_and_middle(values: Sequence[float]) -> str:
    least, middle = (min(values), median(values)) if values else (None, None)
    return f"{_number(least):>12}{_number(middle):>12}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
