"""What goes at once, what needs what, and which end counts."""

from datetime import timedelta

import pytest

from kintsugi.errors import Forbidden
from kintsugi.model.records import IncidentState
from tests.unit.executor.scripted_actor import Lost
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime

TWO = """\
- id: both
  parallel:
    - {id: one, run: kubectl cordon one}
    - {id: two, run: kubectl cordon two, needs: [NEEDS]}
- {id: after, run: kubectl get pods}
"""


def two(*, needs: str = "") -> str:
    """Write two changes at once, or the second after the first."""
    return TWO.replace("[NEEDS]", f"[{needs}]")


@pytest.mark.parametrize(("needs", "seconds"), [("", 10), ("one", 20)])
async def test_parallel_steps_take_their_critical_path(needs: str, seconds: float) -> None:
    bench = RunBench(two(needs=needs))
    bench.actor.takes = timedelta(seconds=10)
    bench.at(60, bench.heal)
    await bench.drive()
    assert sorted(bench.effects) == ["kubectl cordon one", "kubectl cordon two"]
    assert bench.prober.looked[0][0] == seconds


async def test_a_step_sees_what_the_step_that_it_needs_has_come_to() -> None:
    bench = RunBench(
        """\
        - id: both
          parallel:
            - {id: two, needs: [one], when: steps.one.passed, run: kubectl cordon two}
            - {id: one, run: kubectl get pods, expect: size(items) > 5, onFailure: continue}
        """
    )
    bench.at(60, bench.heal)
    await bench.drive()
    assert not bench.effects


async def test_later_steps_see_what_was_done_together() -> None:
    bench = RunBench(two() + "- {id: last, run: kubectl cordon three, when: steps.one.ran && steps.two.ran}")
    bench.at(60, bench.heal)
    await bench.drive()
    assert bench.effects[-1] == "kubectl cordon three"


async def test_a_step_that_needs_one_that_stopped_is_not_done() -> None:
    """A step that needs the backup is not done without the backup."""
    bench = RunBench(
        """\
        - id: both
          parallel:
            - {id: backup, run: kubectl get pods, expect: size(items) > 5}
            - {id: destroy, needs: [backup], run: kubectl cordon two}
            - {id: further, needs: [destroy], run: kubectl cordon three}
            - {id: beside, run: kubectl cordon four}
        """
    )
    bench.at(60, bench.heal)
    await bench.drive()
    assert bench.effects == ["kubectl cordon four"]
    assert bench.ledger.moves[0][1].startswith("stopped at both/backup")


async def test_a_step_beside_one_that_stopped_comes_to_its_end() -> None:
    bench = RunBench(
        """\
        - id: both
          parallel:
            - {id: one, run: kubectl get pods, expect: size(items) > 5}
            - {id: two, run: kubectl cordon two}
        """
    )
    bench.actor.takes = timedelta(seconds=10)
    bench.at(60, bench.heal)
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon two"]
    assert bench.has("both/two")
    assert ended.state is IncidentState.RECOVERED


async def test_the_gravest_end_counts_not_the_first() -> None:
    """P3: nobody can tell whether the second was done, so a person is called although the first merely stopped."""
    bench = RunBench(
        """\
        - id: both
          parallel:
            - {id: one, run: kubectl get pods, expect: size(items) > 5}
            - {id: two, run: kubectl cordon two}
        """
    )
    bench.actor.will("perform", Lost(applied=True))
    bench.actor.will("probe", Forbidden("may not get nodes"))
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR


async def test_steps_in_a_group_go_in_order_and_the_group_has_its_own_expectation() -> None:
    bench = RunBench(
        """\
        - id: group
          steps:
            - {id: one, run: kubectl cordon one}
            - {id: two, run: kubectl cordon two, when: steps.one.ran}
          expect: service.healthy
          within: 1m
        - {id: after, run: kubectl get pods}
        """
    )
    bench.at(20, bench.heal)
    await bench.drive()
    assert bench.effects == ["kubectl cordon one", "kubectl cordon two"]
    assert bench.prober.looked[0][0] == 20
