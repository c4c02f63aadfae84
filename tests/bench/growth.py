"""
What ten thousand rules cost an event and an alert that only a few of them concern: as much as ten.

The pods, the services that select them and the rules on these are the same in both catalogs; the larger one has further
services in the same namespaces, with rules on their pods and on their alerts.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench import catalogs
from tests.bench.daemon_process import BenchDaemon, watching
from tests.bench.figures import Figure, Round
from tests.bench.load import send
from tests.bench.plan import Plan
from tests.bench.process import processor_seconds, wait_idle
from tests.bench.revision import Revision
from tests.bench.watching import Size, take

SERVICES = 10
_RULES_EACH = 10
_POSTS, _ALERTS = 40, 100


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Processor time in microseconds."""

    event: float
    alert: float


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure both catalogs, one after the other, in each round."""
    rules = 1_000 if plan.quick else 10_000
    size = Size(pods=1_000, events=8_000 if plan.quick else 20_000)
    few = [catalogs.pod_rules(each, 1) for each in catalogs.services(SERVICES)]
    many = few + [
        catalogs.mixed_rules(each, _RULES_EACH)
        for each in catalogs.services((rules - SERVICES) // _RULES_EACH, prefix="other")
    ]

    def beside_few(revision: Revision) -> Mapping[str, Round]:
        large, small = _cost(revision, many, size), _cost(revision, few, size)
        return {
            f"event with {rules:,} rules beside 10: processor time, us": Round(large.event, small.event),
            f"alert with {rules:,} rules beside 10: processor time, us": Round(large.alert, small.alert),
        }

    yield from plan.hold(beside_few)


def _cost(revision: Revision, documents: Sequence[str], size: Size) -> StepCost:
    with watching(revision, documents, services=SERVICES, pods=size.pods) as (api, daemon):
        event = take(api, daemon, size).cost
        wait_idle(daemon.pid)
        return StepCost(event=event, alert=_cost_of_an_alert(daemon))


def _cost_of_an_alert(daemon: BenchDaemon) -> float:
    """Send alerts that no rule is about, and wait until each has its verdict."""
    before = processor_seconds(daemon.pid)
    answered = asyncio.run(send(daemon.port, alerts=_ALERTS, posts=_POSTS, connections=4))
    daemon.wait_judged()
    return (processor_seconds(daemon.pid) - before) / answered.alerts * 1e6
