"""A step's `when`, `unless` and list are asked of what is so, not of what was seen before the watch broke off (P6)."""

import pytest

from kintsugi.model.records import StepState
from tests.unit.factories import pod
from tests.unit.runner.bench import SCALE, Bench, clock

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(600)]

IF_FEW = """\
- {id: wait, run: kubectl get pods, expect: 'false', within: 30s, unmet: continue}
- {id: scale, run: kubectl scale deployment web --replicas=5, when: service.ready < 3}
"""
EACH_ILL = """\
- {id: wait, run: kubectl get pods, expect: 'false', within: 30s, unmet: continue}
- {id: restart, for_each: service.pods, when: unhealthy(each), run: 'kubectl delete pod ${each}'}
"""


@pytest.mark.parametrize("steps", [IF_FEW, EACH_ILL], ids=["when", "for_each"])
@pytest.mark.parametrize("how", ["blind", "old"])
async def test_what_was_mended_while_nobody_could_see_is_not_mended_again(steps: str, how: str) -> None:
    """B14: the old view says that too few are ready; by the time that it can be seen again, all are."""
    bench = Bench(steps)

    def lose_sight() -> None:
        if how == "blind":
            bench.world.blind = "the watch of pods is interrupted"
        else:
            bench.world.hide()

    def see_again() -> None:
        bench.world.blind = ""
        bench.world.show(ready=3, pods=(pod("web-1"), pod("web-4"), pod("web-5")))

    bench.at(10, lose_sight)
    bench.at(120, see_again)
    bench.at(200, bench.heal)
    await bench.carry()
    assert bench.effects == []
    assert bench.step("scale" if steps is IF_FEW else "restart").state is StepState.SKIPPED


async def test_what_is_still_needed_is_done_when_it_can_be_seen_again() -> None:
    bench = Bench(IF_FEW, heals=SCALE)
    times = bench.note_times()
    bench.at(10, lambda: setattr(bench.world, "blind", "the watch of pods is interrupted"))
    bench.at(120, lambda: setattr(bench.world, "blind", ""))
    await bench.carry()
    assert times[SCALE] == pytest.approx(140, abs=1.5)  # the wait of 30 s has 20 left: blind time does not count
    assert clock() < 600
