"""
How the rows of docs/faults.md end beside a daemon that may act, on a real cluster: healed, handed over or let alone, by the writes of that alone.

Some rows are looked at always, the dearer ones as well with KINTSUGI_ALL_FAULTS=1, and with KINTSUGI_FAULTS="ID ID" those alone; with
KINTSUGI_ALL_ENDS=1 all that are run.
"""

import os
from collections.abc import Iterator, Sequence

import pytest

from tests.cluster.test_faults import ALL, CONTROLS, NAMED, RUN, stage_of_faults
from tests.faults import end_results, page
from tests.faults.beside import Beside, beside
from tests.faults.end_results import EndResult
from tests.faults.ends import Ending, conclude, of_upstream, until_good, watch
from tests.faults.judge import until_well
from tests.faults.perform import Performance
from tests.faults.stage import NAMESPACES, Stage
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.cluster
__all__ = ["stage_of_faults"]

ALWAYS = [
    "good-rollout",
    "image-denied",
    "configmap-deleted",
    "one-pod-unready",
    "memory-limit-lowered",
    "quota-used-up",
]
"""What is let alone, a rollback, a hand-over, a restart, and two more that are often met."""
DEARER = ["node-tainted", "liveness-wrong-port", "webhook-down", "image-registry-busy"]
"""Rows whose end is looked at where there is time."""
LISTED = [*ALWAYS, *DEARER] if ALL else ALWAYS
CHOSEN = NAMED or ([*RUN, *CONTROLS] if os.environ.get("KINTSUGI_ALL_ENDS") else LISTED)

NOTHING = "nothing"
LONGEST = 15
"""So often a check of every half minute is asked while the rule that waits longest, five minutes, could come to act."""


@pytest.fixture(scope="module")
def actor(stage_of_faults: Stage) -> Iterator[Beside]:
    """Yield a daemon that may act."""
    with beside(stage_of_faults, mode="auto") as made:
        yield made


@pytest.mark.parametrize("id_", CHOSEN)
def test_each_fault_ends_as_the_page_says_and_nothing_else_is_written(
    stage_of_faults: Stage, actor: Beside, id_: str
) -> None:
    result = nothing(stage_of_faults, actor) if id_ == NOTHING else broken(stage_of_faults, actor, id_)
    end_results.keep(result)
    assert not result.problems, (result, actor.process.tail())


def broken(stage: Stage, actor: Beside, id_: str) -> EndResult:
    """Make a row, or several at a time, and return how that has ended."""
    endings = ended(stage, actor, *page.several().get(id_, (id_,)))
    return EndResult.of(id_, *endings)


def nothing(stage: Stage, actor: Beside) -> EndResult:
    """Have both applications well for as long as the rule that waits longest, and return what was said and written."""
    with actor.paused():
        stage.restore()
        for each in NAMESPACES:
            stage.application(each)
    wait_for(lambda: all(each["closed"] for each in actor.incidents()), within=60, every=1, describe=actor.incidents)
    known, written, asked = actor.incidents(), len(actor.writes()), actor.executed()
    wait_for(lambda: actor.executed() >= asked + LONGEST, within=120, every=1, describe=actor.process.tail)
    told = [str(each["state"]) for each in actor.incidents() if each not in known]
    return EndResult.of_nothing(NOTHING, told, [each.verb for each in actor.writes()[written:]])


def ended(stage: Stage, actor: Beside, *ids: str) -> Sequence[Ending]:
    """Make faults together, and return how each of them has ended, and each upstream that has to be healed for one; that comes first."""
    rows = [page.row(each) for each in ids]
    with actor.paused():
        stage.restore()
        faults = [Performance(stage, each) for each in rows]
        every = [*(Performance(stage, each) for each in map(of_upstream, rows) if each is not None), *faults]
        for made in every:
            until_well(made, actor.diagnose)
    for made in every:
        until_good(made, actor)
    endings = [watch(made, actor, beside=[each for each in every if each is not made]) for made in every]
    for made in faults:
        made.run()
    for each in endings:
        print(conclude(each))
    return endings
