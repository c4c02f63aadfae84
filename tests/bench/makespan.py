"""
How long the recovery of many services takes that are all down, in virtual time, and what it costs the daemon.

The baseline of a makespan is the critical path, with a limit the larger of that and the work of each of so many at once.
A second figure is the processor time of one service's recovery among many,
beside that of one among fifty: where it grows, something is asked of all for each.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.bench.figures import Figure, Round
from tests.bench.plan import Plan
from tests.unit.pipeline.graphs import SHAPES
from tests.unit.pipeline.recovering import UNLIMITED, declared, recover
from tests.unit.virtual import play

AT_ONCE = 10
FEW = 50


@dataclass(frozen=True, kw_only=True)
class Played:
    """One recovery: its makespan, and the processor time of each service in milliseconds."""

    makespan: float
    cost: float


def measure(plan: Plan) -> Iterator[Figure]:
    """Play each shape in each size once, without a limit and with one: the same seed gives the same."""
    many = FEW if plan.quick else 500
    for shape in SHAPES:
        costs: dict[int, float] = {}
        for size in dict.fromkeys((5, FEW, many)):
            graph, name = declared(shape, size), f"{shape} of {size}"
            free = _play(shape, size, 0)
            costs[size] = free.cost
            yield Figure(name=f"{name}, s", rounds=[Round(free.makespan, graph.critical_path)])
            least = max(graph.critical_path, graph.work / AT_ONCE)
            bounded = Round(_play(shape, size, AT_ONCE).makespan, least)
            yield Figure(name=f"{name}, {AT_ONCE} at once, s", rounds=[bounded])
        yield Figure(name=f"one of {many}, {shape}: processor time, ms", rounds=[Round(costs[many], costs[FEW])])


def _play(shape: str, size: int, at_once: int) -> Played:
    limits = replace(UNLIMITED, max_concurrent_services=at_once) if at_once else UNLIMITED
    before = time.process_time()
    makespan = play(recover(declared(shape, size), limits)).makespan
    return Played(makespan=makespan, cost=(time.process_time() - before) / size * 1e3)
