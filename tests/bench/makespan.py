"""
How long the recovery of many services takes that are all down, in virtual time, and what it costs the daemon.

The baseline of a makespan is the critical path, with a limit the larger of that and the work of each of so many at once.
A second figure is the processor time of one service's recovery among many, beside that of one among few: where it grows,
something is asked of all for each.
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


@dataclass(frozen=True, kw_only=True)
class Played:
    """One recovery: its makespan, and the processor time of each service in milliseconds."""

    makespan: float
    cost: float


def measure(plan: Plan) -> Iterator[Figure]:
    """Play each shape once, without a limit and with one: the same seed gives the same."""
    few, many = (5, 50) if plan.quick else (50, 500)
    for shape in SHAPES:
        graph, free, bounded = declared(shape, many), _play(shape, many, 0), _play(shape, many, AT_ONCE)
        least = max(graph.critical_path, graph.work / AT_ONCE)
        cost = Round(free.cost, _play(shape, few, 0).cost)
        yield Figure(name=f"{shape} of {many}, s", rounds=[Round(free.makespan, graph.critical_path)])
        yield Figure(name=f"{shape} of {many}, {AT_ONCE} at once, s", rounds=[Round(bounded.makespan, least)])
        yield Figure(name=f"one of {many} beside one of {few}, {shape}: processor time, ms", rounds=[cost])


def _play(shape: str, size: int, at_once: int) -> Played:
    limits = replace(UNLIMITED, max_concurrent_services=at_once) if at_once else UNLIMITED
    before = time.process_time()
    makespan = play(recover(declared(shape, size), limits)).makespan
    return Played(makespan=makespan, cost=(time.process_time() - before) / size * 1e3)
