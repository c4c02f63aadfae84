"""A step's `when`, `unless` and list are asked of what is so, not of what was seen before the watch broke off (P6)."""

import pytest

from kintsugi.model.records import StepState
from tests.unit.factories import pod
from tests.unit.runner.bench import SCALE, RunBench, clock

pytestmark = pytest.mark.looptime

IF_FEW = """\
- {id: wait, run: kubectl get pods, expect: 'false', within: 30s, onFailure: continue}
- {id: scale, run: kubectl scale deployment web --replicas=5, when: service.ready < 3}
"""
EACH_ILL = """\
- {id: wait, run: kubectl get pods, expect: 'false', within: 30s, onFailure: continue}
- {id: restart, forEach: service.pods, when: each.unhealthy, run: 'kubectl delete pod ${each}'}
"""


@pytest.mark.parametrize("steps", [IF_FEW, EACH_ILL], ids=["when", "forEach"])
@pytest.mark.parametrize("how", ["stale", "old"])
async def test_a_service_that_was_mended_while_it_was_not_seen_is_not_mended_again(steps: str, how: str) -> None:
    """B14: the old view says that too few are ready; by the time that it can be seen again, all are."""
    bench = RunBench(steps)

    def lose_sight() -> None:
        if how == "stale":
            bench.observed.stale_reason = "the watch of pods is interrupted"
        else:
            bench.observed.hide()

    def see_again() -> None:
        bench.observed.stale_reason = ""
        bench.observed.show(ready=3, pods=(pod("web-1"), pod("web-4"), pod("web-5")))

    bench.at(10, lose_sight)
    bench.at(120, see_again)
    bench.at(200, bench.heal)
    await bench.drive()
    assert bench.effects == []
    assert bench.step("scale" if steps is IF_FEW else "restart").state is StepState.SKIPPED


async def test_a_step_that_is_still_needed_is_done_when_the_service_is_seen_again() -> None:
    bench = RunBench(IF_FEW, heals=SCALE)
    times = bench.note_times()
    bench.at(10, lambda: setattr(bench.observed, "stale_reason", "the watch of pods is interrupted"))
    bench.at(120, lambda: setattr(bench.observed, "stale_reason", ""))
    await bench.drive()
    assert times[SCALE] == pytest.approx(140, abs=1.5)  # the wait of 30 s has 20 left: blind time does not count
    assert clock() < 600
