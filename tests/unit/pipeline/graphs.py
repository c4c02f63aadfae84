"""Services that need each other, each with the time that its recovery takes: chains, fans, diamonds and random graphs."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

SHORTEST, LONGEST = 10, 90
"""Seconds that a service may take from its restart until it is ready."""

WIDTH = 5
"""Services side by side in a diamond."""

MOST_NEEDS = 3
"""What a service of a random graph needs at most."""

Needs = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Graph:
    """Services by name: what each needs, and how many seconds its own recovery takes."""

    needs: Needs
    takes: Mapping[str, int]

    @property
    def critical_path(self) -> float:
        """Return the length of the longest way through the graph."""
        return max(self._ends.values())

    @property
    def work(self) -> float:
        """Return what all recoveries take, one after another."""
        return sum(self.takes.values())

    def bound(self, at_once: int) -> float:
        """Return Graham's bound of list scheduling: no order of so many at once takes longer, if none idles."""
        return (2 - 1 / at_once) * max(self.critical_path, self.work / at_once)

    def lengthened(self, by: float) -> "Graph":
        """Return the same graph where each recovery takes so many seconds more."""
        return Graph(needs=self.needs, takes={name: round(takes + by) for name, takes in self.takes.items()})

    @cached_property
    def order(self) -> Sequence[str]:
        """List the services, each after what it needs."""
        return list(TopologicalSorter(self.needs).static_order())

    @cached_property
    def _ends(self) -> Mapping[str, float]:
        ends: dict[str, float] = {}
        for name in self.order:
            ends[name] = self.takes[name] + max((ends[each] for each in self.needs[name]), default=0)
        return ends


def chain(names: Sequence[str], _: random.Random) -> Needs:
    """Let each need the one before it."""
    return {name: names[max(place - 1, 0) : place] for place, name in enumerate(names)}


def fan(names: Sequence[str], _: random.Random) -> Needs:
    """Let all need the first one."""
    return {name: names[:1] if place else () for place, name in enumerate(names)}


def diamond(names: Sequence[str], _: random.Random) -> Needs:
    """Let layers of five and of one follow each other; each service needs the whole layer before it."""
    needs: dict[str, Sequence[str]] = {}
    above: Sequence[str] = ()
    place = 0
    while place < len(names):
        layer = names[place : place + (WIDTH if len(above) == 1 else 1)]
        needs |= dict.fromkeys(layer, above)
        above, place = layer, place + len(layer)
    return needs


def scattered(names: Sequence[str], chance: random.Random) -> Needs:
    """Let each need a few of those before it."""
    return {
        name: sorted(chance.sample(names[:place], min(place, chance.randint(0, MOST_NEEDS))))
        for place, name in enumerate(names)
    }


SHAPES: Mapping[str, Callable[[Sequence[str], random.Random], Needs]] = {
    "chain": chain,
    "fan": fan,
    "diamond": diamond,
    "random": scattered,
}


def graph(shape: str, size: int, *, seed: int = 1) -> Graph:
    """Make a graph; the same seed makes the same one."""
    chance = random.Random(f"{shape} {size} {seed}")
    names = [f"s{number:03d}" for number in range(size)]
    return Graph(needs=SHAPES[shape](names, chance), takes={name: chance.randint(SHORTEST, LONGEST) for name in names})
