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
    """One recovery: its makespan, how many went at one time, and the processor time of each service in milliseconds."""

    makespan: float
    most_at_once: int
    cost: float


def measure(plan: Plan) -> Iterator[Figure]:
    """Play each shape once, without a limit and with one that is reached: the same seed gives the same."""
    few, many = (5, 50) if plan.quick else (50, 500)
    for shape in SHAPES:
        graph, free = declared(shape, many), _play(shape, many)
        cost = Round(free.cost, _play(shape, few).cost)
        yield Figure(name=f"{shape} of {many}, s", rounds=[Round(free.makespan, graph.critical_path)])
        if free.most_at_once > AT_ONCE:  # else the limit changes nothing
            bounded = Round(_play(shape, many, AT_ONCE).makespan, max(graph.critical_path, graph.work / AT_ONCE))
            yield Figure(name=f"{shape} of {many}, {AT_ONCE} at once, s", rounds=[bounded])
        yield Figure(name=f"one of {many} beside one of {few}, {shape}: processor time, ms", rounds=[cost])


def _play(shape: str, size: int, at_once: int = 0) -> Played:
    limits = replace(UNLIMITED, max_concurrent_services=at_once) if at_once else UNLIMITED
    before = time.process_time()
    recovery = play(recover(declared(shape, size), limits))
    cost = (time.process_time() - before) / size * 1e3
    return Played(makespan=recovery.makespan, most_at_once=recovery.most_at_once, cost=cost)
