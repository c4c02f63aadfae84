"""
Run the benches: `python -m tests.bench [--quick]`. Ends with 1 when one of them finds that something was lost.

The machine may be busy with other things: figures are medians, ratios are to a baseline of the same run, and the load
average is printed before and after each part.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping

from kintsugi.telemetry.log_config import configure_logging
from tests.bench import alerts, growth, makespan, reaction, restoring, watching
from tests.bench.figures import Figure, part, table
from tests.bench.plan import LOAD, Plan

PARTS: Mapping[str, Callable[[Plan], Iterator[Figure]]] = {
    "alerts": alerts.measure,
    "reaction": reaction.measure,
    "watch": watching.measure,
    "rules": growth.measure,
    "restore": restoring.measure,
    "makespan": makespan.measure,
}


def main(arguments: list[str]) -> int:
    """Run the parts that are named, all without a name; `--quick` runs each once, on less, to see that they work."""
    chosen = [each for each in arguments if each != "--quick"] or list(PARTS)
    unknown = [each for each in chosen if each not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {LOAD})
    configure_logging(level="warning")  # parts that run in this process would drown the figures
    plan = Plan(quick="--quick" in arguments)
    figures: list[Figure] = []
    for name in chosen:
        with part(name):
            try:
                figures += PARTS[name](plan)
            except alerts.LostError as lost:
                print(f"LOST: {lost}", file=sys.stderr)
                return 1
    print(*table(figures), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
