"""
Run the benches: `python -m tests.bench [--quick] [--baseline REVISION] [PART ...]`.

Ends with 1 when one of them finds that something was lost. The machine may be busy with other things: figures are
minima and medians, ratios are to a baseline of the same run, and the load average is printed before and after each part.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping

from kintsugi.telemetry.log_config import configure_logging
from tests.bench import alerts, command_line, growth, idle, makespan, reaction, restoring, watching
from tests.bench.figures import Figure, part, table
from tests.bench.plan import LOAD, Plan
from tests.bench.process import durable_server
from tests.bench.revision import WORKING_TREE, checked_out

Measure = Callable[..., Iterator[Figure]]


def _on_postgres(measure: Measure) -> Measure:
    def measured(plan: Plan) -> Iterator[Figure]:
        with durable_server() as server:
            yield from measure(plan, server)

    return measured


PARTS: Mapping[str, Measure] = {
    "alerts": alerts.measure,
    "alerts-postgres": _on_postgres(alerts.measure),
    "reaction": reaction.measure,
    "reaction-postgres": _on_postgres(reaction.measure),
    "sync": watching.measure_sync,
    "idle": idle.measure,
    "cli": command_line.measure,
    "watch": watching.measure,
    "rules": growth.measure,
    "restore": restoring.measure,
    "makespan": makespan.measure,
}


def main() -> int:
    """Run the parts that are named, all without a name; `--quick` runs each once, on less, to see that they work."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="one round of each part, on less")
    parser.add_argument("--baseline", metavar="REVISION", help="measure this revision, too, in turn")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; all without a name")
    asked = parser.parse_args()
    if unknown := [each for each in asked.parts if each not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    revisions = (WORKING_TREE, *([checked_out(asked.baseline)] if asked.baseline else []))
    os.sched_setaffinity(0, {LOAD})
    configure_logging(level="error")  # parts that run in this process would drown the figures
    plan = Plan(quick=asked.quick, revisions=revisions)
    figures: list[Figure] = []
    for name in asked.parts or PARTS:
        with part(name):
            try:
                figures += PARTS[name](plan)
            except alerts.LostError as lost:
                print(f"LOST: {lost}", file=sys.stderr)
                return 1
    print(*table(figures), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
